"""Masks and counts of padded lists: whatever is read of a tensor holds of its numbers in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import main_function
from cimc.transforms.matching.graph import Graph
from cimc.transforms.recognise.embedding_bags.mask import Mask, MaskReader
from tests.transforms.recognise.fusing import Arrays, imported, model

WEIGHTS: Arrays = {
    "s0": np.array(0), "s1": np.array(1), "s2": np.array(2), "sm1": np.array(-1), "k1": np.array([1]),
    "k2": np.array([2]), "ends": np.array([1, 2]), "one": np.float32(1), "zero": np.float32(0),
    "tiny": np.float32(1e-9), "much": np.float32(0.5), "wide": np.array([1, 1, 7]), "flat": np.array([0, 4]),
    "tall": np.array([0, 4, 1]), "ones": np.ones(4, np.float32),
}  # fmt: skip
IDS = np.array([[3, 0, 2, 1], [0, 0, 0, 0], [5, 1, 1, 2]])


def reader(body: str, kind: str = "float") -> tuple[MaskReader, object, np.ndarray]:
    """For the value ``y`` of a graph over lists ``x [B, 4]``; the value's numbers."""
    proto = model(f"m (int64[B, 4] x) => ({kind}[] y) {{ {body} }}", WEIGHTS)
    module, ctx = imported(proto)
    function = main_function(module)
    graph = Graph(function, ctx, analysis=ShapeAnalysis(function, ctx), opsets={"": 18})
    value = function.body.block.last_op.operands[0]  # type: ignore[union-attr]
    return MaskReader(graph), value, run_onnx(proto, {"x": IDS})["y"]


def read(body: str, kind: str = "float") -> Mask | None:
    """What is read, after a comparison with the numbers."""
    masks, value, numbers = reader(body, kind)
    mask = masks.read(value)  # type: ignore[arg-type]
    if mask is not None:
        rows = mask.padding != IDS if mask.exact else mask.padding < IDS
        axes = [1] * numbers.ndim
        axes[mask.batch], axes[mask.position] = IDS.shape
        turned = rows if mask.batch < mask.position else rows.T
        expected = np.broadcast_to((turned ^ mask.inverted).reshape(axes), numbers.shape)
        np.testing.assert_array_equal(numbers.astype(bool), expected)
    return mask


@pytest.mark.parametrize(
    ("body", "padding", "inverted", "exact"),
    [
        ("y = Cast<to = 9>(x)", 0, False, True),
        ("y = Equal(x, s2)", 2, True, True),
        ("y = Equal(sm1, x)", -1, True, True),
        ("e = Equal(x, s0)\n y = Not(e)", 0, False, True),
        ("y = Greater(x, s0)", 0, False, False),
        ("y = Less(s0, x)", 0, False, False),
        ("y = GreaterOrEqual(x, s1)", 0, False, False),
        ("y = Less(x, s1)", 0, True, False),
        ("y = GreaterOrEqual(x, s0)", -1, False, False),
    ],
)
def test_comparisons_of_ids(body: str, padding: int, inverted: bool, exact: bool) -> None:
    mask = read(body, "bool")
    assert mask is not None
    assert (mask.padding, mask.inverted, mask.exact) == (padding, inverted, exact)


@pytest.mark.parametrize("body", ["y = Greater(x, s1)", "y = Less(x, s2)", "y = LessOrEqual(s2, x)"])
def test_other_bounds_tell_no_padding(body: str) -> None:
    assert read(body, "bool") is None


START = "t = Greater(x, s0)\n m = Cast<to = 1>(t)\n"


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        ("y = Identity(m)", (0, 1)),
        ("y = Unsqueeze(m, k1)", (0, 2)),
        ("y = Unsqueeze(m, k2)", (0, 1)),
        ("u = Unsqueeze(m, ends)\n y = Squeeze(u, k1)", (0, 2)),
        ("y = Transpose(m)", (1, 0)),
        ("u = Unsqueeze(m, k2)\n y = Transpose<perm = [2, 0, 1]>(u)", (1, 2)),
        ("u = Unsqueeze(m, k2)\n y = Expand(u, wide)", (0, 1)),
        ("u = Unsqueeze(m, k2)\n y = Tile(u, wide)", (0, 1)),
        ("y = Reshape(m, tall)", (0, 1)),
        ("u = Unsqueeze(m, k2)\n y = Reshape(u, flat)", (0, 1)),
        ("y = Sub(ones, m)", (0, 1)),
        ("y = Sub(one, m)", (0, 1)),
        ("y = Where(t, one, zero)", (0, 1)),
        ("y = Where(t, zero, one)", (0, 1)),
        ("y = Where(t, one, much)", None),
        ("y = Sub(much, m)", None),
    ],
)
def test_views_keep_track_of_the_axes(body: str, axes: tuple[int, int] | None) -> None:
    mask = read(START + body)
    assert (None if mask is None else (mask.batch, mask.position)) == axes


@pytest.mark.parametrize(
    ("body", "guarded"),
    [
        ("y = ReduceSum(m, k1)", False),
        ("n = ReduceSum<keepdims = 0>(m, k1)\n y = Unsqueeze(n, k1)", False),
        ("n = ReduceSum(m, k1)\n y = Add(n, tiny)", True),
        ("n = ReduceSum(m, k1)\n y = Max(n, one)", True),
        ("n = ReduceSum(m, k1)\n y = Clip(n, tiny)", True),
        ("i = Cast<to = 7>(t)\n n = ReduceSum(i, k1)\n y = Cast<to = 1>(n)", False),
    ],
)
def test_counts_of_rows(body: str, guarded: bool) -> None:
    masks, value, numbers = reader(START + body)
    found = masks.count(value)  # type: ignore[arg-type]
    assert found is not None
    mask, found_guarded = found
    assert found_guarded == guarded
    least = 1 if "Max" in body else 0
    np.testing.assert_allclose(numbers.reshape(-1), np.maximum((mask.padding < IDS).sum(1), least), atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        "y = ReduceSum(m)",
        "y = ReduceMean(m, k1)",
        "n = ReduceSum(m, k1)\n y = Add(n, much)",
        "n = ReduceSum(m, k1)\n y = Clip(n, zero)",
        "n = ReduceSum(m, k1)\n y = Clip(n, one, one)",
        "n = ReduceSum(m, k1)\n y = Max(n, zero)",
        "u = Sub(one, m)\n y = ReduceSum(u, k1)",
        "u = Unsqueeze(m, k2)\n e = Expand(u, wide)\n y = ReduceSum(e, ends)",
        "y = Identity(m)",
    ],
)
def test_what_counts_something_else(body: str) -> None:
    masks, value, _ = reader(START + body)
    assert masks.count(value) is None  # type: ignore[arg-type]
