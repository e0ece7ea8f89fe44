"""Reading constants of the ``onnx`` dialect, wherever they are kept."""

from __future__ import annotations

from xdsl.dialects.builtin import DenseArrayBase, DenseIntOrFPElementsAttr, FloatAttr, SymbolRefAttr
from xdsl.ir import SSAValue

from cimc.frontend.attributes import array_from_dense, ints_of
from cimc.ir import onnx
from cimc.ir.store import Array, TensorStore
from cimc.ir.types import symbol


class ConstantReader:
    """Numpy arrays behind ``onnx.constant`` and ``onnx.initializer``; stored arrays are not copied."""

    def __init__(self, store: TensorStore) -> None:
        self._store = store
        self._inline: dict[onnx.ConstantOp, Array] = {}

    def read(self, value: SSAValue) -> Array | None:
        """The array of ``value``; ``None`` when it is not constant."""
        op = value.owner
        if isinstance(op, onnx.InitializerOp):
            return self._store[symbol(op.symbol)]
        if not isinstance(op, onnx.ConstantOp):
            return None
        if op not in self._inline:
            self._inline[op] = array_from_dense(op.value)
        return self._inline[op]

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
