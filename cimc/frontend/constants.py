"""Reading constants of the ``onnx`` dialect, wherever they are kept."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, DenseIntOrFPElementsAttr, FloatAttr, SymbolRefAttr
from xdsl.ir import SSAValue

from cimc.frontend.attributes import array_from_dense, ints_of
from cimc.ir import onnx
from cimc.ir.onnx import int_attribute
from cimc.ir.store import Array, TensorStore
from cimc.ir.types import element_of, f32, is_float, symbol

KEPT = 1 << 22
"""Constants that are computed from others are kept up to this many elements, larger ones made anew."""


def _widens(op: onnx.NodeOp) -> bool:
    """Whether ``op`` is a Cast from another float type to f32."""
    if op.kind != "Cast" or element_of(op.outputs[0].type) != f32:
        return False
    source = element_of(op.inputs[0].type)
    return source is not None and is_float(source)


class ConstantReader:
    """Numpy arrays behind ``onnx.constant`` and ``onnx.initializer``; stored arrays are not copied.

    Also what a Cast to f32 or a DequantizeLinear makes of them counts as constant.
    """

    def __init__(self, store: TensorStore) -> None:
        self._store = store
        self._inline: dict[onnx.ConstantOp, Array] = {}
        self._made: dict[onnx.NodeOp, Array] = {}

    def read(self, value: SSAValue) -> Array | None:
        """The array of ``value``; ``None`` when it is not constant."""
        op = value.owner
        if isinstance(op, onnx.InitializerOp):
            return self._store[symbol(op.symbol)]
        if isinstance(op, onnx.NodeOp):
            return self._computed(op)
        if not isinstance(op, onnx.ConstantOp):
            return None
        if op not in self._inline:
            self._inline[op] = array_from_dense(op.value)
        return self._inline[op]

    def stored(self, value: SSAValue) -> Array | None:
        """Like :meth:`read`, but an array that a Cast makes f32 is given as it is stored, not converted."""
        op = value.owner
        while isinstance(op, onnx.NodeOp) and _widens(op):
            value = op.inputs[0]
            op = value.owner
        return self.read(value)

    def _computed(self, op: onnx.NodeOp) -> Array | None:
        """What a Cast between floats or a DequantizeLinear makes of a constant."""
        if op not in self._made:
            if _widens(op):
                source = self.read(op.inputs[0])
                made = None if source is None else source.astype(np.float32)
            elif op.kind == "DequantizeLinear":
                made = self._dequantized(op)
            else:
                return None
            if made is None or made.size > KEPT:
                return made
            self._made[op] = made
        return self._made[op]

    def _dequantized(self, op: onnx.NodeOp) -> Array | None:
        given = [self.read(v) for v in op.inputs]
        if given[0] is None or given[1] is None or (len(given) > 2 and given[2] is None):
            return None
        if int_attribute(op, "block_size", 0):
            return None
        data, scale = given[0], given[1]
        zero = given[2] if len(given) > 2 and given[2] is not None else np.zeros((), data.dtype)
        axis = int_attribute(op, "axis", 1)
        if scale.size > 1:
            if scale.ndim != 1 or not -data.ndim <= axis < data.ndim or data.shape[axis] != scale.size:
                return None
            wide = [1] * data.ndim
            wide[axis] = scale.size
            scale = scale.reshape(wide)
            zero = zero.reshape(wide) if zero.size > 1 else zero
        shifted = data.astype(np.int64) - zero.astype(np.int64)
        made: Array = shifted.astype(np.float32) * scale.reshape(scale.shape or ()).astype(np.float32)
        return made if scale.size > 1 else made.reshape(data.shape)

    def attribute(self, op: onnx.NodeOp, key: str) -> Array | None:
        """The array of a tensor attribute of a node."""
        value = op.attribute(key)
        if isinstance(value, DenseIntOrFPElementsAttr):
            return array_from_dense(value)
        return self._store[symbol(value)] if isinstance(value, SymbolRefAttr) else None


def ints_attribute(op: onnx.NodeOp, key: str) -> tuple[int, ...] | None:
    """A list-of-integers attribute of a node."""
    value = op.attribute(key)
    return ints_of(value) if isinstance(value, DenseArrayBase) else None


def float_attribute(op: onnx.NodeOp, key: str, default: float) -> float:
    """A float attribute of a node with its default."""
    value = op.attribute(key)
    return value.value.data if isinstance(value, FloatAttr) else default
