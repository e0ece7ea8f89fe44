"""The one evaluation of an assignment; no strategy computes its own figures."""

from __future__ import annotations

import numpy as np

from cimc.errors import PassError
from cimc.mapping.assignment.bounds import bottleneck_bound, hops_bound
from cimc.mapping.assignment.problem import Evaluation, PlacementProblem
from cimc.mapping.dtypes import IntArray

# Sums of float64 in different orders differ in the last digits; more than this is a real difference.
ROUNDING = 1e-9
_SHOWN = 8


def evaluate(problem: PlacementProblem, assignment: IntArray) -> Evaluation:
    """Objectives, bounds and violations of ``assignment``.

    Args:
        problem: the problem.
        assignment: int64[n], the bin of each item; a value outside [0, m) means "not placed".

    Returns:
        The evaluation; items that are not placed count in no objective and give a violation.

    Raises:
        PassError: ``mapping.bad-assignment``, when the array has not one integer per item.
    """
    given = np.asarray(assignment)
    if given.shape != (problem.n_items,) or (given.size and given.dtype.kind not in "iu"):
        raise PassError(
            "mapping.bad-assignment",
            f"an assignment must be {problem.n_items} integers, "
            f"this one has shape {given.shape} and dtype {given.dtype}",
        )
    bins = given.astype(np.int64)
    placed = (bins >= 0) & (bins < problem.n_bins)
    at = bins[placed]
    load = np.bincount(at, weights=problem.load[placed], minlength=problem.n_bins)
    used = np.zeros(problem.n_bins, dtype=np.int64)
    np.add.at(used, at, problem.size[placed])  # bincount would go through float64
    violations = _violations(problem, placed, used)

    bottleneck = float(load.max())
    scale = bottleneck or 1.0  # squares of very large loads would overflow
    hops = float(np.sum(problem.traffic[placed] * problem.distance[at]))
    least_bottleneck, least_hops = bottleneck_bound(problem), hops_bound(problem)
    if not violations:
        least_bottleneck = settle(least_bottleneck, bottleneck)
        least_hops = settle(least_hops, hops)
    capacity = int(problem.capacity.sum())
    return Evaluation(
        bottleneck=bottleneck,
        bottleneck_bound=least_bottleneck,
        gap=bottleneck / least_bottleneck - 1.0 if least_bottleneck > 0 else 0.0,
        hops=hops,
        hops_bound=least_hops,
        utilisation=int(used.sum()) / capacity if capacity else 0.0,
        load_min=float(load.min()),
        load_mean=float(load.mean()),
        load_std=float((load / scale).std()) * scale,
        bins_used=int(np.count_nonzero(used)),
        violations=violations,
    )


def settle(bound: float, objective: float) -> float:
    """``bound``, lowered to ``objective`` where it lies above it by rounding alone."""
    if bound <= objective:
        return bound
    assert bound <= objective * (1 + ROUNDING), f"bound {bound} above objective {objective}"
    return objective


def _violations(
    problem: PlacementProblem, placed: np.ndarray[tuple[int], np.dtype[np.bool_]], used: IntArray
) -> tuple[str, ...]:
    missing = np.flatnonzero(~placed)
    full = np.flatnonzero(used > problem.capacity)
    lines = [f"{problem.label(int(i))} is on no bin" for i in missing[:_SHOWN]]
    if missing.size > _SHOWN:
        lines.append(f"and {missing.size - _SHOWN} more items are on no bin")
    lines += [
        f"bin {b} holds {used[b]} {problem.item_unit} of {problem.resource}, it has {problem.capacity[b]}"
        for b in full[:_SHOWN]
    ]
    if full.size > _SHOWN:
        lines.append(f"and {full.size - _SHOWN} more bins are over capacity")
    return tuple(lines)
