"""A plan: chips, copies, requests per second with their bound, watts, and what crosses between chips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cimc.cost.area import Area
from cimc.cost.energy import Energy
from cimc.cost.machine_units import Unit, label
from cimc.cost.static_power import StaticPower, static_power_of
from cimc.errors import CheckFailed, InfeasibleError, Shortage
from cimc.isa.link_widths import HEADER_BITS, id_bits
from cimc.study.planning.description import Description, PlanError, Table, tables_of_description
from cimc.study.planning.detail import detailed
from cimc.study.planning.spread import Items, Spread, decide, items_of, least_chips
from cimc.study.planning.two_roles import Homes, roles
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target

MOST_BLOCKS = 1 << 17
"""Blocks of tables that are placed one by one; of more, classes are."""
MOST_CHIPS = 1 << 20
_TRIES = 5
"""Numbers of chips that are looked at in detail for a rate."""
_SHORT = 0.98
"""A plan that is so much better than asked for is not made smaller."""


@dataclass(frozen=True)
class ClassPlan:
    """What becomes of a class of tables.

    Attributes:
        name, tables, rows, dim: of it.
        near_rows: of each table, the most read, on every chip with a dense part; ``places`` of each of them.
        near_reads: share of the reads that go to these.
        arrays: that the class takes, copies included.
        crossing_bits: ids and answers between chips, per request.
    """

    name: str
    tables: int
    rows: int
    dim: int
    near_rows: int
    places: int
    near_reads: float
    arrays: float
    crossing_bits: float


@dataclass(frozen=True)
class Plan:
    """What a machine does with a model.

    Attributes:
        model, parameters, target: what was planned for what; ``detail``: by ``blocks`` or ``classes``.
        chips: of the machine; ``homes``: those with a dense part; ``instances``: dense parts in all.
        dense_arrays, arrays_used, arrays: of one dense part, of all, and those that there are.
        throughput_rps: bound of the mapping, as that of a program: 1 / busy time of the busiest unit.
        bound_rps: no mapping of this kind exceeds it; ``gap``: by how much it is above.
        limit: the busiest unit.
        latency_ns: one request alone.
        rate_rps: the load that powers are given at.
        energy_pj: dynamic, per request; ``energy`` by component; ``energy_at_rate_pj`` with static power.
        watts: static and dynamic at the rate.
        host_bits, crossing_bits: per request, between host and chips, and between chips.
        link_use: share of the time that the busiest host link is busy at the rate.
        busy_ns: per request of the machine, by kind the busiest unit.
        classes: what becomes of the tables; none where blocks were placed one by one.
    """

    model: str
    parameters: int
    target: str
    detail: str
    chips: int
    homes: int
    instances: int
    dense_arrays: int
    arrays_used: float
    arrays: int
    throughput_rps: float
    bound_rps: float
    gap: float
    limit: str
    latency_ns: float
    rate_rps: float
    energy_pj: float
    energy: Mapping[str, float]
    energy_at_rate_pj: float
    static_watts: float
    dynamic_watts: float
    host_bits: float
    crossing_bits: float
    link_use: float
    busy_ns: Mapping[str, float]
    classes: tuple[ClassPlan, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        data = asdict(self)
        data["energy"], data["busy_ns"] = dict(self.energy), dict(self.busy_ns)
        data["classes"] = [asdict(each) for each in self.classes]
        return data


def make_plan(
    model: Description,
    target: Target,
    *,
    rate: float | None = None,
    chips: int | None = None,
    detail: str = "auto",
    seed: int = 0,
    homes: Homes | None = None,
) -> Plan:
    """Plan ``model`` on chips of ``target``.

    Args:
        model: by statistics.
        target: the machine.
        rate: requests per second that are to be served: with the fewest chips that do, unless ``chips`` says
            how many there are.
        chips: of the machine; those of the target where neither is given.
        detail: ``blocks`` places every block of tables, ``classes`` decides over classes of them, ``auto``
            takes blocks up to :data:`MOST_BLOCKS`.
        seed: of generated weights.
        homes: programs of one chip that were compiled before, for machines of the same structure.

    Raises:
        InfeasibleError: the machine cannot hold the model.
        CheckFailed: ``plan.rate-not-reached``: so many chips, or any number, do not serve the rate.
        PlanError: ``plan.one-chip``: the dense part does not fit a chip.
    """
    tables = tables_of_description(model)
    blocks = sum(-(-t.of.rows // target.array.rows) * _wide(t, target) for t in tables)
    by_blocks = detail == "blocks" or (detail == "auto" and blocks <= MOST_BLOCKS)
    dense = _dense_arrays(model, target)
    items = items_of(model, target)
    least = least_chips(items, dense, target)
    if dense > target.tiles_per_chip * target.tile.arrays and not by_blocks:
        most = target.tiles_per_chip * target.tile.arrays
        raise PlanError(
            "plan.one-chip",
            f"the dense part takes {dense} arrays, a chip has {most}",
            hint="narrower layers, or chips with more arrays: --target 'NAME{tile.arrays=N}'",
        )
    one = chips or (target.system.chips if rate is None else least)
    planner: _Blocks | _Classes = (
        _Blocks(model, tables, seed) if by_blocks else _Classes(model, items, dense, seed, homes or Homes())
    )
    if rate is not None and chips is None:
        one = planner.first(target, rate, least)
    if one < least:
        held = one * target.tiles_per_chip * target.tile.arrays
        need = math.ceil(float(items.arrays.sum()) + dense)
        raise InfeasibleError(
            Shortage("arrays", max(need, held + 1), held, "arrays", (f"--chips {least}", "fewer rows")),
            subject=f"{model.name}, every row once,",
        )
    found = planner.plan(_with_chips(target, one), rate)
    if rate is None or chips is not None:
        return _enough(found, rate)
    return _for_rate(planner, found, target, rate)


def _for_rate(planner: _Blocks | _Classes, found: Plan, target: Target, rate: float) -> Plan:
    """The fewest chips that serve a rate, as far as a few tries tell."""
    best = found if found.throughput_rps >= rate else None
    guess = planner.guess(target, rate, found)
    tried = {found.chips}
    for _ in range(_TRIES):
        if best is not None and (best.chips <= guess or best.throughput_rps <= rate / _SHORT):
            break
        if guess in tried or guess > MOST_CHIPS:
            break
        tried.add(guess)
        found = planner.plan(_with_chips(target, guess), rate)
        if found.throughput_rps >= rate and (best is None or found.chips < best.chips):
            best = found
        guess = planner.guess(target, rate, found)
    return _enough(best or found, rate)


def _enough(found: Plan, rate: float | None) -> Plan:
    if rate is not None and found.throughput_rps < rate:
        raise CheckFailed(
            "plan.rate-not-reached",
            f"{found.chips} chips serve {found.throughput_rps:,.0f} requests/s, not {rate:,.0f}: "
            f"the limit is {found.limit}",
            hint="more chips, a faster link or more ports: --chips N, --target 'NAME{link=... chip.ports=4}'",
        )
    return found


class _Blocks:
    """Plans by the compiler, block by block."""

    def __init__(self, model: Description, tables: list[Table], seed: int) -> None:
        self.model, self.tables, self.seed = model, tables, seed

    def first(self, target: Target, rate: float, least: int) -> int:
        """Chips to begin with."""
        return least

    def guess(self, target: Target, rate: float, last: Plan) -> int:
        """Chips in proportion to what the last number did."""
        return max(math.ceil(last.chips * rate / last.throughput_rps), last.chips + 1)

    def plan(self, target: Target, rate: float | None) -> Plan:
        """The plan for a machine."""
        made = detailed(self.model, self.tables, target, self.seed)
        cost, decided = made.cost, made.program.remarks.allocation
        assert cost.throughput_rps is not None
        at = rate or cost.throughput_rps
        links = {unit: ns for unit, ns in cost.busy.items() if unit.startswith("host link")}
        bound = cost.machine[0].throughput_rps if cost.machine else cost.throughput_rps
        host = self._host_bits()
        return Plan(
            self.model.name,
            self.model.parameters,
            made.program.target.name,
            "blocks",
            target.system.chips,
            min(target.system.chips, decided.instances if decided else 1),
            decided.instances if decided else 1,
            _dense_arrays(self.model, target),
            cost.area.counts["arrays_used"],
            target.n_arrays,
            cost.throughput_rps,
            bound,
            bound / cost.throughput_rps - 1.0,
            cost.bottleneck,
            cost.latency_ns,
            at,
            cost.energy_pj,
            {item.name: item.pj for item in cost.energy.items if item.pj},
            cost.energy_pj + cost.static.watts * 1e12 / at,
            cost.static.watts,
            cost.energy_pj * 1e-12 * at,
            min(host, cost.events["host_link.bits"]),
            max(cost.events["host_link.bits"] - host, 0.0) if target.system.chips > 1 else 0.0,
            max(links.values(), default=0.0) * at * 1e-9,
            _by_kind(cost.busy),
            (),
        )

    def _host_bits(self) -> float:
        return _bits_in(self.model) + _bits_out(self.model) + 2 * HEADER_BITS


class _Classes:
    """Plans over classes of tables, for machines of many chips."""

    def __init__(self, model: Description, items: Items, dense: int, seed: int, homes: Homes) -> None:
        self.model, self.items, self.dense, self.seed = model, items, dense, seed
        self.homes = homes

    def spread(self, target: Target, chips: int) -> Spread | None:
        """Rows near and far on so many chips."""
        return decide(self.items, self.dense, _bits_in(self.model), _bits_out(self.model), chips, target)

    def guess(self, target: Target, rate: float, last: Plan) -> int:
        """Chips that are as much better by the linear program as the last number was too slow."""
        before = self.spread(target, last.chips)
        assert before is not None
        return self._least(target, before.period_ns * last.throughput_rps / rate)

    def first(self, target: Target, rate: float, least: int) -> int:
        """Chips that serve the rate by the linear program."""
        return self._least(target, 1e9 / rate)

    def _least(self, target: Target, wanted: float) -> int:
        """The fewest chips whose period is so short by the linear program, within a five-hundredth."""
        low = high = least_chips(self.items, self.dense, target)
        while high < MOST_CHIPS and not self._serves(target, high, wanted):
            low, high = high, 2 * high
        while high - low > max(low // 500, 1):
            middle = (low + high) // 2
            low, high = (low, middle) if self._serves(target, middle, wanted) else (middle, high)
        return high

    def _serves(self, target: Target, chips: int, wanted: float) -> bool:
        found = self.spread(target, chips)
        return found is not None and found.period_ns <= wanted

    def plan(self, target: Target, rate: float | None) -> Plan:
        """The plan for a machine."""
        chips = target.system.chips
        spread = self.spread(target, chips)
        if spread is None:
            most = target.n_arrays
            raise InfeasibleError(
                Shortage("arrays", most + 1, most, "arrays", (f"--chips {chips + 1}",)),
                subject=f"{self.model.name}, with what packing leaves empty,",
            )
        took = roles(self.model, spread, _with_chips(target, 1), self.seed, self.homes)
        busy = took.busy(spread.homes, chips)
        unit, ns = next(iter(busy.items()))
        rps = 1e9 / ns
        at = rate or rps
        static = _static(target)
        names = {label(u, {}): n for u, n in busy.items()}
        link = busy.get(Unit("host link", 0), 0.0)
        return Plan(
            self.model.name,
            self.model.parameters,
            target.name,
            "classes",
            chips,
            spread.homes,
            spread.homes * spread.each,
            took.dense_arrays,
            spread.arrays,
            target.n_arrays,
            rps,
            max(1e9 / spread.bound_ns, rps) if spread.bound_ns > 0 else rps,
            max(1e9 / spread.bound_ns, rps) / rps - 1.0 if spread.bound_ns > 0 else 0.0,
            f"{label(unit, {})}, on chips with a dense part",
            took.latency_ns,
            at,
            took.energy.total_pj,
            {item.name: item.pj for item in took.energy.items if item.pj},
            took.energy.total_pj + static.watts * 1e12 / at,
            static.watts,
            took.energy.total_pj * 1e-12 * at,
            took.host_bits,
            took.crossing_bits,
            link * at * 1e-9,
            _by_kind(names),
            tuple(self.classes(spread, target)),
        )

    def classes(self, spread: Spread, target: Target) -> list[ClassPlan]:
        """What becomes of each class of tables."""
        items, found = self.items, []
        for number, (each, near) in enumerate(zip(self.model.tables, spread.near, strict=True)):
            mine = items.of == number
            kept = ((near - items.first[mine]) / items.count[mine]).clip(0.0, 1.0)
            rows = min(near * target.array.rows, each.rows)
            away = (items.ids + items.answers)[mine] * (1.0 - kept) * (1.0 - 1.0 / spread.chips)
            found.append(
                ClassPlan(
                    each.name,
                    each.count,
                    each.rows,
                    each.dim,
                    rows,
                    spread.homes if near else 1,
                    float(items.reads[mine] @ kept) / each.pooling,
                    float(items.arrays[mine] @ (1.0 + kept * (spread.homes - 1))),
                    float(away.sum()),
                )
            )
        return found


def decided(model: Description, target: Target, chips: int) -> tuple[Spread, float]:
    """What the linear program decides over classes on so many chips, and bits that then cross, per request.

    Raises:
        InfeasibleError: they cannot hold the model.
    """
    items, dense = items_of(model, target), _dense_arrays(model, target)
    planner, machine = _Classes(model, items, dense, 0, Homes()), _with_chips(target, chips)
    spread = planner.spread(target, chips)
    if spread is None:
        most = machine.n_arrays
        raise InfeasibleError(Shortage("arrays", most + 1, most, "arrays", (f"--chips {chips + 1}",)))
    return spread, sum(each.crossing_bits for each in planner.classes(spread, machine))


def _with_chips(target: Target, chips: int) -> Target:
    return target if target.system.chips == chips else with_overrides(target, {"system.chips": chips})


def _wide(table: Table, target: Target) -> int:
    """Groups of columns of a table."""
    return -(-table.of.dim // (target.array.cols // target.slices(8)))


def _dense_arrays(model: Description, target: Target) -> int:
    """Arrays of one dense part in blocks of full width."""
    wide = target.array.cols // target.slices(8)
    return sum(-(-inputs // target.array.rows) * -(-units // wide) for inputs, units in model.layers())


def _bits_in(model: Description) -> float:
    """Bits of a request from the host: dense features of eight bits, ids, and lengths of bags that vary."""
    bits = 8.0 * model.dense.features
    for each in model.tables:
        length = each.pooling + 1.0 if each.varying else 0.0
        bits += each.count * (each.pooling * id_bits(each.rows) + length)
    return bits


def _bits_out(model: Description) -> float:
    return 32.0 * model.dense.top[-1]


def _static(target: Target) -> StaticPower:
    """Static power of the whole machine."""
    have = {"arrays": target.n_arrays, "tiles": target.n_tiles, "chips": target.system.chips}
    counts = {**have, **{f"{name}_used": count for name, count in have.items()}}
    return static_power_of(target, Area({}, {}, counts, None))


_KINDS = ("array", "bus", "vector unit", "router input", "router output", "mesh link", "host link")


def _by_kind(busy: Mapping[str, float]) -> dict[str, float]:
    """The busiest unit of each kind."""
    return {
        kind: most
        for kind in _KINDS
        if (most := max((ns for name, ns in busy.items() if kind in name.partition(" (")[0]), default=0.0))
    }


__all__ = ["ClassPlan", "Energy", "Plan", "make_plan"]
