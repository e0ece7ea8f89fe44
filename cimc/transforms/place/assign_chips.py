"""Tables to chips: the first level of placement where a system has several chips."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cimc.errors import InfeasibleError, PassError, Shortage
from cimc.mapping.sharding.plan_shards import SHARDINGS
from cimc.remarks import ChipAssignment
from cimc.target.spec import Target
from cimc.transforms.place.interchip_traffic import Demand, interchip_traffic
from cimc.transforms.place.pack_arrays import ArrayGroup, arrays_of
from cimc.transforms.place.shard_list import Places
from cimc.transforms.place.shard_to_chips import shard_to_chips

Ints = NDArray[np.int64]
CHIP_POLICIES = ("load", "solve", "near", "torchrec", "recshard", "neuroshard")
"""What :func:`assign_chips` accepts."""
_NO_LINK = 1e12
"""Gb/s of a link that costs no time."""


@dataclass(frozen=True)
class ChipPlacement:
    """Chip of each place and each array group, and what there is to say of it."""

    of_item: Ints
    of_group: Ints
    remark: ChipAssignment


def assign_chips(
    policy: str,
    places: Places,
    items: Ints,
    groups: list[ArrayGroup],
    target: Target,
    seed: int,
    demand: Demand | None = None,
) -> ChipPlacement:
    """Chips of the places in ``items`` (those in crossbar cells), and of the array groups.

    Layers go to the first chip, and on to the next where it is full.  Then, by ``policy``:

    * ``load``: tables, the most loaded first, each whole to the least loaded chip with room; a table that no
      chip has room for is cut into runs of blocks, the largest run that fits somewhere first.  Loads are
      expected conversions.
    * ``solve``: tables whole, such that the slowest chip is as fast as possible, by
      :func:`cimc.mapping.chips.place_on_chips`: array time, and answers over the chip's link but for the
      first chip, where the layers are.  Tables of more than half a chip are cut into even runs before.
    * ``near``: as little as possible crosses between chips.  Blocks go by traffic per cell column, the most
      first, to the first chip until it is full, then to the next.  Tables whose lookups read many rows send
      less when they stay together and the lookup's reduction tile is with them: with ``demand``, those are
      dealt as by ``load`` after the first chip is full of the others, or else all are, where that crosses
      less.
    * ``torchrec``, ``recshard``, ``neuroshard``: published planners on this project's costs
      (:mod:`cimc.mapping.sharding`); they need ``demand``.  Copies of blocks follow as by ``load``.

    Raises:
        InfeasibleError: the arrays of all chips together are too few.
    """
    chips, of_group = rooms(groups, target)
    if policy == "solve":
        of_item, remark = _solved(places, items, chips, target, seed)
        return ChipPlacement(of_item, of_group, remark)
    if policy == "near":
        of_item, remark = _nearest(places, items, groups, target, demand)
        return ChipPlacement(of_item, of_group, remark)
    if policy in SHARDINGS:
        if demand is None:
            raise PassError("place.option", f"chips={policy} prices what requests ask for: `demand`")
        of_item, remark = _planned(policy, places, items, chips, demand, target, seed)
        return ChipPlacement(of_item, of_group, remark)
    filling = _Filling(places, items, chips, target)
    for run in _tables(places, items):
        filling.deal(run)
    return ChipPlacement(filling.of_item, of_group, ChipAssignment(policy))


def _nearest(
    places: Places, items: Ints, groups: list[ArrayGroup], target: Target, demand: Demand | None
) -> tuple[Ints, ChipAssignment]:
    """The chips of ``near``, and for the report tables that stay together and what is expected to cross."""
    order = _densest(places, items)
    spread = _Filling(places, items, rooms(groups, target)[0], target)
    spread.in_turn(order)
    if demand is None:
        return spread.of_item, ChipAssignment("near")
    tables = _tables(places, items)
    found = interchip_traffic(places, items, spread.of_item, demand, target).apart
    best, least, kept = spread.of_item, float(found.sum()), 0

    def consider(together: NDArray[np.bool_]) -> Ints | None:
        nonlocal best, least, kept
        filling = _Filling(places, items, rooms(groups, target)[0], target)
        loose = order[~together[places.matrix[items[order]]]]
        try:
            rest = loose[filling.take(0, loose) :]
            for run in tables:
                if len(run) and together[places.matrix[items[run[0]]]]:
                    filling.deal(run)
            filling.in_turn(rest)
        except InfeasibleError:  # arrays of blocks of different widths fit in one order and not in another
            return None
        bits = float(interchip_traffic(places, items, filling.of_item, demand, target).apart.sum())
        if bits < least:
            best, least, kept = filling.of_item, bits, int(together.sum())
        return filling.of_item

    whole = consider(np.ones(len(places.names), np.bool_))
    if whole is not None:
        gain = interchip_traffic(places, items, whole, demand, target).whole < found
        if 0 < np.count_nonzero(gain) < len(gain):
            consider(gain)
    return best, ChipAssignment("near", tables_together=kept, crossing_bits=least)


class _Filling:
    """Chips that fill up with places, and the chip of each place."""

    def __init__(self, places: Places, items: Ints, chips: list[ChipRoom], target: Target) -> None:
        self.load, self.chips, self.target = places.load[items], chips, target
        self.wanted = Blocks.of(places, items)
        self.of_item = np.zeros(len(items), np.int64)

    def take(self, chip: int, run: Ints) -> int:
        """Give a chip as many of the places, from the first on, as fit; how many."""
        blocks = self.wanted.at(run)
        count = self.chips[chip].fits(blocks)
        if count:
            self.chips[chip].add(blocks.first(count), float(self.load[run[:count]].sum()))
            self.of_item[run[:count]] = chip
        return count

    def in_turn(self, run: Ints) -> None:
        """All places to the first chip with room for the next of them, and so on."""
        while len(run):
            run = self._rest(run, _first(self.chips, self.wanted.at(run)))

    def deal(self, run: Ints) -> None:
        """All places to the least loaded chip with room for all, else the largest run that fits anywhere."""
        while len(run):
            run = self._rest(run, _least_loaded(self.chips, self.wanted.at(run)))

    def _rest(self, run: Ints, chip: int) -> Ints:
        count = self.take(chip, run)
        if count == 0:
            # one array more would have room for one of them, so all chips are full
            arrays = self.wanted.at(run).arrays(self.target.array.cols)
            raise _full(self.target.n_arrays + arrays, self.target)
        return run[count:]


def rooms(groups: list[ArrayGroup], target: Target) -> tuple[list[ChipRoom], Ints]:
    """What each chip has left beside the layers, and the chip of each array group: the first with room.

    Raises:
        InfeasibleError: no chip has room for an array group.
    """
    chips = [ChipRoom(target) for _ in range(target.system.chips)]
    of_group = np.zeros(len(groups), np.int64)
    for g, group in enumerate(groups):
        chip = next((c for c, room in enumerate(chips) if room.free >= group.count), None)
        if chip is None:
            raise _full(sum(g.count for g in groups), target)
        chips[chip].free -= group.count
        chips[chip].load += group.load
        of_group[g] = chip
    return chips, of_group


def _solved(
    places: Places, items: Ints, chips: list[ChipRoom], target: Target, seed: int
) -> tuple[Ints, ChipAssignment]:
    from cimc.mapping.chips import ChipProblem, place_on_chips

    half = max(chip.free for chip in chips) // 2
    wanted, cols = Blocks.of(places, items), target.array.cols
    pieces = [
        piece
        for run in _tables(places, items)
        for piece in np.array_split(run, max(-(-wanted.at(run).arrays(cols) // max(half, 1)), 1))
        if len(piece)
    ]
    steps = -(-places.width // target.array.columns_per_step)
    ns = places.uses * steps * float(target.array.step_ns)
    link = np.full(len(chips), float(target.chip.host_link_gbps))
    link[0] = _NO_LINK
    problem = ChipProblem(
        compute_ns=np.array([ns[items[piece]].sum() for piece in pieces]),
        traffic_bits=np.array([places.traffic[items[piece]].sum() for piece in pieces]),
        size=np.array([wanted.at(piece).arrays(cols) for piece in pieces], np.int64),
        capacity=np.array([chip.free for chip in chips], np.int64),
        link_bits_per_ns=link,
        labels=tuple(places.names[int(places.matrix[items[piece[0]]])] for piece in pieces),
    )
    solution = place_on_chips(problem, seed=seed)
    of_item = np.zeros(len(items), np.int64)
    for piece, chip in zip(pieces, solution.chips.tolist(), strict=True):
        of_item[piece] = chip
    return of_item, ChipAssignment(
        "solve",
        bottleneck_ns=solution.bottleneck_ns,
        bound_ns=solution.bound_ns,
        optimal=solution.optimal,
        produced_by=solution.produced_by,
        effort=dict(solution.effort),
    )


def _planned(
    policy: str,
    places: Places,
    items: Ints,
    chips: list[ChipRoom],
    demand: Demand,
    target: Target,
    seed: int,
) -> tuple[Ints, ChipAssignment]:
    """Blocks as a published planner says; then copies, each to the least loaded chip with room."""
    first = np.flatnonzero(places.copy_of[items] < 0)
    room = np.array([chip.free for chip in chips], np.int64)
    plan = shard_to_chips(policy, places, items[first], room, demand, target, seed)
    filling = _Filling(places, items, chips, target)
    for chip in range(len(chips)):
        mine = first[plan.chip == chip]
        if filling.take(chip, mine) < len(mine):
            raise _full(sum(c.free for c in chips) + 1, target)  # a plan counts at least these arrays
    copies = np.flatnonzero(places.copy_of[items] >= 0)
    for copy in copies[np.argsort(-places.load[items[copies]], kind="stable")].tolist():
        filling.deal(np.array([copy]))
    return filling.of_item, ChipAssignment(
        policy,
        bottleneck_ns=plan.bottleneck_ns,
        bound_ns=plan.bound_ns,
        produced_by=plan.produced_by,
        effort=dict(plan.effort),
    )


def _tables(places: Places, items: Ints) -> list[Ints]:
    """Positions in ``items`` of each table's places, the most loaded table first."""
    table = places.matrix[items]
    load = np.bincount(table, places.load[items], len(places.names))
    order = np.lexsort((np.arange(len(load)), -load))
    return [np.flatnonzero(table == number) for number in order.tolist()]


