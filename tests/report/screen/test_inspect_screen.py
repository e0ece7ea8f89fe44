"""The first screen of an inspection, from made-up contents."""

from __future__ import annotations

from typing import Any

from cimc.cost.on_chip import OnChip, Split
from cimc.report.screen.answers import LONGEST
from cimc.report.screen.inspect_screen import inspect_screen

FIT = {
    "name": "tsinghua28", "weights_8b": 10, "weight_capacity_8b": 100, "arrays_at_least": 1, "arrays": 8,
    "chips_at_least": 1, "chips": 1, "may_fit": True,
}  # fmt: skip


def payload(**changes: Any) -> dict[str, Any]:
    return {
        "model": "m.onnx",
        "target": FIT,
        "on_chip": OnChip(Split(1.0, 0.0, 0.0), Split(1.0, 0.0, 0.0)).to_json(),
        "nodes": [],
        "host_segments": 0,
        "tables": [{"rows": 10, "bytes": 40}],
        "layers": [],
        "macs": 0,
        "parameters": 10,
        "parameter_bytes": 40,
        "inputs": [{"name": f"x{n}", "dtype": "int64", "shape": ["b"]} for n in range(60)],
        "outputs": [{"name": "y", "dtype": None, "shape": None}],
        "notes": [],
        **changes,
    }


def test_sixty_like_inputs_are_a_line() -> None:
    lines = dict(inspect_screen(payload()).lines)
    assert lines["inputs"] == "x0 ... x59 (60)  int64 [b]"
    assert lines["outputs"] == "y  ? ?"
    assert lines["fits"].startswith("may fit: at least 1 of 8 arrays, 1 of 1 chips")
    assert lines["host"] == "nothing"
    assert lines["to try"].startswith("cimc compile m.onnx")


def test_sixty_unlike_inputs_are_counted() -> None:
    values = [{"name": f"x{n}", "dtype": "int64", "shape": ["b", n]} for n in range(60)]
    found = inspect_screen(payload(inputs=values))
    assert ("", "and 56 more") in found.lines
    assert 1 + len(found.lines) <= LONGEST


def test_a_model_that_cannot_fit_is_told_a_machine_that_may() -> None:
    lines = dict(inspect_screen(payload(target={**FIT, "may_fit": False, "chips_at_least": 9})).lines)
    assert lines["fits"].startswith("CANNOT FIT")
    assert lines["to try"].startswith("--target 'tsinghua28{system.chips=9}'")


def test_operators_on_the_host_are_counted() -> None:
    kinds = ["A"] * 3 + ["B", "C", "D", "E"]
    nodes = [{"place": "host", "op": op} for op in kinds] + [{"place": "arrays", "op": "A"}]
    lines = dict(inspect_screen(payload(nodes=nodes, host_segments=1)).lines)
    assert lines["host"] == "3 A, 1 B, 1 C, 1 D and 1 other operators, in 1 segment"
