"""The first screen of ``cimc inspect``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cimc.cost.on_chip import OnChip
from cimc.report.blocks import Facts
from cimc.report.screen.alike import shape_text, together
from cimc.report.screen.answers import Line, Next, done_on_chip, screen
from cimc.support.quantities import count, engineering, percent, size

_NAMES = 4


def inspect_screen(payload: dict[str, Any]) -> Facts:
    """May it fit, what is on chip, what stays on the host, why; ``payload``: of ``cimc inspect --json``."""
    on_chip = OnChip.from_json(payload["on_chip"])
    tables, layers = payload["tables"], payload["layers"]
    lines: list[Line] = [
        *_fit(payload["target"]),
        *done_on_chip(on_chip),
        *_host(payload),
        ("tables", f"{count(len(tables))}: {count(sum(t['rows'] for t in tables))} rows, "
                   f"{size(sum(t['bytes'] for t in tables))}"),
        ("layers", f"{count(len(layers))}: {engineering(payload['macs'], '')} MACs a request"),
        ("parameters", f"{count(payload['parameters'])} floats, {size(payload['parameter_bytes'])}"),
        *_values("inputs", payload["inputs"]),
        *_values("outputs", payload["outputs"]),
    ]  # fmt: skip
    nexts: list[Next] = [("--nodes", "every node, where it goes and what it becomes")]
    if payload["target"] is not None and payload["target"]["may_fit"]:
        nexts.insert(0, (f"cimc compile {payload['model']} -o OUT.cimc --calib REQ.npz", "the program"))
    elif payload["target"] is not None:
        chips = payload["target"]["chips_at_least"]
        name = payload["target"]["name"]
        nexts.insert(0, (f"--target '{name}{{system.chips={chips}}}'", "a machine that may hold it"))
    target = "" if payload["target"] is None else f" for {payload['target']['name']}"
    return screen(f"{payload['model']}{target}", lines, payload["notes"], nexts)


def _fit(fit: dict[str, Any] | None) -> list[Line]:
    if fit is None:
        return []
    share = fit["weights_8b"] / max(fit["weight_capacity_8b"], 1)
    needs = f"at least {count(fit['arrays_at_least'])} of {count(fit['arrays'])} arrays"
    chips = f"{count(fit['chips_at_least'])} of {count(fit['chips'])} chips"
    verdict = "may fit" if fit["may_fit"] else "CANNOT FIT"
    return [("fits", f"{verdict}: {needs}, {chips}; {percent(share)} of the capacity in 8-bit weights")]


def _host(payload: dict[str, Any]) -> list[Line]:
    """Operators on the host, most frequent first."""
    hosted = [node for node in payload["nodes"] if node["place"] == "host"]
    if not hosted:
        return [("host", "nothing")]
    kinds = Counter(node["op"] for node in hosted).most_common()
    names = ", ".join(f"{number} {op}" for op, number in kinds[:_NAMES])
    more = f" and {len(kinds) - _NAMES} other operators" if len(kinds) > _NAMES else ""
    segments = payload["host_segments"]
    return [("host", f"{names}{more}, in {segments} segment{'s' * (segments != 1)}")]


def _values(label: str, values: list[dict[str, Any]]) -> list[Line]:
    """Names, types and shapes; like ones together, and no more than a few."""
    rows = together((v["name"], v["dtype"] or "?", shape_text(v["shape"])) for v in values)
    lines: list[Line] = [
        (label if number == 0 else "", f"{name}  {dtype} {shape}")
        for number, (name, dtype, shape) in enumerate(rows[:_NAMES])
    ]
    if len(rows) > _NAMES:
        lines.append(("", f"and {len(rows) - _NAMES} more"))
    return lines
