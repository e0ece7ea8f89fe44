"""Remarks as blocks: lines for what is single, a table for each list."""

from __future__ import annotations

from cimc.remarks import (
    ClippedInput,
    ConverterRemarks,
    LayerRanges,
    QuantisationRemarks,
    Remarks,
    ReplicationRemarks,
    ScheduleRemarks,
)
from cimc.report.blocks import Facts, Table
from cimc.report.remark_tables import remark_blocks, remarks_blocks


def clipped(count: int) -> QuantisationRemarks:
    return QuantisationRemarks(tuple(ClippedInput(f"layer {k}", k / 3) for k in range(count)))


def test_a_list_of_records_is_a_table() -> None:
    (block,) = remark_blocks(clipped(2))
    assert isinstance(block, Table)
    assert block.title == "Quantisation: clipped_inputs"
    assert block.columns == ("layer", "cost_db")
    assert block.rows == (("layer 0", "0"), ("layer 1", "0.333333"))


def test_of_a_long_list_the_first_rows_and_how_many_there_are() -> None:
    (block,) = remark_blocks(clipped(1200))
    assert isinstance(block, Table)
    assert len(block.rows) == 50
    assert block.title == "Quantisation: clipped_inputs (the first 50 of 1,200)"


def test_an_empty_list_is_a_line() -> None:
    (block,) = remark_blocks(clipped(0))
    assert isinstance(block, Facts)
    assert block.lines == (("clipped_inputs", "-"),)


def test_what_is_none_is_left_out_of_lines_and_a_dash_in_tables() -> None:
    (block,) = remark_blocks(ConverterRemarks((LayerRanges("w", "clip-free", 1, 2, 0, None, None),)))
    assert isinstance(block, Table)
    assert block.rows == (("w", "clip-free", "1", "2", "0", "-", "-"),)


def test_mappings_and_numbers_are_lines() -> None:
    blocks = remark_blocks(ScheduleRemarks({3: 64, 5: 128}))
    (block,) = blocks
    assert isinstance(block, Facts)
    assert ("scratchpad", "3 64, 5 128") in block.lines


def test_all_remarks_in_the_order_of_the_passes_and_those_of_plugins_last() -> None:
    made = Remarks(others=(("mine", '{"a":1}'),)).having(ScheduleRemarks({})).having(clipped(1))
    titles = [block.title for block in remarks_blocks(made)]
    assert titles == ["Quantisation: clipped_inputs", "Schedule", "Plug-ins"]
    assert ReplicationRemarks.name not in titles
