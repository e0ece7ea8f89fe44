"""The order in which a tile issues what it does for a request.

A tile issues in order, and an operation that waits for its operands holds up all behind it.  In the order of
the model one branch would wait for another that it has nothing to do with; in the order in which operations
could begin on a machine without limits none does.  What comes from the host is asked for before all else.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation

from cimc.analysis.request_size import request_bytes
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext
from cimc.ir.types import symbol
from cimc.target.spec import Target
from cimc.transforms.place.shard_list import expected_uses
from cimc.transforms.schedule.chip_operations import is_chip, outside, streamed
from cimc.transforms.schedule.reduction_tiles import lane_operations

_ROOM = 0.5
"""Share of the scratchpads that all results may take together, for their order not to matter."""


def order_by_start(
    function: FuncOp, stages: Mapping[Operation, int], tiles: int, data: CompilerContext, target: Target
) -> bool:
    """Put operations into the order of their earliest start, stage by stage; whether it was done.

    It is not where the results take more than half of the scratchpads of the ``tiles`` that work on a
    request: an order that keeps fewer values at a time may then be the only one that fits.
    """
    body = function.body.block
    ops = list(body.ops)
    chip = [op for op in ops if is_chip(op)]
    if not _roomy(chip, tiles, target):
        return False
    start = _earliest(chip, stages, data, target)
    number = {op: n for n, op in enumerate(ops)}

    def key(op: Operation) -> tuple[int, float, bool, int]:
        if isinstance(op, rec.ConstantOp):
            return -2, 0.0, False, number[op]
        # inputs of layers before the lookups, which take longer to come in
        return stages[op], start.get(op, 0.0), isinstance(op, cim.LookupOp), number[op]

    last = body.last_op
    assert isinstance(last, ReturnOp)
    for op in sorted(ops[:-1], key=key):
        op.detach()  # type: ignore[no-untyped-call]
        body.insert_op_before(op, last)
    return True


def loads_first(function: FuncOp, stages: Mapping[Operation, int], tiles: int, target: Target) -> bool:
    """Move loads to the begin of their stage, in their order; whether it was done.

    A load takes the time of the host link, whatever its size: loads that follow one another closely share it.
    It is not done where results and what is loaded take more than half of the scratchpads.

    Precondition: operations are in the order of their stages.
    """
    body = function.body.block
    chip = [op for op in body.ops if is_chip(op)]
    if not _roomy(chip, tiles, target):
        return False
    first: dict[int, Operation] = {}
    for op in chip:
        before = first.setdefault(stages[op], op)
        if isinstance(op, cim.LoadOp) and op is not before:
            op.detach()  # type: ignore[no-untyped-call]
            body.insert_op_before(op, before)
    return True


def _roomy(chip: list[Operation], tiles: int, target: Target) -> bool:
    """Whether all results fit into a share of the scratchpads, none sharing memory with another."""
    size = sum(request_bytes(op.results[0]) for op in chip)
    return size <= _ROOM * tiles * target.tile.scratchpad_bytes


def _earliest(
    chip: list[Operation], stages: Mapping[Operation, int], data: CompilerContext, target: Target
) -> dict[Operation, float]:
    """ns after the begin of its stage at which each operation could start."""
    matrices = {m.symbol: m for m in cim.matrices_beside(chip)}
    start: dict[Operation, float] = {}
    end: dict[Operation, float] = {}
    for op in chip:
        before = [v.owner for v in op.operands]
        ends = [end[b] for b in before if isinstance(b, Operation) and b in end and stages[b] == stages[op]]
        if _loaded(op, stages):
            ends.append(float(target.chip.host_link_ns))
        start[op] = max(ends, default=0.0)
        end[op] = start[op] + _takes(op, stages, matrices, data, target)
    return start


def _loaded(op: Operation, stages: Mapping[Operation, int]) -> bool:
    """Whether ``op`` waits for a value that is loaded from outside of the chip."""
    if isinstance(op, cim.LoadQuantizedOp) or streamed(op, stages[op], stages):
        return False
    return any(
        not isinstance(v.owner, rec.ConstantOp) and outside(v, stages[op], stages) for v in op.operands
    )


def _takes(
    op: Operation,
    stages: Mapping[Operation, int],
    matrices: Mapping[str, cim.MatrixOp],
    data: CompilerContext,
    target: Target,
) -> float:
    """ns from the start of an operation to its result, more or less."""
    if isinstance(op, cim.LoadQuantizedOp):
        return float(target.chip.host_link_ns)
    if isinstance(op, cim.LookupOp):
        table = matrices[symbol(op.table)]
        assert isinstance(table, cim.TableOp)
        read = _steps(table.block_table(data.store), table, target) * float(expected_uses(table, data).max())
        host = float(target.chip.host_link_ns) if streamed(op, stages[op], stages) else 0.0
        return host + read * float(target.array.step_ns)
    if isinstance(op, cim.MvmOp):
        layer = matrices[symbol(op.matrix)]
        assert isinstance(layer, cim.WeightsOp)
        blocks = layer.block_table(data.store)[op.blocks()]
        steps = _steps(blocks, layer, target) * target.input_phases(*layer.inputs)
        return steps * prod(rec.shape(op.x)[1:-1]) * float(target.array.step_ns)
    return -(-lane_operations(op) // target.tile.vector_lanes) * float(target.tile.vector_op_ns)


def _steps(blocks: NDArray[np.int32], matrix: cim.MatrixOp, target: Target) -> int:
    """Steps of the widest of some blocks."""
    width = int(blocks[:, cim.COLS].max()) * matrix.shards().slices.value.data
    return -(-width // target.array.columns_per_step)
