"""Tensors of a file as arrays: every length is checked before it is believed."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cimc.errors import ModelError
from cimc.ir.onnx.tensors import check_inline, decode, densify, extents, stored_bytes
from cimc.support.limits import Limits

LIMITS = Limits()
DTYPES = [
    "float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool",
    "complex64",    ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4, ml_dtypes.uint4,
]  # fmt: skip


def refused(tensor: TensorProto, data: np.ndarray | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        decode(tensor, data, "m.onnx", LIMITS)
    assert caught.value.code == "frontend.bad-tensor"
    return caught.value.message


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3))
def test_arrays_of_all_types_come_back(kind: object, shape: list[int]) -> None:
    array = (np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(kind)  # type: ignore[call-overload]
    tensor = numpy_helper.from_array(array, "w")
    np.testing.assert_array_equal(decode(tensor, None, "m", LIMITS).astype(complex), array.astype(complex))
    assert stored_bytes(tensor.data_type, array.size) == len(tensor.raw_data)
    away = np.frombuffer(tensor.raw_data, np.uint8)
    np.testing.assert_array_equal(decode(tensor, away, "m", LIMITS).astype(complex), array.astype(complex))


@pytest.mark.parametrize("kind", [1, 2, 6, 7, 10, 11, 13, 14, 16, 22])
def test_typed_fields_come_back(kind: int) -> None:
    tensor = helper.make_tensor("w", kind, [3], [1, 0, 3])
    assert not tensor.HasField("raw_data")
    assert decode(tensor, None, "m", LIMITS).astype(complex).tolist() == [1, 0, 3]


def test_texts_are_objects() -> None:
    tensor = helper.make_tensor("w", TensorProto.STRING, [2], [b"a", b"bc"])
    assert decode(tensor, None, "m", LIMITS).dtype == object


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"data_type": 0}, "element type 0 is not known"),
        ({"data_type": 99}, "element type 99 is not known"),
        ({"dims": [-1]}, "extent -1 is negative"),
        ({"dims": [1] * 100}, "100 dimensions exceed"),
        ({"raw_data": bytes(7)}, "7 bytes are given, type and shape need 8"),
        ({"raw_data": bytes(8), "float_data": [1, 2]}, "more than one field"),
        ({"float_data": [1]}, "1 values are given, the shape needs 2"),
        ({"int64_data": [1, 2]}, "belongs into float_data, not int64_data"),
        ({"data_type": TensorProto.STRING, "raw_data": bytes(8)}, "strings cannot be given as raw data"),
        ({}, "0 values are given, the shape needs 2"),
    ],
)
def test_lengths_are_checked(fields: dict[str, object], why: str) -> None:
    tensor = TensorProto(**{"name": "w", "data_type": 1, "dims": [2], **fields})  # type: ignore[arg-type]
    assert why in refused(tensor)


def test_segments_are_no_tensors() -> None:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    tensor.segment.begin = 0
    assert "segmented" in refused(tensor)


def test_an_empty_field_beside_the_data_is_nothing() -> None:
    tensor = TensorProto(name="w", data_type=1, dims=[0], raw_data=b"")
    check_inline(tensor, "m", LIMITS)
    assert extents(tensor, "m", LIMITS) == ((0,), 0)


def test_bytes_elsewhere_must_fit() -> None:
    tensor = TensorProto(name="w", data_type=1, dims=[2])
    assert "7 bytes do not fit" in refused(tensor, np.zeros(7, np.uint8))


# -- sparse constants ----------------------------------------------------------------------------


def sparse(indices: object, values: list[float], dims: list[int]) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(
        numpy_helper.from_array(np.array(values, np.float32), "w"),
        numpy_helper.from_array(np.array(indices, np.int64), "i"),
        dims,
    )


def dense(made: onnx.SparseTensorProto, left: int = 100) -> np.ndarray:
    return numpy_helper.to_array(densify(made, left, "m", LIMITS))


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_indices_are_linear_or_per_axis(indices: object) -> None:
    assert dense(sparse(indices, [2, 3], [2, 3])).tolist() == [[0, 2, 0], [0, 0, 3]]


def test_nothing_is_all_zeros() -> None:
    assert dense(sparse(np.zeros(0), [], [2])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("indices", "values"), [([6], [1]), ([-1], [1]), ([[0, 3]], [1]), ([[0, 0, 0]], [1]), ([0, 1], [1])]
)
def test_indices_out_of_range(indices: object, values: list[float]) -> None:
    with pytest.raises(ModelError) as caught:
        dense(sparse(indices, values, [2, 3]))
    assert caught.value.code == "frontend.bad-tensor"


def test_sparse_constants_are_limited_when_dense() -> None:
    with pytest.raises(ModelError) as caught:
        dense(sparse([0], [1], [1 << 20, 1 << 20]))
    assert caught.value.code == "frontend.too-large"
