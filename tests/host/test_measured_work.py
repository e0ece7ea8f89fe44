"""MACs and looked-up values of nodes: onnxruntime and shapes count as a hand does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from cimc.host.measured_work import instrumented
from cimc.host.runtime import HostRunner, run_onnx
from cimc.ir.onnx.multiplications import Node, work_of
from cimc.remarks.host_work import HostWork
from cimc.transforms.onnx.canonicalize import Canonicalize
from tests.transforms.recognise.fusing import Arrays, imported, model, recognise

B = 3
RNG = np.random.default_rng(0)


def floats(*dims: int) -> NDArray[np.float32]:
    return RNG.normal(size=dims).astype(np.float32)


def counted(proto: onnx.ModelProto, inputs: Arrays) -> list[HostWork]:
    return instrumented(onnx.ModelProto.FromString(proto.SerializeToString())).run(inputs, HostRunner())


def total(work: list[HostWork]) -> tuple[float, float]:
    assert all(w.macs is not None and w.lookups is not None for w in work), [w.why for w in work]
    return sum(w.macs or 0 for w in work), sum(w.lookups or 0 for w in work)


def graph(body: str, inputs: str, output: str = "y", rank: str = "float[?]") -> str:
    return f"g ({inputs}) => ({rank} {output}) {{ {body} }}"


CASES: dict[str, tuple[str, str, Arrays, Arrays, tuple[int, int]]] = {
    # name: (body, inputs, weights, arrays of a batch of 3, (MACs, looked-up values) of all of it)
    "matmul": ("y = MatMul(x, w)", "float[b,4] x", {"w": floats(4, 5)}, {"x": floats(B, 4)}, (B * 20, 0)),
    "matmul of activations": (
        "y = MatMul(x, z)", "float[b,2,4] x, float[b,4,5] z", {},
        {"x": floats(B, 2, 4), "z": floats(B, 4, 5)}, (B * 2 * 4 * 5, 0),
    ),
    "vector": ("y = MatMul(x, w)", "float[b,4] x", {"w": floats(4)}, {"x": floats(B, 4)}, (B * 4, 0)),
    "gemm, transposed": (
        "y = Gemm<transA = 1, transB = 1>(x, w)", "float[4,b] x", {"w": floats(5, 4)},
        {"x": floats(4, B)}, (B * 20, 0),
    ),
    "convolution, grouped": (
        "y = Conv<group = 2>(x, w)", "float[b,4,6] x", {"w": floats(8, 2, 3)},
        {"x": floats(B, 4, 6)}, (B * 8 * 4 * 2 * 3, 0),
    ),
    "transposed convolution": (
        "y = ConvTranspose(x, w)", "float[b,4,6] x", {"w": floats(4, 2, 3)},
        {"x": floats(B, 4, 6)}, (B * 4 * 6 * 2 * 3, 0),
    ),
    "einsum": (
        'y = Einsum<equation = "...ij,jk->...ik">(x, w)', "float[b,2,4] x", {"w": floats(4, 5)},
        {"x": floats(B, 2, 4)}, (B * 2 * 4 * 5, 0),
    ),
    "einsum, no arrow": (
        'y = Einsum<equation = "bi,ij">(x, w)', "float[b,4] x", {"w": floats(4, 5)},
        {"x": floats(B, 4)}, (B * 20, 0),
    ),
    "einsum of one": (
        'y = Einsum<equation = "bij->bji">(x)', "float[b,2,4] x", {}, {"x": floats(B, 2, 4)}, (0, 0),
    ),
    "gru": (
        "y, h = GRU<hidden_size = 5>(x, w, r)", "float[7,b,4] x",
        {"w": floats(1, 15, 4), "r": floats(1, 15, 5)}, {"x": floats(7, B, 4)}, (7 * B * 15 * 9, 0),
    ),
    "attention": (
        "y = Attention(q, k, v)", "float[b,2,3,4] q, float[b,2,5,4] k, float[b,2,5,6] v", {},
        {"q": floats(B, 2, 3, 4), "k": floats(B, 2, 5, 4), "v": floats(B, 2, 5, 6)},
        (B * 2 * 3 * 5 * (4 + 6), 0),
    ),
    "gather": (
        "y = Gather(t, i)", "int64[b,2] i", {"t": floats(20, 8)},
        {"i": RNG.integers(20, size=(B, 2))}, (0, B * 2 * 8),
    ),
    "gather of columns": (
        "y = Gather<axis = -1>(t, i)", "int64[b] i", {"t": floats(8, 20)},
        {"i": RNG.integers(20, size=B)}, (0, B * 8),
    ),
    "gather behind a cast": (
        "c = Cast<to = 1>(t)  y = Gather(c, i)", "int64[b] i", {"t": floats(20, 8).astype(np.float16)},
        {"i": RNG.integers(20, size=B)}, (0, B * 8),
    ),
    "gather of an activation": (
        "y = Gather(x, i)", "float[20,8] x, int64[b] i", {},
        {"x": floats(20, 8), "i": RNG.integers(20, size=B)}, (0, 0),
    ),
    "gather of ids": (
        "j = Gather(m, i)  y = Cast<to = 1>(j)", "int64[b] i", {"m": RNG.integers(9, size=20)},
        {"i": RNG.integers(20, size=B)}, (0, 0),
    ),
    "gather by coordinates": (
        "y = GatherND(t, i)", "int64[b,2] i", {"t": floats(6, 5, 8)},
        {"i": RNG.integers(5, size=(B, 2))}, (0, B * 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_counts_what_a_hand_counts(name: str) -> None:
    body, inputs, weights, arrays, expected = CASES[name]
    body = body.replace("  ", "\n")
    opset = 23 if name == "attention" else 18
    assert total(counted(model(graph(body, inputs), weights, opset=opset), arrays)) == expected


BATCH_UNKNOWN = ("gru", "einsum", "einsum, no arrow", "gather of columns")
"""Shapes do not tell which extent is the batch."""


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("attention", "gemm, transposed")])
def test_shapes_say_the_same(name: str) -> None:
    """Nodes are kept on the host, so that all work is theirs; a batch of one is a third of three."""
    body, inputs, weights, arrays, expected = CASES[name]
    body = body.replace("  ", "\n")
    (y,) = run_onnx(model(graph(body, inputs), weights), arrays, ["y"]).values()
    rank = f"float[{', '.join(['b', *map(str, y.shape[1:])])}]"
    module, ctx = imported(model(graph(body, inputs, rank=rank), weights))
    Canonicalize().apply(ctx, module)
    recognise(module, ctx, only=("elementwise",))
    work = ctx.remarks.recognition.work.host
    if name in BATCH_UNKNOWN:
        assert all(w.why for w in work)
        assert any(None in (w.macs, w.lookups) for w in work)
        return
    macs, lookups = total(work)
    assert (B * macs, B * lookups) == expected


LOOP = """
g (float[b,4] x, int64 n, bool go) => (float[?,?] y) {
  c = Constant<value = bool {1}>()
  y = Loop(n, c, x) <body = step (int64 i, bool on, float[b,4] h) => (bool more, float[b,4] out) {
    p = MatMul(h, w)
    q = If(go) <then_branch = a () => (float[b,4] s) { s = MatMul(p, w) },
                else_branch = z () => (float[b,4] s) { s = Relu(p) }>
    more = Identity(on)
    out = Tanh(q)
  }>
}
"""


@pytest.mark.parametrize(
    ("trips", "go", "products"), [(0, True, 0), (1, False, 1), (5, False, 5), (5, True, 10)]
)
def test_bodies_count_as_often_as_they_run(trips: int, go: bool, products: int) -> None:
    inputs = {"x": floats(B, 4), "n": np.array(trips), "go": np.array(go)}
    proto = model(LOOP, {"w": floats(4, 4)})
    work = counted(proto, inputs)
    assert total(work) == (products * B * 16, 0)
    assert len(work) == 2
    assert len({w.within for w in work}) == 1
    assert instrumented(proto).by_values


def test_a_scan_counts_every_step() -> None:
    text = """
    g (float[b,4] h0, float[steps,b,4] x) => (float[?,?] h, float[?,?,?] y) {
      h, y = Scan<num_scan_inputs = 1, scan_output_axes = [0],
                  body = step (float[b,4] a, float[b,4] z) => (float[b,4] c, float[b,4] d) {
        p = MatMul(a, w)
        c = Add(p, z)
        d = Identity(c)
      }>(h0, x)
    }
    """
    work = counted(model(text, {"w": floats(4, 4)}), {"h0": floats(B, 4), "x": floats(6, B, 4)})
    assert total(work) == (6 * B * 16, 0)


def test_counting_needs_no_copy_of_a_table() -> None:
    proto = model(graph("y = Gather(t, i)", "int64[b] i"), {"t": floats(5000, 8)})
    found = instrumented(proto)
    assert len(found.model) < 2000
    assert total(found.run({"i": np.arange(5)}, HostRunner())) == (0, 40)


def test_equal_shapes_are_counted_once_unless_values_decide_sizes() -> None:
    plain = model(
        graph("s = Shape(x)\nq = Reshape(x, s)\ny = MatMul(q, w)", "float[b,4] x"), {"w": floats(4, 5)}
    )
    assert not instrumented(plain).by_values
    by_ids = model(
        graph("n = NonZero(x)\nf = Cast<to = 1>(n)\ny = MatMul(w, f)", "float[b] x"), {"w": floats(4, 1)}
    )
    assert instrumented(by_ids).by_values
    given = model(
        graph("q = Reshape(x, s)\ny = MatMul(q, w)", "float[b,4] x, int64[2] s"), {"w": floats(4, 5)}
    )
    assert instrumented(given).by_values


def _node(operator: str, **attributes: Any) -> Node:
    return Node(operator, list("abcdefgh"), list("yz"), attributes.get, lambda v: 2, lambda v: True)


def test_an_operator_without_a_rule_is_not_counted_as_nothing() -> None:
    assert "not known here" in work_of(_node("com.vendor.Magic")).unknown
    assert "not known here" in work_of(_node("com.microsoft.MoE")).unknown
    assert not work_of(_node("com.microsoft.FastGelu"))
    assert not work_of(_node("Relu"))
    assert work_of(_node("Einsum")).unknown


def test_what_cannot_be_counted_has_no_number() -> None:
    node = helper.make_node("CDist", ["x", "z"], ["y"], "far", domain="com.microsoft")
    x, z, y = (helper.make_tensor_value_info(n, 1, [None, None]) for n in "xzy")
    proto = helper.make_model(
        helper.make_graph([node], "g", [x, z], [y]),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
    )
    (work,) = counted(proto, {"x": floats(2, 3), "z": floats(2, 3)})
    assert (work.node, work.op, work.macs, work.lookups) == ("far", "com.microsoft.CDist", None, None)
    assert work.why
