"""Two published ratios beside every scope, baseline and load: where they are reached, and what limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cimc.study.baseline.records import FUSED, INT8, ORT, Baseline
from cimc.study.baseline.scopes import OUTSIDE, CostTerms, Scope, scopes_of

SOCKET_CORES = 64
"""Cores of the processor whose power stands for that of a core: see :mod:`cimc.study.baseline.cpu_power`."""
PRECISIONS = {ORT: "fp32", INT8: "int8", FUSED: "fp32"}


@dataclass(frozen=True)
class Published:
    """Ratios of a chip to a CPU, as stated: of queries per second, and of queries per joule."""

    per_s: float
    per_joule: float


SENTENCE = Published(66.0, 181.0)
"""Of a 28 nm chip by Tsinghua, Huawei and ByteDance (ISSCC 2026), as the press reports them."""


@dataclass(frozen=True)
class Reference:
    """A CPU that ratios are to.

    Attributes:
        name: of the engine, and how much of the CPU.
        precision: that it computes in.
        requests_per_s, requests_per_joule: the best of its rows, each its own.
        why_not: why it cannot be judged against; ``""``: it can.
        alone: it takes one request at a time.
    """

    name: str
    precision: str
    requests_per_s: float
    requests_per_joule: float
    why_not: str = ""
    alone: bool = False


ANCHORED = Reference(
    "MLPerf v4.1, 2 x Xeon 8592+", "int8", 9949 * 270, 9949 * 270 / 700, "another, larger model"
)
"""Requests are user-item pairs, 270 to a sample: see :data:`cimc.study.baseline.ratios.ANCHOR`."""


@dataclass(frozen=True)
class AtLoad:
    """A rate of the machine, where it is from, and the unit that sets it."""

    name: str
    requests_per_s: float
    limit: str
    alone: bool = False


@dataclass(frozen=True)
class Line:
    """The machine in one scope, at one load, beside one reference.

    Attributes:
        model, load, scope, baseline, precision: which.
        requests_per_s, watts: of the machine.
        times_per_s, times_per_joule: ratios; ``None`` where the scope takes no power.
        reached_per_s, reached_per_joule: whether the published ones are; ``None``: no verdict.
        limit_per_s: the unit that sets the rate.
        limit_per_joule: the largest term of the power, with its share.
        spare_w: power that could be added before the published ratio of queries per joule is lost; negative:
            that would have to go; ``None``: no verdict.
        why_not: why there is no verdict.
    """

    model: str
    load: str
    scope: str
    baseline: str
    precision: str
    requests_per_s: float
    watts: float
    times_per_s: float
    times_per_joule: float | None
    reached_per_s: bool | None
    reached_per_joule: bool | None
    limit_per_s: str
    limit_per_joule: str
    spare_w: float | None
    why_not: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def references_of(baseline: Baseline) -> list[Reference]:
    """The best of each engine, of each with one request at a time, and the best scaled to a whole socket.

    The last takes every core of :data:`SOCKET_CORES` to be as fast as the best one here, which shared caches
    and memory do not allow: an upper bound.  Power a request is the same.  It is left out where power was
    counted for whole packages, as nothing then says what a core takes.
    """
    found = []
    for alone in (False, True):
        for engine, precision in PRECISIONS.items():
            rows = [r for r in baseline.rows if r.engine == engine and r.ids == "recorded"]
            rows = [r for r in rows if (r.batch, r.streams) == (1, 1)] if alone else rows
            if rows:
                name = f"{engine}, one at a time" if alone else engine
                fast = max(r.requests_per_s for r in rows)
                lean = max(r.requests_per_joule for r in rows)
                found.append(Reference(name, precision, fast, lean, alone=alone))
    rows = [r for r in baseline.rows if r.ids == "recorded"]
    if rows and baseline.power_source == "stated":
        core = max(rows, key=lambda r: r.requests_per_s / (r.threads * r.streams))
        found.append(
            Reference(
                f"{core.engine}, {SOCKET_CORES} cores",
                PRECISIONS[core.engine],
                SOCKET_CORES * core.requests_per_s / (core.threads * core.streams),
                max(r.requests_per_joule for r in rows),
            )
        )
    return found


def lines_of(
    model: str,
    loads: Sequence[AtLoad],
    terms: CostTerms,
    host_core_w: float,
    references: Iterable[Reference],
    published: Published = SENTENCE,
) -> list[Line]:
    """Every load, scope and reference; one that takes one request at a time only beside such a load."""
    references = list(references)
    return [
        _line(model, load, scope, largest_term(scope, terms), reference, published)
        for load in loads
        for scope in scopes_of(terms, load.requests_per_s, host_core_w)
        for reference in references
        if load.alone or not reference.alone
    ]


def _line(model: str, load: AtLoad, scope: Scope, largest: str, cpu: Reference, published: Published) -> Line:
    joule = scope.requests_per_joule
    per_s = scope.requests_per_s / cpu.requests_per_s
    per_joule = None if joule is None else joule / cpu.requests_per_joule
    judged = not cpu.why_not
    allowed = scope.requests_per_s / (published.per_joule * cpu.requests_per_joule)
    return Line(
        model,
        load.name,
        scope.name,
        cpu.name,
        cpu.precision,
        scope.requests_per_s,
        scope.watts,
        per_s,
        per_joule,
        per_s >= published.per_s if judged else None,
        None if not judged or per_joule is None else per_joule >= published.per_joule,
        load.limit,
        largest,
        allowed - scope.watts if judged else None,
        cpu.why_not,
    )


def largest_term(scope: Scope, terms: CostTerms) -> str:
    """Name and share of what takes most of the power of a scope; ``""`` where nothing takes any.

    The chip's own energy is told by component where the scope holds nothing else.
    """
    held: Mapping[str, float] = scope.terms_w
    if set(held) == {"chip, dynamic"}:
        held = {name: pj for name, pj in terms.parts_pj.items() if name not in OUTSIDE}
    whole = sum(held.values())
    if whole <= 0:
        return ""
    name, value = max(held.items(), key=lambda item: item[1])
    return f"{name} ({value / whole:.0%})"
