"""Objects as tables of a notebook."""

from __future__ import annotations

import numpy as np

from cimc.compare.check import Bound, Check
from cimc.notebook import html_of
from cimc.remarks import Remarks, ScheduleRemarks
from cimc.sim.devices.model.load_device import load_device
from tests.cost.cost_programs import TSINGHUA
from tests.report.test_summary import COST
from tests.timing.test_simulation import one_layer, run


class Named:
    """Something of which there is no view."""

    def _brief(self) -> str:
        return "of <b>no</b> kind"


def test_every_kind_has_its_tables() -> None:
    for shown, part in (
        (COST, "Energy by component"),
        (run(one_layer(), 1, kind="closed", in_flight=1), "Busiest units"),
        (TSINGHUA, "Every figure"),
        (load_device("ideal"), "Every figure"),
        (Check(Bound(), ()), "against onnxruntime"),
        (Remarks().having(ScheduleRemarks({})), "Schedule"),
        (ScheduleRemarks({3: 64}), "3 64"),
    ):
        assert part in html_of(shown), type(shown)


def test_a_mapping_is_a_table_of_its_items() -> None:
    found = html_of({"events": 3, "<x>": np.float64(0.5)})
    assert "events" in found
    assert "&lt;x&gt;" in found


def test_anything_else_is_its_line() -> None:
    found = html_of(Named())
    assert "Named" in found
    assert "of &lt;b&gt;no&lt;/b&gt; kind" in found
