"""The first screen of a simulation."""

from __future__ import annotations

from cimc.cost import estimate
from cimc.report.screen.answers import LONGEST
from cimc.report.screen.simulate_screen import simulate_screen
from cimc.sim.activity import Activity
from tests.cost.cost_programs import TSINGHUA
from tests.timing.test_simulation import one_layer, run


def shown(**load: object) -> dict[str, str]:
    made = one_layer()
    cost = estimate(made, TSINGHUA, Activity(requests=1))
    found = simulate_screen(made, run(made, 300, **load), cost)  # type: ignore[arg-type]
    assert 1 + len(found.lines) <= LONGEST
    return dict(found.lines)


def test_a_load_with_its_limit() -> None:
    lines = shown(kind="closed", in_flight=8)
    assert lines["load"] == "300, 8 always in flight (closed loop)"
    assert "busy" in lines["busiest"]
    assert lines["throughput"].endswith("]")  # with an interval
    assert "at that throughput" in lines["power"]


def test_one_request_at_a_time_is_told_to_try_more() -> None:
    assert shown(kind="closed", in_flight=1)["to try"].startswith("--in-flight 64")
