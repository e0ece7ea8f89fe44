"""A placement under search: where every node is, and what every slot of a site holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.mesh.mesh_problem import Graph, QuadraticProblem

if TYPE_CHECKING:  # importing the kernels compiles
    from cimc.support.random.splitmix_jit import State


class Mesh:
    """Blocks on the sites of a mesh with slots; the compiled loops work on these arrays in place."""

    def __init__(self, problem: QuadraticProblem, sites: IntArray) -> None:
        n, m = problem.n_blocks, problem.n_sites
        self.problem = problem
        self.graph: Graph = problem.graph
        origin = problem.position.min(axis=0)
        self.site_x, self.site_y = np.ascontiguousarray((problem.position - origin).T)
        self.site_at: npt.NDArray[np.int64] = np.full(
            (int(self.site_x.max()) + 1, int(self.site_y.max()) + 1), -1, dtype=np.int64
        )
        self.site_at[self.site_x, self.site_y] = np.arange(m)
        slots = np.minimum(problem.capacity // int(problem.size.min()), n)
        self.site_start: IntArray = np.concatenate(([0], np.cumsum(slots))).astype(np.int64)
        self.owner: IntArray = np.repeat(np.arange(m), slots)
        fixed = problem.terminals - origin
        self.x = np.concatenate((self.site_x[sites], fixed[:, 0]))
        self.y = np.concatenate((self.site_y[sites], fixed[:, 1]))
        order = np.argsort(sites, kind="stable")
        count = np.bincount(sites, minlength=m)
        self.slot: IntArray = np.empty(n, dtype=np.int64)
        self.slot[order] = self.site_start[sites[order]] + (
            np.arange(n) - np.repeat(np.cumsum(count) - count, count)
        )
        self.held: IntArray = np.full(self.owner.size, -1, dtype=np.int64)
        self.held[self.slot] = np.arange(n)
        self.room: IntArray = problem.capacity.copy()
        np.subtract.at(self.room, sites, problem.size)

    @property
    def sites(self) -> IntArray:
        """int64[n], the site of each block."""
        return self.owner[self.slot]

    def cost(self) -> float:
        """Sum of flow x distance."""
        from cimc.mapping.kernels.mesh_loops import total_cost

        return total_cost(*self.graph, self.x, self.y, self.problem.n_blocks)

    def anneal(self, temperature: float, reach: int, proposals: int, state: State) -> int:
        """Proposals at one temperature; returns how many were accepted."""
        from cimc.mapping.kernels.mesh_loops import anneal

        return anneal(
            *self.graph,
            self.problem.size,
            self.x,
            self.y,
            self.slot,
            self.held,
            self.owner,
            self.site_start,
            self.site_x,
            self.site_y,
            self.site_at,
            self.room,
            temperature,
            reach,
            proposals,
            state,
        )

    def unit(self) -> float:
        """Mean flow of a block: what moving it by one hop may cost; the unit of temperature."""
        n = self.problem.n_blocks
        ends: FloatArray = self.graph.flow[: self.graph.start[n]]
        return float(ends.sum()) / n if n else 0.0
