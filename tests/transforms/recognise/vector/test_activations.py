"""Activations, comparisons, selections and normalisation on the vector unit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

W = {"w": floats(6, 6, seed=9)}
X = {"x": floats(5, 6) * 2}


def around(body: str, weights: Arrays | None = None, *, opset: int = 18, out: str = "float[B, 6]") -> Fused:
    """``body`` computes ``y`` from ``h``, a linear layer's result ``[B, 6]``."""
    return fused(
        f"m (float[B, 6] x) => ({out} y) {{ h = MatMul(x, w)\n {body} }}", W | (weights or {}), opset=opset
    )


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        ("Erf(h)", 18),
        ("Softplus(h)", 18),
        ("Elu<alpha: float = 0.7>(h)", 18),
        ("Selu(h)", 18),
        ("Celu<alpha: float = 2.0>(h)", 18),
        ("Softsign(h)", 18),
        ("HardSigmoid<alpha: float = 0.3>(h)", 18),
        ("HardSwish(h)", 18),
        ("Mish(h)", 18),
        ("Gelu(h)", 20),
        ('Gelu<approximate = "tanh">(h)', 20),
        ("ThresholdedRelu<alpha: float = 0.5>(h)", 18),
        ("Shrink<bias: float = 0.2, lambd: float = 0.4>(h)", 18),
        ("Sign(h)", 18),
        ("Floor(h)", 18),
        ("Ceil(h)", 18),
        ("Round(h)", 18),
        ("LogSoftmax<axis = -1>(h)", 18),
        ("LpNormalization<axis = 1, p = 1>(h)", 18),
        ("LpNormalization<axis = 1, p = 2>(h)", 18),
        ("Mean(h, x, h)", 18),
    ],
)
def test_activation(node: str, opset: int) -> None:
    found = around(f"y = {node}", opset=opset)
    assert found.counts()["host"] == 0
    found.check(X, 1e-4)


def test_normalisation_of_zeros_gives_zeros() -> None:
    found = around("y = LpNormalization<axis = 1>(h)")
    found.check({"x": np.zeros((2, 6), np.float32)})


@pytest.mark.parametrize("axis", [-1, 1])
def test_layer_normalization(axis: int) -> None:
    dims = (2, 3) if axis == 1 else (3,)
    found = around(
        f"r = Reshape(h, t)\n n = LayerNormalization<axis = {axis}>(r, s, b)\n y = Flatten(n)",
        {"t": np.array([0, 2, 3]), "s": floats(*dims), "b": floats(*dims, seed=1)},
    )
    assert found.counts()["host"] == 0
    found.check(X, 1e-4)


@pytest.mark.parametrize("kind", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
def test_comparison_with_a_constant(kind: str) -> None:
    found = around(f"r = Round(h)\n c = {kind}(r, one)\n y = Cast<to = 1>(c)", {"one": np.float32(1)})
    assert found.counts()["host"] == 0
    found.check(X)


@pytest.mark.parametrize("kind", ["And", "Or", "Xor"])
def test_truth_values(kind: str) -> None:
    found = around(
        f"a = Greater(h, zero)\n b = Greater(x, zero)\n n = Not(a)\n c = {kind}(n, b)\n y = Cast<to = 1>(c)",
        {"zero": np.float32(0)},
    )
    assert found.counts()["host"] == 0
    found.check(X)


def test_truth_values_as_output() -> None:
    found = around("y = Greater(h, zero)", {"zero": np.float32(0)}, out="bool[B, 6]")
    assert found.counts()["host"] == 0
    found.check(X)


@pytest.mark.parametrize("choices", ["h, x", "h, zero", "zero, h", "low, h"])
def test_where(choices: str) -> None:
    constants = {"zero": np.float32(0), "low": np.float32(-np.inf), "half": np.float32(0.5)}
    found = around(f"c = Less(h, half)\n y = Where(c, {choices})", constants)
    assert found.counts()["host"] == 0
    found.check(X)


def test_where_by_a_constant_mask() -> None:
    found = around("y = Where(mask, h, x)", {"mask": np.array([True, False, True, True, False, False])})
    assert found.counts()["host"] == 0
    found.check(X)


def test_mask_of_ids() -> None:
    found = fused(
        """m (int64[B, 5] ids, float[B, 5] x) => (float[B, 5] y, float[B, 1] count) {
            padding = Equal(ids, zero)
            real = Not(padding)
            n = Cast<to = 7>(real)
            total = ReduceSum<keepdims = 1>(n, axis)
            count = Cast<to = 1>(total)
            h = MatMul(x, w)
            y = Where(real, h, low)
        }""",
        {"zero": np.array(0), "axis": np.array([1]), "w": floats(5, 5), "low": np.float32(-1e9)},
    )
    assert found.counts()["host"] == 0
    found.check({"ids": np.array([[1, 0, 3, 0, 0], [2, 2, 0, 1, 0]]), "x": floats(2, 5)})


def test_a_comparison_that_decides_about_ids_stays_with_them() -> None:
    found = fused(
        """m (int64[B, 5] ids) => (float[B, 5, 4] y) {
            low = Less(ids, zero)
            safe = Where(low, other, ids)
            y = Gather(table, safe)
        }""",
        {"zero": np.array(0), "other": np.array(2), "table": floats(7, 4)},
    )
    assert found.counts() == {"host": 1, "embedding_bag": 1}
    found.check({"ids": np.array([[1, -1, 3, 0, 0]])})


@pytest.mark.parametrize("kind", ["LogSumExp", "LogSum"])
def test_reductions_with_logarithm(kind: str) -> None:
    found = around(
        f"a = Abs(h)\n y = Reduce{kind}<keepdims = 0>(a, axes)", {"axes": np.array([1])}, out="float[B]"
    )
    assert found.counts()["host"] == 0
    found.check(X, 1e-4)


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max", "L2"])
def test_reduction_over_axes_that_are_not_neighbours(kind: str) -> None:
    found = around(
        f"r = Reshape(h, t)\n y = Reduce{kind}<keepdims = 0>(r, axes)",
        {"t": np.array([0, 2, 3, 1]), "axes": np.array([1, 3])},
        out="float[B, 3]",
    )
    assert found.counts()["host"] == 0
    found.check(X, 1e-4)


def test_tile() -> None:
    found = around("y = Tile(h, n)", {"n": np.array([1, 3])}, out="float[B, 18]")
    assert found.counts()["host"] == 0
    found.check(X)


def test_tiled_batch_stays_on_the_host() -> None:
    found = around("y = Tile(h, n)", {"n": np.array([2, 1])}, out="float[C, 6]")
    assert found.counts()["host"] == 1
    found.check(X)
