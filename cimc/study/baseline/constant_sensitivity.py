"""Which constants of a target move requests/s and requests/J of the whole system most."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from cimc.cost import Cost
from cimc.cost.cost_model import CostModel
from cimc.cost.energy import energy_of
from cimc.cost.list_schedule import time_model
from cimc.cost.machine_units import KINDS
from cimc.cost.static_power import static_power_of
from cimc.isa.program import Program
from cimc.sim.activity import Activity
from cimc.study.baseline.scopes import CostTerms, scopes_of
from cimc.target.overrides import with_overrides
from cimc.target.spec import Constant, Target

FACTORS = (0.5, 2.0)
WITH: dict[str, tuple[str, ...]] = {
    "array.row_pj": ("array.row_cells_pj",),
    "array.step_pj": ("array.step_dac_pj", "array.step_converters_pj"),
    "array.step_ns": ("array.settle_ns",),
    "array.area_mm2": ("array.converters_mm2",),
    "tile.area_mm2": ("tile.scratchpad_mm2",),
}
"""Constants whose parts are stated, too: these vary with them, and not alone, as they cost nothing more."""
_PARTS = frozenset(path for paths in WITH.values() for path in paths)
_TIMES = frozenset(path for paths in KINDS.values() for path in paths)


@dataclass(frozen=True)
class Sensitivity:
    """One constant at half and at twice its value.

    Attributes:
        constant: path in the target, or a name; ``basis``: of its value.
        per_s, per_joule: of the whole system at the bound of the busiest unit, relative to those of the
            constant as it is: at half, at twice.
    """

    constant: str
    value: str
    basis: str
    per_s: tuple[float, float]
    per_joule: tuple[float, float]

    @property
    def elasticity(self) -> float:
        """Of requests/J: the power of the constant that they go with, between half and twice."""
        return _elasticity(self.per_joule)

    @property
    def elasticity_per_s(self) -> float:
        """Of requests/s."""
        return _elasticity(self.per_s)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            **asdict(self),
            "elasticity": self.elasticity,
            "elasticity_per_s": self.elasticity_per_s,
        }


def _elasticity(pair: tuple[float, float]) -> float:
    return math.log(pair[1] / pair[0]) / math.log(FACTORS[1] / FACTORS[0])


def sensitivities(
    program: Program, target: Target, activity: Activity, base: Cost, host_core_w: float
) -> list[Sensitivity]:
    """Every constant that is not 0, the one that moves requests/J most first.

    ``base`` is the estimate of ``program`` on ``target`` for ``activity``.

    The program stays: a compiler that knew the constant might place otherwise.  The power of a host core is
    the same throughout; a ratio to a CPU moves as the machine does, as the CPU stays.
    """
    before = _system(CostTerms.of(base.to_json()), base.throughput_rps, host_core_w)
    found = []
    known = {path: value for path, value, _ in target.fields() if isinstance(value, Constant)}
    for path, constant in known.items():
        if path in _PARTS or not constant.value:
            continue
        pairs = []
        for factor in FACTORS:
            # without laws: one figure is wrong, the machine is no other
            changes = {
                each: known[each].value * factor for each in (path, *WITH.get(path, ())) if each in known
            }
            changed = with_overrides(target, changes, scale=False)
            rate = base.throughput_rps
            if path in _TIMES:
                rate = time_model(CostModel(program, changed, activity)).throughput_rps
            pairs.append(_system(_terms(base, changed), rate, host_core_w))
        per_s, per_joule = (
            (pairs[0][n] / before[n], pairs[1][n] / before[n]) if before[n] else (1.0, 1.0) for n in (0, 1)
        )
        found.append(
            Sensitivity(path, f"{constant.value:g} {constant.unit}", constant.basis, per_s, per_joule)
        )
    return sorted(found, key=lambda s: (-abs(s.elasticity), -abs(s.elasticity_per_s), s.constant))


def _terms(cost: Cost, target: Target) -> CostTerms:
    """Terms of the same events and components at the constants of ``target``."""
    energy = energy_of(cost.events, target)
    static = static_power_of(target, cost.area)
    parts = {item.name: item.pj for item in energy.items}
    return CostTerms(energy.array_pj, parts, static.watts, static.missing, cost.host_segments)


def _system(terms: CostTerms, rate: float | None, host_core_w: float) -> tuple[float, float]:
    """Requests/s and requests/J of the whole system; 0 where the chip does nothing."""
    whole = scopes_of(terms, rate or 0.0, host_core_w)[-1]
    return whole.requests_per_s, whole.requests_per_joule or 0.0
