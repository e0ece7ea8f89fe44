"""Places of a program's matrices: one broken rule per test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.ir.residence import SRAM_ARRAY, dram_tile
from cimc.isa.artifact import load_program, save_program, to_bytes
from cimc.isa.listing import format_program, parse_program
from cimc.isa.program import Header, Matrix, Program
from cimc.isa.verify_structure import check_program
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target

TARGET = with_overrides(load_target("tsinghua28"), {"system.chips": 2, "tile.table_sram_bytes": 4096})
WIDTH = 16  # 32 cell columns of two slices


def program(
    blocks: list[tuple[int, ...]], target: Target = TARGET, kind: str = "table", **arrays: Any
) -> Program:
    """A table of 512 rows a block, and a layer in array 0 of tile 0, columns 0..31."""
    rows = 512 * len(blocks)
    table = Matrix("t", kind, rows, WIDTH, 8, 2, 512, 18, input_bits=8 if kind == "dense" else 0)
    layer = Matrix("w", "dense", 6, WIDTH, 8, 2, 512, input_bits=8)
    data: dict[str, Any] = {
        "t.data": np.ones((rows, WIDTH), np.int8),
        "t.blocks": np.array([(512 * n, 512, 0, WIDTH, *b) for n, b in enumerate(blocks)], np.int32),
        "t.ranges": np.ones(1 if kind == "table" else (len(blocks), 2, 2), np.int32),
        "w.data": np.ones((6, WIDTH), np.int8),
        "w.blocks": np.array([(0, 6, 0, WIDTH, 0, 0, 0)], np.int32),
        "w.ranges": np.ones((1, 2, 2), np.int32),
        **{f"t.{name}": np.array(array, np.int32) for name, array in arrays.items()},
    }
    header = Header("m", "0", target.name, target.digest, "{}", "", 0)
    return Program(header, (), (table, layer), np.zeros(0, np.uint8), data)


CELL, SRAM, DRAM = (3, 1, 0), (3, SRAM_ARRAY, 0), (dram_tile(1), -1, 0)


@pytest.mark.parametrize("small", [(3, 1, 0), (3, 7, 480), (0, 0, 32), (127, 0, 0), DRAM])
def test_legal_places(small: tuple[int, ...]) -> None:
    check_program(program([small, (3, 2, 0)]), TARGET)


def test_slots_and_copies_survive_the_artifact_and_the_listing(tmp_path: Any) -> None:
    made = program(
        [CELL, (*CELL[:2], 64)],
        slots=np.arange(1024)[::-1],
        replicas=[(0, 4, 1, 0), (0, 5, 1, 0), (1, 4, 1, 32)],
    )
    check_program(made, TARGET)
    save_program(made, tmp_path / "p.cimc")
    loaded = load_program(tmp_path / "p.cimc")
    assert to_bytes(loaded) == to_bytes(made)
    for name in ("t.slots", "t.replicas"):
        np.testing.assert_array_equal(loaded.data[name], made.data[name])
    text = format_program(made)
    assert "3 copies" in text
    assert "slots" in text
    arrays = {f"data/{name}": array for name, array in made.data.items()}
    assert to_bytes(parse_program(text, arrays)) == to_bytes(made)


@pytest.mark.parametrize(
    ("blocks", "arrays", "why"),
    [
        ([(128, 0, 0)], {}, "no array"),
        ([(3, 8, 0)], {}, "no array"),
        ([(3, -1, 0)], {}, "no array"),
        ([(-1, -1, 0)], {}, "no array"),
        ([(-2, -1, 0)], {}, "DRAM of no chip"),
        ([(dram_tile(2), -1, 0)], {}, "DRAM of no chip"),
        ([(dram_tile(0), 0, 0)], {}, "DRAM of no chip"),
        ([(-1, SRAM_ARRAY, 0)], {}, "SRAM of no tile"),
        ([(128, SRAM_ARRAY, 0)], {}, "SRAM of no tile"),
        ([(3, 1, -32)], {}, "empty block"),
        ([(3, 1, 481)], {}, "larger than its array"),
        ([(dram_tile(0), -1, 5)], {}, "with an offset"),
        ([(0, 0, 16)], {}, "blocks of w and t share columns"),
        ([(5, 0, 0), (5, 0, 31)], {}, "blocks of t and t share columns"),
        ([(3, SRAM_ARRAY, 0)], {}, "8192 bytes of tables in SRAM, the target has 4096"),
        ([CELL], {"slots": np.zeros(512)}, "two rows in one slot"),
        ([CELL], {"slots": np.arange(1, 513)}, "slot outside"),
        ([CELL], {"slots": np.arange(511)}, "not 512 integers"),
        ([CELL], {"replicas": [(1, 4, 1, 0)]}, "does not exist"),
        ([CELL], {"replicas": [(0, 4, 1)]}, "not \\[copies, 4\\]"),
        ([CELL], {"replicas": np.zeros((0, 4))}, "not \\[copies, 4\\]"),
        ([CELL], {"replicas": [(0, 200, 1, 0)]}, "no array"),
        ([CELL], {"replicas": [(0, 3, 1, 16)]}, "share columns"),
        ([CELL], {"replicas": [(0, *DRAM)]}, "another kind of memory"),
        ([DRAM], {"replicas": [(0, 4, 1, 0)]}, "another kind of memory"),
        ([CELL, (3, 2, 0)], {"replicas": [(1, 4, 1, 0), (0, 4, 2, 0)]}, "not ordered"),
    ],
)
def test_broken_places_are_refused(blocks: list[tuple[int, ...]], arrays: dict[str, Any], why: str) -> None:
    with pytest.raises(ProgramError, match=why) as caught:
        check_program(program(blocks, **arrays), TARGET)
    assert caught.value.code == "isa.invalid"


def test_layers_live_in_cells() -> None:
    for blocks, arrays, why in (
        ([DRAM], {}, "outside of crossbar cells"),
        ([CELL], {"slots": np.arange(512)}, "of a table"),
        ([CELL], {"replicas": [(1, 4, 1, 0)]}, "does not exist"),
    ):
        with pytest.raises(ProgramError, match=why):
            check_program(program(blocks, kind="dense", **arrays), TARGET)


def test_dram_has_a_capacity() -> None:
    small = with_overrides(TARGET, {"chip.dram_bytes": 16000})
    check_program(program([DRAM, (dram_tile(0), -1, 0)], small), small)
    with pytest.raises(ProgramError, match="chip 1 holds 16384 bytes of tables in DRAM"):
        check_program(program([DRAM, DRAM], small), small)
