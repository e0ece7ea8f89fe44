"""Reading constants of the ``onnx`` dialect, wherever they are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto
from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerType,
    SymbolRefAttr,
)
from xdsl.ir import SSAValue

from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import array_from_dense, ints_of, tensor_proto_of
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.onnx.tensors import decode
from cimc.ir.tensor_store import Array, TensorStore
from cimc.ir.types import NoneType, element_of, f32, is_float, shape_of, symbol
from cimc.support.limits import Limits

KEPT = 1 << 22
"""Constants that are computed from others are kept up to this many elements, larger ones made anew."""


def _widens(op: onnx.NodeOp) -> bool:
    """Whether ``op`` is a Cast from another float type to f32."""
    if op.kind != "Cast" or element_of(op.outputs[0].type) != f32:
        return False
    source = element_of(op.inputs[0].type)
    return source is not None and is_float(source)


def _from_integers(op: onnx.NodeOp) -> bool:
    """Whether ``op`` is a Cast to f32 of a matrix of integers of up to 8 bits."""
    if op.kind != "Cast" or element_of(op.outputs[0].type) != f32:
        return False
    source = op.inputs[0]
    if isinstance(source.owner, onnx.NodeOp):
        return source.owner.kind == "Constant"
    element = element_of(source.type)
    narrow = isinstance(element, IntegerType) and element.width.data == 8
    return narrow and len(shape_of(source.type) or ()) == 2


def _scales_integers(op: onnx.NodeOp, depth: int = 6) -> bool:
    """Whether ``op`` is arithmetic in f32 on what :func:`_from_integers` or a DequantizeLinear made.

    Zero points, scales and biases are that many operations at most: long chains are no constants.
    """
    if (
        not depth
        or op.kind not in _ARITHMETIC
        or len(op.inputs) != 2
        or element_of(op.outputs[0].type) != f32
    ):
        return False
    made = [v.owner for v in op.inputs if isinstance(v.owner, onnx.NodeOp)]
    return any(
        _from_integers(m) or m.kind == "DequantizeLinear" or _scales_integers(m, depth - 1) for m in made
    )


_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}
_NARROW: dict[int, type[np.int8] | type[np.uint8]] = {
    TensorProto.INT4: np.int8,
    TensorProto.UINT4: np.uint8,
    TensorProto.INT2: np.int8,
    TensorProto.UINT2: np.uint8,
}


class ConstantReader:
    """Numpy arrays behind ``onnx.constant`` and ``onnx.initializer``; stored arrays are not copied.

    Also what a Cast to f32, a DequantizeLinear, or arithmetic on integers that a Cast made floats makes of
    them counts as constant.  Constants of 4 and 2 bits, which the dialect cannot type, are read as ``int8``
    and ``uint8``.
    """

    def __init__(self, store: TensorStore) -> None:
        self._store = store
        self._inline: dict[onnx.ConstantOp, Array] = {}
        self._made: dict[onnx.NodeOp, Array] = {}
        self._narrow: dict[onnx.NodeOp, Array | None] = {}
        self._extents: dict[onnx.NodeOp, tuple[int, ...] | None] = {}

    def is_constant(self, value: SSAValue) -> bool:
        """Whether :meth:`read` would give an array, unless the constants contradict each other."""
        op = value.owner
        if not isinstance(op, onnx.NodeOp):
            return isinstance(op, onnx.ConstantOp | onnx.InitializerOp)
        if op.kind == "Constant":
            return self.narrow(op) is not None
        if _widens(op) or _from_integers(op) or op.kind == "DequantizeLinear" or _scales_integers(op):
            return all(self.is_constant(v) for v in op.inputs if not isinstance(v.type, NoneType))
        return False

    def narrow(self, op: onnx.NodeOp) -> Array | None:
        """The integers of a ``Constant`` of 4 or 2 bits, as ``int8`` or ``uint8``; ``None`` of any other."""
        if op not in self._narrow:
            value, array = op.attribute("value"), None
            if isinstance(value, DictionaryAttr):
                proto = tensor_proto_of(value, self._store)
                if proto.data_type in _NARROW:
                    array = decode(proto, None, "", Limits()).astype(_NARROW[proto.data_type])
            self._narrow[op] = array
        return self._narrow[op]

    def untyped_shape(self, op: onnx.NodeOp) -> tuple[int, ...] | None:
        """Extents of a ``Constant`` that the dialect cannot type, texts included; ``None`` of any other."""
        if op not in self._extents:
            value, extents = op.attribute("value"), None
            if isinstance(value, DictionaryAttr):
                extents = tuple(tensor_proto_of(value, self._store).dims)
            self._extents[op] = extents
        return self._extents[op]

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
        """What a Cast to f32, a DequantizeLinear or arithmetic on integers makes of a constant."""
        if op.kind == "Constant":
            return self.narrow(op)
        if op not in self._made:
            if _widens(op) or _from_integers(op):
                source = self.read(op.inputs[0])
                made = None if source is None else source.astype(np.float32)
            elif _scales_integers(op):
                made = self._scaled(op)
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
        data, scale = given[0], given[1]
        zero = given[2] if len(given) > 2 and given[2] is not None else np.zeros((), data.dtype)
        axis, block = int_attribute(op, "axis", 1), int_attribute(op, "block_size", 0)
        if data.dtype.kind not in "iu":
            return None
        if block > 0 and scale.ndim == data.ndim and -data.ndim <= axis < data.ndim:
            want = list(data.shape)
            want[axis] = -(-want[axis] // block)
            if list(scale.shape) != want or (zero.size > 1 and zero.shape != scale.shape):
                return None
            part = tuple(slice(0, extent) for extent in data.shape)
            scale = np.repeat(scale, block, axis)[part]
            zero = np.repeat(zero, block, axis)[part] if zero.size > 1 else zero
        elif block:
            return None
        elif scale.size > 1:
            if scale.ndim != 1 or not -data.ndim <= axis < data.ndim or data.shape[axis] != scale.size:
                return None
            wide = [1] * data.ndim
            wide[axis] = scale.size
            scale = scale.reshape(wide)
            zero = zero.reshape(wide) if zero.size > 1 else zero
        shifted = data.astype(np.int64) - zero.astype(np.int64)
        with np.errstate(all="ignore"):  # a mask of infinity: its zeros are NaN, as for onnxruntime
            made: Array = shifted.astype(np.float32) * scale.reshape(scale.shape or ()).astype(np.float32)
        return made if scale.size > 1 else made.reshape(data.shape)

    def _scaled(self, op: onnx.NodeOp) -> Array | None:
        if not all(self.is_constant(v) for v in op.inputs):
            return None
        left, right = (self.read(v) for v in op.inputs)
        if left is None or right is None:
            return None
        try:
            with np.errstate(all="ignore"):
                made = _ARITHMETIC[op.kind](left, right)
        except ValueError:  # extents that do not broadcast: onnxruntime would say so
            return None
        return np.asarray(made, np.float32)

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
