"""The chip beside the CPU: requests/s, W, requests/J and their ratios, scope by scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cimc.report.blocks import Block, facts, table
from cimc.study.baseline.bounded_load import BoundedLoad
from cimc.study.baseline.records import FUSED, INT8, ORT, Baseline, Row
from cimc.study.baseline.request_batches import digest_of
from cimc.study.baseline.scopes import CostTerms, Scope, scopes_of
from cimc.support.quantities import engineering, rate, seconds
from cimc.support.shown import counted
from cimc.workload.request_rules import Arrays

AGAINST: Mapping[str, tuple[str, ...]] = {
    "best": (ORT, INT8, FUSED),
    "onnxruntime": (ORT, INT8),
    "fused": (FUSED,),
}
"""What ratios are to: the best row of these engines on recorded requests, for each figure its own."""

BOUND = "bound of the busiest unit: an upper bound that no queue reaches"
SIMULATED = "simulated throughput"

ANCHOR = (
    "MLPerf inference v4.1, dlrm-v2-99.9, offline, 2 x Intel Xeon Platinum 8592+: 9,949 samples/s, each of "
    "some 270 user-item pairs = 2.69 M pairs/s, 3.84 k pairs/J at 2 x 350 W TDP "
    "(github.com/mlcommons/inference_results_v4.1); another model, and part of no ratio"
)


@dataclass(frozen=True)
class Ratios:
    """A machine at one rate beside a baseline.

    Attributes:
        baseline: the CPU.
        scopes: the machine.
        rate_is: what the rate of the machine is.
        rows: of the CPU that ratios are to: name -> (fastest, most requests per joule).
        notes: what limits the comparison.
    """

    baseline: Baseline
    scopes: tuple[Scope, ...]
    rate_is: str
    rows: Mapping[str, tuple[Row, Row]]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rate": self.rate_is,
            "cpu": self.baseline.cpu,
            "power": self.baseline.power,
            "rows": {
                name: {"requests_per_s": asdict(fast), "requests_per_joule": asdict(lean)}
                for name, (fast, lean) in self.rows.items()
            },
            "scopes": [
                {
                    "name": scope.name,
                    "requests_per_s": scope.requests_per_s,
                    "watts": scope.watts,
                    "requests_per_joule": scope.requests_per_joule,
                    "terms_w": dict(scope.terms_w),
                    "includes": scope.includes,
                    "ratios": {name: _ratios(scope, *pair) for name, pair in self.rows.items()},
                }
                for scope in self.scopes
            ],
            "notes": list(self.notes),
        }

    def lines(self, label: str = "CPU") -> list[tuple[str, object]]:
        """A line a scope: ratios to the best row of all engines; nothing where there are none."""
        if "best" not in self.rows:
            return []
        fast, lean = self.rows["best"]
        lines: list[tuple[str, object]] = []
        for scope in self.scopes:
            faster, leaner = shown(scope, [(fast, lean)])
            lines.append(("", f"{faster} its requests/s, {leaner} its requests/J: {scope.name}"))
        if lines:
            lines[0] = (label, lines[0][1])
        return lines

    def blocks(self) -> list[Block]:
        """For people."""
        lines: list[tuple[str, object]] = [
            ("cpu", f"{self.baseline.cpu}, {self.baseline.cores} cores"),
            ("its power", self.baseline.power),
            ("rate of the machine", self.rate_is),
        ]
        for name, (fast, lean) in self.rows.items():
            lines.append((f"{name}, requests/s", f"{rate(fast.requests_per_s)}: {fast.label}"))
            lines.append((f"{name}, requests/J", f"{_per_joule(lean.requests_per_joule)}: {lean.label}"))
        rows = [(*figures(scope), *shown(scope, self.rows.values())) for scope in self.scopes]
        return [
            facts("Against the CPU", [*lines, *(("note", text) for text in self.notes)]),
            table(
                "Ratios to the CPU, scope by scope",
                ("scope", ">requests/s", ">power", ">requests/J", *headings(self.rows)),
                rows,
            ),
            facts("What each scope includes", [(scope.name, scope.includes) for scope in self.scopes]),
            facts("Beside it", [("anchor", ANCHOR)]),
        ]


def headings(rows: Mapping[str, Any]) -> list[str]:
    """Of the columns that :func:`shown` fills."""
    return [f">x {name}, {figure}" for figure in ("requests/s", "requests/J") for name in rows]


def figures(scope: Scope) -> tuple[str, ...]:
    """Name, rate, power and requests per joule."""
    return (
        scope.name,
        rate(scope.requests_per_s),
        engineering(scope.watts, "W"),
        _per_joule(scope.requests_per_joule),
    )


def shown(scope: Scope, pairs: Iterable[tuple[Row, Row]]) -> list[str]:
    """Ratios to each of ``pairs`` (fastest, most requests per joule): of requests/s, then of requests/J."""
    found = [_ratios(scope, *pair) for pair in pairs]
    keys = ("requests_per_s", "requests_per_joule")
    return [_times(ratio[key]) for key in keys for ratio in found]


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:,.3g}x" if ratio < 1000 else f"{ratio:,.0f}x"


def _per_joule(value: float | None) -> str:
    return "-" if value is None else engineering(value, "/J")


def _ratios(scope: Scope, fast: Row, lean: Row) -> dict[str, float | None]:
    joule = scope.requests_per_joule
    return {
        "requests_per_s": scope.requests_per_s / fast.requests_per_s,
        "requests_per_joule": None if joule is None else joule / lean.requests_per_joule,
    }


def ratios(
    baseline: Baseline,
    terms: CostTerms,
    at: float | None,
    rate_is: str,
    arrays: Arrays | None = None,
    bound_s: float | None = None,
) -> Ratios:
    """The machine of a cost report at ``at`` requests per second beside ``baseline``.

    Args:
        baseline: the CPU.
        terms: what the cost report states.
        at: rate of the machine; ``None`` where there is none to state: then there are no scopes.
        rate_is: what that rate is.
        arrays: the requests that the machine ran, to tell when they are others.
        bound_s: only rows of the CPU whose calls keep this bound on the 99th percentile.
    """
    rows = {}
    for name, engines in AGAINST.items():
        fast = baseline.best("requests_per_s", engines, bound_s)
        lean = baseline.best("requests_per_joule", engines, bound_s)
        if fast is not None and lean is not None:
            rows[name] = fast, lean
    notes = baseline.notes
    if arrays is not None and not _same(baseline, arrays):
        notes.append("the baseline was measured on other requests than these")
    if terms.host_segments:
        segments = counted(terms.host_segments, "host segment")
        notes.append(f"no time and no power is counted here for {segments} of the program")
    if bound_s is not None:
        notes.append(
            f"rows of the CPU count whose calls keep the bound of {seconds(bound_s * 1e9)}, too: its wait "
            "for a batch is left out"
        )
        notes += [
            f"no row of {name} keeps the bound"
            for name, engines in AGAINST.items()
            if name not in rows and baseline.best("requests_per_s", engines) is not None
        ]
    if at is None:
        notes.append("the machine has no rate to compare")
    scopes = () if at is None else scopes_of(terms, at, baseline.watts_per_core)
    return Ratios(baseline, scopes, rate_is, rows, tuple(notes))


def load_ratios(
    baseline: Baseline, terms: CostTerms, at: float | None, arrays: Arrays, bounded: BoundedLoad | None
) -> dict[str, Ratios]:
    """At the load that was simulated, and at the bound on latency where one was asked for."""
    found = {"load": ratios(baseline, terms, at, SIMULATED, arrays)}
    if bounded is not None:
        text = f"largest load whose 99th percentile of latency is at most {seconds(bounded.bound_ns)}"
        found["at_p99"] = ratios(baseline, terms, bounded.rate, text, arrays, bounded.bound_ns * 1e-9)
    return found


def _same(baseline: Baseline, arrays: Arrays) -> bool:
    """Whether ``arrays`` hold the requests that were measured, whatever else they hold."""
    if not set(baseline.inputs) <= set(arrays):
        return False
    return digest_of({name: arrays[name] for name in baseline.inputs}) == baseline.requests_digest
