"""Tables of integers whose rows have scales of their own: what an expression of constants says of each row.

Whatever the spelling, row ``r`` stands for ``(q[r] + zero[r]) * factor[r] + addend[r]``.  Two readers find
that form: :class:`TableReader` in a constant expression ``[rows, dim]``, and :class:`GatheredReader` in one
over what was gathered from constants by the same ids.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue

from cimc.analysis.constants import ConstantReader, ints_attribute
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.tensor_store import Array
from cimc.ir.types import element_of, f32, is_float, shape_of

Numbers = NDArray[np.float64]

ARITHMETIC = ("Add", "Sub", "Mul", "Div")
NARROW = (np.dtype(np.int8), np.dtype(np.uint8))
"""Integers of up to 8 bits; 4-bit constants are read as these."""


@dataclass(frozen=True)
class Affine:
    """``(q[r] + zero[r]) * factor[r] + addend[r]`` for rows ``q`` of the constant ``source``.

    Attributes:
        source: the constant, ``[rows, dim]`` of ``int8``, ``uint8`` or a 4-bit type.
        integers: its array.
        zero: integers ``[rows]``, or one for all rows; ``factor`` and ``addend``: likewise, floats.
        scaled: whether the integers have become floats.
    """

    source: SSAValue
    integers: Array
    zero: Numbers
    factor: Numbers
    addend: Numbers
    scaled: bool = False

    @property
    def uniform(self) -> bool:
        """Whether all rows have the same scale."""
        return all(bool((x == x.reshape(-1)[0]).all()) for x in (self.zero, self.factor, self.addend))

    @property
    def sound(self) -> bool:
        """Whether scales and biases are numbers that a table may have."""
        finite = np.isfinite(self.factor).all() and np.isfinite(self.addend).all()
        return bool(finite and (self.factor.astype(np.float32) > 0).all())

    def plus(self, number: Numbers) -> Affine:
        """The sum with a number for each row, which is part of ``zero`` as long as nothing was scaled."""
        whole = (self.factor == 1).all() and not self.addend.any() and (number == np.rint(number)).all()
        if whole and (np.abs(number) < 1 << 15).all():
            return replace(self, zero=self.zero + number)
        return replace(self, addend=self.addend + number)

    def times(self, number: Numbers) -> Affine:
        """The product with a number for each row."""
        return replace(self, factor=self.factor * number, addend=self.addend * number)


@dataclass(frozen=True)
class _Column:
    """A number for each row ``[rows]``, or one for all; ``flat`` before it has an axis beside the rows."""

    numbers: Numbers
    flat: bool = False


class _Reader(ABC):
    """The algebra of rows and columns; what the leaves are is up to the two readers."""

    def __init__(self, constants: ConstantReader) -> None:
        self.constants = constants

    def read(self, value: SSAValue) -> Affine | None:
        """What ``value`` says of each row, if it is floats made from narrow integers."""
        found = self._value(value)
        if not isinstance(found, Affine) or not found.scaled or not found.integers.size:
            return None
        rows = found.integers.shape[0]
        fits = all(x.size in (1, rows) for x in (found.zero, found.factor, found.addend))
        return found if fits else None

    @abstractmethod
    def _leaf(self, value: SSAValue) -> tuple[SSAValue, Array] | None:
        """The constant that ``value`` is rows of, with its array; one number for all rows is itself."""

    @abstractmethod
    def _rank(self, value: SSAValue) -> int | None:
        """Axes of the rows of ``value`` in front of the columns, where that is known."""

    def _value(self, value: SSAValue) -> Affine | _Column | None:
        op = value.owner
        if isinstance(op, onnx.NodeOp):
            if op.kind == "Identity":
                return self._value(op.inputs[0])
            if op.kind == "Cast":
                return self._cast(op)
            if op.kind in ("Unsqueeze", "Reshape"):
                found = self._column(op)
                if found is not None:
                    return found
            if op.kind in ARITHMETIC:
                return self._arithmetic(op)
            if op.kind == "DequantizeLinear":
                return self._dequantized(op)
        leaf = self._leaf(value)
        return None if leaf is None else self._constant(*leaf)

    def _constant(self, source: SSAValue, array: Array) -> Affine | _Column | None:
        if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
            return None
        if array.size == 1 and array.ndim < 3:
            return _Column(array.astype(np.float64).reshape(1))
        if array.ndim == 2 and array.shape[1] == 1:
            return _Column(array.astype(np.float64).reshape(-1))
        if array.ndim == 1:
            return _Column(array.astype(np.float64), flat=True)
        if array.ndim == 2 and array.dtype in NARROW:
            return Affine(source, array, np.zeros(1), np.ones(1), np.zeros(1))
        return None

    def _cast(self, op: onnx.NodeOp) -> Affine | _Column | None:
        found, to = self._value(op.inputs[0]), element_of(op.outputs[0].type)
        if found is None or to is None:
            return None
        if isinstance(found, _Column):
            whole = is_float(to) or bool((found.numbers == np.rint(found.numbers)).all())
            return found if whole else None
        if is_float(to):
            return replace(found, scaled=True)
        wide = isinstance(to, IntegerType) and to.width.data >= 16 and not found.scaled
        return found if wide else None

    def _column(self, op: onnx.NodeOp) -> _Column | None:
        """A last axis of extent 1 behind a number for each row."""
        found = self._value(op.inputs[0])
        if not isinstance(found, _Column) or not found.flat:
            return None
        rank = self._rank(op.inputs[0])
        if op.kind == "Reshape":
            shape = shape_of(op.outputs[0].type)
            fits = rank == 1 and shape is not None and len(shape) == 2 and shape[1] == 1
        else:
            axes = ints_attribute(op, "axes")
            if axes is None and len(op.inputs) > 1:
                given = self.constants.read(op.inputs[1])
                axes = None if given is None else tuple(int(a) for a in given.reshape(-1))
            fits = axes == (-1,) or (rank is not None and axes == (rank,))
        return _Column(found.numbers) if fits else None

    def _arithmetic(self, op: onnx.NodeOp) -> Affine | None:
        left, right = (self._value(v) for v in op.inputs)
        if isinstance(right, Affine) and op.kind in ("Add", "Mul"):
            left, right = right, left
        if not isinstance(left, Affine) or not isinstance(right, _Column) or right.flat:
            return None
        result = element_of(op.outputs[0].type)
        exact = isinstance(result, IntegerType) and result.width.data >= 16 and not left.scaled
        if not exact and (result != f32 or not left.scaled):
            return None  # narrow integers wrap around
        numbers = right.numbers
        if numbers.size not in (1, left.integers.shape[0]):
            return None
        if op.kind == "Add" or op.kind == "Sub":
            return left.plus(numbers if op.kind == "Add" else -numbers)
        if exact or not np.isfinite(numbers).all() or (op.kind == "Div" and not numbers.all()):
            return None
        return left.times(numbers if op.kind == "Mul" else 1 / numbers)

    def _dequantized(self, op: onnx.NodeOp) -> Affine | None:
        rows = self._value(op.inputs[0])
        grid = [self._value(v) for v in op.inputs[1:]]
        if not isinstance(rows, Affine) or rows.scaled or element_of(op.outputs[0].type) != f32:
            return None
        columns = [c for c in grid if isinstance(c, _Column)]
        if len(columns) < len(grid) or not self._along_rows(op, rows, columns):
            return None
        if any(c.numbers.size not in (1, rows.integers.shape[0]) for c in columns):
            return None
        zero = columns[1].numbers if len(columns) > 1 else np.zeros(1)
        return replace(rows, zero=rows.zero - zero, scaled=True).times(columns[0].numbers)

    def _along_rows(self, op: onnx.NodeOp, rows: Affine, columns: list[_Column]) -> bool:
        """Whether scale and zero point are one for all, or one per row."""
        if all(c.numbers.size == 1 for c in columns):
            return not int_attribute(op, "block_size", 0)
        front = self._rank(op.inputs[0])
        if front is None:
            return False
        axis = int_attribute(op, "axis", 1)
        axis += front + 1 if axis < 0 else 0
        if block := int_attribute(op, "block_size", 0):
            return axis == front and block >= rows.integers.shape[1] and not any(c.flat for c in columns)
        return front == 1 and axis == 0 and all(c.flat or c.numbers.size == 1 for c in columns)


class TableReader(_Reader):
    """Reads a constant expression ``[rows, dim]``."""

    def _leaf(self, value: SSAValue) -> tuple[SSAValue, Array] | None:
        if isinstance(value.owner, onnx.NodeOp) and value.owner.kind != "Constant":
            return None
        array = self.constants.read(value)
        return None if array is None else (value, array)

    def _rank(self, value: SSAValue) -> int | None:
        return 1


class GatheredReader(_Reader):
    """Reads an expression over rows of constants that the same ids select; ``ids`` are these."""

    ids: SSAValue | None = None

    def _value(self, value: SSAValue) -> Affine | _Column | None:
        op = value.owner
        if not isinstance(op, onnx.NodeOp) or op.kind != "Gather":
            return super()._value(value)
        if int_attribute(op, "axis", 0) != 0 or not self._same_ids(op.inputs[1]):
            return None
        return TableReader(self.constants)._value(op.inputs[0])

    def _leaf(self, value: SSAValue) -> tuple[SSAValue, Array] | None:
        if isinstance(value.owner, onnx.NodeOp) and value.owner.kind != "Constant":
            return None
        array = self.constants.read(value)
        return None if array is None or array.size != 1 else (value, array)

    def _same_ids(self, ids: SSAValue) -> bool:
        while isinstance(ids.owner, onnx.NodeOp) and ids.owner.kind == "Identity":
            ids = ids.owner.inputs[0]
        if self.ids is None:
            self.ids = ids
        return self.ids is ids

    def _rank(self, value: SSAValue) -> int | None:
        shape = None if self.ids is None else shape_of(self.ids.type)
        return None if shape is None else len(shape)


def as_int8(found: Affine) -> tuple[Array, NDArray[np.float32], NDArray[np.float32] | None]:
    """``(int8 [rows, dim], scales float32 [rows], biases float32 [rows] or None)`` of an affine table.

    Zero points are part of the integers where those of all rows still fit into int8, else of the biases.
    The array is the one given where nothing has to change.
    """
    q, rows = found.integers, found.integers.shape[0]
    low, high = np.zeros(rows), np.zeros(rows)
    for start in range(0, rows, 1 << 16):
        part = q[start : start + (1 << 16)]
        low[start : start + len(part)] = part.min(axis=1, initial=np.iinfo(q.dtype).max)
        high[start : start + len(part)] = part.max(axis=1, initial=np.iinfo(q.dtype).min)
    zero = np.broadcast_to(found.zero, (rows,))
    addend = np.broadcast_to(found.addend, (rows,))
    inside = bool(((low + zero >= -128) & (high + zero <= 127)).all())
    moved = zero
    if not inside:
        moved = np.full(rows, -128.0 if high.max(initial=0) > 127 else 0.0)
        addend = addend + found.factor * (zero - moved)
    if q.dtype == np.int8 and not moved.any():
        integers = q
    else:
        integers = np.empty(q.shape, np.int8)
        for start in range(0, rows, 1 << 16):
            part = q[start : start + (1 << 16)].astype(np.int16)
            part += moved[start : start + len(part), None].astype(np.int16)
            integers[start : start + len(part)] = part
    scales = np.ascontiguousarray(np.broadcast_to(found.factor, (rows,)), np.float32)
    return integers, scales, addend.astype(np.float32) if addend.any() else None
