"""From ids to places: slots, row blocks, copies, residences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.ir.residence import Residence, dram_tile, residence_of, row_bits
from cimc.isa.directory import RowDirectory, places_of, serving_tiles
from cimc.isa.program import Header, Matrix, Program
from cimc.target import load_target
from cimc.target.overrides import with_overrides

TARGET = with_overrides(load_target("tsinghua28"), {"system.chips": 2})


def directory(
    blocks: list[tuple[int, ...]], rows: int, cols: int, block_rows: int, **arrays: np.ndarray
) -> RowDirectory:
    matrix = Matrix("t", "table", rows, cols, 8, 2, block_rows)
    header = Header("m", "0", TARGET.name, TARGET.digest, "", "", 0)
    data = {"t.blocks": np.array(blocks, np.int32)} | {f"t.{name}": a for name, a in arrays.items()}
    return RowDirectory(Program(header, (), (matrix,), np.zeros(0, np.uint8), data), matrix)


TWO_BY_TWO = [
    (0, 4, 0, 3, 5, 0, 0),
    (0, 4, 3, 2, 6, 1, 0),
    (4, 3, 0, 3, 7, -2, 0),
    (4, 3, 3, 2, dram_tile(1), -1, 0),
]


def test_rows_go_to_their_blocks() -> None:
    found = directory(TWO_BY_TWO, 7, 5, 4)
    assert (found.high, found.wide) == (2, 2)
    ids = np.arange(7)
    np.testing.assert_array_equal(found.slot(ids), ids)
    np.testing.assert_array_equal(found.block(ids), [0, 0, 0, 0, 1, 1, 1])
    places = found.place(np.array([1, 0]), np.array([0, 1]))
    np.testing.assert_array_equal(places.tile, [[7, dram_tile(1)], [5, 6]])
    np.testing.assert_array_equal(places.array, [[-2, -1], [0, 1]])
    np.testing.assert_array_equal(
        places.residence, [[Residence.SRAM, Residence.DRAM], [Residence.RRAM, Residence.RRAM]]
    )


def test_slots_move_rows() -> None:
    slots = np.array([6, 5, 4, 3, 2, 1, 0], np.int32)
    found = directory(TWO_BY_TWO, 7, 5, 4, slots=slots)
    np.testing.assert_array_equal(found.slot(np.array([0, 6, 6])), [6, 0, 0])
    np.testing.assert_array_equal(found.block(np.arange(7)), [1, 1, 1, 0, 0, 0, 0])


def test_requests_take_copies_in_turn() -> None:
    """Block 0 has two copies, block 1 one; the groups of columns turn on their own."""
    replicas = np.array([[0, 8, 2, 0], [0, 9, 2, 0], [1, 10, 2, 0]], np.int32)
    found = directory(TWO_BY_TWO, 7, 5, 4, replicas=replicas)
    np.testing.assert_array_equal(found.copies, [2, 1, 0, 0])
    k = np.arange(6)
    tiles = found.place(np.zeros(6, np.int64), k).tile
    np.testing.assert_array_equal(tiles[:, 0], [5, 8, 9, 5, 8, 9])
    np.testing.assert_array_equal(tiles[:, 1], [6, 10, 6, 10, 6, 10])
    np.testing.assert_array_equal(found.place(np.ones(6, np.int64), k).tile[:, 0], 7)
    np.testing.assert_array_equal(found.share(), [1 / 3, 1 / 2, 1, 1, 1 / 3, 1 / 3, 1 / 2])
    np.testing.assert_array_equal(found.primary, [0, 1, 2, 3, 0, 0, 1])
    assert found.entries[4].tolist() == [0, 4, 0, 3, 8, 2, 0]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 1000))
def test_every_copy_serves_its_share(copies: list[int], first: int) -> None:
    blocks = [(4 * b, 4, 0, 3, b, 0, 0) for b in range(len(copies))]
    replicas = [(b, 10 + b, c, 0) for b, n in enumerate(copies) for c in range(n)]
    arrays = {"replicas": np.array(replicas, np.int32)} if replicas else {}
    found = directory(blocks, 4 * len(copies), 3, 4, **arrays)
    period = int(np.lcm.reduce(np.array(copies) + 1))
    for b, n in enumerate(copies):
        entry = found.entry(np.full(period, b), first + np.arange(period)).ravel()
        assert set(found.primary[entry].tolist()) == {b}
        counts = np.bincount(entry)[np.unique(entry)]
        assert len(counts) == n + 1
        assert (counts == period // (n + 1)).all()


def test_who_answers() -> None:
    entries = directory(TWO_BY_TWO, 7, 5, 4).entries
    np.testing.assert_array_equal(serving_tiles(entries, TARGET), [5, 6, 7, 64])
    ported = with_overrides(TARGET, {"chip.ports": (2, 1)})
    assert serving_tiles(entries, ported)[3] == 64 + 8 + 2


def test_places_of_a_layer_are_its_blocks() -> None:
    header = Header("m", "0", TARGET.name, TARGET.digest, "", "", 0)
    matrix = Matrix("w", "dense", 4, 3, 8, 2, 4)
    blocks = np.array([(0, 4, 0, 3, 0, 0, 0)], np.int32)
    program = Program(header, (), (matrix,), np.zeros(0, np.uint8), {"w.blocks": blocks})
    np.testing.assert_array_equal(places_of(program, matrix), blocks)


@pytest.mark.parametrize(
    ("tile", "array", "kind"),
    [(-1, -1, "RRAM"), (3, 0, "RRAM"), (-1, -2, "SRAM"), (3, -2, "SRAM"), (-2, -1, "DRAM"), (-5, -1, "DRAM")],
)
def test_residence_is_in_the_block_table(tile: int, array: int, kind: str) -> None:
    assert residence_of(np.array([(0, 1, 0, 1, tile, array, 0)]))[0] == Residence[kind]


def test_rows_in_memories_are_whole_bytes() -> None:
    np.testing.assert_array_equal(row_bits(np.array([1, 3, 16]), 4), [8, 16, 64])
    assert int(row_bits(5, 8)) == 40
