"""ONNX -> IR -> ONNX changes nothing: attributes of every kind, bodies, names, whole exported models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from cimc.errors import CimcError, PassError
from cimc.frontend.export_graph import export_function, export_host, export_module
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import run_onnx
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx_ir
from cimc.ir.onnx.attributes import (
    array_from_dense,
    attribute_from_onnx,
    attribute_to_onnx,
    body_names,
    dense_from_array,
)
from cimc.ir.onnx.dialect import InitializerOp, NodeOp
from cimc.ir.tensor_store import TensorStore
from cimc.ir.text import new_context, parse_ir, print_ir
from cimc.ir.types import tensor
from tests.conftest import CORPUS

MODELS = sorted(CORPUS.glob("*.onnx"))
OPSET = {"": 17}


def imported(path: Path) -> tuple[ModuleOp, CompilerContext]:
    ctx = new_context()
    return import_model(load_model(path), ctx), ctx


@pytest.mark.skipif(not MODELS, reason="the corpus of exported models is not here")
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_exported_models_survive_the_round_trip(path: Path) -> None:
    module, ctx = imported(path)
    arrays = np.load(path.with_suffix(".npz"))
    inputs = {key[4:]: arrays[key] for key in arrays if key.startswith("in__")}
    expected = {key[5:]: arrays[key] for key in arrays if key.startswith("out__")}
    actual = run_onnx(export_module(module, ctx), inputs)
    assert list(actual) == [o.name for o in onnx.load(path, load_external_data=False).graph.output]
    assert expected
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        np.testing.assert_allclose(actual[name], array, rtol=1e-6, atol=1e-6)


ATTRIBUTES = [
    helper.make_attribute("a", -(2**63)),
    helper.make_attribute("a", 0.1),
    helper.make_attribute("a", float("inf")),
    helper.make_attribute("a", "text"),
    helper.make_attribute("a", b"\xff\x00"),
    helper.make_attribute("a", [1, -2, 2**62]),
    helper.make_attribute("a", [0.5, -0.0]),
    helper.make_attribute("a", ["x", b"\xff"]),
    helper.make_attribute("a", [], attr_type=onnx.AttributeProto.INTS),
    helper.make_attribute("a", [], attr_type=onnx.AttributeProto.FLOATS),
    helper.make_attribute("a", [], attr_type=onnx.AttributeProto.STRINGS),
    helper.make_attribute("a", numpy_helper.from_array(np.array([1, 2], np.int16))),
    helper.make_attribute("a", numpy_helper.from_array(np.arange(500, dtype=np.float32), "big")),
    helper.make_attribute("a", helper.make_tensor("s", TensorProto.STRING, [2], [b"x", b"\xff"])),
    helper.make_attribute(
        "a", [numpy_helper.from_array(np.float32(1)), numpy_helper.from_array(np.int64(2))]
    ),
    helper.make_attribute("a", helper.make_tensor_type_proto(TensorProto.STRING, [2, "n"])),
]


@pytest.mark.parametrize("proto", ATTRIBUTES, ids=lambda a: onnx.AttributeProto.AttributeType.Name(a.type))
def test_attributes_round_trip_also_through_text(proto: onnx.AttributeProto) -> None:
    ctx = new_context()
    attr = attribute_from_onnx(proto, ctx.store)
    node = NodeOp("Some", [], [tensor([1])], {"a": attr})
    module = ModuleOp([FuncOp("main", ([], []), Region(Block([node, ReturnOp()])))])
    text = print_ir(module)
    again = next(op for op in parse_ir(text, ctx).walk() if isinstance(op, NodeOp)).attribute("a")
    assert again == attr
    assert again is not None
    back = attribute_to_onnx("a", again, ctx.store)
    for tensor_proto in (proto.t, back.t, *proto.tensors, *back.tensors):
        tensor_proto.ClearField("name")
    assert back == proto


@given(
    st.sampled_from(["float32", "float64", "float16", "int8", "uint8", "int32", "int64", "uint64", "bool"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.binary(min_size=512, max_size=512),
)
@settings(deadline=None, max_examples=80)
def test_dense_attributes_keep_every_bit(dtype: str, dims: list[int], raw: bytes) -> None:
    array = np.frombuffer(raw, "uint8" if dtype == "bool" else dtype)[: int(np.prod(dims))].reshape(dims)
    if dtype == "bool":
        array = array > 100
    back = array_from_dense(dense_from_array(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_bodies_of_unknown_operators_keep_their_names() -> None:
    assert body_names("If", "", ["else_branch", "then_branch"]) == (("then_branch", "else_branch"), False)
    assert body_names("Twice", "my.domain", ["b", "a"]) == (("b", "a"), True)


def test_outputs_that_no_node_computes_are_passed_through(tmp_path: Path) -> None:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "y", "w")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [3, 4])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", infos[:1], infos, [weight])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    module, ctx = imported(path)
    x = np.array([1, -2], np.float32)
    results = run_onnx(export_module(module, ctx), {"x": x})
    assert list(results) == ["x", "y", "w"]
    np.testing.assert_array_equal(results["x"], x)
    np.testing.assert_array_equal(results["y"], -x)
    np.testing.assert_array_equal(results["w"], [3, 4])


def test_weights_shared_by_symbol_are_written_once() -> None:
    ctx = new_context()
    ctx.store.add("w", np.ones((100, 2), np.float32))
    type_ = tensor([100, 2])
    first, second = InitializerOp("w", type_), InitializerOp("w", type_)
    add = NodeOp("Add", [first.output, second.output], [type_])
    block = Block([first, second, add])
    model = export_function([], block.ops, [("y", add.outputs[0])], ctx.store, OPSET)
    assert len(model.graph.initializer) == 1
    np.testing.assert_array_equal(run_onnx(model, {})["y"], np.full((100, 2), 2, np.float32))


def test_a_host_segment_becomes_a_model_of_its_own() -> None:
    ctx = new_context()
    inner = Block(arg_types=[tensor([-1, 2])])
    node = NodeOp("Neg", [inner.args[0]], [tensor([-1, 2])])
    inner.add_ops([node, rec.YieldOp([node.outputs[0], inner.args[0]])])
    outer = Block(arg_types=[tensor([-1, 2])])
    host = rec.HostOp([outer.args[0]], [tensor([-1, 2])] * 2, Region(inner))
    outer.add_op(host)
    model = export_host(host, ctx, OPSET)
    assert [i.name for i in model.graph.input] == ["in0"]
    x = np.array([[1, 2], [3, 4]], np.float32)
    results = run_onnx(model, {"in0": x})
    assert list(results) == ["out0", "out1"]
    np.testing.assert_array_equal(results["out0"], -x)
    np.testing.assert_array_equal(results["out1"], x)


def test_what_is_not_onnx_is_refused() -> None:
    block = Block(arg_types=[tensor([2, 3])])
    op = rec.UnaryOp("relu", block.args[0])
    block.add_op(op)
    with pytest.raises(PassError) as caught:
        export_function([("x", block.args[0])], block.ops, [("y", op.result)], TensorStore(), OPSET)
    assert caught.value.code == "export.not-onnx"
    node = NodeOp("Neg", [block.args[0]], [tensor([2, 3])])
    with pytest.raises(PassError) as caught:
        export_function([], [node], [("y", node.outputs[0])], TensorStore(), OPSET)
    assert caught.value.code == "export.undefined"
    opaque = Block(arg_types=[onnx_ir.OpaqueType()])
    with pytest.raises(CimcError) as unknown:
        export_function([("x", opaque.args[0])], [], [("y", opaque.args[0])], TensorStore(), OPSET)
    assert unknown.value.code == "export.untyped-input"
