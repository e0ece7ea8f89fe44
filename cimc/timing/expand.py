"""From the template and the visits of every request to one task graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.cost.machine_units import Unit
from cimc.ir.residence import dram_chip
from cimc.isa.link_widths import WORD_BITS
from cimc.target.spec import Target
from cimc.timing.paths import Hop, between, from_host
from cimc.timing.task_graph import END, HEAD, NOTHING, START, Builder, Graph
from cimc.timing.template import LookupSite, Template
from cimc.timing.visits import Recorder, Visits

Ints = NDArray[np.int64]
F64 = NDArray[np.float64]


def expand(
    templates: list[Template],
    recorder: Recorder,
    first: int,
    stop: int,
    target: Target,
    scratchpad_gbps: float | None,
    turns: Ints | None = None,
) -> Graph:
    """The task graph of requests ``first .. stop - 1``.

    ``turns``: int64 ``[stop - first]``, the template that each is of; ``k`` modulo theirs if absent.

    Raises:
        CostError: ``cost.no-activity``.
    """
    requests = stop - first
    of = np.arange(first, stop) % len(templates) if turns is None else turns
    builder = Builder()
    base = np.zeros(requests, np.int64)
    sites = [recorder.of(site.key).part(first, stop) for site in templates[0].sites]
    for turn in np.unique(of).tolist():
        members = np.flatnonzero(of == turn)
        _requests(builder, templates[turn], sites, members, base, first, target, scratchpad_gbps)
    return builder.graph(base)


def _requests(
    builder: Builder,
    template: Template,
    seen: list[Visits],
    members: Ints,
    base: Ints,
    first: int,
    target: Target,
    scratchpad_gbps: float | None,
) -> None:
    """Add all tasks of the requests ``first + members``, and where they begin to ``base``."""
    size, n = len(template.unit), len(members)
    hold = np.tile(np.array(template.hold), (n, 1))
    numbers = np.repeat(members + first, size)
    sites = list(zip(template.sites, seen, strict=True))
    for site, visits in sites:
        for task, per_id in site.sized:
            hold[:, task] += visits.ids[members] * per_id
        hold[:, site.combine] = visits.combine_ns[members]
        if site.port >= 0 and scratchpad_gbps is not None:
            hold[:, site.port] = port_bits(site, visits)[members] / scratchpad_gbps
    begin = builder.add(
        np.tile(np.array(template.unit), n),
        hold.reshape(-1),
        numbers,
        np.tile(np.array(template.instruction), n),
    )
    mine = base[members] = begin + np.arange(n, dtype=np.int64) * size
    edges = np.array([e[:3] for e in template.edges], np.int64).reshape(-1, 3)
    extra = np.array([e[3] for e in template.edges])
    for kind in np.unique(edges[:, 2]).tolist():
        for wait in np.unique(extra[edges[:, 2] == kind]).tolist():
            chosen = edges[(edges[:, 2] == kind) & (extra == wait)]
            source, dest = ((mine[:, None] + chosen[:, c]).reshape(-1) for c in (0, 1))
            builder.link(source, dest, kind, wait)
    among = np.zeros(len(base), np.bool_)
    among[members] = True
    for site, visits in sites:
        _owners(builder, template, site, visits, among, base, first, target)


def port_bits(site: LookupSite, visits: Visits) -> F64:
    """Bits that a lookup moves through home's scratchpad, per request."""
    if site.item.name == "bag":
        return visits.port_bits
    return visits.port_bits + visits.ids * float(WORD_BITS * (2 if site.weighted else 1))


