"""Where "66 times the queries per second and 181 times the queries per watt of a CPU" holds, and where not.

    python -m bench.sentence [--model NAME] [--cpu-seconds S] [--json] [--write docs/sentence.md]

Compiles the ranking models with the default pipeline for the default target, simulates them at several loads,
measures the CPU at hand on the same layers, and sets them side by side in every scope.  Some five minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.frontend.size import KAGGLE, large_target
from bench.production import build, requests
from cimc.study.baseline.constant_sensitivity import FACTORS, Sensitivity
from cimc.study.baseline.published_ratios import (
    ANCHORED,
    SENTENCE,
    AtLoad,
    Line,
    lines_of,
    references_of,
)
from cimc.study.baseline.records import Baseline
from cimc.study.baseline.scopes import CostTerms
from cimc.support.quantities import engineering, rate

Arrays = dict[str, NDArray[Any]]
MODELS = Path(__file__).parents[1] / "models"
BATCHES = (1, 256, 2048)
KAGGLE_ON_CPU = 0.05
"""Share of the rows that the tables have on the CPU: 108 MB of float32 instead of 2.2 GB."""
IN_FLIGHT = 64
SATURATED = 0.95
"""Use of the busiest unit above which it is what limits, and not the number in flight."""
SHOWN = 5
"""Constants that the page shows, of all that were varied."""
HOST_CORES = (4, 16, 64)
BOUND, FULL, ALONE = "analytic bound", f"{IN_FLIGHT} in flight, simulated", "one at a time, simulated"
WHOLE = "whole system"
NOT_AVAILABLE = {
    "retrieval": "not yet available: no path from a query to the best items of a whole corpus is compiled"
}
"""Core operations of recommendation that have no row, and why."""
_PLACE = re.compile(r"(<!-- sentence -->\n).*?(<!-- /sentence -->)", re.DOTALL)


@dataclass(frozen=True)
class Workload:
    """A model on the chip and on the CPU.

    Attributes:
        name: of it.
        model, calib, requests: for the chip.
        target, weights: as :func:`cimc.compile` takes them.
        cpu_model, cpu_requests: for the CPU; ``cpu_is``: how they differ.
    """

    name: str
    model: Path
    calib: Arrays
    requests: Arrays
    target: Any
    weights: str | None
    cpu_model: Path
    cpu_requests: Arrays
    cpu_is: str


@dataclass(frozen=True)
class Study:
    """One model beside the CPU: all lines, and what moves them."""

    name: str
    about: str
    baseline: Baseline
    loads: tuple[AtLoad, ...]
    lines: tuple[Line, ...]
    sensitivities: tuple[Sensitivity, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "model": self.name,
            "about": self.about,
            "loads": [asdict(load) for load in self.loads],
            "lines": [line.to_json() for line in self.lines],
            "sensitivities": [each.to_json() for each in self.sensitivities],
            "baseline": self.baseline.to_json(),
        }


def dlrm_small(_: Path) -> Workload:
    """The ranking model of this repository, with its recorded requests."""
    from cimc.target.load_target import load_target

    path = MODELS / "dlrm_small.onnx"
    calib, recorded = (_arrays(MODELS / f"dlrm_small.{kind}.npz") for kind in ("calib", "requests"))
    return Workload(
        "dlrm_small",
        path,
        calib,
        recorded,
        load_target("tsinghua28"),
        None,
        path,
        recorded,
        "the same file and requests",
    )


def kaggle(folder: Path) -> Workload:
    """DLRM in the shape of Criteo Kaggle, all rows; weights are generated, ids follow a Zipf law."""
    whole, small = folder / "whole", folder / "small"
    for each in (whole, small):
        each.mkdir()
    build(KAGGLE, whole, with_data=False)
    build(KAGGLE, small, KAGGLE_ON_CPU)
    draw: Callable[[float, int, int], Arrays] = lambda scale, count, seed: requests(  # noqa: E731
        KAGGLE, scale, count, seed, exponent=0.85
    )
    return Workload(
        "kaggle",
        whole / "model.onnx",
        draw(1.0, 64, 0),
        draw(1.0, 1024, 1),
        large_target(sum(KAGGLE.rows)),
        "generated:0",
        small / "model.onnx",
        draw(KAGGLE_ON_CPU, 2048, 1),
        f"tables of {KAGGLE_ON_CPU:.0%} of the rows, which caches hold sooner: in the CPU's favour; "
        "with all rows: not measured",
    )


WORKLOADS: Mapping[str, Callable[[Path], Workload]] = {"dlrm_small": dlrm_small, "kaggle": kaggle}


def _arrays(path: Path) -> Arrays:
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name != "labels"}


def study(work: Workload, cpu_seconds: float) -> Study:
    """Compile, simulate, estimate and measure one model."""
    import cimc
    from cimc.cost import estimate
    from cimc.study.baseline.constant_sensitivity import sensitivities
    from cimc.timing import Arrivals, simulate

    # first, while nothing that is compiled here is in the caches
    baseline = cimc.measure_baseline(work.cpu_model, work.cpu_requests, seconds=cpu_seconds, batches=BATCHES)
    program = cimc.compile(work.model, work.target, work.calib, weights=work.weights)
    full, activity = simulate(program.data, work.target, work.requests, Arrivals("closed", IN_FLIGHT))
    alone, _ = simulate(program.data, work.target, work.requests, Arrivals("closed", 1))
    cost = estimate(program.data, work.target, activity)
    rates = (cost.throughput_rps, full.throughput_rps, alone.throughput_rps)
    assert None not in rates, "the chip does nothing"
    busy = f"{full.bottleneck} ({full.loads[0].utilisation:.0%} busy)"
    if full.loads[0].utilisation < SATURATED:
        busy = f"{IN_FLIGHT} in flight, which fill no unit; busiest: {busy}"
    loads = tuple(
        AtLoad(name, float(found or 0.0), limit, name == ALONE)
        for name, found, limit in zip(
            (BOUND, FULL, ALONE),
            rates,
            (cost.bottleneck, busy, f"latency of a request, {engineering(cost.latency_ns * 1e-9, 's')}"),
            strict=True,
        )
    )
    terms = CostTerms.of(cost.to_json())
    lines = lines_of(work.name, loads, terms, baseline.watts_per_core, [*references_of(baseline), ANCHORED])
    chips = work.target.system.chips
    about = (
        f"{chips} chip{'s' * (chips > 1)} of `{work.target.name}`, {cost.area.system_mm2:,.0f} mm2, "
        f"8-bit weights and activations, {work.target.array.adc_bits}-bit ADC; a request takes "
        f"{engineering(cost.array_energy_pj * 1e-12, 'J')} in arrays and "
        f"{engineering(cost.energy_pj * 1e-12, 'J')} of dynamic energy in all; static power "
        f"{cost.static.watts:.3g} W. On the CPU: {work.cpu_is}"
    )
    moved = sensitivities(program.data, work.target, activity, cost, baseline.watts_per_core)
    return Study(work.name, about, baseline, loads, tuple(lines), tuple(moved))


# -- the page ---------------------------------------------------------------------------------------------


def page(studies: Sequence[Study]) -> str:
    """The generated part of the page."""
    texts = [text for each in studies for text in verdicts(each)]
    texts += [f"{name}: {why}." for name, why in NOT_AVAILABLE.items()]
    parts = ["## Verdict", "", *(f"* {text}" for text in texts), ""]
    parts += ["## The CPU", "", *(f"* {text}" for text in machine(studies)), ""]
    for each in studies:
        parts += [f"## {each.name}", "", f"{each.about}.", "", "All scopes side by side:", ""]
        parts += [*side_by_side(each), "", "The five constants that move requests/J most:", ""]
        parts += [*moved_table(each), ""]
    parts += ["## Every row", ""]
    for each in studies:
        parts += [*long_table(each), ""]
    return "\n".join(parts)


def verdicts(found: Study) -> list[str]:
    """What holds with the CPU whole to whole, beside what is at hand, and where the sentence holds at all."""
    out = []
    for socket in (True, False):
        mine = [
            line
            for line in found.lines
            if (line.load, line.scope) == (FULL, WHOLE)
            and line.reached_per_s is not None
            and line.baseline.endswith(" cores") == socket
        ]
        if mine:
            whole = "whole to whole" if socket else f"beside the {found.baseline.cores} cores at hand"
            out.append(f"**{found.name}, {whole}** {_verdict(mine)}")
            if socket:
                out.append(_host_cores(found, mine[0]))
    judged = [line for line in found.lines if line.reached_per_s is not None]
    both = [line for line in judged if line.reached_per_s and line.reached_per_joule]
    places: dict[str, list[str]] = {}
    for line in both:
        places.setdefault(f"{line.scope}, {line.load}", []).append(line.baseline)
    names = [f"{place}: {', '.join(cpus)}" for place, cpus in places.items()]
    text = f"{found.name}: both figures are reached in {len(both)} of {len(judged)} rows"
    return [*out, f"{text} ({'; '.join(names)})." if names else f"{text}."]


def _verdict(lines: Sequence[Line]) -> str:
    """Beside the strongest of the baselines, each figure its own; ``lines`` are of one scope and load."""
    slow = min(lines, key=lambda line: line.times_per_s)
    lean = min(lines, key=lambda line: line.times_per_joule or 0.0)
    return (
        f"(scope: {lean.scope}; load: {lean.load}; baseline: {lean.baseline}, the strongest; precision: 8 "
        f"bits beside {lean.precision}): {_times(slow.times_per_s)} the queries per second, "
        f"{SENTENCE.per_s:g}x {_yes(slow.reached_per_s)} (limit: {slow.limit_per_s}), and "
        f"{_times(lean.times_per_joule)} the queries per joule, {SENTENCE.per_joule:g}x "
        f"{_yes(lean.reached_per_joule)} (largest term: {lean.limit_per_joule}; {lean.watts:.3g} W, to spare "
        f"{_spare(lean)}). Power is {slow.times_per_s / (lean.times_per_joule or 1.0):.2g} of the CPU's, "
        f"{SENTENCE.per_s / SENTENCE.per_joule:.3f} in the sentence."
    )


def _host_cores(found: Study, line: Line) -> str:
    """What more cores of the host, which this scope holds one of, do to the ratio."""
    core = found.baseline.watts_per_core
    now = line.times_per_joule or 0.0
    more = [f"{n}: {_times(now * line.watts / (line.watts + (n - 1) * core))}" for n in HOST_CORES]
    return (
        f"{found.name}: one host core has {1e9 / line.requests_per_s:.3g} ns a request at this rate; ratio "
        f"of queries per joule with more of them, {core:.3g} W each: {', '.join(more)}."
    )


def machine(studies: Sequence[Study]) -> list[str]:
    """Where the CPU was measured, and how."""
    first = studies[0].baseline
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    out = [
        f"{first.cpu}, {first.cores} cores for the process; {versions}.",
        "Measured on a shared machine, one run: repeat before quoting.",
        f"Power: {first.power}.",
        f"Batches of {', '.join(f'{size:,}' for size in BATCHES)}, "
        "one and more threads and streams; the best row counts.",
    ]
    for each in studies:
        out += [f"{each.name}: {note}." for note in each.baseline.notes]
        for name, error in (("fused", each.baseline.fused_error), ("int8", each.baseline.int8_error)):
            if error is not None:
                out.append(
                    f"{each.name}: {name} is up to {error:.2g} of the peak away from onnxruntime fp32."
                )
    return out


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(headings)} |",
        "|" + "---|" * len(headings),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def side_by_side(found: Study) -> list[str]:
    """A row a load and baseline; requests/J in every scope, as requests/s do not depend on it."""
    scopes = list(dict.fromkeys(line.scope for line in found.lines))
    rows = []
    for load, baseline in dict.fromkeys((line.load, line.baseline) for line in found.lines):
        mine = {line.scope: line for line in found.lines if (line.load, line.baseline) == (load, baseline)}
        first = mine[scopes[0]]
        rows.append(
            [
                load,
                baseline,
                first.precision,
                _mark(first.times_per_s, first.reached_per_s),
                *(_mark(mine[scope].times_per_joule, mine[scope].reached_per_joule) for scope in scopes),
            ]
        )
    heads = ["load", "baseline", "its precision", "x requests/s, any scope"]
    return _markdown([*heads, *(f"x requests/J, {scope}" for scope in scopes)], rows)


def long_table(found: Study) -> list[str]:
    """Every line, with what limits it."""
    rows = [
        [
            line.model, line.scope, line.load, line.baseline, line.precision,
            rate(line.requests_per_s).removesuffix(" requests/s"), engineering(line.watts, "W"),
            _mark(line.times_per_s, line.reached_per_s), _mark(line.times_per_joule, line.reached_per_joule),
            line.limit_per_s, line.limit_per_joule, _spare(line),
        ]
        for line in found.lines
    ]  # fmt: skip
    heads = (
        "model", "scope", "load", "baseline", "its precision", "requests/s", "power", "x requests/s",
        "x requests/J", "requests/s limited by", "largest term of the power", "power to spare to 181x",
    )  # fmt: skip
    return _markdown(heads, rows)


def moved_table(found: Study) -> list[str]:
    """The largest sensitivities, and the ratios of the whole system at the bound that they lead to."""
    against = [line for line in found.lines if (line.load, line.scope) == (BOUND, WHOLE)]
    judged = [line for line in against if line.reached_per_joule is not None]
    line = min(judged, key=lambda each: each.times_per_joule or 0.0)
    now = line.times_per_joule or 0.0
    rows = [
        [
            f"`{each.constant}`",
            each.value,
            each.basis,
            f"{each.elasticity:+.2f}",
            f"{each.elasticity_per_s:+.2f}",
            *(_times(now * change) for change in (each.per_joule[0], 1.0, each.per_joule[1])),
        ]
        for each in found.sensitivities[:SHOWN]
    ]
    steps = [f"x requests/J at {factor:g}x" for factor in (FACTORS[0], 1, FACTORS[1])]
    heads = ("constant", "value", "basis", "elasticity of requests/J", "of requests/s", *steps)
    return [
        *_markdown(heads, rows),
        "",
        f"Scope: {WHOLE}; load: {BOUND}; baseline: {line.baseline}, {line.precision}. "
        "The program is not compiled anew.",
    ]


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}x" if value >= 100 else f"{value:.3g}x"


def _mark(value: float | None, reached: bool | None) -> str:
    return f"{_times(value)} {_yes(reached)}"


def _yes(reached: bool | None) -> str:
    return "(no verdict)" if reached is None else "reached" if reached else "**not reached**"


def _spare(line: Line) -> str:
    return f"- ({line.why_not})" if line.spare_w is None else f"{line.spare_w:+,.3g} W"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the studies, or write them into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--cpu-seconds", type=float, default=20.0, help="for the CPU, a model (default 20)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="Markdown file with a pair of sentence comments")
    options = parser.parse_args(arguments)
    if options.write is not None and options.model:
        parser.error("--write needs all models")
    with tempfile.TemporaryDirectory() as folder:
        found = [
            study(WORKLOADS[name](Path(folder)), options.cpu_seconds) for name in options.model or WORKLOADS
        ]
    if options.json:
        studies = [each.to_json() for each in found]
        whole = {"published": asdict(SENTENCE), "studies": studies, "not_available": NOT_AVAILABLE}
        print(json.dumps(whole, indent=2))
    elif options.write is None:
        print(page(found))
    if options.write is not None:
        old = options.write.read_text(encoding="utf-8")
        new, count = _PLACE.subn(lambda m: m.group(1) + page(found) + m.group(2), old)
        if count != 1:
            parser.error(f"{options.write} has {count} pairs of sentence comments, needs one")
        options.write.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
