"""Scratchpad buffers: which values share memory, how long each lives, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from cimc.analysis.request_size import request_bytes
from cimc.errors import InfeasibleError, Shortage

ALIGN = 8


@dataclass
class Buffer:
    """A stretch of scratchpad: size, positions in the schedule between which it lives, address."""

    size: int
    start: int
    end: int
    address: int = -1


_ORDERS: tuple[Callable[[Buffer], tuple[int, int]], ...] = (
    lambda b: (b.start, -b.size),
    lambda b: (b.start - b.end, -b.size),
    lambda b: (-b.size, b.start),
)
"""Orders in which buffers are given addresses, each tried if the one before needs too much."""


class Buffers:
    """Buffers of the values on one tile; a value sits at an offset of a buffer it may share.

    A reshape is its operand.  A slice of leading extent is a part of it.  Operands of a concatenation along
    the outermost axis of more than one element are produced in place, where the result needs them.
    """

    def __init__(self) -> None:
        self._of: dict[SSAValue, tuple[Buffer, int]] = {}
        self.buffers: list[Buffer] = []

    def __contains__(self, value: SSAValue) -> bool:
        return value in self._of

    def define(self, value: SSAValue, at: int) -> None:
        """A buffer of its own for ``value``, written at schedule position ``at``."""
        buffer = Buffer(request_bytes(value), at, at)
        self.buffers.append(buffer)
        self._of[value] = (buffer, 0)

    def alias(self, value: SSAValue, of: SSAValue, offset: int = 0) -> None:
        """``value`` is the part of ``of`` from byte ``offset`` on."""
        buffer, base = self._of[of]
        self._of[value] = (buffer, base + offset)

    def concatenate(self, result: SSAValue, parts: Sequence[SSAValue], at: int) -> None:
        """A buffer for ``result`` in which those ``parts`` that own their buffer now live."""
        whole = Buffer(request_bytes(result), at, at)
        offset = 0
        for part in parts:
            size = request_bytes(part)
            if part in self._of:
                inner, base = self._of[part]
                if base == 0 and inner.size == size and inner is not whole and inner in self.buffers:
                    whole.start = min(whole.start, inner.start)
                    whole.end = max(whole.end, inner.end)
                    self.buffers.remove(inner)
                    for value, (buffer, shift) in list(self._of.items()):
                        if buffer is inner:
                            self._of[value] = (whole, offset + shift)
            offset += size
        self.buffers.append(whole)
        self._of[result] = (whole, 0)

    def use(self, value: SSAValue, at: int) -> None:
        """``value`` is read at schedule position ``at``."""
        buffer, _ = self._of[value]
        buffer.end = max(buffer.end, at)

    def address(self, value: SSAValue) -> int:
        """Byte address of ``value`` once :meth:`assign` has run."""
        buffer, offset = self._of[value]
        return buffer.address + offset

    def assign(self, capacity: int, tile: int, apart: bool = False) -> int:
        """Give every buffer an address, first fit; returns the highest byte used.

        In order of their start; if that fragments the scratchpad too much, the longest-lived or the largest
        buffers first.  With ``apart`` no two share memory where all fit: what writes then waits for nothing
        that reads what was there before.

        Raises:
            InfeasibleError: when they do not fit into ``capacity`` bytes.
        """
        if apart and (top := self._one_by_one()) <= capacity:
            return top
        lowest = None
        for key in _ORDERS:
            top = self._first_fit(sorted(self.buffers, key=key))
            if top <= capacity:
                return top
            lowest = top if lowest is None else min(lowest, top)
        assert lowest is not None
        raise InfeasibleError(
            Shortage(
                "scratchpad",
                lowest,
                capacity,
                "bytes",
                ("a target with a larger tile.scratchpad_bytes", "fewer features per request"),
            ),
            subject=f"tile {tile}",
        )

    def _one_by_one(self) -> int:
        top = 0
        for buffer in self.buffers:
            buffer.address = -(-top // ALIGN) * ALIGN
            top = buffer.address + buffer.size
        return top

    @staticmethod
    def _first_fit(ordered: list[Buffer]) -> int:
        starts, ends = (np.array([getattr(b, f) for b in ordered], np.int64) for f in ("start", "end"))
        top = 0
        for number, buffer in enumerate(ordered):
            meets = np.flatnonzero((ends[:number] >= buffer.start) & (starts[:number] <= buffer.end))
            at = 0
            for other in sorted((ordered[int(i)] for i in meets), key=lambda b: b.address):
                if at + buffer.size <= other.address:
                    break
                at = max(at, -(-(other.address + other.size) // ALIGN) * ALIGN)
            buffer.address = at
            top = max(top, at + buffer.size)
        return top
