"""What the chip has no place for goes back to the host before anything is quantised.

That is what fits no scratchpad, however it is cut, values of unknown size, and matrices without elements.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation, SSAValue

from cimc.ir import rec
from cimc.ir.types import symbol
from cimc.target.spec import Target
from cimc.transforms.matching.replacements import Replacements
from cimc.transforms.schedule.tiling.plan import Plan, bytes_of, parts

_PART = 1 / 16
"""Inputs, or units, of a part of a layer, per byte of scratchpad: 4096 for 64 KiB."""


def demote_too_large(graph: Replacements, target: Target, share: float) -> None:
    """Take back chip operations that :class:`cimc.transforms.schedule.tiling.plan.Plan` finds no cut for;
    the reason is noted.

    ``share`` of a scratchpad is counted on.  What is decided here holds for the float model; ``schedule`` has
    the last word, on the quantised one.
    """
    capacity = int(share * target.tile.scratchpad_bytes)
    if capacity:
        for layer in [o for o in graph.function.body.block.ops if isinstance(o, rec.LinearOp)]:
            _split_wide(layer, graph, target.tile.scratchpad_bytes)

    def leaves(value: SSAValue) -> bool:
        return any(not _on_chip(user) for user in graph.users(value))

    while True:
        ops = [o for o in graph.function.body.block.ops if _on_chip(o)]
        unwanted: dict[Operation, str] = {}
        for op in ops:
            if any(_varies(v) for v in (*_stored(op), *op.results)):
                unwanted[op] = "the size of its values varies from request to request"
            elif _is_empty(op):
                unwanted[op] = "its matrix has no rows or no columns"
        if not unwanted:
            for op in Plan(ops, leaves, capacity, target.n_tiles).stuck:
                size = bytes_of(op.results[0]) + sum(bytes_of(v) for v in set(op.operands))
                unwanted[op] = (
                    f"its values take {size} bytes per request and cannot be cut to fit a scratchpad of "
                    f"{target.tile.scratchpad_bytes}"
                )
        if not unwanted or not graph.demote(unwanted, "scratchpad"):
            return


def _split_wide(op: rec.LinearOp, graph: Replacements, capacity: int) -> None:
    """Make a layer with more inputs or units than a scratchpad holds a sum of layers, side by side.

    Each takes a part of the inputs and gives a part of the units.  Layers that come quantised stay whole:
    their input has one grid.
    """
    inputs, units = rec.shape(op.x)[-1], op.units.value.data
    most = max(int(_PART * capacity), 1)
    if op.weight_scale is not None or op.grid is not None or max(inputs, units) <= 2 * most:
        return
    rank, store, name = len(rec.shape(op.x)), graph.ctx.store, symbol(op.weight)
    weight, bias = store[name], None if op.bias is None else store[symbol(op.bias)]
    new: list[Operation] = []

    def add(made: Operation) -> SSAValue:
        new.append(made)
        return made.results[0]

    rows = parts(inputs, -(-inputs // most)) if inputs > 2 * most else [(0, inputs)]
    slices = [add(rec.SliceOp(op.x, rank - 1, a, b)) if len(rows) > 1 else op.x for a, b in rows]
    tall = [weight[a:b] for a, b in rows]  # made once where weights are generated
    column_tiles: list[SSAValue] = []
    for c, d in parts(units, -(-units // most)) if units > 2 * most else [(0, units)]:
        total: SSAValue | None = None
        for (a, b), x, column_tile in zip(rows, slices, tall, strict=True):
            part = store.add(f"{name}[{a}:{b},{c}:{d}]", np.ascontiguousarray(column_tile[:, c:d]))
            given = None
            if bias is not None and total is None:
                given = store.add(f"{symbol(op.bias)}[{c}:{d}]", np.ascontiguousarray(bias[c:d]))  # type: ignore[arg-type]
            value = add(rec.LinearOp(x, part, d - c, given))
            total = value if total is None else add(rec.BinaryOp("add", total, value))
        assert total is not None
        column_tiles.append(total)
    if len(column_tiles) > 1:
        add(rec.ConcatOp(column_tiles, rank - 1))
    graph.exchange(op, new)


def _on_chip(op: Operation) -> bool:
    return op.name.startswith("rec.") and not isinstance(op, rec.ConstantOp)


def _stored(op: Operation) -> list[SSAValue]:
    """Operands that lie in a scratchpad; ids that stream in from outside do not."""
    if isinstance(op, rec.EmbeddingBagOp) and not (
        isinstance(op.ids.owner, Operation) and _on_chip(op.ids.owner)
    ):
        return [] if op.mode.data != "none" or len(rec.shape(op.ids)) == 1 else [op.ids]
    return list(op.operands)


def _is_empty(op: Operation) -> bool:
    """Whether ``op`` is a layer or a table without elements: no array holds that."""
    if isinstance(op, rec.LinearOp):
        return 0 in (rec.shape(op.x)[-1], op.units.value.data)
    return isinstance(op, rec.EmbeddingBagOp) and 0 in (op.rows.value.data, op.dim.value.data)


def _varies(value: SSAValue) -> bool:
    return min(rec.shape(value)[1:], default=0) < 0
