"""What lookups did in a run: the part of the event counts that depends on the requests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cimc.remarks.host_work import HostWork
from cimc.support.shown import Shown, counted
from cimc.target.spec import Target

Site = tuple[int, int, int]
"""Segment, tile (of any instance) and position of an instruction in the stream that it runs."""


@dataclass(repr=False)
class LookupActivity(Shown):
    """Sums over all requests (and loop iterations) of one lookup instruction.

    Attributes:
        block_rows: ``int64[places]``, rows read at each place that holds a part of the table: blocks, then
            their copies (:attr:`cimc.isa.directory.RowDirectory.entries`).
        block_activations: ``int64[places]``, times each place was read: rows of one bag in one block of cells
            are pooled up to ``pool_rows`` at once (one by one in the modes that need single rows); rows in
            SRAM and DRAM are read one by one.
        tile_visits: for each owning tile, the requests that reached it; for the DRAM of chip ``c`` under the
            key ``-3 - c``, as in the block table.
        ids: ids looked up.
    """

    block_rows: NDArray[np.int64]
    block_activations: NDArray[np.int64]
    tile_visits: dict[int, int] = field(default_factory=dict)
    ids: int = 0

    def _brief(self) -> str:
        return f"of {counted(self.ids, 'id')} in {counted(len(self.block_rows), 'place')}"


@dataclass(repr=False)
class Traffic(Shown):
    """What all requests of a run moved and converted; means over requests are the events of the same name.

    Attributes:
        host_bits: ``host_link.bits``.
        hop_bits: ``router.hop_bits``.
        messages: ``messages``.
        conversions: ``adc.conversions``; conversions_used: ``adc.conversions_used``.
    """

    host_bits: int = 0
    hop_bits: int = 0
    messages: int = 0
    conversions: int = 0
    conversions_used: int = 0

    def _brief(self) -> str:
        return f"{counted(self.messages, 'message')}, {self.host_bits} bits on host links"

    def send(self, target: Target, source: int, dest: int, bits: int, messages: int) -> None:
        """Count ``bits`` in so many messages between two tiles, which may be one."""
        self.messages += messages
        self.hop_bits += bits * target.hops(source, dest)
        if target.crosses_chips(source, dest):
            self.host_bits += bits

    def arrive(self, target: Target, tile: int, bits: int, messages: int) -> None:
        """Count ``bits`` in so many messages from the host to a tile, by the port nearest to it."""
        self.messages += messages
        self.hop_bits += bits * target.port_hops(tile)
        self.host_bits += bits

    def convert(self, target: Target, columns: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Count conversions of so many cell columns, each so many times."""
        self.conversions += int((target.array.conversions(columns) * times).sum())
        self.conversions_used += int((columns * times).sum())


@dataclass(repr=False)
class Activity(Shown):
    """Activity of a whole run."""

    requests: int = 0
    lookups: dict[Site, LookupActivity] = field(default_factory=dict)
    host_seconds: float = 0.0
    """Wall time that host segments took on this machine; reported apart, never part of modelled time."""
    host_work: list[HostWork] = field(default_factory=list)
    """What nodes on the host did for all requests together, in order of execution."""
    traffic: Traffic = field(default_factory=Traffic)

    def requests_of(self, turn: int, period: int) -> int:
        """How many requests ``k`` there were with ``k mod period == turn``."""
        return max(-(-(self.requests - turn) // period), 0)

    def _brief(self) -> str:
        return f"of {counted(self.requests, 'request')}: {counted(len(self.lookups), 'lookup instruction')}"
