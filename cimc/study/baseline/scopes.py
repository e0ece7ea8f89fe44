"""Scopes of a comparison: what of the machine is counted, from a cost report to watts and requests per joule.

One function, :func:`scopes_of`, maps what a cost report states to scopes.  A component that comes to the cost
model later is a term of one of them; what the report does not state is named, and counted nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OUTSIDE = ("host link", "DRAM")
"""Components of the dynamic energy that are no part of the chip."""


@dataclass(frozen=True)
class CostTerms:
    """What a cost report states.

    Attributes:
        arrays_pj: of arrays and converters, per request.
        parts_pj: dynamic energy per request by component, arrays included.
        static_w: power that does not depend on the load; ``None``: the report states none.
        static_missing: components whose static power has no constant.
        host_segments: stretches that run on the host, in no figure.
    """

    arrays_pj: float
    parts_pj: Mapping[str, float]
    static_w: float | None = None
    static_missing: tuple[str, ...] = ()
    host_segments: int = 0

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> CostTerms:
        """From :meth:`cimc.cost.Cost.to_json`, with or without ``static_power``."""
        static = report.get("static_power")
        return cls(
            report["array_energy_pj"],
            {name: item["pj"] for name, item in report["energy"].items()},
            None if static is None else static["watts"],
            () if static is None else tuple(static["missing"]),
            report["host_segments"],
        )


@dataclass(frozen=True)
class Scope:
    """A part of the machine that serves requests.

    Attributes:
        name: of the scope.
        requests_per_s: at which rate.
        watts: at that rate; by part in ``terms_w``.
        includes: what is in it, and what is not, in a sentence.
    """

    name: str
    requests_per_s: float
    terms_w: Mapping[str, float] = field(default_factory=dict)
    includes: str = ""

    @property
    def watts(self) -> float:
        """All terms together."""
        return sum(self.terms_w.values())

    @property
    def requests_per_joule(self) -> float | None:
        """``None`` where the scope takes no power."""
        return self.requests_per_s / self.watts if self.watts > 0 else None


def scopes_of(terms: CostTerms, rate: float, host_core_w: float) -> tuple[Scope, ...]:
    """Arrays; the chip, dynamic; the whole system: each at ``rate`` requests per second.

    ``host_core_w``: power of the one core that feeds the chip, in the last scope.
    """
    watts = {name: pj * 1e-12 * rate for name, pj in terms.parts_pj.items()}
    chip = sum(w for name, w in watts.items() if name not in OUTSIDE)
    outside = {name: watts[name] for name in OUTSIDE if name in watts}
    whole = {"chip, dynamic": chip, **outside, "one host core": host_core_w}
    lacking = ["power supply", "cooling"]
    if terms.static_w is None:
        lacking.insert(0, "static power, which the cost model states nowhere")
    else:
        whole["static power"] = terms.static_w
        lacking = [f"static power of {name}" for name in terms.static_missing] + lacking
    lacking += [f"{name}, which the target states no energy of" for name in OUTSIDE if name not in watts]
    return (
        Scope(
            "arrays",
            rate,
            {"arrays": terms.arrays_pj * 1e-12 * rate},
            "dynamic energy of arrays and converters: what the publication of a macro reports",
        ),
        Scope(
            "chip, dynamic",
            rate,
            {"chip, dynamic": chip},
            f"dynamic energy of all components on the chip; not {' and '.join(OUTSIDE)}, not static power",
        ),
        Scope(
            "whole system",
            rate,
            whole,
            f"{', '.join(whole)}; not: {', '.join(lacking)}",
        ),
    )
