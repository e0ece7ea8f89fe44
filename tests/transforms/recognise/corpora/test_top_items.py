"""Searches of a corpus, in the forms that exporters and libraries write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.transforms.recognise.corpora import item_scores
from tests.transforms.recognise.fusing import Fused, floats, fused

ITEMS, DIM, K = 70, 5, 4
"""Fewest items that make a corpus, and a few more."""

Arrays = dict[str, Any]

HEAD = "m (float[B, 5] x) => (float[B, 4] v, int64[B, 4] i)"


def corpus(transposed: bool = False) -> Any:
    """Items of random numbers: no two scores are equal."""
    made = floats(ITEMS, DIM, seed=3)
    return np.ascontiguousarray(made.T) if transposed else made


def searched(body: str, weights: Arrays, head: str = HEAD, opset: int = 18) -> Fused:
    """The model, checked against onnxruntime."""
    found = fused(f"{head} {{ {body} }}", {"k": np.array([K], np.int64), **weights}, opset=opset)
    found.check({"x": floats(6, DIM, seed=1)}, 1e-4)
    return found


@pytest.mark.parametrize(
    ("body", "transposed"),
    [
        ("s = MatMul(x, c)\n v, i = TopK(s, k)", True),
        ("t = Transpose<perm = [1, 0]>(c)\n s = MatMul(x, t)\n v, i = TopK(s, k)", False),
        ("s = Gemm<transB = 1>(x, c)\n v, i = TopK(s, k)", False),
        ('s = Einsum<equation = "bd,nd->bn">(x, c)\n v, i = TopK(s, k)', False),
        ('s = Einsum<equation = "bd,dn->bn">(x, c)\n v, i = TopK(s, k)', True),
        ("s = MatMul(x, c)\n v, i = TopK<axis = 1>(s, k)", True),
    ],
)
def test_products_with_a_corpus(body: str, transposed: bool) -> None:
    found = searched(body, {"c": corpus(transposed)})
    assert found.counts() == {"search": 1, "hits": 2}


@pytest.mark.parametrize(
    ("scores", "operations"),
    [
        ("s = Add(p, b)", {}),
        ("s = Sub(p, b)", {}),
        ("s = Sub(b, p)", {"unary": 1}),
        ("s = Mul(p, t)", {"binary": 1, "constant": 1}),
        ("q = Div(p, t)\n s = Add(q, b)", {"binary": 1, "constant": 1}),
        ("s = Neg(p)", {"unary": 1}),
        ("s = Sigmoid(p)", {"unary": 1}),
        ("q = Mul(p, t)\n r = Add(q, b)\n s = Tanh(r)", {"unary": 1, "binary": 1, "constant": 1}),
    ],
)
@pytest.mark.parametrize("largest", [1, 0])
def test_what_stands_between_product_and_choice(
    scores: str, operations: dict[str, int], largest: int
) -> None:
    weights = {"c": corpus(True), "b": floats(ITEMS, seed=7), "t": np.float32(0.3)}
    found = searched(f"p = MatMul(x, c)\n {scores}\n v, i = TopK<largest = {largest}>(s, k)", weights)
    counts = found.counts()
    assert counts["search"] == 1
    assert "linear" not in counts
    if largest:
        assert counts == {"search": 1, "hits": 2, **operations}


def test_gemm_with_its_bias_and_factors() -> None:
    weights = {"c": corpus(), "b": floats(ITEMS, seed=7)}
    body = "s = Gemm<transB = 1, alpha: float = 0.5, beta: float = 2.0>(x, c, b)\n v, i = TopK(s, k)"
    assert searched(body, weights).counts()["search"] == 1


@pytest.mark.parametrize("share", ["Softmax", "LogSoftmax"])
def test_shares_are_not_computed_where_only_the_order_leaves(share: str) -> None:
    found = searched(
        f"p = MatMul(x, c)\n s = {share}<axis = -1>(p)\n v, i = TopK(s, k)",
        {"c": corpus(True)},
        "m (float[B, 5] x) => (int64[B, 4] i)",
    )
    assert found.counts() == {"search": 1, "hits": 1}


@pytest.mark.parametrize(
    ("choice", "out"),
    [
        ("ArgMax<axis = 1, keepdims = 1>", "int64[B, 1] i"),
        ("ArgMax<axis = -1, keepdims = 0>", "int64[B] i"),
        ("ArgMin<axis = 1, keepdims = 0>", "int64[B] i"),
    ],
)
def test_the_best_one(choice: str, out: str) -> None:
    body = f"s = MatMul(x, c)\n i = {choice}(s)"
    found = searched(body, {"c": corpus(True)}, f"m (float[B, 5] x) => ({out})")
    assert found.counts()["search"] == 1


def test_queries_with_an_axis_of_one() -> None:
    body = "u = Unsqueeze(x, a)\n s = MatMul(u, c)\n v, i = TopK(s, k)"
    found = searched(
        body,
        {"c": corpus(True), "a": np.array([1], np.int64)},
        "m (float[B, 5] x) => (float[B, 1, 4] v, int64[B, 1, 4] i)",
    )
    assert found.counts()["search"] == 1


@pytest.mark.parametrize(
    ("body", "weights", "why"),
    [
        ("s = MatMul(x, c)\n v, i = TopK(s, k)", {"c": floats(5, 9)}, "fewer than 64 items is a layer"),
        (
            "p = MatMul(x, c)\n s = Softmax(p)\n v, i = TopK(s, k)",
            {"c": corpus(True)},
            "takes the scores of all items",
        ),
        (
            "p = MatMul(x, c)\n s = Mul(p, f)\n v, i = TopK(s, k)",
            {"c": corpus(True), "f": floats(ITEMS)},
            "scales of their own",
        ),
    ],
)
def test_what_is_no_search_says_why(body: str, weights: Arrays, why: str) -> None:
    found = searched(body, weights)
    assert "search" not in found.counts()
    assert any(why in text for text in found.misses()), found.misses()


def test_scores_that_are_used_elsewhere_stay_a_layer() -> None:
    found = searched(
        "s = MatMul(x, c)\n v, i = TopK(s, k)",
        {"c": corpus(True)},
        "m (float[B, 5] x) => (float[B, 4] v, int64[B, 4] i, float[B, 70] s)",
    )
    assert "search" not in found.counts()
    assert any("used elsewhere" in text for text in found.misses())


def test_functions_that_keep_the_order_are_those_of_the_vector_unit() -> None:
    from cimc.ir import rec

    assert set(item_scores._RISING.values()) <= set(rec.UNARY)
