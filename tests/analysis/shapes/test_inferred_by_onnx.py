"""Names of extents that ONNX's inference hands on behind operators without a rule."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from cimc.analysis.shapes.inferred_by_onnx import symbolic_extents
from tests.transforms.recognise.fusing import model


def test_a_name_is_handed_on_by_operators_without_a_rule() -> None:
    proto = model("m (float[B, 4, 5, 5] x) => (float[] y) { h = LRN<size = 3>(x)\n y = Relu(h) }")
    assert symbolic_extents(proto) == {"h": ["B", "4", "5", "5"]}  # of Relu there is a rule


def test_models_of_fixed_extents_or_of_rules_alone_are_not_asked() -> None:
    fixed = model("m (float[2, 4, 5, 5] x) => (float[] y) { y = LRN<size = 3>(x) }")
    known = model("m (float[B, 4] x) => (float[] y) { y = Relu(x) }")
    assert symbolic_extents(fixed) == {}
    assert symbolic_extents(known) == {}


def test_what_the_file_states_of_inner_values_is_not_taken_over() -> None:
    proto = model("m (float[B, 4, 5, 5] x) => (float[] y) { y = LRN<size = 3>(x) }")
    stated = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["wrong", 9, 9, 9])
    proto.graph.output[0].CopyFrom(stated)
    assert symbolic_extents(proto) == {"y": ["B", "4", "5", "5"]}
    assert proto.graph.output[0] == stated  # the file is as it was


def test_weights_in_other_files_are_known_by_their_shape() -> None:
    proto = model("m (uint8[B, 4] x) => (int32[] y) { y = MatMulInteger(x, w) }")
    weight = onnx.numpy_helper.from_array(np.zeros((4, 3), np.uint8), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    proto.graph.initializer.append(weight)
    assert symbolic_extents(proto) == {"y": ["B", "3"]}


def test_extents_that_are_no_name_of_an_input_are_left_open() -> None:
    proto = model("m (int64[B, 3] x) => (int64[] y, int64[] n) { y, i, j, n = Unique(x) }")
    assert symbolic_extents(proto) == {}


def test_a_model_that_inference_refuses_says_nothing() -> None:
    proto = model("m (float[B, 4, 5, 5] x) => (float[] y) { a = LRN<size = 3>(x)\n y = MatMul(a, w) }")
    proto.graph.node[0].op_type = "NoSuchOperator"
    assert symbolic_extents(proto) == {}
