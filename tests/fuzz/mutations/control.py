"""Loops without end, branches, functions that call themselves or multiply."""

from __future__ import annotations

from typing import Any

import onnx
import onnx.parser
from onnx import helper

from tests.fuzz.subject import Subject, mutation

FLOAT = onnx.TensorProto.FLOAT


def _interpose(s: Subject) -> tuple[str, str] | None:
    """Cuts a value in two: what its producer makes, and what its users take."""
    found = [n for n in s.graph.node if n.output and n.output[0]]
    if not found:
        return None
    node = s.rng.choice(found)
    name = node.output[0]
    node.output[0] = f"{name}/cut"
    return f"{name}/cut", name


@mutation
def wrap_in_loop(s: Subject) -> Any:
    """A value goes through a loop: a few iterations, very many, or without end."""
    cut = _interpose(s)
    if cut is None:
        return False
    trips = s.rng.choice([0, 1, 3, 10**9, 2**63 - 1, -1, None])
    name = "" if trips is None else "trips"
    if trips is not None:
        s.graph.initializer.append(helper.make_tensor("trips", onnx.TensorProto.INT64, [], [trips]))
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["c"], ["c2"]),
            helper.make_node(s.rng.choice(["Identity", "Neg", "Relu"]), ["v"], ["v2"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("c2", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", FLOAT, None),
        ],
    )
    s.graph.initializer.append(helper.make_tensor("go", onnx.TensorProto.BOOL, [], [True]))
    s.graph.node.append(helper.make_node("Loop", [name, "go", cut[0]], [cut[1]], body=body))
    return None


@mutation
def growing_loop(s: Subject) -> Any:
    """Every iteration doubles a value."""
    cut = _interpose(s)
    if cut is None:
        return False
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Concat", ["v", "v"], ["v2"], axis=0)],
        "body",
        [
            helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("c2", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", FLOAT, None),
        ],
    )
    s.graph.initializer.append(helper.make_tensor("go", onnx.TensorProto.BOOL, [], [True]))
    s.graph.initializer.append(
        helper.make_tensor("trips", onnx.TensorProto.INT64, [], [s.rng.choice([2, 64])])
    )
    s.graph.node.append(helper.make_node("Loop", ["trips", "go", cut[0]], [cut[1]], body=body))
    return None


@mutation
def change_loop(s: Subject) -> Any:
    """An existing loop gets another bound, or conditions that never end it."""
    node = s.node("Loop")
    if node is None or len(node.input) < 2:
        return False
    kind = s.rng.randrange(3)
    if kind == 0:
        node.input[0] = ""
    elif kind == 1:
        s.graph.initializer.append(
            helper.make_tensor("many", onnx.TensorProto.INT64, [], [s.rng.choice([0, 2**62])])
        )
        node.input[0] = "many"
    else:
        node.input[1] = ""
    return None


@mutation
def wrap_in_if(s: Subject) -> Any:
    cut = _interpose(s)
    if cut is None:
        return False
    branches = {}
    for branch in ("then_branch", "else_branch"):
        kind = s.rng.choice(["Identity", "Identity", "Neg", "Shape"])
        branches[branch] = helper.make_graph(
            [helper.make_node(kind, [cut[0]], [f"{branch}/v"])],
            branch,
            [],
            [helper.make_tensor_value_info(f"{branch}/v", FLOAT, None)],
        )
    s.graph.initializer.append(helper.make_tensor("which", onnx.TensorProto.BOOL, [], [s.rng.random() < 0.5]))
    s.graph.node.append(helper.make_node("If", ["which"], [cut[1]], **branches))
    return None


@mutation
def wrap_in_function(s: Subject) -> Any:
    """A value goes through a function: a good one, one that calls itself, or a bomb."""
    cut = _interpose(s)
    if cut is None:
        return False
    kind = s.rng.choice(["good", "recursive", "mutual", "bomb", "chain", "twice", "unknown"])
    opset = next((o.version for o in s.proto.opset_import if not o.domain), 17)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("f", 1)]

    def function(name: str, calls: list[tuple[str, str]]) -> None:
        nodes = []
        for i, (domain, op) in enumerate(calls):
            end = "y" if i == len(calls) - 1 else f"v{i + 1}"
            start = f"v{i}" if i else "x"
            nodes.append(helper.make_node(op, [start], [end], domain=domain))
        s.proto.functions.append(helper.make_function("f", name, ["x"], ["y"], nodes, imports))

    s.must_refuse = s.must_refuse or kind in ("recursive", "mutual", "bomb", "unknown")
    if kind in ("good", "twice"):
        function("f0", [("", "Identity"), ("", "Neg")])
        if kind == "twice":
            function("f0", [("", "Identity")])
            s.must_refuse = True
    elif kind == "recursive":
        function("f0", [("f", "f0")])
    elif kind == "mutual":
        function("f0", [("f", "f1")])
        function("f1", [("f", "f0")])
    elif kind == "unknown":
        function("f0", [("f", "nobody")])
    else:
        wide, long = (2, 40) if kind == "bomb" else (1, 50)
        for i in range(long):
            function(f"f{i}", [("f", f"f{i + 1}")] * wide)
        function(f"f{long}", [("", "Identity")])
    s.proto.opset_import.append(helper.make_opsetid("f", 1))
    s.graph.node.append(helper.make_node("f0", [cut[0]], [cut[1]], domain="f"))
    return None


@mutation
def nest_deeply(s: Subject) -> Any:
    cut = _interpose(s)
    if cut is None:
        return False
    depth = s.rng.choice([3, 10, 28])
    s.graph.initializer.append(helper.make_tensor("which", onnx.TensorProto.BOOL, [], [True]))
    inner = helper.make_node("Identity", [cut[0]], ["deep0"])
    for level in range(depth):
        branches = {
            b: helper.make_graph([inner], b, [], [helper.make_tensor_value_info(f"deep{level}", FLOAT, None)])
            for b in (("then_branch", "else_branch") if level < 3 else ("then_branch",))
        }
        if "else_branch" not in branches:
            branches["else_branch"] = helper.make_graph(
                [helper.make_node("Identity", [cut[0]], [f"else{level}"])],
                "e", [], [helper.make_tensor_value_info(f"else{level}", FLOAT, None)],
            )  # fmt: skip
        inner = helper.make_node("If", ["which"], [f"deep{level + 1}"], **branches)
    inner.output[0] = cut[1]
    s.graph.node.append(inner)
    return None


@mutation
def huge_constants(s: Subject) -> Any:
    """A few bytes that ask for gigabytes when they are folded or executed."""
    cut = _interpose(s)
    if cut is None:
        return False
    extent = s.rng.choice([10**5, 2**28, 2**31, 2**40, 2**62])
    s.graph.initializer.append(helper.make_tensor("extent", onnx.TensorProto.INT64, [2], [extent, 4]))
    kind = s.rng.randrange(4)
    if kind == 0:
        s.graph.node.append(helper.make_node("ConstantOfShape", ["extent"], ["huge"]))
        s.graph.node.append(helper.make_node("ReduceMax", ["huge"], ["one"], keepdims=0))
        s.graph.node.append(helper.make_node("Add", [cut[0], "one"], [cut[1]]))
    elif kind == 1:
        s.graph.node.append(helper.make_node("Expand", [cut[0], "extent"], [cut[1]]))
    elif kind == 2:
        s.graph.node.append(helper.make_node("Tile", [cut[0], "extent"], [cut[1]]))
    else:
        s.graph.node.append(helper.make_node("Reshape", [cut[0], "extent"], [cut[1]]))
    return None
