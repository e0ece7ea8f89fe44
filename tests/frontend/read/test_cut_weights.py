"""A model and its weights apart: nothing gets lost, and what is no model is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cimc.frontend.read.cut_weights import CUT_BYTES, NotWireFormat, Structure, TooLarge, cut_weights

DTYPES = ("float32", "int8", "int64", "float64", "float16", "bool")
EDGE = CUT_BYTES  # bytes


def model(*tensors: TensorProto) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", [], [], initializer=list(tensors)
    )
    return bytes(helper.make_model(graph).SerializeToString())


def cut(data: bytes, max_bytes: int = 1 << 20, max_parts: int = 1000) -> Structure:
    return cut_weights(memoryview(data), max_bytes, max_parts)


@given(
    st.lists(
        st.tuples(st.sampled_from(DTYPES), st.sampled_from([0, 1, EDGE // 8, EDGE, 2 * EDGE])), max_size=5
    )
)
def test_structure_and_weights_together_are_the_model(kinds: list[tuple[str, int]]) -> None:
    arrays = [np.arange(n).astype(kind) for kind, n in kinds]
    data = model(*(numpy_helper.from_array(a, f"w{k}") for k, a in enumerate(arrays)))
    found = cut(data)
    rest = onnx.ModelProto.FromString(found.data)
    for k, tensor in enumerate(rest.graph.initializer):
        assert (k in found.spans) == (not tensor.raw_data and arrays[k].size > 0)
        if k in found.spans:
            tensor.raw_data = data[found.spans[k].start : found.spans[k].stop]
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), arrays[k])
    assert rest == onnx.ModelProto.FromString(data)
    large = sum(a.nbytes for a in arrays if a.nbytes >= EDGE)
    assert len(found.data) < len(data) - large + 100


def test_typed_floats_are_cut_too() -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [4096], np.arange(4096, dtype=np.float32))
    data = model(tensor)
    (span,) = cut(data).spans.values()
    np.testing.assert_array_equal(np.frombuffer(data[span.start : span.stop], "<f4"), np.arange(4096))


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.FLOAT8E4M3FN])
def test_types_that_the_dialects_do_not_know_are_left_whole(kind: int) -> None:
    tensor = TensorProto(name="w", data_type=kind, dims=[2 * EDGE])
    if kind == TensorProto.STRING:
        tensor.string_data.extend([b"text"] * 2 * EDGE)
    else:
        tensor.raw_data = bytes(2 * EDGE)
    data = model(tensor)
    assert cut(data) == Structure(data, {})


def test_a_tensor_with_data_twice_or_elsewhere_is_left_whole() -> None:
    twice = TensorProto(name="w", data_type=1, dims=[EDGE], raw_data=bytes(4 * EDGE), float_data=[1.0])
    away = TensorProto(name="v", data_type=1, dims=[EDGE], raw_data=bytes(4 * EDGE), data_location=1)
    assert cut(model(twice, away)).spans == {}


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data: bytes) -> None:
    try:
        found = cut(data)
    except NotWireFormat:
        return
    assert len(found.data) <= len(data) + 20
    assert found.spans == {}


@pytest.mark.parametrize("data", [b"\x3a\xff", b"\x3a\x05ab", b"\x0b", b"\x80" * 11, b"\x3a\x80"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(NotWireFormat):
        cut(data)


def test_too_much_structure_is_refused_before_it_is_held() -> None:
    data = model(*(numpy_helper.from_array(np.zeros(100, np.int8), f"w{k}") for k in range(20)))
    assert cut(data, len(data), 100).spans == {}
    with pytest.raises(TooLarge):
        cut(data, 1000, 100)
    with pytest.raises(TooLarge):
        cut(data, len(data), 10)
