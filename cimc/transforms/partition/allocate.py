"""``allocate``: how much of the machine every part of a model gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError, Shortage
from cimc.ir import cim
from cimc.ir.cim.copies import put_before_function
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.mapping.allocation.allocation_problem import (
    Allocation,
    AllocationProblem,
    LayerChoices,
    TableChoices,
    TileChoices,
    meets,
)
from cimc.mapping.allocation.goal import FULL, OBJECTIVES, Goal
from cimc.mapping.allocation.layer_copies import COPY_POLICIES
from cimc.mapping.allocation.solve_allocation import solve_allocation
from cimc.remarks.allocation_remarks import AllocationRemarks
from cimc.target.spec import Target
from cimc.transforms.chosen_options import Choice, ChoosingPass
from cimc.transforms.partition.copies_of_policy import copies_of_policy
from cimc.transforms.partition.request_work import (
    RequestWork,
    block_reads,
    hop_pj,
    power_of,
    request_work,
)
from cimc.transforms.partition.shard import layers_of
from cimc.transforms.place.pack_arrays import first_fit_count
from cimc.transforms.place.shard_list import tables_of

LOADS = {"throughput": 64, "latency": 1, "energy": 64, "edp": 64}
"""Requests in flight where no load is said, by objective."""
_FIXED = {"widths": "wide", "tables": "once"}
"""Options that take a part of the decision away, and their value."""
_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256)
"""Numbers of instances that are looked at on a chip."""
_SIZES = (1, 2, 4, 6)
"""Numbers of tiles of an instance that are looked at."""
_APART_NS = 60.0
"""Latency that each further tile of an instance is taken to add: values on their way between them."""
_MARGIN = 1.25
"""Times the expected work of an instance and of tables: what requests differ in makes others wait."""
_SHARES = (0.1, 1.0)
"""Blocks that keep an array busy for more than these shares of the mean may be copied alone."""


@dataclass(frozen=True)
class Allocate(ChoosingPass):
    """Decide together: instances of the dense part, places of hot blocks of tables, columns of layers.

    ``objective`` ``throughput``: most requests per second; ``latency``: least mean time of a request;
    ``energy``: least energy of a request, static power of all that is used included; ``edp``: least product
    of the two last.  All are at a load: ``load`` requests in flight (64, or 1 for ``latency``, if absent), or
    ``rate`` requests a second that arrive at random.  With ``p99_us`` one in a hundred requests is expected
    to take no longer; a note says where nothing is expected to keep that, or the rate.  The decision is
    CP-SAT's, on expected work per request (``request_work.py``), with a bound; at most ``most`` instances.
    ``shard`` and ``copy`` carry it out.  With ``most=0``, which is tried last where the target is nearly
    full, nothing is decided: nothing is copied, and ``shard`` sees to the columns.

    For comparison, parts of the decision may be others': ``policy`` decides on the instances alone
    (:mod:`cimc.mapping.allocation.layer_copies`; options of the policy are options of the pass),
    ``widths=wide`` leaves layers as wide as arrays, ``tables=once`` copies no tables.  The rest is decided
    as well as that permits.

    Precondition: quantised, not sharded.  Postcondition: ``cim.allocation``.
    """

    name = "allocate"
    choices = (Choice("policy", COPY_POLICIES, none=None),)
    objective: str = "throughput"
    load: int | None = None
    rate: int | float | None = None
    p99_us: int | float | None = None
    most: int = 256
    policy: str | None = None
    widths: str | None = None
    tables: str | None = None
    seed: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        self._check()
        if cim.allocation_of(op) is not None:
            raise PassError("pass.decided-already", "there is a cim.allocation", hint="run 'allocate' once")
        for matrix in cim.matrices_of(op):
            matrix.refuse(cim.ShardsOp)
        if self.most == 0:
            return
        if any(isinstance(matrix, cim.CorpusOp) for matrix in cim.matrices_of(op)):
            data.notes.append("allocate: the model searches a corpus; of such there is one of everything")
            return
        problem = self._problem(op, data, target)
        if problem is None:
            data.notes.append("allocate: the arrays do not hold all rows once; nothing is copied")
            return
        problem, notes = self._restricted(problem, op, target)
        data.notes += notes
        found = solve_allocation(problem)
        if note := _misses(self, problem.goal, found):
            data.notes.append(f"allocate: {note}")
        columns = {each.name: each.widths[at] for each, at in zip(problem.layers, found.widths, strict=True)}
        put_before_function(op, cim.AllocationOp(found.instances, found.places, found.tiles, columns))
        data.remark(_remark(self, problem, found))

    def adjusted(self, shortage: Shortage) -> Allocate | None:
        """With fewer instances at most; with one, which has all tiles, where their memory is too small.

        At last with no decision: narrow layers may be what does not fit.
        """
        if self.most == 0:
            return None
        return replace(
            self, most=1 if shortage.resource == cim.INSTANCE_MEMORY and self.most > 1 else self.most // 2
        )

    def _restricted(
        self, problem: AllocationProblem, op: ModuleOp, target: Target
    ) -> tuple[AllocationProblem, tuple[str, ...]]:
        """The problem without the choices that are taken away, and what to say of that."""
        notes: tuple[str, ...] = ()
        if self.widths is not None:
            problem = replace(problem, layers=tuple(each.cut(1) for each in problem.layers))
        if self.tables is not None:
            problem = replace(problem, tables=problem.tables.cut(1))
        if self.policy is not None:
            options = self.chosen_options("policy")
            copies = copies_of_policy(
                layers_of(op, target), problem, target, self.policy, self.seed or 0, **options
            )
            most = min([*copies.values(), max(self.most, 1)])
            instances = problem.most_instances(most)
            shown = ", ".join(f"{name} {count}" for name, count in copies.items())
            notes = (f"allocate: {self.policy} copies layers so often: {shown}; instances: {instances}",)
            problem = replace(problem, instances=(instances,))
        return problem, notes

    def _check(self) -> None:
        """Refuse options that mean nothing."""
        wrong = None
        if self.objective not in OBJECTIVES:
            wrong = f"objective={self.objective} is none of {', '.join(OBJECTIVES)}"
        elif not isinstance(self.load or 1, Integral):
            wrong = f"load={self.load!r} is no whole number"
        elif not all(isinstance(given or 1, Real) for given in (self.rate, self.p99_us)):
            wrong = f"rate={self.rate!r} and p99_us={self.p99_us!r} are numbers"
        elif self.load is not None and self.rate is not None:
            wrong = "the load is either load, requests in flight, or rate, requests a second"
        elif (self.load is not None and self.load < 1) or self.most < 0:
            wrong = "load is at least 1, and most at least 0"
        elif not all(1e-3 <= given <= 1e12 for given in (self.rate, self.p99_us) if given is not None):
            wrong = "rate and p99_us lie between 0.001 and 1e12"
        for name, value in _FIXED.items():
            if getattr(self, name) not in (None, value):
                wrong = f"{name}={getattr(self, name)} is not {value}"
        if wrong:
            raise PassError("allocate.option", wrong)

    def _goal(self, latency_ns: float) -> Goal:
        """What is to be good; a request alone takes ``latency_ns`` at least."""
        load, rate = self.load or LOADS[self.objective], (self.rate or 0.0) / 1e9
        if rate and self.objective == "throughput":
            # as many as Little's law says are in flight: what serves them fastest has room for more
            load, rate = max(2, math.ceil(rate * latency_ns)), 0.0
        return Goal(self.objective, load, rate, 1e3 * (self.p99_us or 0.0))

    def _problem(self, op: ModuleOp, data: CompilerContext, target: Target) -> AllocationProblem | None:
        """The problem; ``None`` where not even one of everything fits, as far as cells go."""
        work = request_work(op, data, target)
        layers, dense = [], layers_of(op, target)
        for layer in dense:
            wide = layer.widths(target)[::-1]
            arrays = [layer.arrays(w, target) for w in wide]
            ns = [layer.steps(w, target) * float(target.array.step_ns) for w in wide]
            keep = [k for k in range(len(wide)) if k == 0 or ns[k] < min(ns[:k])]
            layers.append(
                LayerChoices(
                    layer.name,
                    tuple(wide[k] for k in keep),
                    tuple(arrays[k] for k in keep),
                    tuple(ns[k] for k in keep),
                )
            )
        tables, table_arrays = _tables(op, work, data, target)
        widest = sum(each.arrays[0] for each in layers)
        if table_arrays + widest > target.n_arrays:
            return None
        chips, ports = target.system.chips, len(target.chip.ports)
        link, host = float(target.tile.link_gbps), float(target.chip.host_link_gbps)
        width, height = target.chip.mesh
        shared = max(
            (work.bits_in + work.bits_out) / host,
            # X first: all but what is for the column of a port, or comes along its row, is on one link
            work.bits_in * (1 - 1 / width) / (ports * link),
            work.bits_out * (1 - 1 / height) / (ports * link),
        )
        counts = _multiples(target, min(self.most, target.n_tiles))
        latency = 2 * float(target.chip.host_link_ns) + work.bits_in / link
        sizes = _sizes(work, target)
        least = latency + min(sizes.vector_ns) + sum(min(each.busy_ns) for each in layers)
        return AllocationProblem(
            tuple(counts),
            tuple(layers),
            tables,
            sizes,
            chips,
            shared,
            latency,
            self._goal(least),
            target.n_arrays,
            table_arrays,
            target.tile.arrays,
            target.n_tiles,
            power_of(dense, work, target),
        )


def _multiples(target: Target, most: int) -> list[int]:
    """Numbers of instances, or of places, that are looked at: as many on every chip, or on some chips one."""
    chips = target.system.chips
    fewer = [n for n in _COUNTS if n < chips and n <= most]
    return [*(fewer or [1]), *(n * chips for n in _COUNTS if 1 < n * chips <= most)]


def _tables(
    op: ModuleOp, work: RequestWork, data: CompilerContext, target: Target
) -> tuple[TableChoices, int]:
    """What more places of the hottest blocks take, and the arrays that tables take at least."""
    load, width = [np.zeros(0)], [np.zeros(0, np.int64)]
    for table in tables_of(cim.matrices_of(op)):
        slices = target.slices(table.bits.value.data)
        cols, most = table.cols.value.data, target.array.cols // slices
        reads = block_reads(table, data, target)
        for first in range(0, cols, most):
            wide = min(most, cols - first) * slices
            load.append(reads * wide)
            width.append(np.full(len(reads), wide, np.int64))
    loads, widths = np.concatenate(load), np.concatenate(width)
    arrays = first_fit_count(widths, target.array.cols)
    if not arrays:
        return TableChoices((1,), (0,), (0.0,), (_MARGIN * _router_ns(work.bits_in, target),), (0.0,)), 0
    order = np.argsort(-loads / widths, kind="stable")
    steps = -(-widths // target.array.columns_per_step)
    ns = (loads / widths * steps * float(target.array.step_ns))[order]
    total, heaviest = float(ns.sum()), float(ns[0])
    options: list[tuple[int, int, float, float, float]] = []
    far = float(target.n_tiles)
    bits = [work.answer_bits(far)]
    busy = max(heaviest, total / arrays, _link_ns(bits[0], far, target))
    one = _router_ns(work.bits_in + bits[0], target)
    options.append((1, 0, _MARGIN * busy, _MARGIN * one, hop_pj(bits[0], _hops(far, target), target)))
    for count in _multiples(target, target.n_tiles)[1:]:
        near = max(target.n_tiles / count, 1.0)
        sets = {len(ns), *(int((ns > share * total / arrays).sum()) for share in _SHARES)}
        if count < target.system.chips:  # room is left for copies of a few of so many arrays
            sets |= set(_hottest(widths[order], (target.n_arrays - arrays) // count, target))
        for chosen in sorted(sets - {0}):
            hot, cold = _arrays_of(widths[order[:chosen]], target), _arrays_of(widths[order[chosen:]], target)
            mine = float(ns[:chosen].sum())
            share = mine / total if total > 0 else 1.0
            bits = [part * work.answer_bits(tiles) for part, tiles in ((share, near), (1 - share, far))]
            links = _link_ns(bits[0], near, target) + _link_ns(bits[1], far, target)
            busy = max(
                heaviest / count,
                mine / max(hot * count, 1),
                (total - mine) / max(cold, 1),
                float(ns[chosen]) if chosen < len(ns) else 0.0,
                links,
            )
            one = _router_ns(work.bits_in + sum(bits), target)
            more = max(hot * count + cold - arrays, 0)
            way = hop_pj(bits[0], _hops(near, target), target) + hop_pj(bits[1], _hops(far, target), target)
            options.append((count, more, _MARGIN * busy, _MARGIN * one, way))
    chips = target.system.chips
    return TableChoices(*(tuple(column) for column in zip(*_worthwhile(options, chips), strict=True))), arrays


def _sizes(work: RequestWork, target: Target) -> TileChoices:
    """Tiles of an instance: more of them share the vector work as far as it does not wait for itself."""
    tiles = [n for n in _SIZES if n <= target.tiles_per_chip]
    chain = [max(work.chain_ns, work.vector_ns / n) + _APART_NS * (n - 1) for n in tiles]
    # what several tiles do is never dealt out evenly
    busy = [_MARGIN * work.vector_ns * (0.5 + 0.5 / n if n > 1 else 1.0) for n in tiles]
    return TileChoices(tuple(tiles), tuple(chain), tuple(busy))


def _arrays_of(widths: NDArray[np.int64], target: Target) -> int:
    return first_fit_count(widths, target.array.cols) if len(widths) else 0


def _router_ns(bits: float, target: Target) -> float:
    """Time of the router input of an instance for ``bits`` a request."""
    return bits / float(target.tile.link_gbps)


def _link_ns(bits: float, tiles: float, target: Target) -> float:
    """Time of a busy mesh link for ``bits`` a request that come from tables on so many tiles around.

    A busy link has three times the mean.
    """
    return 3.0 * bits * _hops(tiles, target) / (4.0 * target.n_tiles) / float(target.tile.link_gbps)


def _hops(tiles: float, target: Target) -> float:
    """Mean hops within a part of the mesh: two thirds of its side."""
    return (2.0 / 3.0) * math.sqrt(min(tiles, target.tiles_per_chip))


def _hottest(widths: NDArray[np.int64], spare: int, target: Target) -> list[int]:
    """How many of the first blocks fill 1, 2, 4, ... arrays, up to ``spare``."""
    filled = np.cumsum(widths)
    sizes = [1 << k for k in range(max(spare, 0).bit_length())]
    return [int(np.searchsorted(filled, arrays * target.array.cols, side="right")) for arrays in sizes]


def _worthwhile(
    options: list[tuple[int, int, float, float, float]], chips: int
) -> list[tuple[int, int, float, float, float]]:
    """Without those that one of no more arrays beats which goes with the same instances; by places."""

    def beats(
        other: tuple[int, int, float, float, float], each: tuple[int, int, float, float, float]
    ) -> bool:
        goes = other[0] in (1, each[0]) or (other[0] % chips == 0 and each[0] % chips == 0)
        return goes and all(a <= b for a, b in zip(other[1:], each[1:], strict=True))

    found: list[tuple[int, int, float, float, float]] = []
    for each in sorted(options):
        if not any(beats(other, each) for other in found):
            found.append(each)
    return found


def _misses(options: Allocate, goal: Goal, found: Allocation) -> str:
    """What the best that was found is not expected to keep; empty: it keeps all."""
    if not goal.serves(found.busy_ns):
        return (
            f"{options.rate:.6g} requests a second are more than this target is expected to serve: "
            f"{FULL * 1e9 / found.busy_ns:.4g}"
        )
    if not meets(goal, found):
        return (
            f"nothing is expected to keep a p99 of {options.p99_us:.6g} us at this load; "
            f"the best takes {found.p99_ns / 1e3:.4g} us"
        )
    return ""


def _remark(options: Allocate, problem: AllocationProblem, found: Allocation) -> AllocationRemarks:
    goal = problem.goal
    at = goal if options.rate is None else replace(goal, rate=options.rate / 1e9)
    response = found.latency_ns + at.waits(found.busy_ns)
    leaks = found.static_mw * at.request_ns(found.busy_ns, found.latency_ns)
    return AllocationRemarks(
        objective=options.objective,
        load=goal.in_flight,
        instances=found.instances,
        places=found.places,
        tiles=found.tiles,
        busy_ns=found.busy_ns,
        latency_ns=found.latency_ns,
        period_ns=found.latency_ns + (goal.in_flight - 1) * found.busy_ns,
        bound_ns=found.bound if goal.objective in ("throughput", "latency") else 0.0,
        gap=found.gap,
        produced_by=f"{options.policy}, {found.produced_by}" if options.policy else found.produced_by,
        rate_rps=None if options.rate is None else float(options.rate),
        p99_us=None if options.p99_us is None else float(options.p99_us),
        response_ns=_finite(response),
        energy_pj=_finite(found.dynamic_pj + leaks),
        value=_finite(found.value),
        bound=found.bound,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
