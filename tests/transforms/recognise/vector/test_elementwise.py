"""Activations, arithmetic with broadcasting, reductions and normalisation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import Arrays, floats, fused

W = {"w": floats(6, 6, seed=9)}


def around(body: str, weights: Arrays | None = None, *, opset: int = 18, out: str = "B, 6"):  # type: ignore[no-untyped-def]
    """``body`` computes ``y`` from ``h``, a linear layer's result ``[B, 6]``."""
    text = f"m (float[B, 6] x) => (float[{out}] y) {{ h = MatMul(x, w)\n {body} }}"
    return fused(text, W | (weights or {}), opset=opset)


@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Reciprocal"])
def test_unary(kind: str) -> None:
    found = around(f"y = {kind}(h)")
    assert found.counts() == {"linear": 1, "unary": 1}
    found.check({"x": floats(3, 6)}, 1e-4)


def test_square_root_and_logarithm() -> None:
    found = around("a = Abs(h)\n s = Sqrt(a)\n y = Log(s)")
    assert found.counts() == {"linear": 1, "unary": 3}
    found.check({"x": floats(3, 6)}, 1e-4)


def test_leaky_relu() -> None:
    around("y = LeakyRelu<alpha: float = 0.2>(h)").check({"x": floats(3, 6)})


@pytest.mark.parametrize("bounds", ["lo, hi", "lo", ", hi"])
def test_clip(bounds: str) -> None:
    found = around(f"y = Clip(h, {bounds})", {"lo": np.float32(-0.5), "hi": np.float32(0.5)})
    assert found.counts() == {"linear": 1, "unary": 1}
    found.check({"x": floats(3, 6)})


def test_a_missing_bound_is_the_end_of_float32() -> None:
    """What overflows counts as the largest float, as in onnxruntime, and not as infinite."""
    body = "e = Exp(h)\n c = Clip(e, lo)\n q = Div(huge, c)\n y = Mul(h, q)"
    found = around(body, {"lo": np.float32(0), "huge": np.float32(1e38)})
    found.check({"x": np.full((2, 6), 300, np.float32)}, 1e-4)


def test_clip_with_attributes() -> None:
    found = around("y = Clip<min: float = -0.1, max: float = 0.2>(h)", opset=6)
    assert found.counts() == {"linear": 1, "unary": 1}
    found.check({"x": floats(3, 6)})


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize("shape", [(), (1,), (6,), (1, 6)])
@pytest.mark.parametrize("swapped", [False, True])
def test_binary_with_a_constant(kind: str, shape: tuple[int, ...], swapped: bool) -> None:
    found = around(f"y = {kind}({'c, h' if swapped else 'h, c'})", {"c": floats(*shape, seed=3) + 2})
    assert found.counts()["host"] == 0
    found.check({"x": floats(3, 6)}, 1e-4)


def test_binary_of_activations_broadcasts() -> None:
    found = around("s = ReduceSum<keepdims = 1>(h, one)\n y = Div(h, s)", {"one": np.array([1])})
    assert found.counts() == {"linear": 1, "reduce": 1, "binary": 1}
    found.check({"x": floats(3, 6)}, 1e-4)


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_power(exponent: float) -> None:
    found = around("a = Abs(h)\n y = Pow(a, e)", {"e": np.float32(exponent)})
    kinds = [op.properties["kind"].data for op in found.ops("rec.binary")]  # type: ignore[attr-defined]
    assert kinds == (["mul"] if exponent == 2 else ["pow"])
    found.check({"x": floats(3, 6)}, 1e-4)


def test_prelu() -> None:
    found = around("y = PRelu(h, slope)", {"slope": floats(6, seed=4)})
    assert found.counts() == {"linear": 1, "constant": 1, "binary": 1}
    found.check({"x": floats(3, 6)})


def test_zeros_made_at_run_time_are_a_constant() -> None:
    found = around(
        """s = Shape<end = 1>(x)
           t = Concat<axis = 0>(s, one)
           z = Expand(half, t)
           y = Add(z, h)""",
        {"one": np.array([1]), "half": np.float32(0.5)},
    )
    assert found.counts() == {"linear": 1, "constant": 1, "binary": 1}
    found.check({"x": floats(3, 6)})


def test_operands_of_different_rank_would_mix_requests() -> None:
    found = around("u = Unsqueeze(h, zero)\n y = Add(u, h)", {"zero": np.array([0])}, out="A, B, C")
    assert found.counts()["binary"] == 0
    found.check({"x": floats(3, 6)})


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max", "Min", "L2", "L1", "SumSquare"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce(kind: str, keepdims: int) -> None:
    found = around(
        f"y = Reduce{kind}<keepdims = {keepdims}>(h, axes)",
        {"axes": np.array([-1])},
        out="B, 1" if keepdims else "B",
    )
    assert found.counts()["reduce"] == 1
    found.check({"x": floats(3, 6)}, 1e-4)


def test_reduction_over_the_batch_stays_on_the_host() -> None:
    found = around("y = ReduceSum<keepdims = 1>(h, axes)", {"axes": np.array([0])}, out="1, 6")
    assert found.reasons()["ReduceSum"] == "reduces over the batch"
    found.check({"x": floats(3, 6)}, 1e-4)


@pytest.mark.parametrize(("opset", "axis"), [(18, -1), (18, 1), (11, 1)])
def test_softmax(opset: int, axis: int) -> None:
    found = around(f"y = Softmax<axis = {axis}>(h)", opset=opset)
    assert found.counts() == {"linear": 1, "reduce": 2, "binary": 2, "unary": 1}
    found.check({"x": floats(3, 6)})


def test_softmax_over_the_batch_stays_on_the_host() -> None:
    found = around("y = Softmax<axis = 0>(h)")
    assert found.reasons() == {"Softmax": "normalises over the batch"}
    found.check({"x": floats(3, 6)})


NORMAL = {"s": floats(6), "b": floats(6, seed=1), "m": floats(6, seed=2), "v": abs(floats(6, seed=3))}


def test_batch_normalization_is_part_of_the_layer_before_it() -> None:
    found = around("y = BatchNormalization<epsilon: float = 0.001>(h, s, b, m, v)", NORMAL)
    assert found.counts() == {"linear": 1}
    found.check({"x": floats(3, 6)}, 1e-4)


def test_batch_normalization_of_something_else() -> None:
    found = around("r = Tanh(h)\n y = BatchNormalization(r, s, b, m, v)", NORMAL)
    assert found.counts() == {"linear": 1, "unary": 1, "constant": 2, "binary": 2}
    found.check({"x": floats(3, 6)}, 1e-4)
