"""Work of ``load``, ``loadq``, ``store``, ``send`` and ``recv``."""

from __future__ import annotations

from cimc.cost.machine_units import Unit
from cimc.cost.work import HEADER_BITS, Work, flight_ns, wire_ns
from cimc.isa.footprint import link_bits
from cimc.isa.instructions import Instr
from cimc.target.spec import Target


def host_ns(target: Target, gate: int, tile: int, bits: float) -> float:
    """Latency between host and ``tile``: link, hops from the port at ``gate``, bits at the slower rate."""
    flight = float(target.chip.host_link_ns) + target.hops(gate, tile) * float(target.tile.hop_ns)
    return flight + wire_ns(target, bits, host=True)


def from_host(work: Work, target: Target, gate: int, tile: int, bits: float) -> None:
    """``bits`` from the host to ``tile``, by way of the port at ``gate``."""
    chip = target.coordinates(tile)[0]
    work.count("host_link.bits", bits)
    work.hold(Unit("host link", chip), bits / float(target.chip.host_link_gbps))
    work.travel(target, gate, tile, bits)
    work.enter(target, tile, bits)


def transfer_work(item: Instr, tile: int, other: int, gate: int, target: Target) -> Work:
    """Work of one of the transfers, executed by ``tile``, whose port to the host is at tile ``gate``.

    ``other`` is the tile at the other end, if any.
    """
    work = Work()
    work.count("messages", 1)
    bits = link_bits(item) + HEADER_BITS
    if item.name in ("load", "loadq", "store"):
        work.ns = host_ns(target, gate, tile, bits)
        if item.name != "store":
            from_host(work, target, gate, tile, bits)
        else:
            chip = target.coordinates(tile)[0]
            work.count("host_link.bits", bits)
            work.hold(Unit("host link", chip), bits / float(target.chip.host_link_gbps))
            work.leave(target, tile, bits)
            work.travel(target, tile, gate, bits)
        return work
    work.ns = wire_ns(target, bits, target.crosses_chips(tile, other))
    if item.name == "send":
        work.leave(target, tile, bits)
        work.travel(target, tile, other, bits)
        work.head_ns = flight_ns(target, tile, other)
    else:
        work.enter(target, tile, bits)
        work.events.clear()  # the message was counted by its send
    return work
