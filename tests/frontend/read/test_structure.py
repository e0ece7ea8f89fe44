"""The structure of a model, judged in plain Python: order, names, functions, limits."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from cimc.errors import ModelError
from cimc.frontend.read.structure import StructureCheck, domain_of, node_name
from cimc.support.limits import Limits
from tests.transforms.recognise.fusing import model


def check(proto: onnx.ModelProto, **limits: int) -> StructureCheck:
    return StructureCheck(proto, "m.onnx", Limits(**limits))  # type: ignore[arg-type]


def code(run: object) -> str:
    with pytest.raises(ModelError) as caught:
        run()  # type: ignore[operator]
    assert caught.value.location is not None
    assert caught.value.location.file == "m.onnx"
    return caught.value.code.removeprefix("frontend.")


def chain(order: list[int]) -> onnx.ModelProto:
    """``y = Relu(Relu(... x))`` with its nodes in another order."""
    nodes = [helper.make_node("Relu", [f"v{k}"], [f"v{k + 1}"]) for k in range(len(order))]
    proto = model(f"m (float[B] v0) => (float[B] v{len(order)}) {{ }}")
    proto.graph.node.extend(nodes[k] for k in order)
    return proto


@given(st.permutations(range(6)))
def test_nodes_are_brought_into_order(order: list[int]) -> None:
    proto = chain(order)
    check(proto).data_flow()
    assert [n.input[0] for n in proto.graph.node] == [f"v{k}" for k in range(6)]


def test_sorting_is_stable() -> None:
    proto = model("m (float[B] x) => (float[B] y) { y = Add(a, b)\n b = Neg(x)\n a = Relu(x) }")
    check(proto).data_flow()
    assert [n.op_type for n in proto.graph.node] == ["Neg", "Relu", "Add"]
    kept = model("m (float[B] x) => (float[B] y) { b = Neg(x)\n a = Relu(x)\n y = Add(a, b) }")
    check(kept).data_flow()
    assert [n.op_type for n in kept.graph.node] == ["Neg", "Relu", "Add"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = Add(x, b)\n b = Neg(a)\n y = Neg(b)", "cycle"),
        ("a = Neg(a)\n y = Neg(x)", "cycle"),
        ("y = Neg(x)\n y = Relu(x)", "duplicate-name"),
        ("x = Neg(x)\n y = Neg(x)", "duplicate-name"),
        ("y = Add(x, nowhere)", "missing-value"),
        ("a = Neg(x)", "missing-value"),
        ("y = Clip(x, , x)", ""),
    ],
)
def test_every_value_has_one_definition(body: str, expected: str) -> None:
    made = check(model(f"m (float[B] x) => (float[B] y) {{ {body} }}"))
    if expected:
        assert code(made.data_flow) == expected
    else:
        made.data_flow()


def test_bodies_see_what_is_around_them_and_hide_what_is_in_them() -> None:
    text = (
        "m (float[B] x, bool c) => (float[B] y) {{ o = Neg(x)\n y = If<"
        "then_branch = t () => (float[B] p) {{ p = Relu({}) }},"
        "else_branch = e () => (float[B] q) {{ q = Neg(x) }}>(c) }}"
    )
    check(model(text.format("o"))).data_flow()
    assert code(check(model(text.format("q"))).data_flow) == "missing-value"


def test_a_body_that_needs_a_later_node_moves_behind_it() -> None:
    text = (
        "m (float[B] x, bool c) => (float[B] y) { y = If<"
        "then_branch = t () => (float[B] p) { p = Relu(o) },"
        "else_branch = e () => (float[B] q) { q = Neg(x) }>(c)\n o = Neg(x) }"
    )
    proto = model(text)
    check(proto).data_flow()
    assert [n.op_type for n in proto.graph.node] == ["Neg", "If"]


# -- functions -----------------------------------------------------------------------------------


def functions(**bodies: list[str]) -> onnx.ModelProto:
    """Each function calls those that its list names; the graph calls ``f``."""
    proto = model("m (float[B] x) => (float[B] y) { }")
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
    for name, calls in bodies.items():
        names = ["a", *(f"v{k}" for k in range(len(calls)))]
        nodes = [
            helper.make_node(c, [names[k]], [names[k + 1]], domain="" if c == "Relu" else "d")
            for k, c in enumerate(calls)
        ]
        proto.functions.append(helper.make_function("d", name, ["a"], [names[-1]], nodes, opset))
    proto.graph.node.append(helper.make_node("f", ["x"], ["y"], domain="d"))
    return proto


def test_functions_that_the_graph_reaches() -> None:
    proto = functions(f=["g", "Relu"], g=["Relu"], h=["Relu"])
    assert check(proto).functions() == {("d", "f", ""), ("d", "g", "")}
    assert check(model("m (float[B] x) => (float[B] y) { y = Relu(x) }")).functions() == set()


def test_functions_that_call_themselves() -> None:
    assert code(check(functions(f=["g"], g=["f"])).functions) == "recursive-function"


def test_what_doubles_at_every_level_is_counted_not_expanded() -> None:
    levels = {f"f{k}": [f"f{k + 1}"] * 2 for k in range(200)}
    proto = functions(f=["f0"], **levels, f200=["Relu"])
    assert code(check(proto).functions) == "function-bomb"


def test_chains_of_calls_are_limited() -> None:
    proto = functions(f=["g"], g=["h"], h=["Relu"])
    assert check(proto, call_depth=3).functions()
    assert code(check(proto, call_depth=2).functions) == "function-bomb"


def test_a_function_defined_twice() -> None:
    proto = functions(f=["Relu"])
    proto.functions.append(proto.functions[0])
    assert code(check(proto).functions) == "duplicate-name"


# -- limits --------------------------------------------------------------------------------------


def test_counts_are_limited() -> None:
    proto = chain(list(range(6)))
    check(proto, nodes=6).counts_and_names()
    assert code(check(proto, nodes=5).counts_and_names) == "too-many-nodes"
    assert code(check(proto, values=12).counts_and_names) == "too-many-nodes"
    assert code(check(proto, name_chars=1).counts_and_names) == "name-too-long"


def test_names_that_are_no_text_are_refused() -> None:
    text = model("m (float[B] x) => (float[B] y) { y = Relu(zz) }").SerializeToString()
    proto = onnx.ModelProto.FromString(text.replace(b"zz", b"\xff\xfe"))
    assert code(check(proto).counts_and_names) == "bad-name"


def test_how_messages_call_things() -> None:
    assert domain_of("ai.onnx") == ""
    assert domain_of("com.microsoft") == "com.microsoft"
    assert node_name(helper.make_node("Relu", ["x"], ["y"])) == "Relu:y"
    assert node_name(helper.make_node("Relu", ["x"], ["y"], name="mine\x1b")) != "mine\x1b"
