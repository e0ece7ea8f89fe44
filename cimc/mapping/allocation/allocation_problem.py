"""The data of an allocation: what a request asks of one instance, what everything takes, what there is.

A closed loop of L requests in flight on a machine whose requests take ``latency`` and whose busiest unit is
busy for ``busy`` a request completes at least ``L / (latency + (L - 1) busy)`` requests a second: the lower
one of the balanced job bounds (Zahorjan, Sevcik, Eager and Galler, CACM 25, 1982).  :func:`period_ns` is its
inverse times L; what minimises it serves throughput and, with L = 1, latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
    """

    places: tuple[int, ...]
    arrays: tuple[int, ...]
    busy_ns: tuple[float, ...]
    instance_ns: tuple[float, ...]

    def cut(self, count: int) -> TableChoices:
        """The first ``count`` choices."""
        return TableChoices(
            self.places[:count], self.arrays[:count], self.busy_ns[:count], self.instance_ns[:count]
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
class AllocationProblem:
    """What there is to decide on, times in ns per request.

    Attributes:
        instances: numbers of instances to choose from, ascending; the first one fits.
        layers, tables, sizes: see there.
        chips: instance r is on chip r modulo these.
        shared_ns: busiest unit that all instances of a chip share, if it did everything: links at the ports,
            the host link.
        latency_ns: of a request on an idle machine, layers and vector units apart.
        in_flight: L; 1 stands for latency alone.
        arrays: of the machine; ``table_arrays``: those that hold each row of a table once.
        tile_arrays, tiles: arrays of a tile, and tiles.
    """

    instances: tuple[int, ...]
    layers: tuple[LayerChoices, ...]
    tables: TableChoices
    sizes: TileChoices
    chips: int
    shared_ns: float
    latency_ns: float
    in_flight: int
    arrays: int
    table_arrays: int
    tile_arrays: int
    tiles: int

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
        period_ns: see the module; ``bound_ns``: nothing is better than this.
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
    period_ns: float
    bound_ns: float
    produced_by: str

    @property
    def gap(self) -> float:
        """How far above the bound the period may be, as a share of the bound."""
        return max(self.period_ns / self.bound_ns - 1.0, 0.0) if self.bound_ns > 0 else 0.0


def in_step(problem: AllocationProblem, instances: int, places: int) -> bool:
    """Whether an instance always meets the same place, and has it on its own chip (or there is but one)."""
    return instances % places == 0 and (places in (1, instances) or places % problem.chips == 0)


def period_ns(problem: AllocationProblem, busy: float, latency: float) -> float:
    """``latency + (L - 1) busy``."""
    return latency + (problem.in_flight - 1) * busy


def evaluated(
    problem: AllocationProblem,
    instances: int,
    tables: int,
    size: int,
    widths: Sequence[int],
    bound_ns: float,
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
    return Allocation(
        instances,
        tables,
        problem.tables.places[tables],
        size,
        problem.sizes.tiles[size],
        tuple(widths),
        busy,
        latency,
        period_ns(problem, busy, latency),
        bound_ns,
        produced_by,
    )
