"""What moves no data between requests: taken with the batch in front, left to the host otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip, why
from tests.transforms.recognise.fusing import Arrays, floats

WEIGHTS: Arrays = {
    "split": np.array([0, 2, 2, -1]), "k0": np.array([0]), "k1": np.array([1]), "k2": np.array([2]),
    "wide": np.array([1, 5, 4]), "thrice": np.array([1, 3, 2]), "batch": np.array([2, 1, 1]),
    "rows": np.array([-1, 2]), "flag": np.array(False), "ratio": np.float32(0.5), "none": np.array([1, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "dims", "kinds"),
    [
        ("y = Reshape(h, split)", (4, 3), {"reshape": 1}),
        ("y = Flatten(h)", (2, 3), {"reshape": 1}),
        ("y = Identity(h)", (2, 3), {}),
        ("u = Unsqueeze(h, k1)\n y = Squeeze(u, k1)", (3,), {"reshape": 2}),
        ("y = Dropout(h, ratio, flag)", (3,), {}),
        ("u = Unsqueeze(h, k1)\n y = Expand(u, wide)", (4,), {"reshape": 1, "expand": 1}),
        ("y = Transpose<perm = [0, 2, 1]>(h)", (2, 3), {"transpose": 1}),
        ("y = Transpose<perm = [0, 2, 1]>(h)", (1, 3), {"reshape": 1}),
        ("y = Transpose<perm = [0, 1, 2]>(h)", (2, 3), {}),
        ("y = Tile(h, thrice)", (2, 4), {"reshape": 4, "expand": 2}),
    ],
)
def test_what_the_chip_takes(body: str, dims: tuple[int, ...], kinds: dict[str, int]) -> None:
    found = on_chip(behind_layer(body, dims, WEIGHTS))
    assert dict(found.counts()) == {"linear": 1, **kinds}


def test_flatten_counts_axes_from_the_end_from_opset_11_on() -> None:
    found = on_chip(behind_layer("y = Flatten<axis = -2>(h)", (2, 3), opset=11))
    assert found.counts()["reshape"] == 1


@pytest.mark.parametrize(
    ("body", "dims", "kind", "reason"),
    [
        ("y = Transpose(h)", (3,), "Transpose", "the batch does not stay dimension 0"),
        ("y = Tile(h, batch)", (2, 3), "Tile", "2*B, not the batch"),
        ("y = Reshape(h, rows)", (2, 2), "Reshape", "not the batch"),
        ("r = Unsqueeze(h, k0)\n y = Expand(r, thrice)", (2,), "Unsqueeze", "not the batch"),
    ],
)
def test_the_batch_stays_in_front(body: str, dims: tuple[int, ...], kind: str, reason: str) -> None:
    assert reason in why(behind_layer(body, dims, WEIGHTS), kind)


def test_integers_for_the_host_stay_there() -> None:
    """Ids are prepared where they are looked up: a reshape of them is no work for the chip."""
    body = (
        "i = Reshape(ids, split3)\n n = NonZero(i)\n f = Cast<to = 1>(n)\n"
        "s = ReduceSum<keepdims = 0>(f)\n y = Add(h, s)"
    )
    found = behind_layer(body, (4,), {"split3": np.array([0, 2, 2])}, more=", int64[B, 4] ids")
    found.check({"x": floats(3, 4), "ids": np.arange(12).reshape(3, 4)})
    assert "Reshape" in found.reasons()
