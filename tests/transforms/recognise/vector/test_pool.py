"""Pooling on the chip: what is taken and what is not."""

from __future__ import annotations

import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip, same


@pytest.mark.parametrize(
    ("node", "kinds"),
    [
        ("MaxPool<kernel_shape = [2]>(h)", {"reduce"}),
        ("MaxPool<kernel_shape = [1], strides = [2]>(h)", {"take"}),
        ("AveragePool<kernel_shape = [3], strides = [3], pads = [1, 1]>(h)", {"pad", "reduce", "binary"}),
        ("AveragePool<kernel_shape = [3], pads = [1, 1], count_include_pad = 1>(h)", {"pad", "binary"}),
        ("LpPool<kernel_shape = [2], p = 1>(h)", {"unary"}),
        ("LpPool<kernel_shape = [2]>(h)", {"unary", "binary"}),
        ("LpPool<kernel_shape = [2], p = 3>(h)", {"binary"}),
    ],
)
def test_windows_are_taken_and_reduced(node: str, kinds: set[str]) -> None:
    found = on_chip(behind_layer(f"y = {node}", (2, 7)), tolerance=1e-4)
    assert kinds <= set(found.counts())


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_windows_in_two_directions(kind: str) -> None:
    on_chip(behind_layer(f"y = {kind}<kernel_shape = [2, 3], strides = [1, 2]>(h)", (2, 4, 7)))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ('MaxPool<kernel_shape = [2], dilations = [2], auto_pad = "SAME_UPPER">(h)', "windows do not fit"),
        ("MaxPool<kernel_shape = [300], pads = [299, 299]>(h)", "the windows have"),
    ],
)
def test_what_stays_with_the_host(node: str, reason: str) -> None:
    found = same(behind_layer(f"y = {node}", (1, 300)))
    assert reason in found.reasons()["MaxPool"]


def test_positions_of_maxima_are_the_hosts() -> None:
    body = "v, i = MaxPool<kernel_shape = [2]>(h)\n f = Cast<to = 1>(i)\n y = Add(v, f)"
    assert "positions of the maxima" in same(behind_layer(body, (2, 7))).reasons()["MaxPool"]
