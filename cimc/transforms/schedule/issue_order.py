"""The order in which a tile issues what it does for a request.

A tile issues in order, and an operation that waits for its operands holds up all behind it.  In the order of
the model one branch would wait for another that it has nothing to do with; in the order in which operations
could begin on a machine without limits none does.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation

from cimc.analysis.request_size import request_bytes
from cimc.ir import cim, rec
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import symbol
from cimc.target.spec import Target
from cimc.transforms.schedule.chip_operations import is_chip
from cimc.transforms.schedule.reduction_tiles import lane_operations

_ROOM = 0.5
"""Share of the scratchpads that all results may take together, for their order not to matter."""


def order_by_start(
    function: FuncOp, stages: Mapping[Operation, int], tiles: int, store: TensorStore, target: Target
) -> bool:
    """Put operations into the order of their earliest start, stage by stage; whether it was done.

    It is not where the results take more than half of the scratchpads of the ``tiles`` that work on a
    request: an order that keeps fewer values at a time may then be the only one that fits.
    """
    body = function.body.block
    ops = list(body.ops)
    chip = [op for op in ops if is_chip(op)]
    size = sum(request_bytes(op.results[0]) for op in chip)
    if size > _ROOM * tiles * target.tile.scratchpad_bytes:
        return False
    start = _earliest(chip, stages, store, target)
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


def _earliest(
    chip: list[Operation], stages: Mapping[Operation, int], store: TensorStore, target: Target
) -> dict[Operation, float]:
    """ns after the begin of its stage at which each operation could start."""
    layers = {m.symbol: m for m in cim.matrices_beside(chip) if isinstance(m, cim.WeightsOp)}
    start: dict[Operation, float] = {}
    for op in chip:
        before = [v.owner for v in op.operands]
        ends = [
            start[b] + _takes(b, layers, store, target)
            for b in before
            if isinstance(b, Operation) and b in start and stages[b] == stages[op]
        ]
        start[op] = max(ends, default=0.0)
    return start


def _takes(op: Operation, layers: Mapping[str, cim.WeightsOp], store: TensorStore, target: Target) -> float:
    """ns from the start of an operation to its result, more or less."""
    if isinstance(op, cim.LookupOp | cim.LoadQuantizedOp):
        return float(target.chip.host_link_ns)
    if isinstance(op, cim.MvmOp):
        layer = layers[symbol(op.matrix)]
        blocks = layer.block_table(store)[op.blocks()]
        width = int(blocks[:, cim.COLS].max()) * layer.shards().slices.value.data
        steps = -(-width // target.array.columns_per_step) * target.input_phases(*layer.inputs)
        for extent in rec.shape(op.x)[1:-1]:
            steps *= extent
        return steps * float(target.array.step_ns)
    return -(-lane_operations(op) // target.tile.vector_lanes) * float(target.tile.vector_op_ns)
