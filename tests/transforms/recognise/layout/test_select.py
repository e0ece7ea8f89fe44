"""Constant selections, joins and padding behind the batch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip
from tests.transforms.recognise.fusing import Arrays, floats

BIG = int(np.iinfo(np.int64).max)
WEIGHTS: Arrays = {
    "k0": np.array([0]), "k1": np.array([1]), "k2": np.array([2]), "km1": np.array([-1]),
    "big": np.array([BIG]), "low": np.array([-BIG]), "pick": np.array([3, 0, 3]), "run": np.array([1, 2]),
    "parts": np.array([1, 3]), "s2": np.array(2), "grid": np.array([[0, 1], [2, 3]]), "all": np.arange(4),
    "pads": np.array([0, 1, 0, 2]), "half": np.float32(0.5), "deep": np.array([1, 0, 0, 0]),
    "zeros": np.zeros((1, 2), np.float32), "shape": np.array([2]), "p1": np.array([1, 2]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("y = Slice(h, k1, big, k1)", {"slice": 1}),
        ("y = Slice(h, k0, big, k1)", {}),
        ("y = Slice(h, k0, big, k1, k2)", {"take": 1}),
        ("y = Slice(h, km1, low, k1, km1)", {"take": 1}),
        ("y = Gather<axis = 1>(h, pick)", {"take": 1}),
        ("y = Gather<axis = -1>(h, run)", {"slice": 1}),
        ("y = Gather<axis = 1>(h, all)", {}),
        ("y = Gather<axis = 1>(h, s2)", {"slice": 1, "reshape": 1}),
        ("y = Gather<axis = 1>(h, grid)", {"reshape": 1}),
        ("a, y = Split<axis = 1>(h, parts)", {"slice": 1}),
        ("y = Pad(h, pads, half)", {"pad": 1}),
        ("y = Pad(h, p1, half, k1)", {"pad": 1}),
        ("y = Concat<axis = 1>(h, x, h)", {"concat": 1}),
    ],
)
def test_what_the_chip_takes(body: str, kinds: dict[str, int]) -> None:
    found = on_chip(behind_layer(body, (4,), WEIGHTS))
    assert {**found.counts()} == {"linear": 1, **kinds} or "Split" in body


@pytest.mark.parametrize(
    ("parts", "pads"), [("(z, h)", 1), ("(h, z)", 1), ("(z, o, h)", 2), ("(z, h, z)", 1), ("(o, h, z)", 2)]
)
def test_a_part_of_one_number_is_padding(parts: str, pads: int) -> None:
    body = (
        "s = Shape<end = 1>(x)\n t = Concat<axis = 0>(s, shape)\n z = ConstantOfShape(t)\n"
        f"o = ConstantOfShape<value = float[1] {{2.0}}>(t)\n y = Concat<axis = 1>{parts}"
    )
    found = on_chip(behind_layer(body, (4,), WEIGHTS))
    assert dict(found.counts()) == {"linear": 1, "pad": pads}


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("y = Slice(h, k1, big, k0)", "Slice", "cuts requests out of the batch"),
        ("a, y = Split<axis = 0, num_outputs = 2>(h)", "Split", "batch"),
        ("y = Concat<axis = 0>(h, h)", "Concat", "batch"),
        ("y = Pad(h, deep)", "Pad", "batch"),
        ('y = Pad<mode = "edge">(h, pads)', "Pad", "the padding is not constant"),
    ],
)
def test_what_stays_with_the_host(body: str, kind: str, reason: str) -> None:
    found = behind_layer(body, (4,), WEIGHTS)
    found.check({"x": floats(4, 4)})
    assert reason in found.reasons()[kind]


def test_bounds_that_requests_give_are_the_hosts() -> None:
    found = behind_layer("y = Slice(h, k0, e, k1)", (4,), WEIGHTS, more=", int64[1] e")
    found.check({"x": floats(3, 4), "e": np.array([2])})
    assert found.reasons()["Slice"] == "the bounds are not known at compile time"
