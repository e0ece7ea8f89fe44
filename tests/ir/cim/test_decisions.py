"""What verifiers refuse of decisions, with the message a reader sees."""

from __future__ import annotations

import pytest

from cimc.errors import PassError
from cimc.ir.text import new_context, parse_ir

TABLE = 'cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales'
WEIGHTS = 'cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 0'
SHARDS = "cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>"
CASES = {
    "another matrix": ([TABLE, "cim.pooling @u rows 1 step 1"], "stands behind the matrix @u"),
    "before the matrix": (["cim.pooling @t rows 1 step 1", TABLE], "stands behind the matrix @t"),
    "decided twice": (
        [TABLE, "cim.pooling @t rows 1 step 1", "cim.pooling @t rows 2 step 1"],
        "@t has two cim.pooling",
    ),
    "steps of a table": (
        [TABLE, SHARDS, 'cim.adc @t "calibrated" steps <[[[1]]]> certified 0 of 8 bits <[0]>'],
        "cim.adc is not about a cim.table",
    ),
    "pooled weights": ([WEIGHTS, "cim.pooling @w rows 1 step 1"], "cim.pooling is not about a cim.weights"),
    "no rows at once": ([TABLE, "cim.pooling @t rows 0 step 1"], "at least one row is read"),
    "rows without a block": (
        [TABLE, "cim.shards @t slices 2 blocks <[[0, 3, 0, 4], [3, 2, 0, 4]]>"],
        "do not cover the 6 x 4 matrix once",
    ),
    "blocks beyond the matrix": (
        [TABLE, "cim.shards @t slices 2 blocks <[[0, 3, 0, 4], [4, 3, 0, 4]]>"],
        "outside of the 6 x 4 matrix",
    ),
    "blocks of three fields": (
        [TABLE, "cim.shards @t slices 2 blocks <[[0, 6, 0]]>"],
        r"row0, rows, col0, cols; the table has shape \[1, 3\]",
    ),
    "no slices": ([TABLE, "cim.shards @t slices 0 blocks <[[0, 6, 0, 4]]>"], "at least one slice"),
    "places of no blocks": (
        [TABLE, "cim.placement @t blocks <[[0, 0, 0]]>"],
        "cim.placement is about blocks: cim.shards of the matrix is missing",
    ),
    "more places than blocks": (
        [TABLE, SHARDS, "cim.placement @t blocks <[[0, 0, 0], [0, 0, 1]]>"],
        "column of 1 blocks expected",
    ),
    "a copy without a place": (
        [TABLE, SHARDS, "cim.replicas @t of <[0]>", "cim.placement @t blocks <[[0, 0, 0]]>"],
        "every copy has a place",
    ),
    "a place without a copy": (
        [TABLE, SHARDS, "cim.placement @t blocks <[[0, 0, 0]]> copies <[[1, 0, 0]]>"],
        "and nothing else has",
    ),
    "a copy of no block": ([TABLE, SHARDS, "cim.replicas @t of <[1]>"], "copies are of blocks 0 to 0"),
    "counts of other memories": (
        [TABLE, SHARDS, "cim.residence @t rram 1 sram 0 dram 0 memory <[2]>"],
        "not those of the memories",
    ),
    "memories of other blocks": (
        [TABLE, SHARDS, "cim.residence @t rram 2 sram 0 dram 0 memory <[0, 0]>"],
        "the memory of each of 1 blocks",
    ),
    "two rows in one slot": ([TABLE, "cim.row_order @t slots <[0, 1, 1, 2, 3, 4]>"], "each once"),
    "too few slots": ([TABLE, "cim.row_order @t slots <[0, 1]>"], "6 slots expected"),
    "steps of other blocks": (
        [
            WEIGHTS,
            SHARDS.replace("@t", "@w"),
            'cim.adc @w "calibrated" steps <[[[1]], [[1]]]> certified 0 of 8 bits <[0]>',
        ],
        "steps of 1 blocks expected",
    ),
    "steps of nobody's choice": (
        [
            WEIGHTS,
            SHARDS.replace("@t", "@w"),
            'cim.adc @w "guessed" steps <[[[1]]]> certified 0 of 8 bits <[0]>',
        ],
        "calibrated or clip-free, not 'guessed'",
    ),
    "a step of zero": (
        [
            WEIGHTS,
            SHARDS.replace("@t", "@w"),
            'cim.adc @w "calibrated" steps <[[[0]]]> certified 0 of 8 bits <[0]>',
        ],
        "at least 1",
    ),
    "more certified than there is": (
        [
            WEIGHTS,
            SHARDS.replace("@t", "@w"),
            'cim.adc @w "calibrated" steps <[[[1]]]> certified 9 of 8 bits <[0]>',
        ],
        "9 of 8 certified units",
    ),
    "rows of different length": (
        [TABLE, "cim.shards @t slices 2 blocks <[[0, 6, 0, 4], [0]]>"],
        "as many numbers in each row",
    ),
    "no numbers": ([TABLE, "cim.shards @t slices 2 blocks <[]>"], "at least one"),
    "many numbers in full": (
        [TABLE, f"cim.row_order @t slots <{list(range(65))}>"],
        "at most 64 numbers",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str) -> None:
    lines, message = CASES[case]
    with pytest.raises(PassError, match=message) as error:
        parse_ir("\n".join(lines), new_context(), "case.mlir")
    assert error.value.code in ("ir.invalid", "ir.syntax")