def _densest(places: Places, items: Ints) -> Ints:
    """Positions in ``items``, those with the most traffic per cell column first."""
    return np.lexsort((items, -places.traffic[items] / places.width[items]))


@dataclass(frozen=True)
class Blocks:
    """Blocks and copies to find room for: their widths, and of which block each is a copy (-1: of none)."""

    width: Ints
    copy_of: Ints

    @classmethod
    def of(cls, places: Places, items: Ints) -> Blocks:
        """Those at positions ``items`` of all places."""
        return cls(places.width[items], places.copy_of[items])

    def at(self, positions: Ints) -> Blocks:
        """Those at ``positions``."""
        return Blocks(self.width[positions], self.copy_of[positions])

    def first(self, count: int) -> Blocks:
        """The first ``count`` of them."""
        return Blocks(self.width[:count], self.copy_of[:count])

    def arrays(self, cols: int) -> int:
        """Arrays for them on one chip, at most."""
        return arrays_of(self.width, self.copy_of, cols)

    def __len__(self) -> int:
        return len(self.width)


def _least_loaded(chips: list[ChipRoom], blocks: Blocks) -> int:
    """The least loaded chip with room for all of these blocks, else the one with room for the most."""
    ranked = sorted(range(len(chips)), key=lambda c: (chips[c].load, c))
    of_empty: dict[int, int] = {}  # chips without tables differ by what layers leave alone
    count = {}
    for c in ranked:
        chip = chips[c]
        if chip.held.blocks or chip.held.copies:
            count[c] = chip.fits(blocks)
        else:
            if chip.free not in of_empty:
                of_empty[chip.free] = chip.fits(blocks)
            count[c] = of_empty[chip.free]
        if count[c] == len(blocks):
            return c
    return max(ranked, key=lambda c: count[c])


