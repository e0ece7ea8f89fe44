"""Values at the input ports of a segment."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.isa.program import Port
from cimc.sim.inputs import bind
from tests.cost.cost_programs import table

FLOATS = Port("x", "dense", "f32", "float32", (2,))
INTS = Port("n", "dense", "i32", "int64", ())
FIXED = Port("ids", "bag", "i32", "int64", (), "fixed", padding=-1)
JAGGED = Port("flat", "bag", "i32", "int64", (), "offsets", offsets="starts")
PAIRS = Port("ids", "bag", "i32", "int64", (), "fixed", padding=-1, longest=2)
IDS = np.array([[0, 4], [2, -1], [-1, -1]])


def test_every_kind_of_port() -> None:
    values = {
        "x": np.ones((3, 2)), "n": np.array([1, 2, 3]), "ids": IDS,
        "flat": np.array([4, 4, 0]), "starts": np.array([0, 2, 2]),
    }  # fmt: skip
    found = bind((FLOATS, INTS, FIXED, JAGGED), values, {2: table("t", 5, 4), 3: table("t", 5, 4)})
    assert found.batch == 3
    assert (found.dense[0].dtype, found.dense[1].dtype) == (np.float32, np.int32)
    assert found.bags[2].ids.tolist() == [0, 4, 2]
    assert found.bags[2].starts.tolist() == [0, 2, 3, 3]
    assert found.bags[3].starts.tolist() == [0, 2, 2, 3]
    assert bind((), {}, {}).batch == 0


@pytest.mark.parametrize(
    ("ports", "values", "code", "said"),
    [
        ((FLOATS, INTS), {"x": np.ones((3, 2)), "n": np.arange(2)}, "request.batch-mismatch", "n: 2, x: 3"),
        ((FLOATS,), {"x": np.ones((3, 4))}, "request.bad-shape", "takes"),
        ((INTS,), {"n": np.array([1, 2**31])}, "request.id-out-of-range", "beyond 32 bits"),
        ((PAIRS,), {"ids": IDS[:, :1]}, "request.bad-shape", "has 1 ids per request, the program takes 2"),
        ((FIXED,), {"ids": IDS + 1}, "request.id-out-of-range", "request 0"),
    ],
)
def test_what_does_not_fit(
    ports: tuple[Port, ...], values: dict[str, np.ndarray], code: str, said: str
) -> None:
    with pytest.raises(RequestError, match=said) as error:
        bind(ports, values, {0: table("t", 5, 4)})
    assert error.value.code == code
