"""What one execution of an instruction takes: the units it holds, its latency, and the events it causes.

Counting and timing both read :class:`Work`, so that energy and time cannot speak of different machines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cimc.cost.machine_units import Unit, route
from cimc.errors import CimcError
from cimc.target.spec import Target


class CostError(CimcError):
    """What is to be costed is incomplete: activity or placement does not fit the program."""


@dataclass
class Work:
    """One execution of an instruction; for lookups the mean over requests.

    Attributes:
        ns: from its start until its result can be used.
        head_ns: for ``send``, from its start until the head of the message reaches the other tile.
        holds: units it occupies from its start on, with the ns each is occupied in total.
        passes: mesh links on its way and the ns of traffic; they count as busy time but do not delay it.
        events: names of :data:`cimc.cost.events.EVENTS` with their counts.
    """

    ns: float = 0.0
    head_ns: float = 0.0
    holds: dict[Unit, float] = field(default_factory=dict)
    passes: dict[Unit, float] = field(default_factory=dict)
    events: dict[str, float] = field(default_factory=dict)

    def hold(self, unit: Unit, ns: float) -> None:
        """Occupy ``unit`` for ``ns`` more."""
        if ns > 0:
            self.holds[unit] = self.holds.get(unit, 0.0) + ns

    def count(self, event: str, amount: float) -> None:
        """Add ``amount`` to ``event``."""
        self.events[event] = self.events.get(event, 0.0) + amount

    def travel(self, target: Target, source: int, dest: int, bits: float) -> None:
        """Count ``bits`` over the mesh between two tiles, links and chip crossing included."""
        self.count("router.hop_bits", bits * target.hops(source, dest))
        for link in route(target, source, dest):
            self.passes[link] = self.passes.get(link, 0.0) + bits / float(target.tile.link_gbps)
        if target.crosses_chips(source, dest):
            self.count("host_link.bits", bits)
            for tile in (source, dest):
                self.hold(
                    Unit("host link", target.coordinates(tile)[0]), bits / float(target.chip.host_link_gbps)
                )

    def arrive(self, target: Target, gate: int, tile: int, outside: float, inside: float) -> None:
        """Count bits from the host to ``tile``, on the host link and from the port at ``gate``."""
        self.count("host_link.bits", outside)
        chip = target.coordinates(tile)[0]
        self.hold(Unit("host link", chip), outside / float(target.chip.host_link_gbps))
        self.travel(target, gate, tile, inside)
        self.enter(target, tile, inside)

    def leave(self, target: Target, tile: int, bits: float) -> None:
        """Occupy the router output of ``tile``."""
        self.hold(Unit("router out", tile), bits / float(target.tile.link_gbps))

    def enter(self, target: Target, tile: int, bits: float) -> None:
        """Occupy the router input of ``tile``."""
        self.hold(Unit("router in", tile), bits / float(target.tile.link_gbps))


def flight_ns(target: Target, source: int, dest: int) -> float:
    """Latency of the head of a message between two tiles of an unloaded mesh."""
    crossing = float(target.chip.host_link_ns) if target.crosses_chips(source, dest) else 0.0
    return target.hops(source, dest) * float(target.tile.hop_ns) + crossing


def wire_ns(target: Target, bits: float, host: bool) -> float:
    """Time for ``bits`` to pass a fixed point: at the mesh link's rate, or the slower host link's."""
    rate = float(target.tile.link_gbps)
    return bits / (min(rate, float(target.chip.host_link_gbps)) if host else rate)