def _first(chips: list[ChipRoom], blocks: Blocks) -> int:
    """The first chip with room for any of these blocks."""
    return next((c for c, chip in enumerate(chips) if chip.fits(blocks.first(1)) > 0), 0)


@dataclass(frozen=True)
class _Held:
    """What is on a chip: blocks by width, copies by width, copies of each block.

    ``most``: by width, the largest number of copies of one block.
    """

    blocks: Counter[int] = field(default_factory=Counter)
    copies: Counter[int] = field(default_factory=Counter)
    times: Counter[int] = field(default_factory=Counter)
    most: Counter[int] = field(default_factory=Counter)

    def plus(self, more: Blocks) -> _Held:
        """With these, too."""
        is_copy = more.copy_of >= 0
        blocks = self.blocks + _counted(more.width[~is_copy])
        if not is_copy.any():
            return _Held(blocks, self.copies, self.times, self.most)
        width, copy_of = more.width[is_copy], more.copy_of[is_copy]
        times = self.times + _counted(copy_of)
        most = Counter(self.most)
        distinct, first = np.unique(copy_of, return_index=True)
        for block, wide in zip(distinct.tolist(), width[first].tolist(), strict=True):
            most[wide] = max(most[wide], times[block])
        return _Held(blocks, self.copies + _counted(width), times, most)

    def arrays(self, cols: int) -> int:
        """Arrays for it, at most: the running sum of :func:`cimc.transforms.place.pack_arrays.arrays_of`."""
        blocks = sum(-(-count // (cols // width)) for width, count in self.blocks.items())
        return blocks + sum(
            max(-(-count // (cols // width)), self.most[width]) for width, count in self.copies.items()
        )


def _counted(values: Ints) -> Counter[int]:
    distinct, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))


class ChipRoom:
    """Room of one chip: arrays not taken by layers, and what tables have on it."""

    def __init__(self, target: Target) -> None:
        self.cols = target.array.cols
        self.free = target.tiles_per_chip * target.tile.arrays
        self.load = 0.0
        self.held = _Held()

    def fits(self, blocks: Blocks) -> int:
        """How many of these blocks, from the first on, find room."""
        low, high = 0, 1
        while low < len(blocks):  # look no further than twice what fits: a full chip is asked often
            high = min(high, len(blocks))
            if not self._has_room(blocks.first(high)):
                break
            low, high = high, 2 * high
        else:
            return low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._has_room(blocks.first(middle)) else (low, middle)
        return low

    def _has_room(self, blocks: Blocks) -> bool:
        return self.held.plus(blocks).arrays(self.cols) <= self.free

    def add(self, blocks: Blocks, load: float) -> None:
        """Take these blocks, whose load together is ``load``."""
        self.held = self.held.plus(blocks)
        self.load += load


def _full(demand: int, target: Target) -> InfeasibleError:
    return InfeasibleError(Shortage("crossbar storage", demand, target.n_arrays, "arrays"))
