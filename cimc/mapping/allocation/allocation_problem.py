"""The data of an allocation: what a request asks of one instance, what everything takes, what there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimc.mapping.allocation.goal import Goal


@dataclass(frozen=True)
class LayerChoices:
    """A layer in blocks of different widths, the widest first.

    Attributes:
        name: of the layer.
        widths: columns of a block.
        arrays: that all blocks take; ``busy_ns``: time of the busiest of them a request.
    """

    name: str
    widths: tuple[int, ...]
    arrays: tuple[int, ...]
    busy_ns: tuple[float, ...]

    def cut(self, count: int) -> LayerChoices:
        """The first ``count`` choices."""
        return LayerChoices(self.name, self.widths[:count], self.arrays[:count], self.busy_ns[:count])


@dataclass(frozen=True)
class TableChoices:
    """Ways to copy blocks of tables; the first is none.

    Attributes:
        places: that blocks have then, the hottest of them or all; ascending.
        arrays: further arrays that this takes.
        busy_ns: time of the busiest unit behind lookups: arrays of tables, and links to them.
        instance_ns: time of the router port of an instance that answers come in by.
        hop_pj: energy of answers on their way, a request; empty: none.
    """

    places: tuple[int, ...]
    arrays: tuple[int, ...]
    busy_ns: tuple[float, ...]
    instance_ns: tuple[float, ...]
    hop_pj: tuple[float, ...] = ()

    def cut(self, count: int) -> TableChoices:
        """The first ``count`` choices."""
        return TableChoices(
            self.places[:count],
            self.arrays[:count],
            self.busy_ns[:count],
            self.instance_ns[:count],
            self.hop_pj[:count],
        )


@dataclass(frozen=True)
class TileChoices:
    """Numbers of tiles that an instance may have at least, ascending.

    Attributes:
        tiles: the numbers.
        vector_ns: time that its vector units take of a request's latency; ``busy_ns``: of the busiest one.
    """

    tiles: tuple[int, ...]
    vector_ns: tuple[float, ...]
    busy_ns: tuple[float, ...]


@dataclass(frozen=True)
class Power:
    """What a request takes whatever is decided, pJ, and static power, mW: of each array and tile that is
    used, and of the rest of the machine."""

    dynamic_pj: float = 0.0
    array_mw: float = 0.0
    tile_mw: float = 0.0
    rest_mw: float = 0.0


@dataclass(frozen=True)
class AllocationProblem:
    """What there is to decide on, times in ns per request.

    Attributes:
        instances: numbers of instances to choose from, ascending; the first one fits.
        layers, tables, sizes: see there.
        chips: instance r is on chip r modulo these.
        shared_ns: busiest unit that all instances of a chip share, if it did everything: links at the ports,
            the host link.
        latency_ns: of a request on an idle machine, layers and vector units apart.
        goal: what is to be good, and at which load.
        arrays: of the machine; ``table_arrays``: those that hold each row of a table once.
        tile_arrays, tiles: arrays of a tile, and tiles.
        power: of a request, and of what is used.
    """

    instances: tuple[int, ...]
    layers: tuple[LayerChoices, ...]
    tables: TableChoices
    sizes: TileChoices
    chips: int
    shared_ns: float
    latency_ns: float
    goal: Goal
    arrays: int
    table_arrays: int
    tile_arrays: int
    tiles: int
    power: Power = Power()

    def most_instances(self, wanted: int) -> int:
        """``wanted`` instances, or as many as there is room for with the widest layers and no copies else."""
        own = sum(each.arrays[0] for each in self.layers)
        by_arrays = (self.arrays - self.table_arrays) // max(own, 1)
        by_tiles = self.tiles // max(self.sizes.tiles[0], -(-own // self.tile_arrays))
        return max(1, min(wanted, by_arrays, by_tiles))


@dataclass(frozen=True)
class Allocation:
    """A decision.

    Attributes:
        instances: of the dense part; ``tables``: which of the ways to copy tables.
        places: of the blocks of tables that are copied.
        size: which number of tiles an instance has at least; ``tiles``: that number.
        widths: position of the width of each layer in its choices.
        busy_ns, latency_ns: of the busiest unit, and of a request alone.
        response_ns, p99_ns: mean time of a request at the load, and what one in a hundred exceeds.
        request_ns: from one completed request to the next.
        dynamic_pj: energy of a request but for static power; ``static_mw``: of all that is used.
        value: what was to be small (ns, pJ or pJ x ns); ``bound``: nothing is less than this.
        produced_by: ``cp-sat`` or ``greedy``.
    """

    instances: int
    tables: int
    places: int
    size: int
    tiles: int
    widths: tuple[int, ...]
    busy_ns: float
    latency_ns: float
    response_ns: float
    p99_ns: float
    request_ns: float
    dynamic_pj: float
    static_mw: float
    value: float
    bound: float
    produced_by: str

    @property
    def gap(self) -> float:
        """How far above the bound the value may be, as a share of the bound."""
        return max(self.value / self.bound - 1.0, 0.0) if self.bound > 0 else 0.0

    @property
    def energy_pj(self) -> float:
        """Of a request at the load, static power included."""
        return self.dynamic_pj + self.static_mw * self.request_ns


def in_step(problem: AllocationProblem, instances: int, places: int) -> bool:
    """Whether an instance always meets the same place, and has it on its own chip (or there is but one)."""
    return instances % places == 0 and (places in (1, instances) or places % problem.chips == 0)


def evaluated(
    problem: AllocationProblem,
    instances: int,
    tables: int,
    size: int,
    widths: Sequence[int],
    bound: float,
    produced_by: str,
) -> Allocation | None:
    """The allocation with its figures; ``None`` where the machine has no room for it."""
    layers = [(each.arrays[w], each.busy_ns[w]) for each, w in zip(problem.layers, widths, strict=True)]
    own = sum(arrays for arrays, _ in layers)
    if instances * own + problem.table_arrays + problem.tables.arrays[tables] > problem.arrays:
        return None
    tiles = max(problem.sizes.tiles[size], -(-own // problem.tile_arrays))
    if instances > 1 and instances * tiles > problem.tiles:
        return None
    dense = max((ns for _, ns in layers), default=0.0)
    busy = max(
        dense / instances,
        problem.tables.instance_ns[tables] / instances,
        problem.sizes.busy_ns[size] / instances,
        problem.tables.busy_ns[tables],
        problem.shared_ns / min(instances, problem.chips),
    )
    latency = problem.latency_ns + problem.sizes.vector_ns[size] + sum(ns for _, ns in layers)
    goal, power = problem.goal, problem.power
    taken = instances * own + problem.table_arrays + problem.tables.arrays[tables]
    dynamic = power.dynamic_pj + (problem.tables.hop_pj[tables] if problem.tables.hop_pj else 0.0)
    static = power.rest_mw + power.array_mw * taken
    static += power.tile_mw * min(
        problem.tiles, max(tiles, taken) if instances == 1 else instances * (tiles - own) + taken
    )
    return Allocation(
        instances,
        tables,
        problem.tables.places[tables],
        size,
        problem.sizes.tiles[size],
        tuple(widths),
        busy,
        latency,
        latency + goal.waits(busy),
        latency + goal.waits_p99(busy),
        goal.request_ns(busy, latency),
        dynamic,
        static,
        goal.value(busy, latency, dynamic, static),
        bound,
        produced_by,
    )


def meets(goal: Goal, found: Allocation) -> bool:
    """Whether the load is served, and within the bound on latency where there is one."""
    return goal.serves(found.busy_ns) and not 0 < goal.p99_ns < found.p99_ns
