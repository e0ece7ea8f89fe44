"""Reductions and softmax on the chip, with onnxruntime's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip, why
from tests.transforms.recognise.fusing import Arrays, floats

WEIGHTS: Arrays = {
    "k1": np.array([1]), "km1": np.array([-1]), "apart": np.array([3, 1]), "k0": np.array([0]),
    "none": np.zeros(0, np.int64), "tiny": np.float32(1e-3),
}  # fmt: skip
KINDS = ("Sum", "Mean", "Max", "Min", "L2", "L1", "SumSquare", "LogSumExp")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", ["k1", "km1", "apart"])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(kind: str, axes: str, keep: int) -> None:
    on_chip(
        behind_layer(f"y = Reduce{kind}<keepdims = {keep}>(h, {axes})", (2, 3, 4), WEIGHTS), tolerance=1e-4
    )


def test_a_logarithm_of_a_sum() -> None:
    on_chip(behind_layer("p = Exp(h)\n y = ReduceLogSum(p, k1)", (3,), WEIGHTS), tolerance=1e-4)


def test_neighbouring_axes_are_one_reduction() -> None:
    both = {"axes": np.array([1, 2])}
    one = on_chip(behind_layer("y = ReduceSum(h, axes)", (2, 3, 4), both))
    two = on_chip(behind_layer("y = ReduceSum(h, apart)", (2, 3, 4), WEIGHTS))
    assert (one.counts()["reduce"], two.counts()["reduce"]) == (1, 2)


def test_large_numbers_do_not_overflow() -> None:
    x = np.array([[1000.0, 999.0, -1000.0]], np.float32)
    for node in ("ReduceLogSumExp(h, k1)", "Softmax(h)", "LogSoftmax(h)"):
        on_chip(behind_layer(f"y = {node}", (3,), WEIGHTS), x, 1e-4)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("axis", "opset"), [(1, 18), (-1, 13), (2, 11), (1, 11)])
def test_softmax_by_opset(kind: str, axis: int, opset: int) -> None:
    """Below 13 it runs over all axes from ``axis`` on."""
    found = on_chip(behind_layer(f"y = {kind}<axis = {axis}>(h)", (3, 4), opset=opset))
    assert found.counts()["reduce"] == 2


@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_global_pools(kind: str) -> None:
    on_chip(behind_layer(f"y = Global{kind}Pool(h)", (2, 3, 4)))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("ReduceSum(h, k0)", "reduces over the batch"),
        ("ReduceSum(h)", "reduces over all axes, the batch among them"),
        ("Softmax<axis = 0>(h)", "normalises over the batch"),
    ],
)
def test_the_batch_is_not_reduced(node: str, reason: str) -> None:
    found = behind_layer(f"y = {node}", (4,), WEIGHTS)
    assert reason in why(found, node.partition("(")[0].partition("<")[0])


def test_axes_that_are_an_input_are_the_hosts() -> None:
    found = behind_layer("y = ReduceSum(h, a)", (4,), more=", int64[1] a")
    found.check({"x": floats(3, 4), "a": np.array([1])})
    assert found.reasons()["ReduceSum"] == "the axes are not known at compile time"
