"""``TensorProto`` to numpy: every length is checked against type and shape before it is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cimc.errors import Location, ModelError, printable
from cimc.support.limits import Limits

Array = NDArray[Any]

_BITS: dict[int, int] = {
    **dict.fromkeys((TensorProto.UINT2, TensorProto.INT2), 2),
    **dict.fromkeys((TensorProto.UINT4, TensorProto.INT4, TensorProto.FLOAT4E2M1), 4),
}
# 8-bit floats and all types up to here are known to onnxruntime; the numbers are TensorProto.DataType.
_LAST_KNOWN = TensorProto.INT2
_TYPED_FIELDS = (
    "float_data",
    "int32_data",
    "string_data",
    "int64_data",
    "double_data",
    "uint64_data",
)


def _invalid(tensor: onnx.TensorProto, file: str, why: str) -> ModelError:
    return ModelError(
        "frontend.bad-tensor", why, location=Location(file=file, tensor=printable(tensor.name) or None)
    )


def extents(tensor: onnx.TensorProto, file: str, limits: Limits) -> tuple[tuple[int, ...], int]:
    """Shape and number of elements of a tensor with a known element type.

    Raises:
        ModelError: ``frontend.bad-tensor``.
    """
    if not TensorProto.UNDEFINED < tensor.data_type <= _LAST_KNOWN:
        raise _invalid(tensor, file, f"element type {tensor.data_type} is not known")
    if len(tensor.dims) > limits.rank:
        raise _invalid(tensor, file, f"{len(tensor.dims)} dimensions exceed the limit of {limits.rank}")
    count = 1
    for extent in tensor.dims:
        if extent < 0:
            raise _invalid(tensor, file, f"extent {extent} is negative")
        count *= extent
    return tuple(tensor.dims), count


def stored_bytes(data_type: int, count: int) -> int:
    """Bytes of ``count`` packed elements of an ONNX element type other than string."""
    bits = _BITS.get(data_type) or 8 * helper.tensor_dtype_to_np_dtype(data_type).itemsize
    return -(-count * bits // 8)


def check_inline(tensor: onnx.TensorProto, file: str, limits: Limits) -> None:
    """Refuse a tensor with inline data whose amount does not follow from its type and shape."""
    _, count = extents(tensor, file, limits)
    if tensor.HasField("segment"):
        raise _invalid(tensor, file, "segmented tensors are not part of any released ONNX operator set")
    filled = [name for name in _TYPED_FIELDS if len(getattr(tensor, name))]
    raw = tensor.HasField("raw_data")
    if len(filled) + raw > 1 and (filled or len(tensor.raw_data)):
        raise _invalid(tensor, file, "the data is given in more than one field")
    if raw:
        if tensor.data_type == TensorProto.STRING:
            raise _invalid(tensor, file, "strings cannot be given as raw data")
        need, have = stored_bytes(tensor.data_type, count), len(tensor.raw_data)
        if need != have:
            raise _invalid(tensor, file, f"{have} bytes are given, type and shape need {need}")
        return
    field = helper.tensor_dtype_to_field(tensor.data_type)
    if filled not in ([], [field]):
        raise _invalid(tensor, file, f"data of this type belongs into {field}, not {filled[0]}")
    per_value = 8 // _BITS.get(tensor.data_type, 8)
    need = -(-count // per_value)
    if tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        need = 2 * count
    if need != len(getattr(tensor, field)):
        raise _invalid(
            tensor, file, f"{len(getattr(tensor, field))} values are given, the shape needs {need}"
        )


def decode(tensor: onnx.TensorProto, data: NDArray[np.uint8] | None, file: str, limits: Limits) -> Array:
    """The array of a tensor; ``data`` gives its packed little-endian bytes if they lie elsewhere.

    Types of eight bits and more come back as a view of those bytes (not necessarily aligned), narrower
    ones unpacked to one byte per element, strings as objects.  ``bfloat16`` and the 8-bit floats have
    the numpy dtypes of ``ml_dtypes``.
    """
    dims, count = extents(tensor, file, limits)
    dtype = (
        None if tensor.data_type == TensorProto.STRING else helper.tensor_dtype_to_np_dtype(tensor.data_type)
    )
    if data is None:
        check_inline(tensor, file, limits)
        if dtype is None or not tensor.HasField("raw_data"):
            return _converted(tensor, file)
        data = np.frombuffer(tensor.raw_data, np.uint8)
    if dtype is None or len(data) != stored_bytes(tensor.data_type, count):
        raise _invalid(tensor, file, f"{len(data)} bytes do not fit type and shape")
    if tensor.data_type in _BITS:
        inline = onnx.TensorProto(data_type=tensor.data_type, dims=dims, raw_data=data.tobytes())
        return _converted(inline, file)
    return data.view(dtype).reshape(dims)


def _converted(tensor: onnx.TensorProto, file: str) -> Array:
    try:
        array: Array = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError) as error:
        raise _invalid(tensor, file, f"the data cannot be read: {printable(str(error))}") from None
    return array


def densify(sparse: onnx.SparseTensorProto, count_left: int, file: str, limits: Limits) -> onnx.TensorProto:
    """A sparse constant as a dense tensor of at most ``count_left`` elements.

    Raises:
        ModelError: ``frontend.too-large`` or ``frontend.bad-tensor``.
    """
    values, indices = sparse.values, sparse.indices
    shape = onnx.TensorProto(name=values.name, data_type=values.data_type, dims=sparse.dims)
    dims, count = extents(shape, file, limits)
    if count > count_left:
        raise ModelError(
            "frontend.too-large",
            f"sparse constants of more than {limits.sparse_elements} elements",
            location=Location(file=file, tensor=printable(values.name)),
            hint="store large tensors densely, as external data",
        )
    for part in (values, indices):
        if part.data_location == TensorProto.EXTERNAL:
            raise _invalid(values, file, "a sparse constant has external data")
    data, where = decode(values, None, file, limits), decode(indices, None, file, limits)
    linear = where.ndim == 1 or len(dims) == 0
    if where.dtype != np.int64 or data.ndim != 1 or data.dtype == object or len(where) != len(data):
        raise _invalid(values, file, "a sparse constant needs 1-D numbers and as many int64 indices")
    if where.size and (where.min() < 0 or (not linear and where.shape[1:] != (len(dims),))):
        raise _invalid(values, file, "indices of a sparse constant do not fit its shape")
    if where.size and np.any(where >= (count if linear else np.asarray(dims))):
        raise _invalid(values, file, "an index of a sparse constant is out of range")
    dense = np.zeros(count, data.dtype)
    if where.size:
        dense[where if linear else np.ravel_multi_index(tuple(where.T), dims)] = data
    return numpy_helper.from_array(dense.reshape(dims), values.name)
