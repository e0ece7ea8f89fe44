"""Requests again and again, bags with offsets among them."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.workload.first_requests import JaggedInputs, first_requests
from cimc.workload.repeat_requests import repeat_requests

ARRAYS = {
    "x": np.arange(8).reshape(4, 2),
    "ids": np.array([9, 8, 7, 6, 5]),
    "at": np.array([0, 2, 2, 4]),
    "w": np.array([0.1, 0.2, 0.3, 0.4, 0.5]),
    "scalar": np.array(3),
}
NAMES = list(ARRAYS)


@pytest.mark.parametrize("end", [False, True])
def test_bags_go_on_where_they_ended(end: bool) -> None:
    bag = JaggedInputs("ids", "at", "w", "offsets_end" if end else "offsets")
    arrays = {**ARRAYS, "at": np.array([0, 2, 2, 4, 5] if end else [0, 2, 2, 4])}
    found = repeat_requests(arrays, NAMES, [bag], 9)
    assert found["at"].tolist() == [0, 2, 2, 4, 5, 7, 7, 9, 10, 12, 12, 14, *([15] if end else [])]
    assert found["ids"].tolist() == [9, 8, 7, 6, 5] * 3
    assert found["w"].shape == (15,)
    assert found["x"].shape == (12, 2)
    assert found["scalar"] == 3
    first = first_requests(found, NAMES, [bag], 4)
    assert all(np.array_equal(first[name], arrays[name]) for name in NAMES)


def test_enough_stays_as_it_is() -> None:
    found = repeat_requests(ARRAYS | {"labels": np.zeros(4)}, NAMES, [JaggedInputs("ids", "at", "w", "")], 4)
    assert found == ARRAYS


def test_where_requests_cannot_be_told_apart() -> None:
    with pytest.raises(RequestError) as caught:
        repeat_requests({"x": np.zeros(3), "y": np.zeros(4)}, ["x", "y"], [], 9)
    assert caught.value.code == "request.cannot-repeat"
