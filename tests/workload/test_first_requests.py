"""The first few requests of a batch, bags with offsets among them."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.workload.first_requests import JaggedInputs, first_requests
from cimc.workload.request_rules import OPAQUE, as_texts, checked_arrays, require_finite

ARRAYS = {
    "x": np.arange(8).reshape(4, 2),
    "ids": np.array([9, 8, 7, 6, 5]),
    "at": np.array([0, 2, 2, 4]),
    "w": np.array([0.1, 0.2, 0.3, 0.4, 0.5]),
    "labels": np.array([1, 0, 1, 0]),
    "scalar": np.array(3),
}
BAG = JaggedInputs("ids", "at", "w", "offsets")


def cut(limit: int, jagged: JaggedInputs = BAG, **more: np.ndarray) -> dict[str, np.ndarray]:
    return first_requests(ARRAYS | more, ["x", "ids", "at", "w", "scalar"], [jagged], limit)


@pytest.mark.parametrize(("limit", "ids"), [(1, [9, 8]), (2, [9, 8]), (3, [9, 8, 7, 6])])
def test_ids_are_cut_where_the_offsets_say(limit: int, ids: list[int]) -> None:
    found = cut(limit)
    assert found["ids"].tolist() == ids
    assert found["w"].tolist() == ARRAYS["w"][: len(ids)].tolist()
    assert found["at"].tolist() == ARRAYS["at"][:limit].tolist()
    assert found["x"].shape == (limit, 2)
    assert found["labels"].shape == (limit,)
    assert found["scalar"] == 3


def test_offsets_with_an_end_keep_it() -> None:
    ends = JaggedInputs("ids", "at", "w", "offsets_end")
    found = cut(2, ends, at=np.array([0, 2, 2, 4, 5]))
    assert found["at"].tolist() == [0, 2, 2]
    assert found["ids"].tolist() == [9, 8]


def test_a_limit_beyond_the_batch_changes_nothing() -> None:
    assert cut(4) == ARRAYS
    assert cut(99) == ARRAYS


def test_where_requests_cannot_be_told_apart() -> None:
    with pytest.raises(RequestError, match="x: 3, at: 4") as error:
        cut(2, x=np.zeros((3, 2)))
    assert error.value.code == "request.cannot-limit"


SIGNATURE = [("x", "float32", (-1, 2)), ("s", OPAQUE, (-1,))]
TEXTS = np.array(["a", "b"], object)


def test_arrays_are_taken_as_the_model_wants_them() -> None:
    found = checked_arrays(SIGNATURE, {"x": np.ones((3, 2), np.float16), "s": TEXTS, "other": 1})
    assert list(found) == ["x", "s"]
    assert found["x"].dtype == np.float32
    assert found["s"] is TEXTS


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (None, "request.missing-input"),
        (np.ones((3, 2), np.float64), "request.bad-dtype"),
        (np.ones((3, 2), np.int32), "request.bad-dtype"),
        (np.ones((3, 3), np.float32), "request.bad-shape"),
        (np.ones(3, np.float32), "request.bad-shape"),
        (np.array([[1, 2], [np.nan, 3]], np.float32), "request.not-finite"),
    ],
)
def test_arrays_that_the_model_does_not_take(x: np.ndarray | None, code: str) -> None:
    arrays = {"s": TEXTS} if x is None else {"s": TEXTS, "x": x}
    with pytest.raises(RequestError) as error:
        checked_arrays(SIGNATURE, arrays)
    assert error.value.code == code
    if code == "request.not-finite":
        assert "request 1" in str(error.value)
        assert set(checked_arrays(SIGNATURE, arrays, finite=())) == {"x", "s"}


def test_finite_is_about_floats() -> None:
    require_finite({"n": np.array([1, 2]), "s": TEXTS})
    with pytest.raises(RequestError, match="'z' holds NaN or infinity"):
        require_finite({"n": np.array([1]), "z": np.array(np.inf)})


def test_texts_get_a_fixed_width_unless_one_ends_in_nul() -> None:
    assert as_texts(TEXTS).dtype == np.dtype("<U1")
    for kept in (np.array(["a\0"], object), np.array([b"a"], object), np.array([1]), "text"):
        assert as_texts(kept) is kept
