"""Values larger than a scratchpad: which operations are done part by part, and how.

An operation whose operands and result do not fit one tile together is a *root*: its result is cut into
regions that are computed one after the other.  What a root reads and no tile could hold is never there as a
whole: each region of the root asks for the regions of its operands, and they of theirs, down to values that
do exist. So a score matrix lives a few rows at a time, between the products that make and use it.

A sum (or maximum, or product) over an axis too long to be on one tile is added up over parts of it.  Other
than that every element is computed as before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import element_bytes
from cimc.ir import cim, rec
from cimc.transforms.schedule.tiling.regions import Range, Region, needed, volume, whole, widened

VALUE, TOGETHER = 0.8, 0.75
"""Shares of a scratchpad: for a value that exists as a whole; for operands and result of an operation."""
FULL = 0.88
"""Share of a scratchpad for a whole value and a part cut out of it."""
TIGHT = 0.125
"""A value beyond this share of a scratchpad, in between two operations that are cut, is made part by part."""
SPREAD = 0.25
"""Share of all scratchpads for values that exist in parts on several tiles."""
REPEATS = 4.0
"""How often an element that they have no room for is computed at most, on average."""
PARTS = 256
"""Boxes that an operation is cut into at most."""

_CHUNKED = ("sum", "mean", "max", "min")


@dataclass(frozen=True)
class Cut:
    """Into how many parts each axis of a root's result is cut, and the axis that it contracts."""

    counts: tuple[int, ...]
    chunks: int = 1

    @property
    def parts(self) -> int:
        """How many regions are computed."""
        total = self.chunks
        for count in self.counts:
            total *= count
        return total

    def regions(self, value: SSAValue) -> list[Region]:
        """The regions of a root's result, the last axis running fastest."""
        return [
            tuple(ranges)
            for ranges in product(
                *(parts(end, n) for (_, end), n in zip(whole(value), self.counts, strict=True))
            )
        ]


