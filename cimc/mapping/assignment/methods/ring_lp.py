"""The linear program over (class, ring), solved by GLOP through MathOpt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.assignment.rings import Classes, Rings
from cimc.mapping.dtypes import FloatArray


@dataclass(frozen=True, eq=False)
class RingPlan:
    """A solved program.

    Attributes:
        optimal: False when the iteration limit came first or there is no feasible point; then
            the arrays are empty.
        status: the solver's word for how it ended.
        share: float64[c, r], items of each class on each ring.
        load_price: float64[r], hops saved by one more unit of load on a bin of the ring, >= 0.
        size_price: float64[r], hops saved by one more capacity unit of the ring, >= 0.
        iterations: simplex iterations.
    """

    optimal: bool
    status: str
    share: FloatArray
    load_price: FloatArray
    size_price: FloatArray
    iterations: int


def solve_rings(classes: Classes, rings: Rings, limit: float, max_iterations: int) -> RingPlan:
    """Fewest hops with at most ``limit`` of load per bin on average over each ring.

    minimise    sum_cr n[c,r] traffic[c] distance[r]
    subject to  sum_r n[c,r] = count[c]
                sum_c n[c,r] load[c] <= limit bins[r]
                sum_c n[c,r] size[c] <= capacity[r]
                n >= 0
    """
    from ortools.math_opt import model_pb2
    from ortools.math_opt.python import mathopt

    c, r = classes.count.size, rings.bins.size
    # Everything near 1 for the solver's tolerances: loads in limits, sizes in mean sizes.
    unit_load = limit if limit > 0 else 1.0
    unit_size = float(np.average(classes.size, weights=classes.count))
    unit_cost = float(np.average(classes.traffic, weights=classes.count)) * float(rings.distance.max())
    cost = np.outer(classes.traffic, rings.distance).reshape(-1) / (unit_cost or 1.0)

    variables = np.arange(c * r)
    of_class, of_ring = np.repeat(np.arange(c), r), np.tile(np.arange(r), c)
    rows = np.concatenate((of_class, c + of_ring, c + r + of_ring))
    values = np.concatenate(
        (
            np.ones(c * r),
            (classes.load / unit_load)[of_class],
            (classes.size / unit_size)[of_class],
        )
    )
    columns = np.tile(variables, 3)
    order = np.lexsort((columns, rows))
    upper = np.concatenate((classes.count, limit * rings.bins / unit_load, rings.capacity / unit_size))
    lower = np.concatenate((classes.count, np.full(2 * r, -np.inf)))

    proto = model_pb2.ModelProto()
    proto.variables.ids.extend(variables.tolist())
    proto.variables.lower_bounds.extend([0.0] * (c * r))
    proto.variables.upper_bounds.extend([np.inf] * (c * r))
    proto.variables.integers.extend([False] * (c * r))
    proto.objective.linear_coefficients.ids.extend(variables.tolist())
    proto.objective.linear_coefficients.values.extend(cost.tolist())
    proto.linear_constraints.ids.extend(range(c + 2 * r))
    proto.linear_constraints.lower_bounds.extend(lower.tolist())
    proto.linear_constraints.upper_bounds.extend(upper.tolist())
    proto.linear_constraint_matrix.row_ids.extend(rows[order].tolist())
    proto.linear_constraint_matrix.column_ids.extend(columns[order].tolist())
    proto.linear_constraint_matrix.coefficients.extend(values[order].tolist())

    model = mathopt.Model.from_model_proto(proto)
    params = mathopt.SolveParameters(iteration_limit=max_iterations, random_seed=1)
    result = mathopt.solve(model, mathopt.SolverType.GLOP, params=params)
    iterations = int(result.solve_stats.simplex_iterations)
    status = result.termination.reason.name.lower().replace("_", " ")
    if result.termination.reason is not mathopt.TerminationReason.OPTIMAL:
        nothing = np.zeros(0)
        return RingPlan(False, status, np.zeros((0, r)), nothing, nothing, iterations)
    share = np.zeros(c * r)
    for variable, value in result.variable_values().items():
        share[variable.id] = value
    dual = np.zeros(c + 2 * r)
    for constraint, value in result.dual_values().items():
        dual[constraint.id] = value
    # A minimisation's <= rows have duals <= 0: the price is what one unit more would save.
    price = np.maximum(-dual, 0.0) * (unit_cost or 1.0)
    return RingPlan(
        optimal=True,
        status=status,
        share=np.maximum(share, 0.0).reshape(c, r),
        load_price=price[c : c + r] / unit_load,
        size_price=price[c + r :] / unit_size,
        iterations=iterations,
    )
