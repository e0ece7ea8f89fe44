"""Mesh positions of layers: array groups that exchange data lie together (quadratic placement)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import request_bytes
from cimc.interpreter.evaluate import main_function
from cimc.ir import cim, rec
from cimc.ir.types import symbol
from cimc.isa.link_widths import HEADER_BITS
from cimc.remarks import LayersOnMesh
from cimc.target.spec import Target
from cimc.transforms.place.pack_arrays import ArrayGroup

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DensePlacement:
    """Tile of each array group on the first chip, the tile that most lookups feed, and the remark."""

    tiles: Ints
    consumer: int | None
    remark: LayersOnMesh


@dataclass(frozen=True)
class _Traffic:
    """Bits per request between array groups, by pair, to and from the port, and into each from lookups."""

    pairs: dict[tuple[int, int], float]
    port: dict[int, float]
    lookups: dict[int, float]


def place_dense(
    module: ModuleOp, groups: list[ArrayGroup], target: Target, method: str, seed: int, **options: int | float
) -> DensePlacement | None:
    """Array groups to tiles of the first chip, so that bits x hops of what they exchange are few.

    The objective counts activations and partial sums between groups, inputs and outputs to the first port.
    Every group gets a tile of its own while there are enough.  Operations between layers are taken to run
    where most of their operand bytes are, as ``schedule`` has it.

    Returns:
        None where one chip has too few arrays for the layers.

    Raises:
        InfeasibleError, PassError: as :func:`cimc.mapping.mesh.solve_quadratic`.
    """
    from cimc.mapping.mesh import QuadraticProblem, solve_quadratic

    width, height = target.chip.mesh
    if sum(g.count for g in groups) > target.tiles_per_chip * target.tile.arrays or not groups:
        return None
    found = _traffic(module, groups)
    sizes = [g.count for g in groups]
    if len(groups) <= target.tiles_per_chip:  # a tile each: their vector units and buses work in parallel
        sizes = [target.tile.arrays] * len(groups)
    ends = [*found.pairs, *((g, len(groups)) for g in found.port)]
    problem = QuadraticProblem(
        pairs=np.array(ends, np.int64).reshape(-1, 2),
        flow=np.array([*found.pairs.values(), *found.port.values()], np.float64),
        size=np.array(sizes, np.int64),
        capacity=np.full(target.tiles_per_chip, target.tile.arrays),
        position=np.array([(t % width, t // width) for t in range(width * height)], np.int64),
        terminals=np.array(target.chip.ports[:1], np.int64),
        labels=tuple(f"{g.matrix}[{g.first}]" for g in groups),
    )
    solution = solve_quadratic(problem, method, seed=seed, **options)
    evaluation = solution.evaluation
    fed = found.lookups
    consumer = int(solution.sites[max(fed, key=lambda g: (fed[g], -g))]) if fed else None
    remark = LayersOnMesh(
        method=method,
        produced_by=solution.produced_by,
        effort=dict(solution.effort),
        bit_hops=evaluation.cost,
        bound=evaluation.bound,
        gap=evaluation.gap if np.isfinite(evaluation.gap) else None,
    )
    return DensePlacement(solution.sites, consumer, remark)


def _traffic(module: ModuleOp, groups: list[ArrayGroup]) -> _Traffic:
    """What the array groups exchange; each operation counts to the group on whose tile it is taken to run."""
    number = {(g.matrix, g.first): n for n, g in enumerate(groups)}
    ops = [o for o in main_function(module).body.block.ops if not isinstance(o, rec.ConstantOp)]
    group_of = _group_of_each(ops, number)
    pairs: dict[tuple[int, int], float] = defaultdict(float)
    port: dict[int, float] = defaultdict(float)
    lookups: dict[int, float] = defaultdict(float)
    sent: set[tuple[SSAValue, int | None]] = set()
    for op in ops:
        here = None if isinstance(op, rec.HostOp | ReturnOp) else group_of.get(op)
        for value in op.operands:
            source = value.owner
            if (value, here) in sent or isinstance(source, rec.ConstantOp):
                continue
            sent.add((value, here))
            there = group_of.get(source) if isinstance(source, Operation) else None
            if here == there or isinstance(op, cim.LookupOp):
                continue
            bits = float(_bits(value))
            if here is not None and there is not None:
                pairs[min(here, there), max(here, there)] += bits
            else:
                end = there if here is None else here
                assert end is not None
                port[end] += bits
        if isinstance(op, cim.LookupOp) and op in group_of:
            lookups[group_of[op]] += _bits(op.result)
    return _Traffic(dict(pairs), dict(port), dict(lookups))


def _group_of_each(ops: list[Operation], number: dict[tuple[str, int], int]) -> dict[Operation, int]:
    """The array group on whose tile each operation runs; those that no group touches are left out."""
    group_of: dict[Operation, int] = {}
    for op in ops:
        if isinstance(op, cim.MvmOp):
            group_of[op] = number[symbol(op.matrix), op.blocks().start]
    fixed = set(group_of)
    for op in ops:
        if op in fixed or isinstance(op, rec.HostOp | ReturnOp | cim.LookupOp):
            continue
        weight: dict[int, int] = defaultdict(int)
        for value in op.operands:
            if isinstance(value.owner, Operation) and value.owner in group_of:
                weight[group_of[value.owner]] += _bits(value)
        if weight:
            group_of[op] = min(weight, key=lambda g: (-weight[g], g))
    for op in reversed(ops):  # what only reads from outside goes where its result is needed
        if op in group_of or isinstance(op, rec.HostOp | ReturnOp):
            continue
        users = [group_of[u.operation] for r in op.results for u in r.uses if u.operation in group_of]
        if users:
            group_of[op] = users[0]
    return group_of


def _bits(value: SSAValue) -> int:
    dims = rec.shape(value)[1:]
    return 0 if any(d < 0 for d in dims) else request_bytes(value) * 8 + HEADER_BITS
