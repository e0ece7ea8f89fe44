"""ONNX to the ``onnx`` dialect: one operation per node, weights in the store, bodies as regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import ArrayAttr, StringAttr

from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.interpreter.evaluate import main_function
from cimc.ir.onnx.dialect import ConstantOp, InitializerOp, NodeOp, NoneOp, YieldOp, name_of
from cimc.ir.text import new_context, parse_ir, print_ir
from cimc.ir.types import OpaqueType
from tests.transforms.recognise.fusing import floats, imported, model


def test_nodes_constants_and_attributes_of_the_function() -> None:
    module, ctx = imported(
        model(
            "m (float[B, 3] x, int64[4] z) => (float[B, 30] y) { h = MatMul(x, big)\n y = Add(h, small) }",
            {"big": floats(3, 30), "small": np.float32(2)},
        )
    )
    function = main_function(module)
    big, small, *nodes, _ = function.body.block.ops
    assert isinstance(big, InitializerOp)
    assert isinstance(small, ConstantOp)
    assert [n.kind for n in nodes if isinstance(n, NodeOp)] == ["MatMul", "Add"]
    assert name_of(nodes[0]) == "MatMul:h"
    assert name_of(big) == "big"
    np.testing.assert_array_equal(ctx.store["big"], floats(3, 30))
    assert list(ctx.store) == ["big"]
    assert [str(a.type) for a in function.body.block.args] == ["tensor<?x3xf32>", "tensor<4xi64>"]
    assert str(nodes[1].results[0].type) == "tensor<?x30xf32>"

    def texts(key: str) -> list[str]:
        attr = function.attributes[key]
        assert isinstance(attr, ArrayAttr)
        return [str(a) for a in attr]

    assert texts("onnx.inputs") == ['"x"', '"z"']
    assert texts("onnx.outputs") == ['"y"']
    assert texts("onnx.dims") == ['["B", "3"]', '["4"]']
    assert module.attributes["onnx.opset"] == ArrayAttr([StringAttr(":18")])


def test_inputs_that_are_initialisers_are_constants() -> None:
    proto = model("m (float[B, 3] x, float[3] b) => (float[B, 3] y) { y = Add(x, b) }", {"b": floats(3)})
    module, _ = imported(proto)
    function = main_function(module)
    assert len(function.body.block.args) == 1
    assert isinstance(function.body.block.first_op, ConstantOp)


def test_extent_zero_of_an_input_means_dynamic() -> None:
    module, _ = imported(model("m (float[0, 3] x) => (float[0, 3] y) { y = Relu(x) }"))
    assert str(main_function(module).body.block.args[0].type) == "tensor<?x3xf32>"


def test_absent_inputs_and_outputs() -> None:
    module, _ = imported(model("m (float[B] x, float hi) => (float[B] y) { y = Clip(x, , hi) }"))
    none, clip, _ = main_function(module).body.block.ops
    assert isinstance(none, NoneOp)
    assert clip.operands[1] is none.output


def test_bodies_use_outer_values_and_end_in_yield() -> None:
    module, ctx = imported(
        model(
            """m (float[B, 3] x, bool c) => (float[B, 3] y) {
                y = If(c) <
                    else_branch = e () => (float[B, 3] b) { b = Neg(x) },
                    then_branch = t () => (float[B, 3] a) { a = Relu(x) }
                >
            }"""
        )
    )
    function = main_function(module)
    branch, _ = function.body.block.ops
    assert isinstance(branch, NodeOp)
    then, other = (list(region.block.ops) for region in branch.bodies)
    assert isinstance(then[0], NodeOp)
    assert isinstance(other[0], NodeOp)
    assert (then[0].kind, other[0].kind) == ("Relu", "Neg")
    assert then[0].inputs[0] is function.body.block.args[0]
    assert isinstance(then[-1], YieldOp)
    text = print_ir(module)
    assert print_ir(parse_ir(text, ctx)) == text


def test_functions_are_inlined() -> None:
    function = helper.make_function(
        "my",
        "twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    graph = helper.make_graph(
        [helper.make_node("twice", ["x"], ["y"], domain="my")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B"])],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("my", 1)]
    proto = helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=8)
    module, _ = imported(proto)
    kinds = [o.kind for o in main_function(module).body.block.ops if isinstance(o, NodeOp)]
    assert "Add" in kinds
    assert "my.twice" not in kinds


def test_strings_and_sequences_are_opaque() -> None:
    graph = helper.make_graph(
        [
            helper.make_node(
                "Constant", [], ["s"], value=numpy_helper.from_array(np.array(["a", "b"], object))
            ),
            helper.make_node("SequenceConstruct", ["x", "x"], ["q"]),
            helper.make_node("SequenceLength", ["q"], ["n"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B"])],
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("s", TensorProto.STRING, [2]),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    module, _ = imported(proto)
    kinds = {o.kind: o for o in main_function(module).body.block.ops if isinstance(o, NodeOp)}
    assert isinstance(kinds["Constant"].results[0].type, OpaqueType)
    assert isinstance(kinds["SequenceConstruct"].results[0].type, OpaqueType)


def test_names_that_the_printer_could_confuse() -> None:
    body = "a_1 = Relu(a)\n a_1_1 = Relu(a_1)\n a_2 = Relu(a_1_1)\n y = Relu(a_2)"
    text = f"m (float[B] a) => (float[B] y) {{ {body} }}"
    module, ctx = imported(model(text))
    printed = print_ir(module)
    assert print_ir(parse_ir(printed, ctx)) == printed


def test_numbers_that_text_cannot_hold_go_to_the_store() -> None:
    infinite = np.array([-np.inf], np.float32)
    module, ctx = imported(model("m (float[B] x) => (float[B] y) { y = Max(x, c) }", {"c": infinite}))
    assert isinstance(main_function(module).body.block.first_op, InitializerOp)
    np.testing.assert_array_equal(ctx.store["c"], infinite)


def test_external_data_stays_mapped(tmp_path: Path) -> None:
    proto = model("m (float[B, 64] x) => (float[B, 64] y) { y = MatMul(x, w) }", {"w": floats(64, 64)})
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    ctx = new_context()
    import_model(load_model(path), ctx)
    array = ctx.store["w"]
    np.testing.assert_array_equal(array, floats(64, 64))
    base = array
    while base.base is not None and isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap) or not base.flags.owndata


def test_failed_shape_inference_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", fail)
    module, ctx = imported(model("m (float[B, 3] x) => (float[B, 3] y) { h = Relu(x)\n y = Neg(h) }"))
    assert ctx.notes == ["onnx shape inference failed, going on without: no"]
    relu = main_function(module).body.block.first_op
    assert relu is not None
    assert isinstance(relu.results[0].type, OpaqueType)
