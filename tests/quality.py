"""Golden quality: for every model that tests know, what of it is on chip, and how well it is compiled.

A model has an entry in ``tests/golden/quality/GROUP.json``.  Whole numbers and words must be equal, other
numbers to a millionth; a loss fails, and so does a gain until it is written down (``--update-golden``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cimc
from cimc.cost import Cost
from cimc.cost.on_chip import OnChip

FOLDER = Path(__file__).parent / "golden" / "quality"
Metric = str | int | float | None
Metrics = dict[str, Metric]
CheckQuality = Callable[[str, str, Mapping[str, Metric]], None]

BETTER: dict[str, int] = {
    "macs": 1,
    "lookups": 1,
    "first_on_host": 0,
    "arrays": -1,
    "instructions": -1,
    "latency_ns": -1,
    "throughput_bound_rps": 1,
    "bottleneck": 0,
    "bottleneck_ns": -1,
    "energy_pj": -1,
    "placement": -1,
    "placement_bound": 1,
    "placement_gap": -1,
}
"""Metric -> 1 where more is better, -1 where less is, 0 for words."""
CLOSE = 1e-6


def of_shares(found: OnChip) -> Metrics:
    """Which share of the work is on chip, and what keeps the rest off it."""
    return {
        "macs": _rounded(found.macs.share),
        "lookups": _rounded(found.lookups.share),
        "first_on_host": None if found.first is None else f"{found.first[0]} ({found.first[1]})",
    }


def of_program(program: cimc.Program, cost: Cost) -> Metrics:
    """All metrics of a program, given the cost of its run; shares that shapes tell are those of the run."""
    told, counted = of_shares(program.on_chip), of_shares(cost.on_chip)
    for kind in ("macs", "lookups"):
        assert told[kind] in (None, counted[kind]), f"{kind}: {told[kind]} by shapes, {counted[kind]} counted"
    placed = program.placement
    streams = [stream for segment in program.data.chip_segments for stream in segment.streams.values()]
    found: Metrics = {
        **counted,
        "arrays": int(cost.area.counts["arrays_used"]),
        "instructions": sum(len(stream) for stream in streams),
        "latency_ns": cost.latency_ns,
        "throughput_bound_rps": cost.throughput_rps,
        "bottleneck": cost.bottleneck,
        "bottleneck_ns": cost.busy.get(cost.bottleneck),
        "energy_pj": cost.energy_pj,
        "placement": placed.get("bottleneck"),
        "placement_bound": placed.get("bound"),
        "placement_gap": placed.get("gap"),
    }
    return {key: float(f"{v:.9g}") if isinstance(v, float) else v for key, v in found.items()}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def differences(golden: Mapping[str, Metric], here: Mapping[str, Metric]) -> list[str]:
    """Each metric of ``here`` that is not the golden one, and whether it is a loss or a gain."""
    return [
        f"{_judged(name, golden.get(name), value)} {name}: {golden.get(name)} -> {value}"
        for name, value in here.items()
        if name not in golden or not _same(golden[name], value)
    ]


def _same(a: Metric, b: Metric) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE)
    return a == b and type(a) is type(b)


def _judged(name: str, golden: Metric, here: Metric) -> str:
    numbers = isinstance(golden, int | float) and isinstance(here, int | float)
    if not numbers or not BETTER[name]:
        return "CHANGE"
    return "GAIN" if (here > golden) == (BETTER[name] > 0) else "LOSS"  # type: ignore[operator]


def read(group: str) -> dict[str, Metrics]:
    """The golden metrics of a group of models, by name."""
    path = FOLDER / f"{group}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(group: str, golden: Mapping[str, Metrics]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(sorted(golden.items())), indent=1, ensure_ascii=False)
    (FOLDER / f"{group}.json").write_text(text + "\n", encoding="utf-8")


def compare(group: str, name: str, here: Mapping[str, Metric], update: bool) -> None:
    """Fail unless the metrics of a model are its golden ones; better ones are to be written down, too."""
    golden = read(group)
    found = differences(golden.get(name, {}), here)
    if update and found:
        _write(group, golden | {name: dict(here)})
        return
    assert name in golden, f"{name} has no golden metrics: pytest --update-golden"
    text = "\n".join(found)
    assert not found, f"{name}, {group}.json:\n{text}\npytest --update-golden if that is right, gains too"


def compare_names(group: str, names: Iterable[str], update: bool) -> None:
    """Fail unless the golden file knows these models and no others."""
    golden, here = read(group), set(names)
    stale = sorted(set(golden) - here)
    if update and stale:
        _write(group, {k: v for k, v in golden.items() if k in here})
        return
    assert not stale, f"golden metrics of models that are gone: {stale}"
