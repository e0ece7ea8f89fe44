"""Values that hold the batch elsewhere than in dimension 0."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.transforms.onnx.batch_major.lifter import Lifted, viewed
from tests.transforms.recognise.fusing import Fused, floats, fused


def check(found: Fused, **inputs: np.ndarray) -> None:
    assert found.counts()["host"] == 0, found.reasons()
    found.check(inputs, 1e-4)


@pytest.mark.parametrize("batch", ["B", "4"])
def test_layer_on_rows(batch: str) -> None:
    found = fused(
        f"""m (float[{batch}, 3, 6] x) => (float[{batch}, 3, 5] y) {{
            r = Reshape(x, flat)
            g = Gemm<transB = 1, alpha: float = 0.5>(r, w, b)
            a = Relu(g)
            y = Reshape(a, back)
        }}""",
        {"w": floats(5, 6), "b": floats(5), "flat": np.array([-1, 6]), "back": np.array([-1, 3, 5])},
    )
    check(found, x=floats(4, 3, 6))
    assert found.counts()["linear"] == 1


def test_sequence_first() -> None:
    found = fused(
        """m (float[B, 3, 6] x) => (float[B, 3, 5] y) {
            t = Transpose<perm = [1, 0, 2]>(x)
            h = MatMul(t, w)
            s = Softmax<axis = -1>(h)
            m = ReduceMax<keepdims = 1>(s, first)
            d = Sub(s, m)
            y = Transpose<perm = [1, 0, 2]>(d)
        }""",
        {"w": floats(6, 5), "first": np.array([0])},
    )
    check(found, x=floats(4, 3, 6))


def test_heads_beside_the_batch() -> None:
    found = fused(
        """m (float[B, 3, 4] x) => (float[B, 3, 4] y) {
            h = MatMul(x, w)
            s = Reshape(h, split)
            t = Transpose<perm = [0, 2, 1, 3]>(s)
            q = Reshape(t, heads)
            k = Transpose<perm = [0, 2, 1]>(q)
            p = MatMul(q, k)
            v = MatMul(p, q)
            u = Reshape(v, back)
            o = Transpose<perm = [0, 2, 1, 3]>(u)
            y = Reshape(o, all)
        }""",
        {
            "w": floats(4, 4),
            "split": np.array([0, 3, 2, 2]),
            "heads": np.array([-1, 3, 2]),
            "back": np.array([-1, 2, 3, 2]),
            "all": np.array([-1, 3, 4]),
        },
    )
    check(found, x=floats(5, 3, 4))
    assert found.counts()["matmul"] == 2


def test_rows_of_all_requests_normalised_together_stay_on_the_host() -> None:
    found = fused(
        """m (float[B, 3, 6] x) => (float[B, 3, 6] y) {
            h = MatMul(x, w)
            r = Reshape(h, flat)
            s = Softmax<axis = 0>(r)
            y = Reshape(s, back)
        }""",
        {"w": floats(6, 6), "flat": np.array([-1, 6]), "back": np.array([-1, 3, 6])},
    )
    assert found.counts() == {"linear": 1, "host": 1}
    found.check({"x": floats(4, 3, 6)}, 1e-4)


def test_rows_that_become_other_requests_stay_on_the_host() -> None:
    found = fused(
        """m (float[B, 6] x) => (float[B, 6] y) {
            h = MatMul(x, w)
            t = Transpose<perm = [1, 0]>(h)
            r = Reshape(t, shape)
            y = Relu(r)
        }""",
        {"w": floats(6, 6), "shape": np.array([-1, 6])},
    )
    assert found.counts() == {"linear": 1, "host": 1}
    found.check({"x": floats(4, 6)}, 1e-4)


def test_a_constant_row_for_each_row_stays_on_the_host() -> None:
    found = fused(
        """m (float[2, 3, 6] x) => (float[2, 3, 6] y) {
            h = MatMul(x, w)
            r = Reshape(h, flat)
            s = Add(r, c)
            y = Reshape(s, back)
        }""",
        {"w": floats(6, 6), "c": floats(6, 6), "flat": np.array([6, 6]), "back": np.array([2, 3, 6])},
    )
    assert found.counts() == {"linear": 1, "host": 1}
    found.check({"x": floats(2, 3, 6)}, 1e-4)


@pytest.mark.parametrize(
    ("dims", "axis", "shape", "expected"),
    [
        ((3, 1, 6), 1, (12, 6), ((3, 6), 0, 3)),
        ((1, 3, 6), 0, (12, 6), ((3, 6), 0, 1)),
        ((1, 3, 6), 0, (4, 9, 2), ((1, 9, 2), 0, 1)),
        ((3, 1, 6), 1, (4, 18), None),
        ((3, 1, 6), 1, (3, 4, 2, 3), ((3, 1, 2, 3), 1, 1)),
        ((3, 1, 6), 1, (18, 4), None),
    ],
)
def test_where_a_view_has_the_batch(dims, axis, shape, expected) -> None:  # type: ignore[no-untyped-def]
    assert viewed(Lifted(None, dims, axis), shape, 4) == expected  # type: ignore[arg-type]
