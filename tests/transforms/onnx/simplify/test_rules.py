"""Each simplification alone: where it fits, and where a look at the model says that it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.pattern_rewriter import PatternRewriteWalker

from cimc.ir.context import CompilerContext
from cimc.ir.onnx.dialect import ConstantOp, InitializerOp, NodeOp
from cimc.ir.text import verify_ir
from cimc.transforms.onnx.simplify import RULES, Rule
from cimc.transforms.onnx.simplify.branches import InlineConstantIf
from cimc.transforms.onnx.simplify.casts import CastLikeToCast, RemoveCast
from cimc.transforms.onnx.simplify.cleanup import is_pure, is_repeatable, merge_equal, remove_unused
from cimc.transforms.onnx.simplify.fold import MAX_ROUNDS, Folder
from cimc.transforms.onnx.simplify.identities import RemoveDropout, RemoveIdentity, RemoveSingleConcat
from cimc.transforms.onnx.simplify.known_shapes import FoldShape, ScalarRange
from cimc.transforms.onnx.simplify.rule import Scope, int64
from cimc.transforms.onnx.simplify.views import (
    MergeReshapes,
    MergeTransposes,
    RemoveTranspose,
    SqueezeOfUnsqueeze,
)
from tests.transforms.recognise.fusing import Arrays, imported, model

YES, NO = np.array(True), np.array(False)
I = np.array  # noqa: E741


def module(
    graph: str, weights: Arrays | None = None, opset: int = 18
) -> tuple[ModuleOp, CompilerContext, Scope]:
    proto = model(f"g {graph}", weights, opset=opset)
    made, ctx = imported(proto)
    return made, ctx, Scope(ctx.store, {"": opset})


def kinds(made: ModuleOp) -> list[str]:
    return [op.kind for op in made.walk() if isinstance(op, NodeOp)]


def applied(
    rule: type[Rule], graph: str, weights: Arrays | None = None, opset: int = 18
) -> tuple[list[str], int]:
    """The nodes left by one rule, and how often it was applied."""
    made, _, scope = module(graph, weights, opset)
    PatternRewriteWalker(rule(scope), apply_recursively=False).rewrite_module(made)
    verify_ir(made, f"after {rule.name}")
    return kinds(made), scope.counts[rule.name]


FLAT = "(float[n, 6] x) => (float[n, 6] y)"
IF = (
    "{ y = If(c) <then_branch = t () => (float[n, 6] p) { p = Relu(x) }, "
    "else_branch = e () => (float[n, 6] q) { q = Neg(x) }> }"
)
TURNED = "(float[2, 3, 4] x) => (float[2, 3, 4] y)"
FITS: list[tuple[type[Rule], str, Arrays, list[str]]] = [
    (RemoveIdentity, f"{FLAT} {{ a = Identity(x) y = Relu(a) }}", {}, ["Relu"]),
    (RemoveDropout, f"{FLAT} {{ a, m = Dropout(x) y = Relu(a) }}", {}, ["Relu"]),
    (
        RemoveDropout,
        f"{FLAT} {{ a = Dropout(x, r, t) y = Relu(a) }}",
        {"r": np.float32(0.5), "t": NO},
        ["Relu"],
    ),
    (RemoveSingleConcat, f"{FLAT} {{ a = Concat<axis=-1>(x) y = Relu(a) }}", {}, ["Relu"]),
    (CastLikeToCast, "(int32[n] x, float[n] z) => (float[n] y) { y = CastLike(x, z) }", {}, ["Cast"]),
    (RemoveCast, f"{FLAT} {{ a = Cast<to=1>(x) y = Relu(a) }}", {}, ["Relu"]),
    (FoldShape, "(float[4, 6] x) => (int64[2] y) { s = Shape(x) y = Neg(s) }", {}, ["Neg"]),
    (
        FoldShape,
        "(float[n] x) => (int64[] y) { s = Size(w) y = Neg(s) }",
        {"w": np.zeros((3, 4), np.float32)},
        ["Neg"],
    ),
    (
        ScalarRange,
        "(float[n] x, int64[] e) => (int64[m] y) { y = Range(a, e, d) }",
        {"a": I([0]), "d": I(1)},
        ["Range"],
    ),
    (
        MergeReshapes,
        f"{FLAT} {{ a = Reshape(x, s) y = Reshape(a, t) }}",
        {"s": I([-1, 2, 3]), "t": I([-1, 6])},
        ["Reshape", "Reshape"],
    ),
    (
        MergeTransposes,
        f"{TURNED} {{ a = Transpose<perm=[1, 2, 0]>(x) y = Transpose<perm=[2, 0, 1]>(a) }}",
        {},
        ["Transpose", "Transpose"],
    ),
    (RemoveTranspose, f"{FLAT} {{ a = Transpose<perm=[0, 1]>(x) y = Relu(a) }}", {}, ["Relu"]),
    (
        SqueezeOfUnsqueeze,
        f"{FLAT} {{ a = Unsqueeze(x, d) b = Squeeze(a, d) y = Relu(b) }}",
        {"d": I([1])},
        ["Unsqueeze", "Relu"],
    ),
    (InlineConstantIf, f"{FLAT} {IF}", {"c": NO}, ["Neg"]),
]


@pytest.mark.parametrize(("rule", "graph", "weights", "left"), FITS, ids=[f[0].name for f in FITS])
def test_a_rule_where_it_fits(rule: type[Rule], graph: str, weights: Arrays, left: list[str]) -> None:
    assert applied(rule, graph, weights) == (left, 1)


@pytest.mark.parametrize(
    ("rule", "graph", "weights", "opset"),
    [
        (RemoveDropout, f"{FLAT} {{ a, m = Dropout(x) y = Where(m, a, x) }}", {}, 18),  # the mask is used
        (
            RemoveDropout,
            f"{FLAT} {{ a = Dropout(x, r, t) y = Relu(a) }}",
            {"r": np.float32(0.5), "t": YES},
            18,
        ),
        (RemoveDropout, f"{FLAT} {{ y = Dropout(x) }}", {}, 6),  # an attribute says whether it trains
        (RemoveSingleConcat, f"{FLAT} {{ y = Concat<axis=2>(x) }}", {}, 18),
        (RemoveSingleConcat, f"{FLAT} {{ y = Concat<axis=0>(x, x) }}", {}, 18),
        (RemoveCast, f"{FLAT} {{ y = Cast<to=7>(x) }}", {}, 18),
        (FoldShape, "(float[n, 6] x) => (int64[2] y) { y = Shape(x) }", {}, 18),  # an extent that varies
        (FoldShape, "(float[4, 6] x) => (int64[2] y) { a = Relu(x) y = Shape(a) }", {}, 18),  # as declared
        (ScalarRange, "(float[n] x, int64[] e) => (int64[m] y) { y = Range(a, e, a) }", {"a": I(1)}, 18),
        (
            MergeReshapes,
            f"{FLAT} {{ a = Reshape(x, s) y = Reshape(a, t) }}",
            {"s": I([-1, 2, 3]), "t": I([0, 6])},
            18,
        ),
        (MergeReshapes, f"{FLAT} {{ a = Relu(x) y = Reshape(a, t) }}", {"t": I([-1, 6])}, 18),
        (RemoveTranspose, "(float[2, 3] x) => (float[3, 2] y) { y = Transpose(x) }", {}, 18),
        (
            SqueezeOfUnsqueeze,
            "(float[1, 6] x) => (float[1, 6] y) { a = Unsqueeze(x, d) y = Squeeze(a, e) }",
            {"d": I([1]), "e": I([0])},
            18,
        ),
        (InlineConstantIf, f"(bool c, float[n, 6] x) => (float[n, 6] y) {IF}", {}, 18),
    ],
)
def test_a_rule_where_it_must_not(rule: type[Rule], graph: str, weights: Arrays, opset: int) -> None:
    before = kinds(module(graph, weights, opset)[0])
    assert applied(rule, graph, weights, opset) == (before, 0)


def test_every_rule_is_tried_alone() -> None:
    assert {entry[0] for entry in FITS} == set(RULES)


def test_equal_nodes_become_one_unless_they_are_random() -> None:
    graph = f"{FLAT} {{ a = Relu(x) b = Relu(x) c = Add(a, b) "
    graph += "r = RandomNormalLike(x) s = RandomNormalLike(x) d = Sub(r, s) y = Add(c, d) }"
    made, _, _ = module(graph)
    assert merge_equal(made.body) == 1
    assert sorted(kinds(made)) == sorted(
        ["Relu", "Add", "RandomNormalLike", "RandomNormalLike", "Sub", "Add"]
    )
    pure = {op.kind: (is_pure(op), is_repeatable(op)) for op in made.walk() if isinstance(op, NodeOp)}
    assert pure["Relu"] == (True, True)
    assert pure["RandomNormalLike"] == (True, False)


def test_chains_that_nobody_reads_go() -> None:
    made, _, _ = module(f"{FLAT} {{ a = Neg(x) b = Exp(a) y = Relu(x) }}")
    assert remove_unused(made.body) == 2
    assert kinds(made) == ["Relu"]
    assert remove_unused(made.body) == 0


def test_constants_are_folded_in_chains_and_random_ones_never() -> None:
    weights: dict[str, Any] = {"w": np.float32([1, 2]), "v": np.float32([3, 4])}
    graph = "(float[n, 2] x) => (float[n, 2] y) { a = Add(w, v) b = Mul(a, v) "
    graph += "r = RandomNormalLike(w) c = Add(b, r) y = Add(x, c) }"
    made, _, scope = module(graph, weights)
    assert Folder(scope, 10**6, 10**6).fold(made) == 2
    assert "Mul" not in kinds(made)
    assert kinds(made).count("Add") == 2
    found = [
        scope.constant(op.results[0]) for op in made.walk() if isinstance(op, ConstantOp | InitializerOp)
    ]
    assert [12.0, 24.0] in [a.tolist() for a in found if a is not None]


def test_folding_keeps_to_its_limits() -> None:
    graph = "(float[n, 9] x) => (float[n, 9] y) { a = Neg(w) y = Add(x, a) }"
    weights = {"w": np.zeros(9, np.float32)}
    for largest, budget, said in ((8, 99, 0), (99, 8, 1)):
        made, _, scope = module(graph, weights)
        folder = Folder(scope, largest, budget)
        assert folder.fold(made) == 0
        assert kinds(made) == ["Neg", "Add"]
        assert len(folder.notes) == said
    chain = " ".join(f"a{k + 1} = Neg(a{k})" for k in range(MAX_ROUNDS + 1))
    made, _, scope = module(
        f"(float[n, 9] x) => (float[n, 9] y) {{ {chain} y = Add(x, a{MAX_ROUNDS + 1}) }}",
        {"a0": weights["w"]},
    )
    folder = Folder(scope, 99, 10**6)
    assert folder.fold(made) == MAX_ROUNDS
    assert f"a chain of {MAX_ROUNDS} nodes" in folder.notes[0]


def test_what_rules_see_of_constants() -> None:
    made, _, scope = module(
        "(float[n, 2] x) => (float[n, 2] y) { a = Add(x, w) y = Reshape(a, s) }",
        {"w": np.float32([1, 2]), "s": I([-1, 2])},
    )
    add, reshape = (op for op in made.walk() if isinstance(op, NodeOp))
    assert scope.constant(add.inputs[0]) is None
    assert scope.ints(add.inputs[1]) is None  # floats
    assert scope.ints(reshape.inputs[1]) == (-1, 2)
    small, large = (scope.make_constant(int64([7] * n), add) for n in (2, 10_000))
    assert isinstance(small, ConstantOp)
    assert isinstance(large, InitializerOp)
    assert large.location == add.location
    assert scope.constant(large.results[0]).size == 10_000  # type: ignore[union-attr]
