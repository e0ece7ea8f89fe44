"""Work of ``load``, ``loadq``, ``store``, ``send`` and ``recv``."""

from __future__ import annotations

from cimc.cost.machine_units import Unit
from cimc.cost.work import Work, flight_ns, wire_ns
from cimc.isa.footprint import link_bits
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import HEADER_BITS, Headers
from cimc.target.spec import Target


def cross(work: Work, target: Target, gate: int, tile: int, bits: float, headers: Headers, out: bool) -> None:
    """``bits`` and ``headers`` from the host to ``tile``, or ``out``, by way of the port at ``gate``."""
    host = float(target.chip.host_link_gbps)
    outside, inside = bits + headers.link, bits + headers.mesh
    work.count("messages", 1.0 if headers.mesh else 0.0)
    if out:
        work.count("host_link.bits", outside)
        work.hold(Unit("host link", target.coordinates(tile)[0]), outside / host)
        work.leave(target, tile, inside)
        work.travel(target, tile, gate, inside)
    else:
        work.arrive(target, gate, tile, outside, inside)
    flight = float(target.chip.host_link_ns) + target.hops(gate, tile) * float(target.tile.hop_ns)
    work.ns += flight + max(outside / host, inside / float(target.tile.link_gbps))


def transfer_work(item: Instr, tile: int, other: int, gate: int, headers: Headers, target: Target) -> Work:
    """Work of one of the transfers, executed by ``tile``, whose port to the host is at tile ``gate``.

    ``other`` is the tile at the other end, if any.  ``headers``: those of the messages from or to the host
    that it begins; a ``send`` always has its own.
    """
    work = Work()
    bits = link_bits(item)
    if item.name in ("load", "loadq", "store"):
        cross(work, target, gate, tile, bits, headers, item.name == "store")
        return work
    bits += HEADER_BITS
    work.count("messages", 1)
    work.ns = wire_ns(target, bits, target.crosses_chips(tile, other))
    if item.name == "send":
        work.leave(target, tile, bits)
        work.travel(target, tile, other, bits)
        work.head_ns = flight_ns(target, tile, other)
    else:
        work.enter(target, tile, bits)
        work.events.clear()  # the message was counted by its send
    return work
