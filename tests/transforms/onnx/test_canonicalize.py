"""Canonicalisation: every rule on the smallest model that shows it, and results kept bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.frontend.export_graph import export_module
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import HostRunner, run_onnx
from cimc.ir.context import CompilerContext
from cimc.ir.onnx.dialect import ConstantOp, InitializerOp, NodeOp, name_of
from cimc.ir.text import new_context, print_ir, verify_ir
from cimc.transforms.onnx.canonicalize import Canonicalize
from tests.conftest import CORPUS

MODELS = sorted(CORPUS.glob("*.onnx"))
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node


def canonical(path: Path, pass_: Canonicalize | None = None) -> tuple[ModuleOp, CompilerContext]:
    ctx = new_context()
    module = import_model(load_model(path), ctx)
    (pass_ or Canonicalize()).apply(ctx, module)
    verify_ir(module, "after canonicalize")
    return module, ctx


class Case:
    """A small model: input ``x`` float[n, 2, 3], output ``y``; initialisers from arrays."""

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[onnx.NodeProto],
        opset: int = 17,
        dims: Sequence[int | str] = ("n", 2, 3),
        **weights: object,
    ) -> None:
        infos = [
            helper.make_tensor_value_info("x", FLOAT, dims),
            onnx.ValueInfoProto(name="y"),
        ]
        tensors = [numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()]
        graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], tensors)
        imports = [helper.make_opsetid("", opset)]
        self.path = folder / "m.onnx"
        self.model = helper.make_model(graph, opset_imports=imports, ir_version=8)
        self.model.graph.output[0].type.tensor_type.SetInParent()
        inferred = onnx.shape_inference.infer_shapes(self.model)
        self.model.graph.output[0].CopyFrom(inferred.graph.output[0])
        onnx.save(self.model, self.path)

    def run(self, pass_: Canonicalize | None = None) -> tuple[list[str], dict[str, int], ModuleOp]:
        """Canonicalise: the node kinds left, the rules applied, the module; results are the same bytes."""
        module, ctx = canonical(self.path, pass_)
        x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
        plain = HostRunner(optimise=False)
        before, after = plain.run(self.path, {"x": x}), plain.run(export_module(module, ctx), {"x": x})
        assert before["y"].dtype == after["y"].dtype
        assert before["y"].shape == after["y"].shape
        assert before["y"].tobytes() == after["y"].tobytes()
        kinds = [op.kind for op in module.walk() if isinstance(op, NodeOp)]
        return kinds, ctx.remarks.simplification.applied, module


I64 = np.int64


@pytest.mark.parametrize(
    ("rule", "nodes", "weights", "left"),
    [
        (
            "remove-identity",
            [node("Identity", ["x"], ["a"]), node("Identity", ["a"], ["b"]), node("Neg", ["b"], ["y"])],
            {},
            ["Neg"],
        ),
        ("remove-identity", [node("Identity", ["x"], ["y"])], {}, []),
        ("remove-dropout", [node("Dropout", ["x"], ["a"]), node("Neg", ["a"], ["y"])], {}, ["Neg"]),
        (
            "remove-dropout",
            [node("Dropout", ["x", "r", "t"], ["a", "mask"]), node("Neg", ["a"], ["y"])],
            {"r": np.float32(0.5), "t": np.False_},
            ["Neg"],
        ),
        ("remove-single-concat", [node("Concat", ["x"], ["y"], axis=1)], {}, []),
        (
            "castlike-to-cast",
            [node("CastLike", ["x", "k"], ["y"])],
            {"k": np.zeros(3, I64)},
            ["Cast"],
        ),
        ("castlike-to-cast", [node("CastLike", ["x", "x"], ["a"]), node("Neg", ["a"], ["y"])], {}, ["Neg"]),
        ("remove-cast", [node("Cast", ["x"], ["a"], to=FLOAT), node("Neg", ["a"], ["y"])], {}, ["Neg"]),
        (
            "merge-reshapes",
            [node("Reshape", ["x", "s"], ["a"]), node("Reshape", ["a", "t"], ["y"])],
            {"s": np.array([0, -1], I64), "t": np.array([-1, 3], I64)},
            ["Reshape"],
        ),
        (
            "merge-reshapes",
            [node("Unsqueeze", ["x", "s"], ["a"]), node("Reshape", ["a", "t"], ["y"])],
            {"s": np.array([1], I64), "t": np.array([-1, 6], I64)},
            ["Reshape"],
        ),
        (
            "merge-transposes",
            [node("Transpose", ["x"], ["a"], perm=[1, 2, 0]), node("Transpose", ["a"], ["y"])],
            {},
            ["Transpose"],
        ),
        (
            "remove-transpose",
            [
                node("Transpose", ["x"], ["a"], perm=[1, 2, 0]),
                node("Transpose", ["a"], ["b"], perm=[2, 0, 1]),
                node("Neg", ["b"], ["y"]),
            ],
            {},
            ["Neg"],
        ),
        (
            "squeeze-of-unsqueeze",
            [
                node("Unsqueeze", ["x", "a"], ["b"]),
                node("Squeeze", ["b", "a"], ["c"]),
                node("Neg", ["c"], ["y"]),
            ],
            {"a": np.array([-1], I64)},
            ["Neg"],
        ),
        (
            "fold-constants",
            [node("Unsqueeze", ["w", "a"], ["b"]), node("Neg", ["b"], ["c"]), node("Add", ["x", "c"], ["y"])],
            {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([0], I64)},
            ["Add"],
        ),
        (
            "fold-constants",
            [
                node("Div", ["p", "q"], ["a"]),
                node("Mod", ["p", "q"], ["b"]),
                node("Add", ["a", "b"], ["c"]),
                node("Cast", ["c"], ["d"], to=FLOAT),
                node("Add", ["x", "d"], ["y"]),
            ],
            {"p": np.array([-7, 7, -6], I64), "q": np.array([2, -2, 4], I64)},
            ["Add"],
        ),
        (
            "fold-shape",
            [node("Shape", ["w"], ["a"]), node("Expand", ["x", "a"], ["y"])],
            {"w": np.zeros((4, 2, 3), np.float32)},
            ["Expand"],
        ),
        (
            "merge-equal",
            [node("Neg", ["x"], ["a"]), node("Neg", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])],
            {},
            ["Neg", "Add"],
        ),
        (
            "remove-unused",
            [node("Neg", ["x"], ["a"]), node("Exp", ["a"], ["b"]), node("Abs", ["x"], ["y"])],
            {},
            ["Abs"],
        ),
    ],
)
def test_each_rule(
    tmp_path: Path,
    rule: str,
    nodes: list[onnx.NodeProto],
    weights: dict[str, object],
    left: list[str],
) -> None:
    kinds, applied, _ = Case(tmp_path, nodes, **weights).run()
    assert kinds == left
    assert applied[rule] >= 1


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        # A zero in the target copies an extent of the input, which differs between the two.
        (
            [node("Reshape", ["x", "s"], ["a"]), node("Reshape", ["a", "t"], ["y"])],
            {"s": np.array([-1, 2], I64), "t": np.array([0, 1, 2], I64)},
        ),
        ([node("Cast", ["x"], ["y"], to=INT64)], {}),
        # Not opposites: one adds two axes, the other removes one of them.
        (
            [node("Unsqueeze", ["x", "a"], ["b"]), node("Squeeze", ["b", "c"], ["y"])],
            {"a": np.array([0, 1], I64), "c": np.array([0], I64)},
        ),
        # The batch is only known when it runs.
        ([node("Shape", ["x"], ["y"])], {}),
        ([node("Neg", ["x"], ["a"]), node("Neg", ["a"], ["y"])], {}),
        (
            [node("Dropout", ["x", "", "t"], ["a", "m"]), node("Cast", ["m"], ["y"], to=FLOAT)],
            {"t": np.False_},
        ),
    ],
)
def test_what_only_looks_like_it_stays(
    tmp_path: Path, nodes: list[onnx.NodeProto], weights: dict[str, object]
) -> None:
    kinds, _, _ = Case(tmp_path, nodes, **weights).run()
    assert kinds == [n.op_type for n in nodes]


def test_random_nodes_are_neither_merged_nor_folded(tmp_path: Path) -> None:
    nodes = [
        node("RandomNormalLike", ["w"], ["a"]),
        node("RandomNormalLike", ["w"], ["b"]),
        node("Sub", ["a", "b"], ["c"]),
        node("Add", ["x", "c"], ["y"]),
    ]
    case = Case(tmp_path, nodes, w=np.zeros((2, 3), np.float32))
    module, _ = canonical(case.path)
    assert [op.kind for op in module.walk() if isinstance(op, NodeOp)] == [n.op_type for n in nodes]


def test_an_input_with_fixed_extents_has_a_known_shape(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"], start=1),
        node("Size", ["x"], ["t"]),
        node("Concat", ["s", "u"], ["v"], axis=0),
        node("Reshape", ["x", "v"], ["y"]),
        node("Neg", ["t"], ["unused"]),
    ]
    case = Case(tmp_path, nodes, dims=(4, 2, 3), u=np.array([-1], I64))
    kinds, applied, _ = case.run()
    assert kinds == ["Reshape"]
    assert applied["fold-shape"] == 2


def test_a_lying_intermediate_shape_is_not_believed(tmp_path: Path) -> None:
    nodes = [node("Neg", ["x"], ["a"]), node("Shape", ["a"], ["s"]), node("Expand", ["x", "s"], ["y"])]
    case = Case(tmp_path, nodes)
    case.model.graph.value_info.append(helper.make_tensor_value_info("a", FLOAT, [1, 2, 3]))
    onnx.save(case.model, case.path)
    assert case.run()[0] == ["Neg", "Shape", "Expand"]


def test_rules_reach_into_bodies_and_constant_ifs_are_inlined(tmp_path: Path) -> None:
    def branch(name: str, kind: str) -> onnx.GraphProto:
        info = helper.make_tensor_value_info(name, FLOAT, None)
        inner = [
            node("Identity", ["k"], [f"{name}1"]),
            node("Neg", [f"{name}1"], [f"{name}2"]),
            node("CastLike", ["x", f"{name}2"], [f"{name}3"]),
            node(kind, [f"{name}3"], [name]),
        ]
        return helper.make_graph(inner, name, [], [info])

    choose = node("If", ["c"], ["y"], then_branch=branch("t", "Exp"), else_branch=branch("e", "Abs"))
    weights = {"k": np.ones(2, np.float32)}
    kinds, applied, _ = Case(tmp_path, [choose], c=np.False_, **weights).run()
    assert kinds == ["Abs"]
    assert applied["inline-constant-if"] == 1
    dynamic = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["c"]),
        choose,
    ]
    kinds, _, _ = Case(tmp_path, dynamic, zero=np.float32(0), **weights).run()
    assert kinds == ["ReduceMax", "Greater", "If", "Exp", "Abs"]


def test_rewritten_nodes_keep_the_name_of_their_origin(tmp_path: Path) -> None:
    nodes = [
        node("Neg", ["w"], ["a"], name="fold me"),
        node("CastLike", ["x", "k"], ["b"], name="like"),
        node("Cast", ["b"], ["c"], to=FLOAT),
        node("Add", ["a", "c"], ["y"]),
    ]
    case = Case(tmp_path, nodes, w=np.ones((2, 3), np.float32), k=np.zeros(1, I64))
    _, _, module = case.run()
    names = {op.kind if isinstance(op, NodeOp) else op.name: name_of(op) for op in module.walk()}
    assert names["onnx.constant"] == "fold me"
    assert "like" in {name_of(op) for op in module.walk() if isinstance(op, NodeOp)}


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([node("ConstantOfShape", ["s"], ["a"])], {"s": np.array([2**20, 2**20], I64)}),
        ([node("Expand", ["one", "s"], ["a"])], {"s": np.array([2**31, 2**31], I64), "one": np.ones(1)}),
        ([node("Tile", ["one", "s"], ["a"])], {"s": np.array([2**40], I64), "one": np.ones(1)}),
        (
            [node("Range", ["z", "s", "d"], ["a"])],
            {"s": np.array(2**50, I64), "z": np.array(0, I64), "d": np.array(1, I64)},
        ),
        ([node("Neg", ["big"], ["a"])], {"big": np.zeros(5000, np.float32)}),
    ],
)
def test_large_results_are_not_folded(
    tmp_path: Path, nodes: list[onnx.NodeProto], weights: dict[str, object]
) -> None:
    case = Case(
        tmp_path, [*nodes, node("Shape", ["a"], ["b"]), node("Cast", ["b"], ["y"], to=FLOAT)], **weights
    )
    module, _ = canonical(case.path, Canonicalize(max_fold=4096))
    assert next(op.kind for op in module.walk() if isinstance(op, NodeOp)) == nodes[0].op_type


def test_doubling_constants_stop_at_the_cap(tmp_path: Path) -> None:
    nodes = [node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(40)]
    nodes += [node("Shape", ["c40"], ["s"]), node("Expand", ["x", "s"], ["y"])]
    case = Case(tmp_path, nodes, c0=np.ones(1, np.float32))
    module, ctx = canonical(case.path, Canonicalize(max_fold=1000))
    assert ctx.remarks.simplification.applied["fold-constants"] == 9
    arrays = [
        ctx.store[op.symbol.root_reference.data] for op in module.walk() if isinstance(op, InitializerOp)
    ]
    assert max(a.size for a in arrays) <= 1000


def test_endless_chains_of_constants_are_folded_up_to_a_depth_that_is_told(tmp_path: Path) -> None:
    nodes = [node("Neg", [f"c{i}"], [f"c{i + 1}"]) for i in range(100)]
    case = Case(tmp_path, [*nodes, node("Add", ["x", "c100"], ["y"])], c0=np.ones(3, np.float32))
    module, ctx = canonical(case.path)
    assert [op.kind for op in module.walk() if isinstance(op, NodeOp)] == ["Neg"] * 36 + ["Add"]
    assert any("chain of 64" in note for note in ctx.notes)


def test_a_node_that_cannot_run_is_left_and_the_others_are_folded(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["w", "bad"], ["a"]),
        node("Neg", ["w"], ["b"]),
        node("Add", ["x", "b"], ["c"]),
        node("Sub", ["c", "a"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, FLOAT, None) for n in ("x", "y")]
    weights = {"w": np.ones((2, 3), np.float32), "bad": np.array([5, 7], I64)}
    tensors = [numpy_helper.from_array(w, name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], tensors)
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    module, ctx = canonical(path)
    assert [op.kind for op in module.walk() if isinstance(op, NodeOp)] == ["Reshape", "Add", "Sub"]
    assert ctx.remarks.simplification.applied["fold-constants"] == 1


def test_small_results_stand_in_the_text_and_large_ones_in_the_store(tmp_path: Path) -> None:
    for size, kind in ((64, ConstantOp), (65, InitializerOp)):
        nodes = [node("Neg", ["w"], ["a"]), node("ReduceMax", ["x"], ["m"]), node("Add", ["a", "m"], ["y"])]
        _, _, module = Case(tmp_path, nodes, w=np.ones((1, 1, size), np.float32)).run()
        assert [type(op) for op in module.walk() if isinstance(op, ConstantOp | InitializerOp)] == [kind]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    nodes = [node("Neg", ["w"], ["a"]), node("Identity", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])]
    module, ctx = canonical(Case(tmp_path, nodes, w=np.ones((2, 3), np.float32)).path)
    text = print_ir(module)
    Canonicalize().apply(ctx, module)
    assert print_ir(module) == text
    assert ctx.remarks.simplification.applied == {}


def test_a_plain_context_is_refused() -> None:
    with pytest.raises(PassError) as caught:
        Canonicalize().apply(Context(), ModuleOp([]))
    assert caught.value.code == "pass.needs-context"


@pytest.mark.skipif(not MODELS, reason="the corpus of exported models is not here")
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_exported_models_keep_their_results(path: Path) -> None:
    module, ctx = canonical(path)
    arrays = np.load(path.with_suffix(".npz"))
    inputs = {key[4:]: arrays[key] for key in arrays if key.startswith("in__")}
    expected = {key[5:]: arrays[key] for key in arrays if key.startswith("out__")}
    actual = run_onnx(export_module(module, ctx), inputs)
    assert expected
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        np.testing.assert_allclose(actual[name], array, rtol=1e-6, atol=1e-6)
    kinds = {op.kind for op in module.walk() if isinstance(op, NodeOp)}
    assert not kinds & {"Identity", "CastLike", "Dropout"}
