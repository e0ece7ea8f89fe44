"""What is said of tables: rows, bytes and reads by memory, on one table by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.ir import cim
from cimc.ir.context import Access
from cimc.ir.text import new_context, parse_ir
from cimc.remarks import TableMemories
from cimc.target import load_target
from cimc.transforms.place.memory_remarks import residency
from cimc.transforms.place.shard_list import Places

TEXT = """
cim.table "t" rows 1100 cols 4 bits 8 data @t.int scales @t.scales
{}cim.shards @t slices 2 blocks <[[0, 512, 0, 2], [0, 512, 2, 2], [512, 588, 0, 2], [512, 588, 2, 2]]>
cim.pooling @t rows 18 step 1
{}{}func.func @main() {{
  func.return
}}
"""
MEMORY = "cim.residence @t rram 2 sram 2 dram 0 memory <[0, 0, 1, 1]>\n"
COPIES = "cim.replicas @t of <[0, 1]>\n"


def said(access: Access | None = None, order: str = "", memory: str = "", copies: str = "") -> TableMemories:
    ctx = new_context()
    ctx.target = load_target("tsinghua28")
    if access is not None:
        ctx.access["t"] = access
    matrices = cim.matrices_of(parse_ir(TEXT.format(order, memory, copies), ctx))
    (found,) = residency(matrices, Places.collect(matrices, ctx), ctx)
    return found


def read(*ids: int, requests: int = 4) -> Access:
    rows, counts = np.unique(np.array(ids), return_counts=True)
    return Access(rows, counts, requests)


def test_rows_count_once_however_many_parts_they_have() -> None:
    found = said()
    assert (found.rows.rram, found.rows.sram, found.rows.dram) == (1100, 0, 0)
    assert found.bytes.rram == 1100 * 4
    assert found.copies == 0
    assert found.grouping == "in_order"
    assert not found.known


def test_reads_are_those_of_a_request_where_the_rows_are() -> None:
    found = said(read(0, 0, 3, 700), memory=MEMORY)
    assert (found.rows.rram, found.rows.sram) == (512, 588)
    assert found.reads.rram > found.reads.sram > 0
    assert 0.9 < found.reads.rram + found.reads.sram <= 1.0  # some reads go to rows not seen yet
    assert found.known
    assert 0 < found.blocks_touched <= 1


def test_copies_share_the_reads_of_their_block() -> None:
    found, alone = (said(read(0, 0, 3, 700), copies=text) for text in (COPIES, ""))
    assert (found.copies, alone.copies) == (2, 0)
    assert found.reads.rram == pytest.approx(alone.reads.rram)
    assert found.bytes == alone.bytes  # one copy each


def test_a_table_that_is_never_read_touches_nothing() -> None:
    assert said(Access(np.zeros(0, np.int64), np.zeros(0, np.int64), 4)).known is False
