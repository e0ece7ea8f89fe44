"""Lookups in tables whose rows have scales of their own, with activity made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.cost import count_events, time_program
from tests.cost.cost_programs import TSINGHUA, lookup_activity, program, table
from tests.cost.test_cost_lookups import DIM, WIDTH, bag, ids_port

BLOCKS = [(0, 512, 0, DIM, 3, 0, 0), (512, 512, 0, DIM, 0, 0, 0)]
"""Two blocks: on tile 3 (three hops from tile 0) and on tile 0."""
ACTIVITY = lookup_activity((0, 0, 0), [30, 10], [30, 10], {3: 10, 0: 5}, 40, 10)


def made(words: int, mode: str = "sum", weights: str = ""):
    matrix = table("t", 1024, DIM, pool_rows=1 if words else 8)
    found = program({0: [bag(mode)]}, [(matrix, BLOCKS)], inputs=[ids_port(weights)])
    for part in ("row_scales", "row_biases")[:words]:
        found.data[f"t.{part}"] = np.ones(1024, np.float32)
    return found


@pytest.mark.parametrize("words", [1, 2])
@pytest.mark.parametrize("mode", ["sum", "mean", "max", "none"])
def test_scales_are_read_and_return_with_their_rows(mode: str, words: int):
    """Four rows a request, three of them on tile 3: every row comes home, with a word or two beside it."""
    events = count_events(made(words, mode), TSINGHUA, ACTIVITY)
    assert events["accumulate.adds"] == 0  # nothing is added at the owner
    assert events["router.hop_bits"] == pytest.approx(3 * (2 * 32 + 3 * (WIDTH + (DIM + words) * 32)))
    assert events["bus.bits"] == pytest.approx(4 * (WIDTH + (DIM + words) * 32))
    each = 1 + words + (0 if mode == "none" else 1)  # convert, scale, add the bias; pool
    assert events["vector.ops.bag"] == pytest.approx((4 * each + (mode == "mean")) * DIM)


def test_weights_cost_a_multiplication_more():
    events = count_events(made(1, weights="w"), TSINGHUA, ACTIVITY)
    assert events["vector.ops.bag"] == pytest.approx(4 * (2 + 2) * DIM)


def test_scales_of_their_own_cost_more_than_one():
    one, own = (count_events(made(words), TSINGHUA, ACTIVITY) for words in (0, 1))
    for name in ("scratchpad.read_bits", "bus.bits", "router.hop_bits", "vector.ops.bag"):
        assert own[name] > one[name]
    times = [time_program(made(words), TSINGHUA, ACTIVITY).latency_ns for words in (0, 1, 2)]
    assert times == sorted(times)
    assert times[0] < times[1]
