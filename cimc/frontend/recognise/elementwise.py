"""Activations and elementwise arithmetic on the vector unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Operation, SSAValue

from cimc.frontend.constants import float_attribute
from cimc.frontend.match import Emitter, NoMatch, Recogniser, need, show
from cimc.frontend.shape_rules import operand
from cimc.ir import onnx, rec
from cimc.ir.store import Array
from cimc.ir.types import f32

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
}
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min", "Sum": "add"}


class Unary(Recogniser):
    """``y = f(x)`` for one f32 operand; ``Clip`` with constant bounds (a missing one is infinite)."""

    name = "unary"
    kinds = frozenset({*_UNARY, "LeakyRelu", "Clip"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        self.graph.activation(x)
        if op.kind in _UNARY:
            return [emit.add(rec.UnaryOp(_UNARY[op.kind], x))]
        if op.kind == "LeakyRelu":
            return [emit.add(rec.UnaryOp("leaky_relu", x, float_attribute(op, "alpha", 0.01)))]
        low, high = self._bound(op, 1, "min", -np.inf), self._bound(op, 2, "max", np.inf)
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

    Tensors filled with one number at run time (``Expand``, ``ConstantOfShape``) count as constants.
    ``PRelu`` needs a constant slope; ``Pow`` a constant exponent, and ``Pow(x, 2)`` becomes ``x * x``.
    """

    name = "elementwise"
    kinds = frozenset({*_BINARY, "Pow", "PRelu"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        values = list(op.inputs)
        arrays = [self.constant(v) for v in values]
        need(any(a is None for a in arrays), "all operands are constant")
        dims = [self.graph.activation(v) for v, a in zip(values, arrays, strict=True) if a is None]
        rank = len(dims[0])
        need(all(len(x) == rank for x in dims), "operands differ in rank: the batch would meet another axis")
        for value, array in zip(values, arrays, strict=True):
            exponent = op.kind == "Pow" and value is values[1]
            need(
                array is None or exponent or self.analysis.element(value) == f32, f"{show(value)} is not f32"
            )
            need(array is None or array.ndim <= rank, f"{show(value)} has more axes than the operand")
        if op.kind == "Pow":
            need(arrays[0] is None and arrays[1] is not None, "the exponent is not constant")
            if arrays[1] is not None and arrays[1].size == 1 and arrays[1].reshape(-1)[0] == 2:
                return [emit.add(rec.BinaryOp("mul", values[0], values[0]))]
        if op.kind == "PRelu":
            need(arrays[0] is None and arrays[1] is not None, "the slope is not constant")
        kind = {"Pow": "pow", "PRelu": "prelu"}.get(op.kind) or _BINARY[op.kind]
        parts = [
            v if a is None else emit.shared(a, self._name(v, rank), rank)
            for v, a in zip(values, arrays, strict=True)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = emit.add(rec.BinaryOp(kind, total, part))
        return [total]

    def constant(self, value: SSAValue) -> Array | None:
        """A constant operand; a tensor filled with one number is one whatever its number of rows."""
        splat, shape = self.analysis.info(value).splat, self.analysis.shape(value)
        if splat is None or not shape or shape[0] != self.graph.batch:
            return self.graph.constant(value)
        fixed = [d for d in shape[1:] if isinstance(d, int)]
        return np.full((1, *fixed), splat, np.float32) if len(fixed) == len(shape) - 1 else None

    def _name(self, value: SSAValue, rank: int) -> str:
        owner = value.owner
        found = onnx.name_of(owner) if isinstance(owner, Operation) else None
        return f"{found or 'constant'}.r{rank}"
