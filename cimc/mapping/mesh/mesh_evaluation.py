"""The one evaluation of a quadratic placement; no method computes its own figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.errors import PassError
from cimc.mapping.dtypes import IntArray
from cimc.mapping.mesh.mesh_bounds import quadratic_bound
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, cost_of


@dataclass(frozen=True)
class QuadraticEvaluation:
    """What a placement costs, next to what no placement can undercut.

    Attributes:
        cost: sum of flow x distance, bit-hops per request.
        bound: lower bound on it, over all placements.
        gap: ``cost / bound - 1``; 0 where the bound is 0 and so is the cost, else infinite there.
        utilisation: capacity units taken, as a share of all of them.
        sites_used: sites that hold at least one block.
        violations: one sentence for each broken constraint; empty for a valid placement.
    """

    cost: float
    bound: float
    gap: float
    utilisation: float
    sites_used: int
    violations: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class QuadraticSolution:
    """A verified placement: int64[n] sites (read-only), its evaluation, who produced it, what it took."""

    sites: IntArray
    evaluation: QuadraticEvaluation
    method: str
    produced_by: str
    effort: dict[str, int | float]


def evaluate_quadratic(problem: QuadraticProblem, sites: IntArray) -> QuadraticEvaluation:
    """Cost, bound and violations of ``sites`` (int64[n]; a value outside [0, m) means "not placed").

    Raises:
        PassError: ``mapping.bad-assignment``, when the array has not one integer per block.
    """
    given = np.asarray(sites)
    if given.shape != (problem.n_blocks,) or (given.size and given.dtype.kind not in "iu"):
        raise PassError(
            "mapping.bad-assignment",
            f"a placement must be {problem.n_blocks} integers, "
            f"this one has shape {given.shape} and dtype {given.dtype}",
        )
    at = given.astype(np.int64)
    placed = (at >= 0) & (at < problem.n_sites)
    used = np.zeros(problem.n_sites, dtype=np.int64)
    np.add.at(used, at[placed], problem.size[placed])
    violations = [f"{problem.label(int(b))} is on no site" for b in np.flatnonzero(~placed)[:8]]
    violations += [
        f"site {s} holds {used[s]} units, it has {problem.capacity[s]}"
        for s in np.flatnonzero(used > problem.capacity)[:8]
    ]
    cost = cost_of(problem, at) if placed.all() else 0.0
    bound = quadratic_bound(problem)
    if placed.all() and not violations and cost < bound:
        assert bound <= cost * (1 + 1e-9), f"bound {bound} above cost {cost}"
        bound = cost
    gap = cost / bound - 1.0 if bound > 0 else (float("inf") if cost > 0 else 0.0)
    capacity = int(problem.capacity.sum())
    return QuadraticEvaluation(
        cost=cost,
        bound=bound,
        gap=gap,
        utilisation=int(used.sum()) / capacity if capacity else 0.0,
        sites_used=int(np.count_nonzero(used)),
        violations=tuple(violations),
    )
