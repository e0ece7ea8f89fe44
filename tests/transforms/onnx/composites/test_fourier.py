"""DFT as a product with a constant matrix, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.onnx.composites.test_operators import node, run
from tests.transforms.recognise.fusing import Arrays, floats


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("length", [None, 4, 7, 10])
@pytest.mark.parametrize(
    ("parts", "inverse", "half"), [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (2, 1, 0), (2, 1, 1)]
)
@pytest.mark.parametrize(("extents", "axis"), [((6, 3), 1), ((3, 6), 2), ((6,), -2)])
def test_it_is_a_layer(
    extents: tuple[int, ...], axis: int, parts: int, inverse: int, half: int, length: int | None, opset: int
) -> None:
    if inverse and half and length in (4, 7):
        pytest.skip("half of the input is more than that")
    if opset == 17 and axis < 0:
        pytest.skip("an axis counted from the end is of operator set 20")
    weights: Arrays = {} if length is None else {"n": np.array(length)}
    names = ["r", "" if length is None else "n"]
    attrs = {"inverse": inverse, "onesided": half}
    if opset < 20:
        attrs["axis"] = axis
    else:
        weights["a"] = np.array(axis)
        names.append("a")
    weights["dims"] = np.array([0, *extents, parts])
    inputs = {"x": floats(3, int(np.prod(extents)) * parts)}
    nodes = [node("Reshape", ["h", "dims"], ["r"]), node("DFT", names, ["y"], **attrs)]
    found = run(nodes, inputs, weights, opset)
    assert found.counts()["linear"] == 2
    assert found.counts()["host"] == 0


def test_more_than_half_of_what_is_symmetric_stays_whole() -> None:
    nodes = [node("Reshape", ["h", "dims"], ["r"]), node("DFT", ["r", "n"], ["y"], inverse=1, onesided=1)]
    found = run(nodes, {"x": floats(3, 12)}, {"dims": np.array([0, 6, 2]), "n": np.array(8)}, 17)
    assert found.reasons() == {"DFT": "its input is not half of what it states"}
