"""What requests must be: arrays by name, of dtypes and shapes that the model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.workload.request_rules import checked_arrays

SIGNATURE = [("x", "float32", (-1, 2)), ("id", "int64", (-1,))]
GOOD = {"x": np.ones((3, 2), np.float32), "id": np.arange(3)}


def test_arrays_of_the_model_are_taken_and_others_left_out() -> None:
    found = checked_arrays(SIGNATURE, {**GOOD, "id": np.arange(3, dtype=np.int32), "more": np.ones(1)})
    assert {name: array.dtype.name for name, array in found.items()} == {"x": "float32", "id": "int64"}


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ("requests.npz", "request.not-npz"),
        ([np.ones(3)], "request.not-npz"),
        (None, "request.not-npz"),
        ({"x": GOOD["x"]}, "request.missing-input"),
        ({**GOOD, "id": np.ones(3)}, "request.bad-dtype"),
        ({**GOOD, "x": np.ones((3, 3), np.float32)}, "request.bad-shape"),
        ({**GOOD, "x": np.full((3, 2), np.nan, np.float32)}, "request.not-finite"),
    ],
)
def test_what_is_refused(arrays: Any, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked_arrays(SIGNATURE, arrays)
    assert caught.value.code == code
