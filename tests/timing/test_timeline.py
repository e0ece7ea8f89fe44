"""A simulation as a timeline for trace viewers."""

from __future__ import annotations

import json
from itertools import pairwise

from cimc.timing import Arrivals
from cimc.timing.simulation import simulate_visits
from cimc.timing.timeline import timeline_text, trace_events
from cimc.timing.visits import Recorder
from tests.cost.cost_programs import TSINGHUA
from tests.timing.test_simulation import one_layer

MADE = one_layer()
HOW = Arrivals(kind="closed", in_flight=1)
FOUND = simulate_visits(MADE, TSINGHUA, Recorder(MADE, TSINGHUA), 5, HOW, timeline=3)
"""Five requests, of which a timeline keeps three."""


def test_every_request_is_a_row_and_every_span_lies_on_a_named_unit() -> None:
    made = trace_events(FOUND)
    spans = [e for e in made["traceEvents"] if e["ph"] == "X"]
    rows = {(e["pid"], e["tid"]) for e in made["traceEvents"] if e["name"] == "thread_name"}
    processes = {e["pid"] for e in made["traceEvents"] if e["name"] == "process_name"}
    assert {(e["pid"], e["tid"]) for e in spans} == rows
    assert {e["pid"] for e in spans} == processes
    requests = [e for e in spans if e["cat"] == "request"]
    assert [e["args"]["request"] for e in requests] == [0, 1, 2]
    assert (made["otherData"]["requests"], made["otherData"]["shown"]) == (5, 3)


def test_times_are_microseconds_and_neighbours_do_not_overlap() -> None:
    spans = [e for e in trace_events(FOUND)["traceEvents"] if e["ph"] == "X"]
    finish = float(FOUND.played.finish[:3].max()) / 1000
    assert max(e["ts"] + e["dur"] for e in spans) <= finish + 1e-6
    by_row: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for each in spans:
        span = each["ts"], round(each["ts"] + each["dur"], 6)
        by_row.setdefault((each["pid"], each["tid"]), []).append(span)
    for row in by_row.values():
        row.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(row))


def test_work_stays_within_its_request() -> None:
    spans = [e for e in trace_events(FOUND)["traceEvents"] if e["ph"] == "X"]
    whole = {e["args"]["request"]: e for e in spans if e["cat"] == "request"}
    for each in spans:
        around = whole[each["args"]["request"]]
        assert around["ts"] - 1e-6 <= each["ts"]
        assert each["name"].startswith(f"request {each['args']['request']}")


def test_the_text_is_the_same_json_a_line_an_event() -> None:
    text = timeline_text(FOUND)
    assert json.loads(text) == trace_events(FOUND)
    assert len(text.splitlines()) == len(trace_events(FOUND)["traceEvents"]) + 2
