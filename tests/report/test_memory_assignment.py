"""Where tables live, for people and as JSON."""

from __future__ import annotations

from dataclasses import replace

from cimc.isa.program import Program
from cimc.remarks import (
    CountsByMemory,
    MovedLookups,
    PlacementRemarks,
    ReadsByMemory,
    Remarks,
    ScheduleRemarks,
    TableMemories,
)
from cimc.report.blocks import Facts, Table
from cimc.report.memory_assignment import blocks, to_json
from tests.cost.cost_programs import program

TABLE = TableMemories(
    "t", CountsByMemory(1500, 20, 0), CountsByMemory(6000, 80, 0), ReadsByMemory(1.5, 0.5, 0), 3, "in_order",
    2.25, True,
)  # fmt: skip
OTHER = replace(
    TABLE, name="u", rows=CountsByMemory(0, 0, 7), reads=ReadsByMemory(0, 0, 2), copies=0, known=False
)


def placed(*tables: TableMemories, bound: float = 0.0) -> Remarks:
    remark = PlacementRemarks("greedy", 0, "LPT", {}, 512, bound, 1, 0, 0, 2, 2, (), tables)
    return Remarks().having(remark)


def said(remarks: Remarks) -> Program:
    return replace(program({}), remarks=remarks)


def shown(remarks: Remarks) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    rows, lines = blocks(said(remarks))
    assert isinstance(rows, Table)
    assert isinstance(lines, Facts)
    return list(rows.rows), list(lines.lines)


def test_a_table_is_a_row() -> None:
    rows, lines = shown(placed(TABLE, OTHER))
    assert rows[0][:4] == ("t", "1,500", "20", "0")
    assert rows[0][5:] == ("3", "in_order", "2.00", "2.25")
    assert rows[1][-1] == "2.25 ?"
    assert any("no accesses are known" in text for _, text in lines)


def test_memories_that_hold_nothing_are_left_out() -> None:
    _, lines = shown(placed(TABLE))
    memories = {label: text for label, text in lines if label in ("cells", "SRAM", "DRAM")}
    assert set(memories) == {"cells", "SRAM"}
    assert memories["cells"].endswith("75.0 % of the expected reads")
    assert not any("no accesses" in text for _, text in lines)


def test_a_table_that_nobody_reads_divides_by_nothing() -> None:
    _, lines = shown(placed(replace(TABLE, reads=ReadsByMemory(0, 0, 0))))
    assert any(text.endswith("0.0 % of the expected reads") for _, text in lines)


def test_what_other_passes_decided_is_said_where_they_ran() -> None:
    moved = MovedLookups(2, 5, 100.0, 50.0)
    remarks = placed(TABLE, bound=256.0).having(ScheduleRemarks({}, reduction_tiles=moved))
    labels = [label for label, _ in shown(remarks)[1]]
    assert "bottleneck" in labels
    assert "reduction tiles" in labels
    assert "copies" not in labels
    assert "bottleneck" not in [label for label, _ in shown(placed(TABLE))[1]]  # there was no bound


def test_a_program_without_tables_says_nothing() -> None:
    assert blocks(said(Remarks())) == []
    assert to_json(said(Remarks())) == {"tables": [], "decisions": {}}


def test_json_has_every_table_and_every_decision() -> None:
    found = to_json(said(placed(TABLE, OTHER)))
    assert [each["name"] for each in found["tables"]] == ["t", "u"]
    assert found["tables"][0]["rows"] == {"rram": 1500, "sram": 20, "dram": 0}
    assert found["decisions"] == {}
