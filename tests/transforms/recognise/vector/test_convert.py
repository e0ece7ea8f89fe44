"""Conversions on the chip: floats, truth values, counts; and those that stay with the host."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip, why
from tests.transforms.recognise.fusing import floats


def test_a_conversion_to_the_same_type_vanishes() -> None:
    found = on_chip(behind_layer("c = Cast<to = 1>(h)\n y = CastLike(c, x)", (4,)))
    assert found.counts() == {"linear": 1}


def test_truth_values_become_numbers_and_back() -> None:
    found = on_chip(behind_layer("t = Cast<to = 9>(h)\n y = Cast<to = 1>(t)", (4,)))
    assert found.counts()["cast"] == 1
    zeros = floats(3, 4)
    zeros[1] = 0
    on_chip(found, zeros)


@pytest.mark.parametrize("keep", [0, 1])
def test_a_count_of_truth_values_is_counted_in_floats(keep: int) -> None:
    body = (
        "t = Less(h, zero)\n i = Cast<to = 7>(t)\n"
        f"n = ReduceSum<keepdims = {keep}>(i, k1)\n y = Cast<to = 1>(n)"
    )
    found = on_chip(
        behind_layer(body, (2, 4), {"zero": np.zeros((1, 1, 1), np.float32), "k1": np.array([1])})
    )
    assert found.counts()["reduce"] == 1


def test_conversions_between_other_types_stay_with_the_host() -> None:
    found = behind_layer("i = Cast<to = 7>(h)\n j = Cast<to = 6>(i)\n k = Abs(j)\n y = Cast<to = 1>(k)", (4,))
    assert why(found, "Cast")
