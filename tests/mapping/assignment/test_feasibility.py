"""Why items do not fit: each of the three counts, and the error that names it."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import InfeasibleError
from cimc.mapping.assignment.feasibility import not_packed, require_room
from cimc.mapping.assignment.problem import PlacementProblem


def sized(size: list[int], capacity: list[int]) -> PlacementProblem:
    n, m = len(size), len(capacity)
    return PlacementProblem(
        np.ones(n),
        np.array(size, np.int64),
        np.ones(n),
        np.array(capacity),
        np.ones(m),
        labels=[*"abcdefgh"[:n]],
    )


@pytest.mark.parametrize(
    ("size", "capacity", "demand", "bound", "said"),
    [
        ([1, 5], [4, 4], 5, 4, "b needs .* in one bin"),
        ([3, 3, 3], [4, 4], 9, 8, "crossbar storage"),
        ([3, 3, 3], [5, 5, 1], 3, 2, "places of 3 or more arrays"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    size: list[int], capacity: list[int], demand: int, bound: int, said: str
) -> None:
    with pytest.raises(InfeasibleError, match=said) as error:
        require_room(sized(size, capacity))
    found = error.value.shortage
    assert (found.demand, found.bound) == (demand, bound)
    assert found.levers


@pytest.mark.parametrize(("size", "capacity"), [([], [0]), ([4], [4]), ([3, 3, 1, 1], [4, 4])])
def test_what_may_fit_passes(size: list[int], capacity: list[int]) -> None:
    require_room(sized(size, capacity))


@pytest.mark.parametrize(("proven", "said"), [(True, "no packing exists"), (False, "not exhaustive")])
def test_a_failed_packing_says_how_sure_it_is(proven: bool, said: str) -> None:
    error = not_packed(sized([2, 2, 2], [3, 3]), placed=4, proven=proven)
    assert said in str(error)
    assert (error.shortage.demand, error.shortage.bound) == (6, 4)
