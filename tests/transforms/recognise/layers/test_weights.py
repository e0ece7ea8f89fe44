"""Matrices computed at compile time: stored once, exchanged axes."""

from __future__ import annotations

import numpy as np

from tests.transforms.recognise.anchored import behind_layer, on_chip
from tests.transforms.recognise.fusing import floats


def test_equal_matrices_are_stored_once() -> None:
    """Two convolutions of the same weights, under other names, are layers of one matrix."""
    w = floats(4, 3, 2, seed=1)
    body = "a = Conv(h, w)\n c = Conv(h, same)\n d = Conv(h, other)\n e = Add(a, c)\n y = Add(e, d)"
    found = on_chip(behind_layer(body, (3, 5), {"w": w, "same": w.copy(), "other": w + 1}), tolerance=1e-4)
    names = [str(op.weight) for op in found.ops("rec.linear")]  # type: ignore[attr-defined]
    assert len(names) == 4
    assert len(set(names)) == 3


def test_a_matrix_of_another_shape_is_another() -> None:
    ones = np.ones((2, 3, 1), np.float32)
    body = "a = Conv(h, w)\n c = Conv(h, v)\n y = Concat<axis = 1>(a, c)"
    found = on_chip(
        behind_layer(body, (3, 5), {"w": ones, "v": np.ones((4, 3, 1), np.float32)}), tolerance=1e-4
    )
    assert len({str(op.weight) for op in found.ops("rec.linear")}) == 3  # type: ignore[attr-defined]


def test_axes_of_one_element_change_places_by_a_reshape() -> None:
    found = on_chip(behind_layer("y = Conv(h, w)", (1, 5), {"w": floats(1, 1, 1)}), tolerance=1e-4)
    assert "transpose" not in found.counts()
    found = on_chip(behind_layer("y = Conv(h, w)", (2, 5), {"w": floats(3, 2, 1)}), tolerance=1e-4)
    assert found.counts()["transpose"] == 2
