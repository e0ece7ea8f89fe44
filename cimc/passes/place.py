"""``place``: blocks get their arrays and tiles, by a named mapping strategy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError, PassError
from cimc.ir import cim
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.types import symbol
from cimc.mapping import PlacementProblem, Solution, solve
from cimc.passes.evaluate import main_function
from cimc.target.spec import Target

_ID_BITS = 32
_RESULT_BITS = 32


@dataclass(frozen=True)
class Place(ModulePass):
    """Decide where every block lives, in two steps that use the same mapping strategy.

    First, the blocks of embedding tables are packed side by side into as few arrays as hold them, times
    ``spread``, balancing the expected conversions per request.  Then these arrays and the gangs of dense
    layers, which own whole arrays, are assigned to tiles; distance counts from the tile in the middle.
    Expected accesses come from the calibration requests.

    Precondition: sharded matrices.  Postcondition: every block has a tile, an array and a column offset.
    """

    name = "place"
    strategy: str = "greedy"
    seed: int = 0
    spread: float = 1.0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        if not 1 <= self.spread <= 1e6:
            raise PassError("place.spread", f"spread={self.spread} must be at least 1")
        matrices = [o for o in op.body.block.ops if isinstance(o, cim.MatrixOp)]
        for matrix in matrices:
            if matrix.blocks is None:
                raise PassError("pass.precondition", f"matrix {matrix.sym_name.data} is not sharded yet")
        tables = _TableBlocks.collect([m for m in matrices if m.kind.data == "table"], data, target)
        gangs = _gangs(op, data, target)
        packed = self.pack(tables, target) if tables.count else None
        bins = packed.n_bins if packed else 0
        problem = _problem(tables, packed, gangs, target)
        try:
            solution = solve(problem, self.strategy, seed=self.seed)
        except InfeasibleError as error:
            raise _in_user_terms(error, target) from None
        _write(solution.assignment, tables, packed, gangs, data)
        data.facts["placement"] = self.report(problem, solution, bins, matrices, data)

    def pack(self, tables: _TableBlocks, target: Target) -> _Packing:
        """Blocks to arrays: the first array count, from the least possible, that the strategy can pack."""
        least = _first_fit_count(tables.width, target.array.cols)
        count = min(max(least, int(np.ceil(least * self.spread))), tables.count)
        strategy = "first_fit" if self.strategy in ("round_robin", "first_fit") else "greedy"
        problem = PlacementProblem(
            load=tables.load,
            size=tables.width,
            traffic=np.zeros(tables.count),
            capacity=np.full(count, target.array.cols),
            distance=np.zeros(count),
            item_unit="columns",
            resource="array columns",
        )
        solution = solve(problem, strategy, seed=self.seed)
        return _Packing(solution.assignment, count)

    def report(
        self,
        problem: PlacementProblem,
        solution: Solution,
        arrays: int,
        matrices: list[cim.MatrixOp],
        data: CompilerContext,
    ) -> dict[str, Any]:
        """What the summary and benchmarks print about the placement."""
        evaluation = solution.evaluation
        where = []
        for matrix in matrices:
            blocks = data.store[f"{matrix.sym_name.data}.blocks"]
            slices = matrix.slices.value.data if matrix.slices else 1
            where.append(
                {
                    "name": matrix.sym_name.data,
                    "kind": matrix.kind.data,
                    "rows": matrix.rows.value.data,
                    "cols": matrix.cols.value.data,
                    "bits": matrix.bits.value.data,
                    "slices": slices,
                    "blocks": len(blocks),
                    "tiles": np.unique(blocks[:, cim.TILE]).tolist(),
                    "arrays": _distinct_arrays(blocks),
                    "cells": int((blocks[:, cim.ROWS].astype(np.int64) * blocks[:, cim.COLS]).sum()) * slices,
                }
            )
        return {
            "strategy": self.strategy,
            "seed": self.seed,
            "produced_by": solution.produced_by,
            "effort": dict(solution.effort),
            "bottleneck": evaluation.bottleneck,
            "bound": evaluation.bottleneck_bound,
            "gap": evaluation.gap,
            "hops": evaluation.hops,
            "hops_bound": evaluation.hops_bound,
            "items": problem.n_items,
            "table_arrays": arrays,
            "matrices": where,
        }


def _distinct_arrays(blocks: NDArray[np.int32]) -> int:
    """Arrays, of whichever tile, that blocks lie in."""
    per_tile = int(blocks[:, cim.ARRAY].max(initial=0)) + 1
    return int(np.unique(blocks[:, cim.TILE].astype(np.int64) * per_tile + blocks[:, cim.ARRAY]).size)


@dataclass(frozen=True)
class _TableBlocks:
    """All table blocks in one flat list: which matrix and block, cell columns, load, bits moved."""

    names: tuple[str, ...]
    matrix: NDArray[np.int64]
    block: NDArray[np.int64]
    width: NDArray[np.int64]
    load: NDArray[np.float64]
    traffic: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.block)

    @classmethod
    def collect(cls, matrices: list[cim.MatrixOp], data: CompilerContext, target: Target) -> _TableBlocks:
        parts: list[tuple[NDArray[Any], ...]] = []
        for position, matrix in enumerate(matrices):
            name = matrix.sym_name.data
            assert matrix.slices is not None
            blocks = data.store[f"{name}.blocks"]
            width = blocks[:, cim.COLS].astype(np.int64) * matrix.slices.value.data
            uses = _uses(name, blocks, data, target.array.rows)
            bits = uses * (_ID_BITS + blocks[:, cim.COLS] * _RESULT_BITS)
            parts.append((np.full(len(blocks), position), np.arange(len(blocks)), width, uses * width, bits))
        columns = [np.concatenate([p[i] for p in parts]) if parts else np.zeros(0) for i in range(5)]
        number, block, width = (c.astype(np.int64) for c in columns[:3])
        names = tuple(m.sym_name.data for m in matrices)
        return cls(names, number, block, width, columns[3].astype(float), columns[4].astype(float))


@dataclass(frozen=True)
class _Packing:
    assignment: NDArray[np.int64]
    n_bins: int


@dataclass(frozen=True)
class _Gang:
    matrix: str
    first: int
    count: int
    load: float
    traffic: float


def _uses(name: str, blocks: NDArray[np.int32], data: CompilerContext, height: int) -> NDArray[np.float64]:
    """Expected row accesses per request of each block (uniform where calibration saw none)."""
    access = data.access.get(name)
    starts = np.unique(blocks[:, cim.ROW0])
    if access is None or not len(access.ids):
        per_row_block = np.full(len(starts), 1 / max(len(starts), 1))
    else:
        per_row_block = np.zeros(len(starts))
        inside = (access.ids >= 0) & (access.ids < len(starts) * height)
        np.add.at(per_row_block, access.ids[inside] // height, access.counts[inside])
        per_row_block /= access.requests
    uses: NDArray[np.float64] = per_row_block[blocks[:, cim.ROW0] // height]
    return uses


def _gangs(module: ModuleOp, data: CompilerContext, target: Target) -> list[_Gang]:
    """The distinct block ranges that ``cim.mvm`` operations fire together."""
    seen: dict[tuple[str, int], _Gang] = {}
    declared = {o.sym_name.data: o for o in module.body.block.ops if isinstance(o, cim.MatrixOp)}
    for op in main_function(module).body.block.ops:
        if not isinstance(op, cim.MvmOp) or op.first is None or op.count is None:
            continue
        name, first, count = symbol(op.matrix), op.first.value.data, op.count.value.data
        matrix = declared[name]
        assert matrix.slices is not None
        assert matrix.input_bits is not None
        assert matrix.input_signed is not None
        blocks = data.store[f"{name}.blocks"][first : first + count]
        phases = target.input_phases(matrix.input_bits.value.data, bool(matrix.input_signed.value.data))
        columns = int(blocks[:, cim.COLS].sum())
        load = float(phases * matrix.slices.value.data * columns)
        traffic = float(
            matrix.rows.value.data * matrix.input_bits.value.data
            + np.unique(blocks[:, cim.COL0]).size * _RESULT_BITS * blocks[:, cim.COLS].mean()
        )
        seen[name, first] = _Gang(name, first, count, load, traffic)
    return list(seen.values())


def _first_fit_count(width: NDArray[np.int64], capacity: int) -> int:
    """Arrays that first-fit decreasing needs: blocks of equal width fill one array after another."""
    free: list[tuple[int, int]] = []  # (columns left, arrays with that much left), fullest first
    for size, number in sorted(zip(*np.unique(width, return_counts=True), strict=True), reverse=True):
        left, rest = int(number), []
        for room, arrays in free:
            fit = room // int(size)
            used = min(arrays, -(-left // fit)) if fit and left else 0
            full, part = (used, 0) if used * fit <= left else (used - 1, left - (used - 1) * fit)
            left -= full * fit + part
            rest += [(room - fit * int(size), full)] if full else []
            rest += [(room - part * int(size), 1)] if part else []
            rest += [(room, arrays - used)] if arrays > used else []
        fit = capacity // int(size)
        full, part = divmod(left, fit)
        rest += [(capacity - fit * int(size), full)] if full else []
        rest += [(capacity - part * int(size), 1)] if part else []
        free = rest
    return sum(arrays for _, arrays in free)


def middle_tile(target: Target) -> int:
    """The tile in the middle of the first chip."""
    width, height = target.chip.mesh
    return (height // 2) * width + width // 2


def _problem(
    tables: _TableBlocks, packed: _Packing | None, gangs: list[_Gang], target: Target
) -> PlacementProblem:
    arrays = packed.n_bins if packed else 0
    load: NDArray[Any] = np.zeros(arrays)
    traffic: NDArray[Any] = np.zeros(arrays)
    if packed:
        load = np.bincount(packed.assignment, tables.load, arrays)
        traffic = np.bincount(packed.assignment, tables.traffic, arrays)
    centre = middle_tile(target)
    return PlacementProblem(
        load=np.concatenate([load, [g.load for g in gangs]]),
        size=np.concatenate([np.ones(arrays, np.int64), np.array([g.count for g in gangs], np.int64)]),
        traffic=np.concatenate([traffic, [g.traffic for g in gangs]]),
        capacity=np.full(target.n_tiles, target.tile.arrays),
        distance=np.array([target.hops(centre, t) for t in range(target.n_tiles)], np.float64),
        item_unit="arrays",
        resource="arrays",
        labels=(*(f"table array {a}" for a in range(arrays)), *(f"{g.matrix}[{g.first}]" for g in gangs)),
    )


def _write(
    assignment: NDArray[np.int64],
    tables: _TableBlocks,
    packed: _Packing | None,
    gangs: list[_Gang],
    data: CompilerContext,
) -> None:
    """Fill tile, array and column offset into the block tables."""
    arrays = packed.n_bins if packed else 0
    used: dict[int, int] = {}
    array_of = np.zeros(arrays, np.int32)
    for a in range(arrays):
        tile = int(assignment[a])
        array_of[a] = used.get(tile, 0)
        used[tile] = int(array_of[a]) + 1
    if packed:
        order = np.argsort(packed.assignment, kind="stable")
        ends = np.cumsum(tables.width[order])
        starts_of_array = np.concatenate(
            [[0], np.cumsum(np.bincount(packed.assignment, tables.width, arrays))]
        )
        offsets = np.empty(tables.count, np.int64)
        offsets[order] = (
            ends - tables.width[order] - starts_of_array[packed.assignment[order]].astype(np.int64)
        )
        for number, name in enumerate(tables.names):
            mine = np.flatnonzero(tables.matrix == number)
            blocks = data.store[f"{name}.blocks"].copy()
            blocks[tables.block[mine], cim.TILE] = assignment[packed.assignment[mine]]
            blocks[tables.block[mine], cim.ARRAY] = array_of[packed.assignment[mine]]
            blocks[tables.block[mine], cim.OFFSET] = offsets[mine]
            data.store.put(f"{name}.blocks", blocks)
    for g, gang in enumerate(gangs):
        tile = int(assignment[arrays + g])
        blocks = data.store[f"{gang.matrix}.blocks"].copy()
        first = used.get(tile, 0)
        rows = slice(gang.first, gang.first + gang.count)
        blocks[rows, cim.TILE] = tile
        blocks[rows, cim.ARRAY] = np.arange(first, first + gang.count)
        blocks[rows, cim.OFFSET] = 0
        used[tile] = first + gang.count
        data.store.put(f"{gang.matrix}.blocks", blocks)


def _in_user_terms(error: InfeasibleError, target: Target) -> InfeasibleError:
    levers = (
        "fewer weight bits: quantize{weights=4 acts=8}",
        f"a target with more chips (system.chips is {target.system.chips}) or larger arrays",
        "smaller tables (hash rare ids, reduce dims)",
    )
    return InfeasibleError(replace(error.shortage, levers=levers), subject=f"the model on {target.name}")
