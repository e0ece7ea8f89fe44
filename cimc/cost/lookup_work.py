"""Work of ``bag``, ``lookup`` and ``lookupw``: means over the requests of a run.

The reduction tile sends the ids of each owner to it in one message, the owner activates the blocks and
answers in one.  Where rows are summed as integers (``sum`` and ``mean`` without weights) an owner returns one
partial vector; ``max``, ``none`` and weighted sums work on scaled rows, so every row is returned.
Where every row has its own scale, its owner reads it from digital memory and returns it with the row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cimc.cost.array_work import count_array_events, weight_offset
from cimc.cost.machine_units import Unit
from cimc.cost.owners import Owner, Reading, expected_slowest, owners, reading
from cimc.cost.transfer_work import cross
from cimc.cost.work import CostError, Work, flight_ns
from cimc.ir.cim import COLS
from cimc.ir.residence import Residence
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS, BagForm, Headers, bag_form
from cimc.isa.program import ChipSegment, Port, Program
from cimc.sim.activity import Activity, Site
from cimc.target.spec import Target


def single_rows(item: Instr, ports: Sequence[Port], loop: int) -> bool:
    """Whether every row is returned by itself: ``max``, ``none`` and weighted sums."""
    if item.name == "lookupw" or item.word("mode") in ("max", "none"):
        return True
    return item.name == "bag" and _weighted(item, ports, loop)


def _weighted(item: Instr, ports: Sequence[Port], loop: int) -> bool:
    index = item.index("port")
    return any(ports[index.at(i)].weights for i in range(loop if index.stride else 1))


def _form(item: Instr, ports: Sequence[Port], loop: int) -> BagForm:
    """How a bag comes from the host, which must be the same for all ports that a loop goes through."""
    index, width = item.index("port"), item.number("idbits")
    forms = [bag_form(ports[index.at(i)], width) for i in range(loop if index.stride else 1)]
    if len(set(forms)) > 1:
        raise CostError(
            "cost.bad-activity", "activity does not tell apart ports of a loop whose bags differ in form"
        )
    return forms[0]


def lookup_work(
    item: Instr,
    site: Site,
    loop: int,
    segment: ChipSegment,
    headers: Headers,
    program: Program,
    target: Target,
    activity: Activity,
    requests: int | None = None,
) -> Work:
    """Work of one lookup, a mean over the ``requests`` that the tile of ``site`` did it for (all, if absent).

    The parts: [host to home,] ids out, the slowest owner, answers back, home's vector unit.  ``headers``:
    those of the messages from the host that it begins.
    """
    home, ports = site[1], segment.inputs
    gate = segment.gate(home, target)
    done = activity.requests if requests is None else requests
    executions = max(done, 1) * loop  # a run on no request did nothing
    table = reading(item, site, executions, program, target, activity)
    singly = single_rows(item, ports, loop) or table.row_words > 0
    work = Work()
    cells = table.where(Residence.RRAM)
    widths = table.blocks[:, COLS] * table.matrix.slices
    count_array_events(work, "lookup", target, widths, table.activations * cells, table.rows * cells)
    tiles = owners(table, work, singly, target)
    _count_digital(work, table, tiles, singly, target)
    if item.name == "bag":
        form = _form(item, ports, loop)
        cross(work, target, gate, home, form.per_bag + table.ids * form.per_id, headers, out=False)
    work.ns += _exchange(
        work, tiles, item.number("idbits"), table.row_words, home, target, from_host=item.name == "bag"
    )
    weighted = item.name == "lookupw" or (item.name == "bag" and _weighted(item, ports, loop))
    work.ns += _combine(work, item, table, tiles, singly, weighted, home, target)
    return work


def _count_digital(work: Work, table: Reading, tiles: list[Owner], singly: bool, target: Target) -> None:
    """Events at the owners behind the converters."""
    bus_bits = sum(o.bus_bits for o in tiles)
    work.count("bus.bits", bus_bits)
    for owner in tiles:
        work.hold(Unit("bus", owner.tile), owner.bus_bits / float(target.tile.bus_gbps))
    cells, sram, dram = (table.where(kind) for kind in Residence)
    columns = table.activations * table.blocks[:, COLS]
    additions = 0.0
    if not singly:  # every activation after the first of a visit is added to the partial vector
        near = float(columns[~dram].sum())
        additions += max(0.0, near - sum(o.visits * o.columns for o in tiles if o.near))
    if weight_offset(table.matrix, target):
        additions += float(columns[cells].sum())
    work.count("scratchpad.read_bits", sum(o.ids for o in tiles if o.near) * table.row_words * WORD_BITS)
    work.count("accumulate.adds", additions)
    work.count("lookup.ids", table.ids)
    work.count("lookup.activations", float(table.activations[cells].sum()))
    work.count("lookup.tile_visits", sum(o.visits for o in tiles))
    for name, mask in (("cells", cells), ("sram", sram), ("dram", dram)):
        work.count(f"lookup.rows.{name}", float(table.rows[mask].sum()))


def _exchange(
    work: Work,
    tiles: list[Owner],
    id_width: int,
    row_words: int,
    home: int,
    target: Target,
    *,
    from_host: bool,
) -> float:
    """Ids out and answers back over the mesh, a message a visit each; the ns from the first to the last.

    Ids that come ``from_host`` go from there to owners on other chips, while home gets all of them.
    """
    sums: dict[str, float] = {"out": 0.0, "back": 0.0, "out-far": 0.0, "back-far": 0.0}
    replies: list[tuple[float, float]] = []
    for owner in tiles:
        bus_ns = owner.bus_bits / owner.visits / float(target.tile.bus_gbps)
        far = "-far" if target.crosses_chips(home, owner.tile) else ""
        straight = bool(far) and from_host
        flight = flight_ns(target, home, owner.tile)
        # straight from the host ids cross while the bag does; only their way from the port is later
        there = target.port_hops(owner.tile) * float(target.tile.hop_ns) if straight else flight
        replies.append((there + flight + owner.memory_ns + bus_ns, owner.visits))
        if owner.tile == home:
            continue
        out = owner.visits * HEADER_BITS + owner.ids * id_width
        back = owner.visits * HEADER_BITS + owner.return_bits + owner.ids * row_words * WORD_BITS
        for way, bits, source, dest in (("out", out, home, owner.tile), ("back", back, owner.tile, home)):
            sums[way] += bits
            if far:
                sums[way + far] += bits
            if straight and way == "out":
                work.arrive(target, target.gate(dest), dest, bits, bits)
                continue
            work.leave(target, source, bits)
            work.travel(target, source, dest, bits)
            work.enter(target, dest, bits)
        work.count("messages", 2 * owner.visits)
    serial = 0.0
    for way in ("out", "back"):
        serial += max(
            sums[way] / float(target.tile.link_gbps), sums[way + "-far"] / float(target.chip.host_link_gbps)
        )
    return serial + expected_slowest(replies)


def _combine(
    work: Work,
    item: Instr,
    table: Reading,
    tiles: list[Owner],
    singly: bool,
    weighted: bool,
    home: int,
    target: Target,
) -> float:
    """The reduction tile adds or pools what came back and scales it; the ns its vector unit takes."""
    lanes, cols = target.tile.vector_lanes, table.matrix.cols
    each: list[tuple[float, int]] = []  # (how often, columns)
    if singly:
        # weighted: convert, scale, multiply by the weight, add; none: convert, scale; max: compare each
        mode = "weighted" if weighted else item.word("mode")
        if table.row_words:  # every row: convert, scale[, add its bias]; then as the mode says
            more = {"weighted": 2, "none": 0}.get(mode, 1)
            each.append((table.ids * (1 + table.row_words + more), cols))
        else:
            each.append((table.ids * {"weighted": 4, "max": 1}.get(mode, 2), cols))
            if mode == "max":
                each.append((2.0, cols))
    else:
        # what near owners pooled, and rows from DRAM; the first is added to nothing
        partial = [*((o.visits if o.near else o.ids, o.columns) for o in tiles), (-1.0, cols)]
        if sum(times * columns for times, columns in partial) > 0:
            each += partial
        each.append((2.0, cols))  # convert and scale
    mean = 1.0 if item.name != "lookupw" and item.word("mode") == "mean" else 0.0
    each.append((mean, cols))  # the division by the number of ids
    operations = sum(times * columns for times, columns in each)
    returned = sum(o.return_bits for o in tiles)
    work.count("vector.ops", operations)
    work.count(f"vector.ops.{item.name}", operations)
    work.count("scratchpad.write_bits", returned)
    work.count("scratchpad.read_bits", returned)
    ns = sum(times * math.ceil(c / lanes) for times, c in each) * float(target.tile.vector_op_ns)
    ns = max(ns, 0.0)
    work.hold(Unit("vector", home), ns)
    return ns
