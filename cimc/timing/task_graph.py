"""Task graphs: what a request does, as uses of units and the order between them.

A *task* occupies one unit for a time, its ``hold``.  An *edge* lets a task begin some time after another one
began.  How long after depends on its kind:

* ``END``: when the other is done (``hold`` of the other), plus ``extra``;
* ``START``: ``extra`` after the other began;
* ``HEAD``: cut-through.  The first bit arrives ``extra`` after the other began; a unit that is faster than
  the one before it begins later, so that it sends without a gap and ends ``extra`` after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cimc.cost.machine_units import Unit

END, START, HEAD = 0, 1, 2
NOTHING = -1
"""Unit of a task that occupies none."""

I32 = NDArray[np.int32]
F64 = NDArray[np.float64]


class Units:
    """Units and their numbers, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self.known: dict[Unit, int] = {}

    def __getitem__(self, unit: Unit) -> int:
        return self.known.setdefault(unit, len(self.known))

    def __len__(self) -> int:
        return len(self.known)

    def names(self) -> tuple[Unit, ...]:
        """All units, by number."""
        return tuple(self.known)


@dataclass(frozen=True)
class Graph:
    """Tasks of many requests.

    Attributes:
        unit: int32 ``[n]``, or :data:`NOTHING`.
        hold: float64 ``[n]``, ns.
        request, instruction: int32 ``[n]``: whose task it is, and of which instruction (-1: of none).
        first_edge: int64 ``[n + 1]``: edges ``first_edge[t] .. first_edge[t + 1] - 1`` leave task t.
        dest: int32 ``[edges]``; offset: float64 ``[edges]``: a task may begin ``offset`` after the other did.
        before: int32 ``[n]``: how many edges lead to a task.
        begin: int32 ``[requests]``: the task that stands for the arrival of each request; its requests have
            consecutive numbers.
    """

    unit: I32
    hold: F64
    request: I32
    instruction: I32
    first_edge: NDArray[np.int64]
    dest: I32
    offset: F64
    before: I32
    begin: I32

    @property
    def requests(self) -> int:
        """How many requests."""
        return len(self.begin)

    def only(self, keep: NDArray[np.bool_]) -> Graph:
        """The tasks that a mask keeps; with a task those that follow it must be kept."""
        number = np.cumsum(keep, dtype=np.int64) - 1
        edges = np.repeat(keep, np.diff(self.first_edge))
        first = np.zeros(int(keep.sum()) + 1, np.int64)
        np.cumsum(np.diff(self.first_edge)[keep], out=first[1:])
        return Graph(
            self.unit[keep],
            self.hold[keep],
            self.request[keep],
            self.instruction[keep],
            first,
            number[self.dest[edges]].astype(np.int32),
            self.offset[edges],
            self.before[keep],
            number[self.begin[keep[self.begin]]].astype(np.int32),
        )


def joined(one: Graph, other: Graph) -> Graph:
    """The tasks of two graphs, those of ``one`` first."""
    n = len(one.hold)
    return Graph(
        np.concatenate([one.unit, other.unit]),
        np.concatenate([one.hold, other.hold]),
        np.concatenate([one.request, other.request]),
        np.concatenate([one.instruction, other.instruction]),
        np.concatenate([one.first_edge, other.first_edge[1:] + one.first_edge[-1]]),
        np.concatenate([one.dest, other.dest + np.int32(n)]),
        np.concatenate([one.offset, other.offset]),
        np.concatenate([one.before, other.before]),
        np.concatenate([one.begin, other.begin + np.int32(n)]),
    )


@dataclass
class Builder:
    """Collects tasks and edges in pieces of arrays."""

    count: int = 0
    tasks: list[tuple[I32, F64, I32, I32]] = field(default_factory=list)
    edges: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8], F64]] = field(
        default_factory=list
    )

    def add(
        self,
        unit: NDArray[np.integer],
        hold: F64,
        request: NDArray[np.integer],
        instruction: NDArray[np.integer],
    ) -> int:
        """Append tasks; the number of the first."""
        first = self.count
        self.tasks.append(
            (
                unit.astype(np.int32, copy=False),
                hold,
                request.astype(np.int32, copy=False),
                instruction.astype(np.int32, copy=False),
            )
        )
        self.count += len(hold)
        return first

    def link(self, source: NDArray[np.int64], dest: NDArray[np.int64], kind: int, extra: float = 0.0) -> None:
        """Append edges of one kind."""
        n = len(source)
        self.edges.append((source, dest, np.full(n, kind, np.int8), np.full(n, extra)))

    def graph(self, begin: NDArray[np.int64]) -> Graph:
        """Everything together."""
        unit, hold, request, instruction = (np.concatenate(part) for part in zip(*self.tasks, strict=True))
        source, dest, kind, extra = (np.concatenate(part) for part in zip(*self.edges, strict=True))
        late = np.where(kind == END, hold[source], 0.0)
        behind = kind == HEAD
        late[behind] = np.maximum(0.0, hold[source[behind]] - hold[dest[behind]])
        order = np.argsort(source, kind="stable")
        first = np.zeros(self.count + 1, np.int64)
        np.cumsum(np.bincount(source, minlength=self.count), out=first[1:])
        return Graph(
            unit,
            hold,
            request,
            instruction,
            first,
            dest[order].astype(np.int32),
            (late + extra)[order],
            np.bincount(dest, minlength=self.count).astype(np.int32),
            begin.astype(np.int32),
        )
