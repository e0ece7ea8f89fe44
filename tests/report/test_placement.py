"""Where everything lives: instances and why so many; instructions are those of one request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cimc.isa.program import ChipSegment, CopyGroup, Program
from cimc.remarks import Remarks
from cimc.remarks.allocation_remarks import AllocationRemarks
from cimc.report.blocks import Facts
from cimc.report.placement import blocks, instructions, to_json
from cimc.target.load_target import load_target
from tests.cost.cost_programs import program, relu, store

TARGET = load_target("tsinghua28")
ALLOCATED = AllocationRemarks("throughput", 64, 3, 6, 2, 20.0, 1700.0, 2960.0, 2800.0, 0.057, "cp-sat")
MADE = program({4: [relu(1, 0, 4)], 5: [store(1), store(1, 4)]})


def copied(remarks: Remarks = Remarks()) -> Program:  # noqa: B008
    (segment,) = MADE.segments
    assert isinstance(segment, ChipSegment)
    group = CopyGroup(((4, 5), (8, 9), (1, 0)))
    return replace(MADE, segments=(replace(segment, copies=(group,)),), remarks=remarks)


def said(made: Program) -> dict[str, str]:
    """What the block of copies says, a key's further lines joined to its first."""
    found: dict[str, str] = {}
    for block in blocks(made, TARGET):
        if isinstance(block, Facts) and block.title == "Copies":
            for key, value in block.lines:
                last = key or list(found)[-1]
                found[last] = f"{found[last]}; {value}" if last in found else value
    return found


def test_a_report_says_how_many_instances_there_are_and_where() -> None:
    found = said(copied())
    assert found == {"instances": "3: request k runs on number k mod 3", "on tiles": "4+5, 8+9, 1+0"}


def test_a_report_says_why_there_are_so_many() -> None:
    found = said(copied(Remarks().having(ALLOCATED)))
    assert found["decided"].startswith("3 of layers and vector work, 6 of the rows read most")
    assert "throughput with 64 requests in flight, by cp-sat" in found["decided"]
    assert found["expected"] == "busiest unit 20.0 ns a request, 1.70 us alone; 64 requests in 2.96 us"
    assert found["bound"] == "2.80 us at least by this estimate, whatever is copied: gap 5.7 %"


def test_one_instance_is_a_decision_as_well() -> None:
    alone = replace(ALLOCATED, objective="latency", load=1, instances=1, places=1)
    found = said(replace(MADE, remarks=Remarks().having(alone)))
    assert found["instances"] == "1"
    assert "for latency with one request" in found["decided"]


def test_nothing_is_said_where_nothing_was_decided() -> None:
    assert said(MADE) == {}
    assert to_json(MADE, TARGET)["copies"] == []
    assert to_json(MADE, TARGET)["allocation"] is None


def test_json_has_the_tiles_of_each_instance_and_the_decision() -> None:
    found = to_json(copied(Remarks().having(ALLOCATED)), TARGET)
    assert found["copies"] == [{"segment": 0, "instances": 3, "tiles": [[4, 5], [8, 9], [1, 0]]}]
    assert found["allocation"]["bound_ns"] == 2800.0


@pytest.mark.parametrize("made", [MADE, copied()])
def test_instructions_of_a_request_are_those_of_one_instance(made: Program) -> None:
    found = instructions(made)
    assert found["kinds"] == {"store": 2, "unary": 1}
    assert sum(found["kinds"].values()) == found["total"]
    assert len(found["tiles"]) == 2 * (3 if made is not MADE else 1)
