"""The data of a quadratic placement problem, and its one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cimc.mapping.assignment.problem import bad_problem, finite_floats, whole_numbers
from cimc.mapping.dtypes import FloatArray, IntArray

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


@dataclass(frozen=True, eq=False)
class QuadraticProposal:
    """What a method returns: int64[n] sites, the method that gave them, and deterministic counts."""

    sites: IntArray
    produced_by: str = ""
    effort: Mapping[str, int | float] = field(default_factory=dict)


def cost_of(problem: QuadraticProblem, sites: IntArray) -> float:
    """Sum of flow x distance of a complete placement."""
    points = np.concatenate((problem.position[sites], problem.terminals))
    apart = np.abs(points[problem.pairs[:, 0]] - points[problem.pairs[:, 1]]).sum(axis=1)
    return float(np.sum(problem.flow * apart))
