"""Histograms stay small however large the table is, and count every entry."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cimc.ir.cim.histograms import BINS, block_shapes, by_value, places


@given(st.integers(1, 10**6), st.integers(0, 100), st.integers(1, 3000), st.integers(0, 99))
def test_every_value_counts_once(spread: int, low: int, count: int, seed: int) -> None:
    values = low + np.random.default_rng(seed).integers(0, spread, count)
    bins = by_value(values, "tile")
    assert len(bins) <= BINS
    assert sum(n for _, n in bins) == count
    for label, n in bins:
        first, *last = (int(v) for v in label.removeprefix("tile ").split("-"))
        assert n == ((values >= first) & (values <= (last or [first])[0])).sum()


def test_few_values_have_bins_of_their_own() -> None:
    assert by_value(np.array([5, 3, 5]), "step") == (("step 3", 1), ("step 5", 2))


def test_shapes_of_blocks() -> None:
    usual = [[0, 512, 0, 16]] * 40
    rare = [[0, rows, 0, 16] for rows in range(1, 31)]
    bins = block_shapes(np.array([*rare, *usual], np.int32))
    assert bins[0] == ("512x16", 40)
    assert bins[-1] == ("others", 30 - (BINS - 1))
    assert sum(n for _, n in bins) == 70


def test_places_by_memory_chip_and_tile() -> None:
    found = [[3, 0, 0], [3, 1, 0], [70, 0, 8], [5, -2, 0], [-3, -1, 0], [-4, -1, 0]]
    assert places(np.array(found, np.int32), 64) == (
        ("chip 0", 2),
        ("chip 1", 1),
        ("tile 3", 2),
        ("tile 70", 1),
        ("sram of chip 0", 1),
        ("sram of tile 5", 1),
        ("dram of chip 0", 1),
        ("dram of chip 1", 1),
    )
