"""Linear layers: Gemm and MatMul in all spellings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import floats, fused


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0), (1.0, 0.0)])
def test_gemm(transposed: int, alpha: float, beta: float) -> None:
    weight = floats(3, 5) if transposed else floats(5, 3)
    found = fused(
        f"""m (float[B, 5] x) => (float[B, 3] y) {{
            y = Gemm<alpha: float = {alpha}, beta: float = {beta}, transB = {transposed}>(x, w, b)
        }}""",
        {"w": weight, "b": floats(3, seed=1)},
    )
    assert found.counts() == {"linear": 1}
    found.check({"x": floats(4, 5, seed=2)})


@pytest.mark.parametrize("shape", [(), (1,), (1, 3), (1, 1)])
def test_gemm_with_a_bias_that_broadcasts(shape: tuple[int, ...]) -> None:
    found = fused(
        "m (float[B, 5] x) => (float[B, 3] y) { y = Gemm(x, w, b) }",
        {"w": floats(5, 3), "b": floats(*shape, seed=1)},
    )
    assert found.counts() == {"linear": 1}
    found.check({"x": floats(4, 5, seed=2)})


def test_gemm_with_a_computed_addend() -> None:
    found = fused(
        "m (float[B, 5] x, float[B, 3] c) => (float[B, 3] y) { y = Gemm(x, w, c) }", {"w": floats(5, 3)}
    )
    assert found.counts() == {"linear": 1, "binary": 1}
    found.check({"x": floats(4, 5), "c": floats(4, 3, seed=1)})


def test_matmul_and_bias_over_several_axes() -> None:
    found = fused(
        "m (float[B, 2, 5] x) => (float[B, 2, 3] y) { p = MatMul(x, w)\n y = Add(b, p) }",
        {"w": floats(5, 3), "b": floats(3)},
    )
    assert found.counts() == {"linear": 1}
    found.check({"x": floats(4, 2, 5)})


def test_product_used_twice_keeps_its_own_addition() -> None:
    found = fused(
        "m (float[B, 5] x) => (float[B, 3] y, float[B, 3] p) { p = MatMul(x, w)\n y = Add(p, b) }",
        {"w": floats(5, 3), "b": floats(3)},
    )
    assert found.counts() == {"linear": 1, "binary": 1, "constant": 1}
    found.check({"x": floats(4, 5)})


def test_weights_shared_by_two_layers_are_stored_once() -> None:
    found = fused(
        """m (float[B, 5] x, float[B, 5] z) => (float[B, 30] y, float[B, 30] u) {
            y = Gemm<transB = 1>(x, w)
            u = Gemm<transB = 1>(z, w)
        }""",
        {"w": floats(30, 5)},
    )
    assert len({str(op.properties["weight"]) for op in found.ops("rec.linear")}) == 1
    assert sorted(found.ctx.store) == ["w", "w.t"]
    found.check({"x": floats(4, 5), "z": floats(4, 5, seed=1)})


def test_transposed_activations_stay_on_the_host() -> None:
    found = fused("m (float[5, B] x) => (float[B, 3] y) { y = Gemm<transA = 1>(x, w) }", {"w": floats(5, 3)})
    assert found.counts() == {"host": 1}
    assert found.reasons() == {"Gemm": "the activations are transposed"}
    found.check({"x": floats(5, 4)})


def test_rows_that_are_not_requests_stay_on_the_host() -> None:
    found = fused(
        """m (float[B, 5] x, float[N, 5] items) => (float[B, N] y) {
            t = MatMul(items, w)
            u = Transpose<perm = [1, 0]>(t)
            v = MatMul(x, w)
            y = MatMul(v, u)
        }""",
        {"w": floats(5, 5)},
    )
    assert found.counts() == {"linear": 1, "host": 2} or found.counts() == {"linear": 1, "host": 1}
    assert any("dimension 0 of input items is N, not the batch (B)" in m for m in found.misses())
    found.check({"x": floats(4, 5), "items": floats(7, 5, seed=1)})


def test_half_precision_is_f32_on_the_chip() -> None:
    found = fused(
        "m (float16[B, 5] x) => (float16[B, 3] y) { y = MatMul(x, w) }",
        {"w": floats(5, 3).astype(np.float16)},
    )
    assert found.counts() == {"cast": 2, "linear": 1}
    found.check({"x": floats(4, 5).astype(np.float16)}, 2e-3)
