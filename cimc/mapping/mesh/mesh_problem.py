"""The data of a quadratic placement problem, and its one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cimc.errors import PassError
from cimc.mapping.assignment.problem import FloatArray, IntArray, bad_problem, finite_floats, whole_numbers
from cimc.mapping.mesh.bisection import Bisection, bisect

# A mesh may have points without a site; a table over all points must stay affordable.
_MOST_POINTS = 1 << 24


class Graph(NamedTuple):
    """Exchanges of each node in compressed rows: start int64[k + 1], neighbour int64[e], flow float64[e]."""

    start: IntArray
    neighbour: IntArray
    flow: FloatArray


@dataclass(frozen=True, eq=False)
class QuadraticProblem:
    """Place ``n`` blocks on ``m`` sites of a mesh; every block goes, whole, to exactly one site.

    The cost is the sum over pairs of flow x distance, the distance being that of X-Y routing,
    |x - x'| + |y - y'|.  Nodes n, n + 1, ... are terminals: fixed points that blocks exchange data with,
    such as the port at the edge of a chip.

    Attributes:
        pairs: int64[e, 2], two different nodes each, at least one of them a block.
        flow: float64[e], bits per request that a pair exchanges, >= 0; equal pairs add up.
        size: int64[n], capacity units of each block, >= 1.
        capacity: int64[m], capacity units of each site, >= 0; ``m >= 1``.
        position: int64[m, 2], x and y of each site; all different.
        terminals: int64[t, 2], x and y of each terminal.
        labels: names of the blocks for messages; empty, or one per block.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes, dtypes or values are not as above.
    """

    pairs: IntArray
    flow: FloatArray
    size: IntArray
    capacity: IntArray
    position: IntArray
    terminals: IntArray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "flow", finite_floats("flow", self.flow))
        object.__setattr__(self, "size", whole_numbers("size", self.size, least=1))
        object.__setattr__(self, "capacity", whole_numbers("capacity", self.capacity, least=0))
        for name in ("pairs", "position", "terminals"):
            given = np.asarray(getattr(self, name))
            if given.size and (given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iu"):
                raise bad_problem(
                    f"`{name}` must be integers of shape [k, 2], not {given.dtype}{given.shape}"
                )
            points = given.astype(np.int64).reshape(-1, 2)
            points.setflags(write=False)
            object.__setattr__(self, name, points)
        object.__setattr__(self, "labels", tuple(self.labels))
        n, m = self.n_blocks, self.n_sites
        if m == 0:
            raise bad_problem("there is no site to place blocks on")
        if self.position.shape[0] != m or self.pairs.shape[0] != self.flow.size:
            raise bad_problem("`position` needs one row per site, `pairs` one row per entry of `flow`")
        if self.labels and len(self.labels) != n:
            raise bad_problem(f"`labels` has {len(self.labels)} entries, `size` has {n}")
        if self.pairs.size:
            low, high = self.pairs.min(axis=1), self.pairs.max(axis=1)
            if int(low.min()) < 0 or int(high.max()) >= n + self.terminals.shape[0]:
                raise bad_problem(f"`pairs` must lie in [0, {n + self.terminals.shape[0]})")
            if np.any(low == high) or np.any(low >= n):
                raise bad_problem("`pairs` must join two different nodes, at least one of them a block")
        if np.unique(self.position, axis=0).shape[0] != m:
            raise bad_problem("two sites have one `position`")
        extent = self.position.max(axis=0) - self.position.min(axis=0) + 1
        if float(extent[0]) * float(extent[1]) > _MOST_POINTS:
            raise bad_problem(f"the mesh spans {extent[0]} x {extent[1]} points, more than {_MOST_POINTS}")

    @property
    def n_blocks(self) -> int:
        """The number of blocks, ``n``."""
        return int(self.size.size)

    @property
    def n_sites(self) -> int:
        """The number of sites, ``m``."""
        return int(self.capacity.size)

    @cached_property
    def graph(self) -> Graph:
        """All exchanges, both directions, equal pairs added up; rows for blocks and terminals."""
        return make_graph(self.n_blocks + self.terminals.shape[0], self.pairs, self.flow)

    @cached_property
    def bisection(self) -> Bisection:
        """The sites with room, halved again and again."""
        return bisect(self.position, self.capacity)

    def label(self, block: int) -> str:
        """The name of ``block`` for messages."""
        return self.labels[block] if self.labels else f"block {block}"


def make_graph(nodes: int, pairs: IntArray, flow: FloatArray) -> Graph:
    """Compressed rows of a list of pairs; equal pairs are added up, those without flow left out."""
    key = pairs.min(axis=1) * nodes + pairs.max(axis=1)
    distinct, index = np.unique(key, return_inverse=True)
    total = np.bincount(index.reshape(-1), weights=flow, minlength=distinct.size).astype(np.float64)
    distinct, total = distinct[total > 0], total[total > 0]
    source = np.concatenate((distinct // max(nodes, 1), distinct % max(nodes, 1)))
    target = np.concatenate((distinct % max(nodes, 1), distinct // max(nodes, 1)))
    order = np.lexsort((target, source))
    start = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=nodes)))).astype(np.int64)
    return Graph(start, target[order], np.concatenate((total, total))[order])


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
class QuadraticProposal:
    """What a method returns: int64[n] sites, the method that gave them, and deterministic counts."""

    sites: IntArray
    produced_by: str = ""
    effort: Mapping[str, int | float] = field(default_factory=dict)


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
    from cimc.mapping.mesh.mesh_bounds import quadratic_bound

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


def cost_of(problem: QuadraticProblem, sites: IntArray) -> float:
    """Sum of flow x distance of a complete placement."""
    points = np.concatenate((problem.position[sites], problem.terminals))
    apart = np.abs(points[problem.pairs[:, 0]] - points[problem.pairs[:, 1]]).sum(axis=1)
    return float(np.sum(problem.flow * apart))
