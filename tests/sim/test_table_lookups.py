"""Lookups put together, by mode, against plain loops; and what they count."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.interpreter.bags import Bags
from cimc.isa.program import Matrix
from cimc.sim.activity import Activity
from cimc.sim.prepared import Prepared
from cimc.sim.table_lookups import count, is_pooled, look_up
from tests.cost.cost_programs import TSINGHUA, program

ROWS, DIM, HEIGHT = 30, 4, 8
BLOCKS = [(r, min(HEIGHT, ROWS - r), 0, DIM, 3 + r // HEIGHT, 0, 0) for r in range(0, ROWS, HEIGHT)]
DATA = np.random.default_rng(0).integers(-90, 91, (ROWS, DIM)).astype(np.int8)
TABLE = Matrix("t", "table", ROWS, DIM, 8, 2, HEIGHT, 3)


class Run:
    """As much of a run as lookups ask for."""

    def __init__(self, mode: str = "exact") -> None:
        made = program({0: []}, [(TABLE, BLOCKS)])
        made.data["t.data"] = DATA
        made.data["t.ranges"] = np.array([1], np.int32)
        self.prepared = Prepared(made, TSINGHUA)
        self.mode, self.noise, self.threads = mode, None, 1
        self.activity = Activity()


RUN = Run()


def bags(lengths: list[int], seed: int, weighted: bool = False) -> Bags:
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = rng.integers(0, ROWS, starts[-1])
    weights = rng.normal(size=len(ids)).astype(np.float32) if weighted else None
    return Bags(ids, starts, weights, (len(lengths),))


def plain(given: Bags, mode: str, scale: np.float32) -> np.ndarray[Any, Any]:
    if mode == "none":
        return DATA[given.ids].astype(np.float32) * scale
    out = np.zeros((len(given.starts) - 1, DIM), np.float64)
    for k, (a, b) in enumerate(pairwise(given.starts)):
        rows = DATA[given.ids[a:b]].astype(np.float64)
        if given.weights is not None:
            rows = rows * given.weights[a:b, np.newaxis]
        if len(rows):
            out[k] = rows.max(0) if mode == "max" else rows.sum(0) / (len(rows) if mode == "mean" else 1)
    return out * scale


@pytest.mark.parametrize("mode", ["sum", "mean", "max", "none"])
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_modes(mode: str, lengths: list[int], seed: int) -> None:
    made = bags(lengths, seed)
    found = look_up(RUN, TABLE, made, mode, np.float32(0.25), 0, 0)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, plain(made, mode, np.float32(0.25)), rtol=1e-6)


def test_weights_of_samples() -> None:
    made = bags([3, 0, 2], 1, weighted=True)
    found = look_up(Run(), TABLE, made, "sum", np.float32(0.5), 0, 0)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, plain(made, "sum", np.float32(0.5)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "weighted", "pooled"),
    [
        ("sum", False, True),
        ("mean", False, True),
        ("max", False, False),
        ("none", False, False),
        ("sum", True, False),
    ],
)
def test_rows_are_added_where_they_are_read_if_they_are_added_at_all(
    mode: str, weighted: bool, pooled: bool
) -> None:
    assert is_pooled(bags([2], 0, weighted), mode) == pooled


def test_counts_are_those_of_a_loop_over_bags() -> None:
    run, made = Run(), bags([4, 0, 7, 1], 3)
    count(run, (0, 0, 0), TABLE, made, True, 5, np.arange(len(made.starts) - 1), False)  # type: ignore[arg-type]
    (found,) = run.activity.lookups.values()
    rows, activations, visits = np.zeros(len(BLOCKS), int), np.zeros(len(BLOCKS), int), {}
    for a, b in pairwise(made.starts):
        block, hits = np.unique(made.ids[a:b] // HEIGHT, return_counts=True)
        for k, n in zip(block.tolist(), hits.tolist(), strict=True):
            rows[k] += n
            activations[k] += -(-n // TABLE.pool_rows)
            visits[3 + k] = visits.get(3 + k, 0) + 1
    assert found.ids == 12
    assert found.block_rows.tolist() == rows.tolist()
    assert found.block_activations.tolist() == activations.tolist()
    assert found.tile_visits == visits


def test_counts_add_up_over_calls() -> None:
    run, made = Run(), bags([4, 2], 3)
    for _ in range(2):
        count(run, (0, 0, 0), TABLE, made, True, 5, np.arange(len(made.starts) - 1), False)  # type: ignore[arg-type]
    (found,) = run.activity.lookups.values()
    assert found.ids == 12
    assert found.block_rows.sum() == 12