def parts(extent: int, count: int) -> list[Range]:
    """``count`` (or fewer) ranges of nearly one length that cover an axis, the longest first."""
    size = max(-(-extent // count), 1)
    return [(at, min(at + size, extent)) for at in range(0, extent, size)] or [(0, 0)]


def contracted(op: Operation) -> int:
    """The extent of the axis that ``op`` can add up part by part; 1 if there is none."""
    if isinstance(op, rec.MatmulOp):
        return rec.shape(op.a)[-1]
    if isinstance(op, rec.ReduceOp) and op.kind.data in _CHUNKED:
        return rec.shape(op.x)[rec.unpack(op.axes)[0]]
    return 1


def chunk(op: Operation, regions: list[Region | None], span: Range) -> list[Region | None]:
    """The regions of the operands, of the contracted axis only ``span``."""
    known = [b for b in regions if b is not None]
    if isinstance(op, rec.MatmulOp):
        a, b = known
        return [(*a[:-1], span), (*b[:-2], span, b[-1])]
    assert isinstance(op, rec.ReduceOp)
    axis = rec.unpack(op.axes)[0] - 1
    (x,) = known
    return [(*x[:axis], span, *x[axis + 1 :])]


def bytes_of(value: SSAValue, region: Region | None = None) -> int:
    """Scratchpad bytes of a region of a value of one request; 0 for a constant.

    A value whose size varies counts nothing: only streams of ids do, and they are not stored.
    """
    if isinstance(value.owner, rec.ConstantOp):
        return 0
    if min(rec.shape(value)[1:], default=0) < 0:
        return 0
    return volume(whole(value) if region is None else region) * element_bytes(value)


def contiguous(value: SSAValue, region: Region) -> bool:
    """Whether a region of a value is one run of memory."""
    full = whole(value)
    cut = [d for d, (a, b) in enumerate(zip(region, full, strict=True)) if a != b]
    return not cut or (len(cut) == 1 and all(full[d][1] == 1 for d in range(cut[0])))


def working_set(op: Operation, region: Region, regions: Sequence[Region | None]) -> int:
    """Bytes that a tile holds while ``op`` computes ``region`` of its result from ``regions`` of its
    operands."""
    result = op.results[0]
    out = bytes_of(result, region)
    if isinstance(op, rec.EmbeddingBagOp | cim.LookupOp) and op.layout.data != "fixed":
        return out
    sizes = {v: bytes_of(v, b) for v, b in zip(op.operands, regions, strict=True) if b is not None}
    into = sum(sizes.values())
    if isinstance(op, rec.LinearOp):  # floats and their integers; integers and sums; sums and floats
        return max(into + into // 4, into // 4 + out, 2 * out)
    return 0 if _in_place(op, region) else into + out


def _in_place(op: Operation, region: Region) -> bool:
    """Whether the result of ``op`` takes no memory beside that of its operands, or they none beside it."""
    if isinstance(op, rec.ConcatOp):
        return volume(region[: op.axis.value.data - 1]) == 1
    if isinstance(op, rec.SliceOp):
        return volume(whole(op.x)[: op.axis.value.data - 1]) == 1
    return isinstance(op, rec.ReshapeOp | rec.HitsOp)


class Stuck(Exception):
    """An operation that no cut brings into a scratchpad."""


@dataclass
class _Visit:
    """What one region of a root asks for: regions of values made on the way, and the largest working set."""

    regions: dict[SSAValue, set[Region]] = field(default_factory=dict)
    held: list[SSAValue] = field(default_factory=list)
    peak: int = 0


@dataclass(frozen=True)
class _Option:
    """A cut that may be taken next: what it asks for, and how often it computes an element at most."""

    cut: Cut
    visit: _Visit
    order: int
    repeats: float


class Plan:
    """What is cut among the operations of a chip segment.

    Attributes:
        roots: how the result of an operation is cut, in program order.
        lazy: values that never exist as a whole.
        apart: values too large for one tile that exist nevertheless, as the regions of their cut, as each of
            their elements is needed several times.
        stuck: operations that fit no scratchpad however they are cut.
    """

    def __init__(
        self, ops: Sequence[Operation], leaves: Callable[[SSAValue], bool], capacity: int, tiles: int
    ) -> None:
        self.ops, self.leaves, self.capacity = list(ops), leaves, capacity
        self.inside = {op.results[0] for op in ops}
        self.spread = int(SPREAD * capacity * tiles)
        self.value_limit, self.limit = int(VALUE * capacity), int(TOGETHER * capacity)
        self.roots: dict[Operation, Cut] = {}
        self.lazy: set[SSAValue] = set()
        self.stuck: list[Operation] = []
        self.apart: set[SSAValue] = set()
        self._keep: set[SSAValue] = set()
        tight = {op for op in self.ops if self._whole(op) > self.limit}
        if tight or any(self.too_large(v) for op in self.ops for v in (*op.operands, *op.results)):
            self._solve(tight)

    def too_large(self, value: SSAValue) -> bool:
        """Whether no tile holds ``value`` as a whole."""
        return bytes_of(value) > self.value_limit

    def _whole(self, op: Operation) -> int:
        return working_set(op, whole(op.results[0]), [whole(v) for v in op.operands])

    def _solve(self, tight: set[Operation]) -> None:
        while True:
            self.lazy = {v for v in self.inside if self.too_large(v) or self._between(v, tight)}
            self.lazy |= {op.results[0] for op in self.ops if self._integers_of_a_part(op, tight)}
            for op in reversed(self.ops):
                if self._amid(op):
                    self.lazy.add(op.results[0])
            self.lazy -= self.apart
            again = False
            self.roots, self.stuck = {}, []
            asked: dict[SSAValue, float] = {}
            for op in self.ops:
                result = op.results[0]
                if (
                    result in self.lazy
                    and result not in self.apart
                    and not (self.leaves(result) and self.too_large(result))
                ):
                    continue
                reads = [v for v in op.operands if v in self.lazy or self.too_large(v)]
                if not reads and op not in tight and result not in self.apart:
                    continue
                try:
                    self.roots[op], visit = self._choose(op)
                except Stuck:
                    near = self._nearest(op)
                    again = again or bool(near)
                    self._keep |= near
                    self.stuck.append(op)
                    continue
                for value, regions in visit.regions.items():
                    times = (
                        sum(volume(b) for b in regions) * self.roots[op].parts / max(volume(whole(value)), 1)
                    )
                    asked[value] = asked.get(value, 0.0) + times
            often = {v for v, times in asked.items() if times > 1.3}
            fits = {v for v in often if not self.too_large(v) and element_bytes(v) > 1}
            for value in (v for v in asked if v in fits):
                if value not in self._keep and not any(r in fits for r in _results_of_users(value)):
                    self._keep.add(value)
                    again = True
            for value in (v for v in asked if v in often and self.too_large(v)):
                nearest = not any(r in often and self.too_large(r) for r in _results_of_users(value))
                if not nearest or again or element_bytes(value) == 1 or value in self.apart:
                    continue
                if sum(bytes_of(v) for v in (*self.apart, value)) <= self.spread:
                    self.apart.add(value)
                    again = True
                elif asked[value] > REPEATS and not _cheap(value):
                    self.stuck.append(value.owner)  # type: ignore[arg-type]
            if not again:
                return

    def _between(self, value: SSAValue, tight: set[Operation]) -> bool:
        """Whether a value that would fit is better made part by part, with what reads it."""
        users = {use.operation for use in value.uses}
        if (
            value in self._keep
            or self.leaves(value)
            or len(users) != 1
            or isinstance(value.owner, rec.MatmulOp)
        ):
            return False
        return bytes_of(value) > TIGHT * self.capacity and (value.owner in tight or bool(users & tight))

    def _amid(self, op: Operation) -> bool:
        """Whether all that ``op`` reads and is read by is made part by part (the maximum in a softmax)."""
        value = op.results[0]
        if value in self._keep or self.leaves(value) or not any(True for _ in value.uses):
            return False
        around = all(r in self.lazy for r in _results_of_users(value))
        return around and any(v in self.lazy for v in op.operands)

    def _integers_of_a_part(self, op: Operation, tight: set[Operation]) -> bool:
        """Whether ``op`` quantises the input of a layer that is cut, or does not itself fit as a whole.

        The vector unit moves words: what takes a byte an element is made where it is used, never joined.
        """
        if not isinstance(op, cim.QuantizeOp):
            return False
        users = [use.operation for use in op.result.uses]
        cut = any(u in tight or any(r in self.lazy for r in u.results) for u in users)
        return op in tight or op.x in self.lazy or self.too_large(op.x) or cut

    def _nearest(self, op: Operation) -> set[SSAValue]:
        """Values on the way to ``op`` that could exist as a whole after all."""
        found: set[SSAValue] = set()
        stack, seen = list(op.operands), set[SSAValue]()
        while stack:
            value = stack.pop()
            if value in seen or value not in self.lazy:
                continue
            seen.add(value)
            if not self.too_large(value) and element_bytes(value) > 1 and value not in self._keep:
                found.add(value)
            else:
                assert isinstance(value.owner, Operation)
                stack += value.owner.operands
        return {v for v in found if bytes_of(v) > TIGHT * self.capacity} or found

    # -- choosing a cut -----------------------------------------------------------------------------

    def _choose(self, op: Operation) -> tuple[Cut, _Visit]:
        """The cut with the fewest parts found by halving, again and again, where it helps most."""
        result = op.results[0]
        extents = [end for _, end in whole(result)]
        cut = Cut((1,) * len(extents))
        visit = self._visit(op, cut)
        while visit.peak > self.limit:
            options: list[_Option] = []
            for d, extent in enumerate(extents):
                if cut.counts[d] < extent:
                    counts = list(cut.counts)
                    counts[d] = min(2 * counts[d], extent)
                    options.append(self._option(op, Cut(tuple(counts), cut.chunks), d))
            if cut.chunks < contracted(op):
                more = Cut(cut.counts, min(2 * cut.chunks, contracted(op)))
                options.append(self._option(op, more, len(extents)))
            useful = [o for o in options if o.visit.peak < visit.peak] or options
            if not useful:
                raise Stuck
            # without computing anything twice, without breaking up sums, with the largest step
            best = min(useful, key=lambda o: (o.repeats, o.cut.chunks > cut.chunks, o.visit.peak, o.order))
            if best.cut.parts > PARTS:
                raise Stuck
            cut, visit = best.cut, best.visit
        return cut, visit

    def _option(self, op: Operation, cut: Cut, order: int) -> _Option:
        visit = self._visit(op, cut)
        again = [
            self._times(v, b, cut) for v, b in visit.regions.items() if self.too_large(v) and not _cheap(v)
        ]
        return _Option(cut, visit, order, round(max([1.0, *again]), 1))

    @staticmethod
    def _times(value: SSAValue, regions: set[Region], cut: Cut) -> float:
        """How often an element of a value is computed on average, if all regions of a root are as the
        first."""
        return sum(volume(b) for b in regions) * cut.parts / max(volume(whole(value)), 1)

    def _visit(self, op: Operation, cut: Cut) -> _Visit:
        """The demands of the first, largest region of a root."""
        visit = _Visit()
        result = op.results[0]
        region = cut.regions(result)[0]
        wide = widened(op, region)
        regions = needed(op, wide)
        if cut.chunks > 1:
            regions = chunk(op, regions, parts(contracted(op), cut.chunks)[0])
            visit.peak = 3 * bytes_of(result, region)
        self._compute(op, wide, regions, visit)
        if wide != region:
            visit.peak = max(visit.peak, bytes_of(result, wide) + bytes_of(result, region))
        if not self.too_large(result) and cut.parts > 1:
            joined = self._join(result, cut)
            visit.peak = max(visit.peak, joined if joined > self.value_limit else 0)
        return visit

    def _join(self, result: SSAValue, cut: Cut) -> int:
        """Bytes to put the regions of a root together: in place along the first axis that is longer than
        1."""
        inner = 0
        full = whole(result)
        for axis in range(len(full)):
            if cut.counts[axis] > 1:
                lead = [parts(end, n)[0] for (_, end), n in zip(full[:axis], cut.counts[:axis], strict=True)]
                size = bytes_of(result, (*lead, *full[axis:]))
                inner = max(inner, size if volume(tuple(lead)) == 1 else 2 * size)
        return inner

    def _compute(
        self, op: Operation, region: Region, regions: Sequence[Region | None], visit: _Visit
    ) -> None:
        visit.peak = max(visit.peak, working_set(op, region, regions))
        if isinstance(op, rec.EmbeddingBagOp | cim.LookupOp) and op.layout.data != "fixed":
            return
        for value, part in zip(op.operands, regions, strict=True):
            if part is not None:
                self._demand(value, part, visit)

    def _demand(self, value: SSAValue, region: Region, visit: _Visit) -> None:
        if isinstance(value.owner, rec.ConstantOp):
            return
        if value in self.apart:
            visit.peak = max(visit.peak, 2 * bytes_of(value, region))
            return
        if value not in self.lazy:
            if not self.too_large(value) and region != whole(value):
                extra = 0 if contiguous(value, region) else bytes_of(value, region)
                both = bytes_of(value) + extra
                visit.peak = max(visit.peak, both if both > FULL * self.capacity else 0)
            return
        known = visit.regions.setdefault(value, set())
        op = value.owner
        assert isinstance(op, Operation)
        wide = widened(op, region)
        if wide in known:
            return
        known.add(wide)
        if wide != region:
            visit.peak = max(visit.peak, bytes_of(value, wide) + bytes_of(value, region))
        self._compute(op, wide, needed(op, wide), visit)


def _results_of_users(value: SSAValue) -> list[SSAValue]:
    return [result for use in value.uses for result in use.operation.results]


def _cheap(value: SSAValue) -> bool:
    """Whether a value is a copy of others, so that making it again costs no arithmetic."""
    views = (
        rec.ReshapeOp | rec.TransposeOp | rec.SliceOp | rec.TakeOp | rec.ConcatOp | rec.ExpandOp | rec.PadOp
    )
    return isinstance(value.owner, views)
