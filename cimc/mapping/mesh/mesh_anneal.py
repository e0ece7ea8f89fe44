"""Simulated annealing of a quadratic placement."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.hop_annealing import geometric
from cimc.mapping.assignment.packing import UNPLACED
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, QuadraticProposal
from cimc.mapping.mesh.mesh_solve import packed
from cimc.mapping.mesh.simple import build_greedily
from cimc.mapping.mesh.state import Mesh

_STEPS = 80
_HOT, _COLD = 1.0, 0.005


def anneal(
    problem: QuadraticProblem, /, *, seed: int, sweeps: int = 20_000, effort: int = 200_000_000
) -> QuadraticProposal:
    """Greedy, then annealing with moves that bring blocks next to those they exchange data with.

    Args:
        problem: the problem.
        seed: of the proposals.
        sweeps: proposals per block.
        effort: proposals in all, if fewer.
    """
    check(sweeps, effort)
    start, how = start_of(problem)
    if problem.n_blocks == 0 or problem.graph.flow.size == 0:
        return QuadraticProposal(start, f"{how} (there is no flow)")
    mesh = Mesh(problem, start)
    before = mesh.cost()
    proposals, accepted = cool(
        mesh, hot=_HOT, cold=_COLD, proposals=budget(problem, sweeps, effort), seed=seed
    )
    counts: dict[str, int | float] = {"proposals": proposals, "accepted": accepted}
    if mesh.cost() >= before:
        return QuadraticProposal(start, f"{how} (annealing found nothing better)", counts)
    return QuadraticProposal(mesh.sites, "annealing", counts)


def check(sweeps: int, effort: int) -> None:
    """Refuse option values that make no sense."""
    for name, value in (("sweeps", sweeps), ("effort", effort)):
        require(value >= 0, f"`{name}` must not be negative, it is {value}")


def budget(problem: QuadraticProblem, sweeps: int, effort: int) -> int:
    """Proposals that the two limits allow."""
    return min(sweeps * problem.n_blocks, effort)


def start_of(problem: QuadraticProblem) -> tuple[IntArray, str]:
    """A placement within the capacities and the name of how it was made."""
    if problem.n_blocks == 0:
        return np.zeros(0, dtype=np.int64), "nothing to place"
    sites = build_greedily(problem)
    if np.any(sites == UNPLACED):
        return packed(problem), "packing by size"
    return sites, "greedy"


def cool(
    mesh: Mesh, *, hot: float, cold: float, proposals: int, seed: int, steps: int = _STEPS
) -> tuple[int, int]:
    """Geometric cooling, then no heat, with ever shorter moves; proposals made and accepted.

    Args:
        mesh: the placement, changed in place.
        hot, cold: first and last temperature, in mean flow of a block.
        proposals: in all.
        seed: of the proposals.
        steps: temperatures.
    """
    from cimc.support.random.splitmix_jit import state_of

    state, unit = state_of(seed), mesh.unit()
    each = proposals // (steps + 2)
    widest = max(mesh.site_at.shape) // 2
    accepted = 0
    for k, heat in enumerate([*geometric(hot, cold, steps), 0.0, 0.0]):
        reach = max(1, widest * (steps - k) // steps // 2)
        accepted += mesh.anneal(heat * unit, reach, each, state)
    return each * (steps + 2), accepted
