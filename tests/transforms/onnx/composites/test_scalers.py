"""Feature scaling with any numbers, against onnxruntime; what has not one number a feature stays whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimc.transforms.onnx.composites.scalers  # noqa: F401  (its rules are what is tried)
from tests.transforms.onnx.composites.test_operators import ML, node, run
from tests.transforms.recognise.fusing import floats

numbers = st.floats(-8, 8, width=32)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(1, 5))
def test_any_features(data: st.DataObject, wide: int) -> None:
    offset, scale = (data.draw(st.lists(numbers, min_size=wide, max_size=wide)) for _ in range(2))
    found = run([node("Scaler", ["h"], ["y"], ML, offset=offset, scale=scale)], {"x": floats(3, wide)}, {})
    assert found.counts()["host"] == 0


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_row_of_zeros_stays_one(norm: str) -> None:
    x = floats(3, 4)
    x[1] = 0
    run([node("Normalizer", ["h"], ["y"], ML, norm=norm)], {"x": x}, {})


def test_a_maximum_is_left_alone() -> None:
    found = run([node("Normalizer", ["h"], ["y"], ML, norm="MAX")], {"x": np.abs(floats(3, 4)) + 1}, {})
    assert found.reasons() == {"ai.onnx.ml.Normalizer": "it divides by a maximum"}
