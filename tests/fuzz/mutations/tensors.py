"""Constants with wrong shapes, types, lengths and contents."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from tests.fuzz.subject import Subject, mutation

EXTENTS = (0, 1, 2, 3, 7, -1, -(2**63), 1000, 2**20, 2**31, 2**40, 2**62, 2**63 - 1)
SPECIAL = (float("nan"), float("inf"), float("-inf"), 3.4e38, -3.4e38, 1e-45, 0.0, 1e20)
SPECIAL_INTEGERS = (-1, 0, 1, 2, 3, 100, 10**6, 2**31, 2**40, 2**63 - 1, -(2**63))


def _array(tensor: onnx.TensorProto) -> np.ndarray | None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
        return None
    try:
        return np.array(numpy_helper.to_array(tensor))
    except Exception:  # an earlier mutation may have damaged it
        return None


def _put(tensor: onnx.TensorProto, array: np.ndarray) -> None:
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(array, name))


@mutation
def change_dims(s: Subject) -> Any:
    """The shape lies; the data stays."""
    tensor = s.tensor()
    if tensor is None:
        return False
    kind = s.rng.randrange(4)
    if kind == 0 or not tensor.dims:
        tensor.dims.append(s.rng.choice(EXTENTS))
    elif kind == 1:
        del tensor.dims[s.rng.randrange(len(tensor.dims))]
    elif kind == 2:
        tensor.dims[s.rng.randrange(len(tensor.dims))] = s.rng.choice(EXTENTS)
    else:
        tensor.dims.extend([1] * s.rng.choice([1, 7, 40]))
    return None


@mutation
def reshape_tensor(s: Subject) -> Any:
    """Another shape with as many elements."""
    tensor = s.tensor()
    if tensor is None or not tensor.dims:
        return False
    dims = list(tensor.dims)
    s.rng.shuffle(dims)
    if s.rng.random() < 0.5:
        dims.insert(s.rng.randrange(len(dims) + 1), 1)
    tensor.dims[:] = dims
    return None


@mutation
def cut_tensor(s: Subject) -> Any:
    """Fewer or more rows, consistently; ids may now be out of range."""
    tensor = s.tensor()
    array = None if tensor is None else _array(tensor)
    if tensor is None or array is None or array.ndim == 0:
        return False
    axis = s.rng.randrange(array.ndim)
    keep = s.rng.choice([0, 1, array.shape[axis] // 2, array.shape[axis] + 1, 2 * array.shape[axis]])
    if keep > 4096 or array.shape[axis] == 0:
        return False
    _put(tensor, np.take(array, np.arange(keep) % array.shape[axis], axis))
    return None


@mutation
def change_tensor_type(s: Subject) -> Any:
    """The element type lies; the data stays."""
    tensor = s.tensor()
    if tensor is None:
        return False
    tensor.data_type = s.rng.choice([*range(27), -1, 99, 2**31 - 1])
    return None


@mutation
def convert_tensor(s: Subject) -> Any:
    """Another element type, consistently."""
    tensor = s.tensor()
    array = None if tensor is None else _array(tensor)
    if tensor is None or array is None:
        return False
    with np.errstate(all="ignore"):
        kind = s.rng.choice(["float16", "float32", "float64", "int64", "int32", "int8", "uint8", "bool"])
        _put(tensor, np.asarray(array, np.float64).astype(kind))
    return None


@mutation
def wrong_amount_of_data(s: Subject) -> Any:
    tensor = s.tensor()
    if tensor is None:
        return False
    raw = tensor.raw_data
    if raw:
        tensor.raw_data = s.rng.choice([raw[:-1], raw + b"\0", b"", raw[: len(raw) // 2], raw * 2])
    else:
        for name in ("float_data", "int64_data", "int32_data"):
            values = getattr(tensor, name)
            if values:
                del values[-1]
                return None
        tensor.float_data.append(1.0)
    return None


@mutation
def second_data_field(s: Subject) -> Any:
    tensor = s.tensor()
    if tensor is None:
        return False
    s.rng.choice([tensor.float_data, tensor.double_data]).append(1.0)
    return None


@mutation
def special_values(s: Subject) -> Any:
    """NaN, infinity, huge and tiny numbers among the weights; extreme integers among shapes and ids."""
    tensor = s.tensor()
    array = None if tensor is None else _array(tensor)
    if tensor is None or array is None or not array.size:
        return False
    flat = array.reshape(-1)
    count = s.rng.choice([1, 1, min(5, flat.size), flat.size])
    where = s.rng.sample(range(flat.size), count) if count < 10 else slice(None)
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f":
            flat[where] = np.float64(s.rng.choice(SPECIAL)).astype(array.dtype)
        else:
            value = s.rng.choice(SPECIAL_INTEGERS)
            flat[where] = np.array(value, np.int64).astype(array.dtype)
    _put(tensor, array)
    return None


@mutation
def scale_weights(s: Subject) -> Any:
    tensor = s.tensor()
    array = None if tensor is None else _array(tensor)
    if tensor is None or array is None or array.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        _put(tensor, (array * s.rng.choice([0.0, -1.0, 1e-20, 1e-3, 100.0, 1e20])).astype(array.dtype))
    return None


@mutation
def drop_initializer(s: Subject) -> Any:
    if not s.graph.initializer:
        return False
    del s.graph.initializer[s.rng.randrange(len(s.graph.initializer))]
    return None


@mutation
def initializer_becomes_input(s: Subject) -> Any:
    """A weight that is also an input is a default that a caller may override."""
    if not s.graph.initializer:
        return False
    tensor = s.rng.choice(s.graph.initializer)
    s.graph.input.append(
        onnx.helper.make_tensor_value_info(tensor.name, max(tensor.data_type, 1), list(tensor.dims))
    )
    return None


@mutation
def sparse_initializer(s: Subject) -> Any:
    sparse = s.graph.sparse_initializer.add()
    if s.graph.initializer and s.rng.random() < 0.7:
        sparse.values.CopyFrom(s.rng.choice(s.graph.initializer))
        for tensor in list(s.graph.initializer):
            if tensor.name == sparse.values.name:
                s.graph.initializer.remove(tensor)
    sparse.dims.extend([s.rng.choice(EXTENTS) for _ in range(s.rng.choice([1, 2]))])
    count = s.rng.choice([1, 3])
    sparse.indices.CopyFrom(
        numpy_helper.from_array(np.array([s.rng.choice(SPECIAL_INTEGERS) for _ in range(count)], np.int64))
    )
