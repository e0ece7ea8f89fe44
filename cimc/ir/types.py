"""Value types shared by the dialects, and conversions to and from ONNX and numpy element types."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
    SymbolRefAttr,
    TensorType,
    UnrankedTensorType,
)
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition

DYNAMIC = -1
"""How cimc writes an extent that is not known at compile time (``?`` in the text)."""

f32 = Float32Type()
i64 = IntegerType(64)
i32 = IntegerType(32)
i8 = IntegerType(8)
i1 = IntegerType(1)


@irdl_attr_definition
class NoneType(ParametrizedAttribute, TypeAttribute):
    """The type of an optional ONNX input that is absent."""

    name = "onnx.none"


@irdl_attr_definition
class OpaqueType(ParametrizedAttribute, TypeAttribute):
    """A value of which only onnxruntime needs the type: sequences, optionals, maps, strings."""

    name = "onnx.opaque"


# (ONNX TensorProto.DataType number, element type, numpy dtype name)
_ELEMENTS: tuple[tuple[int, Attribute, str], ...] = (
    (1, f32, "float32"),
    (2, IntegerType(8, Signedness.UNSIGNED), "uint8"),
    (3, i8, "int8"),
    (4, IntegerType(16, Signedness.UNSIGNED), "uint16"),
    (5, IntegerType(16), "int16"),
    (6, i32, "int32"),
    (7, i64, "int64"),
    (9, i1, "bool"),
    (10, Float16Type(), "float16"),
    (11, Float64Type(), "float64"),
    (12, IntegerType(32, Signedness.UNSIGNED), "uint32"),
    (13, IntegerType(64, Signedness.UNSIGNED), "uint64"),
    (16, BFloat16Type(), "bfloat16"),
)
_BY_ONNX = {number: element for number, element, _ in _ELEMENTS}
_TO_ONNX = {element: number for number, element, _ in _ELEMENTS}
_BY_NUMPY = {dtype: element for _, element, dtype in _ELEMENTS}
_TO_NUMPY = {element: dtype for _, element, dtype in _ELEMENTS}


def element_from_onnx(number: int) -> Attribute | None:
    """Element type for an ONNX ``TensorProto.DataType``; ``None`` where no dialect models it."""
    return _BY_ONNX.get(number)


def element_to_onnx(element: Attribute) -> int:
    """ONNX ``TensorProto.DataType`` of an element type; ``KeyError`` for a foreign one."""
    return _TO_ONNX[element]


def element_from_dtype(dtype: np.dtype) -> Attribute:
    """Element type of a numpy dtype; ``KeyError`` for one that no dialect models."""
    return _BY_NUMPY[dtype.name]


def element_to_dtype(element: Attribute) -> np.dtype:
    """Numpy dtype of an element type (``bfloat16`` needs ``ml_dtypes`` registered by onnx)."""
    return np.dtype(_TO_NUMPY[element])


def is_float(element: Attribute) -> bool:
    """Whether an element type is a floating-point type."""
    return isinstance(element, Float16Type | BFloat16Type | Float32Type | Float64Type)


def tensor(shape: Sequence[int], element: Attribute = f32) -> TensorType[Attribute]:
    """A ranked tensor type; ``-1`` marks a dynamic extent."""
    return _tensor(tuple(map(int, shape)), element)


@functools.lru_cache(maxsize=4096)
def _tensor(shape: tuple[int, ...], element: Attribute) -> TensorType[Attribute]:
    # few types serve all values of a model, and xDSL verifies each one that is made
    return TensorType(element, [DYNAMIC_INDEX if d < 0 else d for d in shape])


def shape_of(type_: Attribute) -> tuple[int, ...] | None:
    """Extents of a tensor type (``-1`` dynamic), or ``None`` when it is unranked or no tensor."""
    if not isinstance(type_, TensorType):
        return None
    shape = type_.get_shape()
    return tuple(DYNAMIC if d == DYNAMIC_INDEX else d for d in shape) if DYNAMIC_INDEX in shape else shape


def element_of(type_: Attribute) -> Attribute | None:
    """Element type of a ranked or unranked tensor, else ``None``."""
    if isinstance(type_, TensorType | UnrankedTensorType):
        element: Attribute = type_.element_type
        return element
    return None


def symbol(reference: SymbolRefAttr) -> str:
    """The name that an ``@symbol`` attribute refers to."""
    return reference.root_reference.data