def _owners(
    builder: Builder,
    template: Template,
    site: LookupSite,
    visits: Visits,
    among: NDArray[np.bool_],
    base: Ints,
    first: int,
    target: Target,
) -> None:
    """Add the tasks of all visits of one lookup by the requests ``among`` these, owner by owner."""
    order = np.argsort(visits.owner, kind="stable")
    order = order[among[visits.request[order]]]
    if not len(order):  # no request of these looks anything up
        return
    owners, starts = np.unique(visits.owner[order], return_index=True)
    for owner, chosen in zip(owners.tolist(), np.split(order, starts[1:]), strict=True):
        _owner(builder, template, site, visits, int(owner), chosen, base, first, target)


def _owner(
    builder: Builder,
    template: Template,
    site: LookupSite,
    visits: Visits,
    owner: int,
    chosen: Ints,
    base: Ints,
    offset: int,
    target: Target,
) -> None:
    """Add the visits ``chosen`` to one owner: ids out, its memories, answers back.

    Ids from the host go straight to an owner on another chip.
    """
    units, n = template.units, len(chosen)
    router = int(visits.router[chosen[0]])
    request = visits.request[chosen]
    number = np.full(n, site.instruction)
    asked, combine = base[request] + site.asked, base[request] + site.combine

    def one(unit: Unit | None, hold: F64) -> Ints:
        place = NOTHING if unit is None else units[unit]
        first = builder.add(np.full(n, place), np.asarray(hold, np.float64), request + offset, number)
        return np.arange(first, first + n, dtype=np.int64)

    def chain(hops: list[Hop], bits: F64, before: Ints, kind: int = END) -> Ints:
        wait, at = 0.0, before
        for hop in hops:
            task = one(hop.unit, bits / hop.rate)
            builder.link(at, task, kind, wait)
            kind, wait, at = HEAD, hop.after, task
        return at

    at = asked
    if site.begins >= 0 and target.crosses_chips(site.home, router):
        hops = from_host(target, target.gate(router), router)
        at = chain(hops, visits.out_bits[chosen], base[request] + site.begins, START)
    elif router != site.home:
        at = chain(between(target, site.home, router), visits.out_bits[chosen], at)
    if owner < 0:
        dram = one(Unit("dram", int(dram_chip(np.array(owner)))), visits.dram_ns[chosen])
        builder.link(at, dram, END)
        done = one(None, np.zeros(n))
        assert target.chip.dram_ns is not None
        builder.link(dram, done, END, float(target.chip.dram_ns))
    else:
        asking, done = (
            one(Unit("bus", owner), visits.in_ns[chosen]),
            one(Unit("bus", owner), visits.back_ns[chosen]),
        )
        builder.link(at, asking, END)
        _memories(builder, template, visits, owner, chosen, asking, done, request + offset, number)
    if router != site.home:
        done = chain(between(target, router, site.home), visits.back_bits[chosen], done)
    builder.link(done, combine, END)


def _memories(
    builder: Builder,
    template: Template,
    visits: Visits,
    owner: int,
    chosen: Ints,
    asking: Ints,
    done: Ints,
    request: Ints,
    number: Ints,
) -> None:
    """The arrays and the table SRAM of a tile, side by side, between two uses of its bus."""
    units = template.units
    place = np.full(len(visits.request), -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    used = np.flatnonzero(place[visits.array_visit] >= 0)
    at = place[visits.array_visit[used]]
    known, which = np.unique(visits.array[used], return_inverse=True)
    unit = np.array([units[Unit("array", owner, int(a))] for a in known], np.int64)
    sram = np.flatnonzero(visits.sram_ns[chosen] > 0)
    for unit_of, hold, of in (
        (unit[which] if len(used) else np.zeros(0, np.int64), visits.array_ns[used], at),
        (
            np.full(len(sram), units[Unit("table sram", owner)] if len(sram) else 0),
            visits.sram_ns[chosen[sram]],
            sram,
        ),
    ):
        if not len(of):
            continue
        first = builder.add(unit_of, hold, request[of], number[of])
        tasks = np.arange(first, first + len(of), dtype=np.int64)
        builder.link(asking[of], tasks, END)
        builder.link(tasks, done[of], END)
