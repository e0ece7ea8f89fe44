"""Arrays invented for what a model takes: bags as synthetic, all else drawn; or the reason why not."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.study.bag_inputs import ObservedBags, Taken
from cimc.study.invent import Arrays, invented
from cimc.workload.request_rules import Signature
from cimc.workload.traces.recorded import BagInput

IDS, STARTS = np.array([5, 6, 7, 8, 9]), np.array([0, 2, 5])
"""Two bags, of two ids and of three."""


def made(bag: BagInput, signature: Signature, starts: np.ndarray = STARTS, memory: int = 10**6) -> Arrays:
    taken = Taken((bag,), (), signature, lambda requests: [])
    source = ObservedBags("t", 10, len(starts) - 1, IDS, starts)
    return invented(taken, {bag: source}, len(starts) - 1, 3, memory)  # type: ignore[dict-item]


@pytest.mark.parametrize(("ends", "offsets"), [(False, [0, 2]), (True, [0, 2, 5])])
def test_bags_with_offsets(ends: bool, offsets: list[int]) -> None:
    bag = BagInput("t", 10, "ids", "at", ends, weights="w")
    found = made(
        bag,
        [("ids", "int64", (-1,)), ("at", "int32", (-1,)), ("w", "float32", (-1,)), ("x", "float32", (-1, 4))],
    )
    assert list(found) == ["ids", "at", "w", "x"]
    assert found["ids"].tolist() == IDS.tolist()
    assert (found["at"].tolist(), found["at"].dtype) == (offsets, np.int32)
    assert found["w"].shape == (5,)
    assert ((found["w"] > 0) & (found["w"] < 1)).all()
    assert (found["x"].shape, found["x"].dtype) == ((2, 4), np.float32)


def test_short_bags_are_padded_where_the_model_allows_it() -> None:
    found = made(BagInput("t", 10, "ids", padding=-1), [("ids", "int64", (-1, 4))])
    assert found["ids"].tolist() == [[5, 6, -1, -1], [7, 8, 9, -1]]


def test_bags_of_one_length_are_rows() -> None:
    starts = np.array([0, 1, 2, 3, 4, 5])
    assert made(BagInput("t", 10, "ids"), [("ids", "int32", (-1,))], starts)["ids"].tolist() == IDS.tolist()
    assert made(BagInput("t", 10, "ids"), [("ids", "int32", (-1, -1))], starts)["ids"].shape == (5, 1)


@pytest.mark.parametrize(
    ("shape", "padding", "said"),
    [
        ((-1, 4), None, "takes 4 ids a request, the synthetic bags of table t have 2 to 3"),
        ((-1, 2), -1, "takes 2 ids a request, the synthetic bags of table t have 2 to 3"),
        ((-1,), None, "takes one id a request"),
        ((-1, 2, 2), -1, "have 2 to 3"),
    ],
)
def test_bags_that_do_not_fit(shape: tuple[int, ...], padding: int | None, said: str) -> None:
    with pytest.raises(RequestError, match=said) as error:
        made(BagInput("t", 10, "ids", padding=padding), [("ids", "int64", shape)])
    assert error.value.code == "trace.cannot-invent"


@pytest.mark.parametrize(("dtype", "shape"), [("int64", (-1, 4)), ("float32", (-1, -1)), ("float32", (3, 4))])
def test_inputs_that_nothing_describes(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="is neither a bag"):
        made(
            BagInput("t", 10, "ids", "at"),
            [("ids", "int64", (-1,)), ("at", "int64", (-1,)), ("x", dtype, shape)],
        )


def test_memory_is_limited() -> None:
    with pytest.raises(RequestError) as error:
        made(BagInput("t", 10, "ids", "at"), [("ids", "int64", (-1,)), ("at", "int64", (-1,))], memory=100)
    assert error.value.code == "trace.memory"
