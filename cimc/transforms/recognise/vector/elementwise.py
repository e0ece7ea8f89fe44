"""Activations and elementwise arithmetic on the vector unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute
from cimc.analysis.shapes.operands import operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array
from cimc.ir.types import f32
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import show
from cimc.transforms.recognise.layout.shared_operands import aligned, number, shared_array
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_UNARY = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Neg": "neg",
    "Abs": "abs",
    "Reciprocal": "reciprocal",
    "Erf": "erf",
    "Softplus": "softplus",
    "Sign": "sign",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
}
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min", "Sum": "add"}


class Unary(Recogniser):
    """``y = f(x)`` for one f32 operand; ``Clip`` with constant bounds (a missing one is the end of f32)."""

    name = "unary"
    stage = Stage.OPERATORS
    kinds = frozenset({*_UNARY, "LeakyRelu", "Elu", "Clip"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        self.graph.activation(x)
        if op.kind in _UNARY:
            return [emit.add(rec.UnaryOp(_UNARY[op.kind], x))]
        if op.kind == "LeakyRelu":
            return [emit.add(rec.UnaryOp("leaky_relu", x, float_attribute(op, "alpha", 0.01)))]
        if op.kind == "Elu":
            return [emit.add(rec.UnaryOp("elu", x, float_attribute(op, "alpha", 1.0)))]
        end = float(np.finfo(np.float32).max)
        low, high = self._bound(op, 1, "min", -end), self._bound(op, 2, "max", end)
        need(
            not math.isnan(low) and not math.isnan(high), "a bound is no number"
        )  # onnxruntime passes it over
        need(
            low <= high or self.graph.opset >= 11, "the bounds are crossed"
        )  # onnxruntime refuses attributes
        return [emit.add(rec.UnaryOp("clip", x, low, high))]

    def _bound(self, op: onnx.NodeOp, index: int, key: str, default: float) -> float:
        value = operand(op, index)
        if value is None:
            return float_attribute(op, key, default)
        array = self.graph.constant(value)
        if array is None or array.size != 1:
            raise NoMatch(f"the bound {key} is not constant")
        return float(array.reshape(-1)[0])


class Binary(Recogniser):
    """``y = a . b`` for two or more f32 operands with broadcasting; constants are shared by all requests.

    What is the same for all requests (see ``shared_operands.py``) counts as constant.  ``PRelu`` needs a
    constant slope; ``Pow(x, 2)`` becomes ``x * x``, and ``Pow(x, 0.5)`` the root.
    """

    name = "elementwise"
    stage = Stage.OPERATORS
    kinds = frozenset({*_BINARY, "Pow", "PRelu", "Mean"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        values = list(op.inputs)
        arrays = [shared_array(v, self.graph) for v in values]
        need(any(a is None for a in arrays), "all operands are constant")
        dims = [self.graph.activation(v) for v, a in zip(values, arrays, strict=True) if a is None]
        rank = len(dims[0])
        need(all(len(x) == rank for x in dims), "operands differ in rank: the batch would meet another axis")
        for k, (value, array) in enumerate(zip(values, arrays, strict=True)):
            if array is not None and op.kind == "Pow" and k == 1:
                arrays[k] = array.astype(np.float32)  # the only operator that takes another type beside f32
            elif array is not None:
                need(self.analysis.element(value) == f32, f"{show(value)} is not f32")
        if op.kind == "Pow" and (power := _only(arrays[1])) in (2.0, 0.5) and arrays[0] is None:
            if power == 2.0:
                return [emit.add(rec.BinaryOp("mul", values[0], values[0]))]
            return [emit.add(rec.UnaryOp("sqrt", values[0]))]
        if op.kind == "PRelu":
            need(arrays[0] is None and arrays[1] is not None, "the slope is not constant")
        kind = {"Pow": "pow", "PRelu": "prelu", "Mean": "add"}.get(op.kind) or _BINARY[op.kind]
        parts = aligned(emit, values, arrays, rank)
        total = parts[0]
        for part in parts[1:]:
            total = emit.add(rec.BinaryOp(kind, total, part))
        if op.kind == "Mean":
            total = emit.add(rec.BinaryOp("div", total, number(emit, len(parts), rank)))
        return [total]


def _only(array: Array | None) -> float | None:
    """The number of an array that holds one."""
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None
