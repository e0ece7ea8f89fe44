"""Tables of the objects that a user gets, for notebooks: the blocks that the command line prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cimc.compare.check import Check
from cimc.cost import Cost
from cimc.remarks import Remark, Remarks
from cimc.report.blocks import Block, facts, table
from cimc.report.html import page
from cimc.report.queueing import simulation_blocks
from cimc.report.remark_tables import remark_blocks, remarks_blocks
from cimc.report.summary import check_blocks, cost_blocks
from cimc.sim.devices.model import device_table as devices
from cimc.sim.devices.model.device import Device
from cimc.study.accuracy_measures import Study
from cimc.study.accuracy_view import blocks as study_blocks
from cimc.target import constants_table as targets
from cimc.target.spec import Target
from cimc.timing import Simulation


def html_of(shown: Any) -> str:
    """A table or more of ``shown``; of an object that has none, the line that Python prints."""
    for kind, view in _VIEWS.items():
        if isinstance(shown, kind):
            return page(view(shown))
    if isinstance(shown, dict):
        return page([table(type(shown).__name__, ("name", ">value"), shown.items())])
    return page([facts("", [(type(shown).__name__, shown._brief())])])


def _target(target: Target) -> list[Block]:
    return _described(target.title, targets.summary(target), targets.rows(target))


def _device(device: Device) -> list[Block]:
    return _described(device.title, devices.summary(device), devices.rows(device))


def _described(title: str, headlines: dict[str, Any], rows: Any) -> list[Block]:
    figures = ((row.path, _number(row.value), row.unit, row.basis, row.source) for row in rows)
    return [
        facts(title, [(key, _number(value)) for key, value in headlines.items() if key != "title"]),
        table("Every figure", ("field", ">value", "unit", "basis", "source"), figures),
    ]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_VIEWS: dict[type, Callable[[Any], list[Block]]] = {
    Cost: cost_blocks,
    Simulation: lambda found: simulation_blocks(found, None),
    Target: _target,
    Device: _device,
    Study: study_blocks,
    Check: lambda check: check_blocks(check, ""),
    Remarks: remarks_blocks,
    Remark: remark_blocks,
}
