"""A plan for people: every block is there, and says what the plan says."""

from __future__ import annotations

from cimc.report.blocks import plain
from cimc.study.planning.machine_plan import make_plan
from cimc.study.planning.plan_tables import plan_blocks
from cimc.target.load_target import load_target
from tests.study.planning.small_model import small


def test_a_plan_for_people() -> None:
    plan = make_plan(small(), load_target("tsinghua28"))
    shown = plain(plan_blocks(plan))
    for title in (
        "Machine",
        "Requests",
        "Power",
        "Crossing",
        "Busiest unit of each kind",
        "Energy of a request",
    ):
        assert title in shown
    assert plan.limit in shown
    assert "block by block, by the compiler" in shown
