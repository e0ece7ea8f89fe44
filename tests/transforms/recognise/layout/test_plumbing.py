"""Reshapes, selections, concatenation and padding that keep the batch apart."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

W = {"w": floats(6, 6, seed=9)}
BIG = np.iinfo(np.int64).max


def around(body: str, weights: Arrays | None = None, *, out: str = "B, M", opset: int = 18) -> Fused:
    text = f"m (float[B, 6] x) => (float[{out}] y) {{ h = MatMul(x, w)\n {body} }}"
    return fused(text, W | (weights or {}), opset=opset)


def test_reshape_by_computed_shape() -> None:
    found = around(
        """s = Shape(x)
           b = Gather<axis = 0>(s, zero)
           u = Unsqueeze(b, axis)
           t = Concat<axis = 0>(u, rest)
           y = Reshape(h, t)""",
        {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1, 2])},
        out="B, M, N",
    )
    assert found.counts() == {"linear": 1, "reshape": 1}
    found.check({"x": floats(4, 6)})


def test_reshape_that_moves_the_batch_stays_on_the_host() -> None:
    found = around("y = Reshape(h, t)", {"t": np.array([-1, 3])})
    assert found.counts() == {"linear": 1, "host": 1}
    assert "not the batch" in found.reasons()["Reshape"]
    found.check({"x": floats(4, 6)})


def test_squeeze_unsqueeze_flatten_and_transpose() -> None:
    found = around(
        """a = Reshape(h, t)
           b = Transpose<perm = [0, 2, 1]>(a)
           c = Unsqueeze(b, one)
           d = Squeeze(c, one)
           y = Flatten(d)""",
        {"t": np.array([0, 2, 3]), "one": np.array([1])},
    )
    assert found.counts()["host"] == 0
    assert found.counts()["transpose"] == 1
    found.check({"x": floats(4, 6)})


def test_transposed_batch_stays_on_the_host() -> None:
    found = around("y = Transpose<perm = [1, 0]>(h)", out="M, B")
    assert found.counts() == {"linear": 1, "host": 1}
    found.check({"x": floats(4, 6)})


@pytest.mark.parametrize(
    ("start", "end", "step"), [(1, 4, 1), (-3, BIG, 1), (0, 6, 2), (-1, -BIG, -1), (0, BIG, 1)]
)
def test_slice(start: int, end: int, step: int) -> None:
    bounds = {"s": np.array([start]), "e": np.array([end]), "a": np.array([1]), "k": np.array([step])}
    found = around("y = Slice(h, s, e, a, k)", bounds)
    assert found.counts()["host"] == 0
    found.check({"x": floats(4, 6)})


def test_slice_of_the_batch_stays_on_the_host() -> None:
    found = around("y = Slice(h, s, e, a)", {"s": np.array([1]), "e": np.array([3]), "a": np.array([0])})
    assert found.counts() == {"linear": 1, "host": 1}
    found.check({"x": floats(4, 6)})


def test_split_and_concat() -> None:
    found = around(
        """a, b = Split<axis = 1>(h, sizes)
           y = Concat<axis = -1>(b, a)""",
        {"sizes": np.array([2, 4])},
    )
    assert found.counts() == {"linear": 1, "slice": 2, "concat": 1}
    found.check({"x": floats(4, 6)})


@pytest.mark.parametrize("indices", [[0], [1, 2, 3], [5, 0, -1], [[0, 1], [2, 3]]])
def test_gather(indices: list[int]) -> None:
    found = around(
        "y = Gather<axis = 1>(h, i)", {"i": np.array(indices)}, out="B, M, N"[: 1 + 3 * np.ndim(indices)]
    )
    assert found.counts()["host"] == 0
    found.check({"x": floats(4, 6)})


def test_gather_of_one_position_drops_the_axis() -> None:
    found = around("y = Gather<axis = 1>(h, i)", {"i": np.array(2)}, out="B")
    assert found.counts() == {"linear": 1, "slice": 1, "reshape": 1}
    found.check({"x": floats(4, 6)})


def test_pad() -> None:
    found = around("y = Pad(h, p, v)", {"p": np.array([0, 1, 0, 2]), "v": np.float32(0.5)})
    assert found.counts() == {"linear": 1, "pad": 1}
    found.check({"x": floats(4, 6)})


def test_padding_of_the_batch_stays_on_the_host() -> None:
    found = around("y = Pad(h, p)", {"p": np.array([1, 0, 0, 0])})
    assert found.reasons() == {"Pad": "pads the batch"}
    found.check({"x": floats(4, 6)})


@pytest.mark.parametrize("order", ["z, h, x", "h, z, x", "h, x, z", "z, z, h", "o, h, z, o"])
def test_constant_columns_become_padding(order: str) -> None:
    found = around(
        f"""s = Shape<end = 1>(x)
            t = Concat<axis = 0>(s, two)
            z = Expand(zero, t)
            o = Expand(one, t)
            y = Concat<axis = 1>({order})""",
        {"two": np.array([2]), "zero": np.float32(0), "one": np.float32(1)},
    )
    assert found.counts()["host"] == 0
    assert found.counts()["pad"] >= 1
    found.check({"x": floats(4, 6)})


def test_expand() -> None:
    found = around(
        "r = ReduceMax<keepdims = 1>(h, a)\n e = Expand(r, t)\n y = Sub(h, e)",
        {"a": np.array([1]), "t": np.array([1, 6])},
    )
    assert found.counts()["expand"] == 1
    found.check({"x": floats(4, 6)})


def test_dropout_and_identity_vanish() -> None:
    found = around("i = Identity(h)\n y = Dropout(i)")
    assert found.counts() == {"linear": 1}
    found.check({"x": floats(4, 6)})
