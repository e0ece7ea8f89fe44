"""``Loop`` and ``Scan`` with layers in their body and a known number of iterations, written out.

Recurrent cells of one's own come like this: a body with products by weights, a carried state, and a row of
the result per iteration.  Constants of the body are made once, so that every iteration uses the same weights.
Loops without layers are left alone: most of them are bags of ids, which have a form of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, SSAValue

from cimc.analysis.constants import ConstantReader, ints_attribute
from cimc.analysis.shapes.rules.control_flow import body_of, trips_of, yielded
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import i64
from cimc.transforms.onnx.expansion import Expansion

ITERATIONS = 512
"""Iterations that a loop is unrolled to; as many as steps of a recurrent layer."""
NODES = 1 << 14
"""Nodes that a loop is unrolled to."""


_LAYERS = {"MatMul": 1, "Gemm": 1, "GRU": 2, "LSTM": 2, "RNN": 2, "Conv": 1}
"""Where an operator has its weights."""


def has_layers(op: onnx.NodeOp, constants: ConstantReader) -> bool:
    """Whether the body of a loop multiplies by constant matrices."""
    return any(
        isinstance(inner, onnx.NodeOp)
        and inner.kind in _LAYERS
        and len(inner.inputs) > _LAYERS[inner.kind]
        and constants.is_constant(inner.inputs[_LAYERS[inner.kind]])
        for inner in body_of(op).ops
    )


def unrolled(w: Expansion) -> list[SSAValue | None]:
    """The results of a loop."""
    w.need(has_layers(w.op, w.analysis.constants))
    return _scan(w) if w.op.kind == "Scan" else _loop(w)


def _loop(w: Expansion) -> list[SSAValue | None]:
    block = body_of(w.op)
    count = _checked(w, trips_of(w.op, w.analysis).count, block)
    states = list(w.op.inputs[2:])
    rows: list[list[SSAValue]] = [[] for _ in range(len(w.op.results) - len(states))]
    once: dict[SSAValue, SSAValue] = {}
    going = w.constant(np.array(True))
    for t in range(count):
        given = [w.constant(np.array(t, np.int64)), going, *states]
        found = _iteration(w, block, given, once)[1:]
        states = found[: len(states)]
        for row, value in zip(rows, found[len(states) :], strict=True):
            row.append(value)
    return [*states, *(_stacked(w, row, 0) for row in rows)]


def _scan(w: Expansion) -> list[SSAValue | None]:
    """From operator set 9 on; before, a Scan had a batch of its own."""
    op, block = w.op, body_of(w.op)
    w.need(w.opset >= 9)
    scanned = w.number_of("num_scan_inputs", 0)
    carried = len(op.inputs) - scanned
    w.need(scanned > 0 and carried >= 0)
    inputs = list(op.inputs[carried:])
    outputs = yielded(block)[carried:]
    axes_in = _axes(w, "scan_input_axes", [len(w.shape(v)) for v in inputs])
    axes_out = _axes(w, "scan_output_axes", [len(w.shape(v)) + 1 for v in outputs])
    turned_in = ints_attribute(op, "scan_input_directions") or (0,) * scanned
    turned_out = ints_attribute(op, "scan_output_directions") or (0,) * len(outputs)
    w.need(len(turned_in) == scanned and len(turned_out) == len(outputs))
    counts = {w.shape(v)[axis] for v, axis in zip(inputs, axes_in, strict=True)}
    count = _checked(w, counts.pop() if len(counts) == 1 else None, block)
    states = list(op.inputs[:carried])
    rows: list[list[SSAValue]] = [[] for _ in outputs]
    once: dict[SSAValue, SSAValue] = {}
    for t in range(count):
        given = list(states)
        for value, axis, turned in zip(inputs, axes_in, turned_in, strict=True):
            index = w.constant(np.array(count - 1 - t if turned else t, np.int64))
            given.append(w.make("Gather", value, index, axis=IntegerAttr(axis, i64)))
        found = _iteration(w, block, given, once)
        states = found[:carried]
        for row, value in zip(rows, found[carried:], strict=True):
            row.append(value)
    stacked = [
        _stacked(w, row[::-1] if turned else row, axis)
        for row, axis, turned in zip(rows, axes_out, turned_out, strict=True)
    ]
    return [*states, *stacked]


def _checked(w: Expansion, count: object, block: Block) -> int:
    w.need(isinstance(count, int), "the number of its iterations is not known at compile time")
    assert isinstance(count, int)
    w.need(count > 0)
    w.need(count <= ITERATIONS, f"{count} iterations would be unrolled, more than {ITERATIONS}")
    inner = [o for o in block.ops if isinstance(o, onnx.NodeOp)]
    total = count * len(inner)
    w.need(total <= NODES, f"{total} nodes would be unrolled, more than {NODES}")
    w.need(not any("Sequence" in o.operator for o in inner), "its body builds a sequence")
    return count


def _iteration(
    w: Expansion, block: Block, given: Sequence[SSAValue], once: dict[SSAValue, SSAValue]
) -> list[SSAValue]:
    """What the body yields for its arguments ``given``; ``once`` holds its constants."""
    values: dict[SSAValue, SSAValue] = {**once, **dict(zip(block.args, given, strict=True))}
    for inner in block.ops:
        if isinstance(inner, onnx.YieldOp) or any(r in values for r in inner.results):
            continue
        copy = inner.clone(value_mapper=values)
        assert isinstance(copy, onnx.NodeOp | onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp)
        w.ops.append(copy)
        values.update(zip(inner.results, copy.results, strict=True))
        if not isinstance(copy, onnx.NodeOp):
            once.update(zip(inner.results, copy.results, strict=True))
    return [values.get(v, v) for v in yielded(block)]


def _stacked(w: Expansion, rows: Sequence[SSAValue], axis: int) -> SSAValue:
    return w.concat([w.unsqueeze(row, axis) for row in rows], axis)


def _axes(w: Expansion, name: str, ranks: Sequence[int]) -> list[int]:
    given = ints_attribute(w.op, name) or (0,) * len(ranks)
    w.need(len(given) == len(ranks) and all(-r <= a < r for a, r in zip(given, ranks, strict=True)))
    return [a % r for a, r in zip(given, ranks, strict=True)]
