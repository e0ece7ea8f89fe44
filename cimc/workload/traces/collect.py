"""Counting accesses in one or two passes over bags, within a memory budget.

Counts of rows are exact, whatever the budget: they are kept in an array with one count per row where that
fits, otherwise as sorted pairs of (row, count); if neither fits, counting is refused.  A second pass keeps
bags whole, as many as the budget has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError
from cimc.workload.traces.bag_sample import BagSample
from cimc.workload.traces.trace import TableTrace, Trace

Ids = NDArray[np.int64]
Chunk = tuple[Ids, Ids]
"""Ids of some bags back to back, and ``starts int64[bags + 1]``: bag i is ``ids[starts[i]:starts[i+1]]``."""

MEMORY_LIMIT = 1 << 30
BAG_ROWS = 1 << 22
"""Rows of the bags that a trace keeps of each table, at most."""

_ENTRY = 16  # bytes of a row number and its count
_BAG_ROW = 40  # bytes of a row of a bag that is kept, with those of thinning them out
_CHUNK_BYTES = 1 << 26  # what chunks, and temporaries of the same size, take beside the counts


class BagSource(Protocol):
    """Bags of one table; can be gone through more than once, with the same result."""

    @property
    def name(self) -> str:
        """The table."""

    @property
    def rows(self) -> int:
        """Rows of the table."""

    @property
    def requests(self) -> int:
        """Requests that the bags belong to."""

    def chunks(self) -> Iterator[Chunk]:
        """All bags, in chunks of a few million ids at most; ids are within ``0 .. rows - 1``."""


def collect(
    sources: Sequence[BagSource],
    *,
    memory_limit: int = MEMORY_LIMIT,
    bag_rows: int = BAG_ROWS,
    progress: Callable[[str, int], None] | None = None,
) -> Trace:
    """Count the accesses of every table; sources of equal name are bags of one table.

    Args:
        sources: where bags come from.
        memory_limit: bytes that counting and its results may take, beside the interpreter and its libraries.
        bag_rows: rows, at most, of the bags kept of each table (0: none); fewer where they would not fit.
            Of more bags a random share is kept (:class:`~cimc.workload.traces.bag_sample.BagSample`).
        progress: called with a table and the lookups of it done so far.

    Raises:
        RequestError: ``trace.memory`` when exact counts do not fit, ``trace.rows-differ`` when sources of one
            table disagree about its rows.
    """
    tables: dict[str, list[BagSource]] = {}
    for source in sources:
        tables.setdefault(source.name, []).append(source)
    found: dict[str, TableTrace] = {}
    held = 0
    for name, parts in tables.items():
        if len({s.rows for s in parts}) > 1:
            sizes = ", ".join(str(s.rows) for s in parts)
            raise RequestError("trace.rows-differ", f"table {name}: its bags index {sizes} rows")
        table = _table(name, parts, memory_limit - held, len(tables) - len(found), bag_rows, progress)
        held += _ENTRY * table.distinct
        held += 0 if table.kept is None else 8 * len(table.kept.rows) + 16 * len(table.kept)
        found[name] = table
    return Trace(found)


def _table(
    name: str,
    parts: Sequence[BagSource],
    budget: int,
    tables: int,
    bag_rows: int,
    progress: Callable[[str, int], None] | None,
) -> TableTrace:
    """The accesses of one table; for the bags of this and the ``tables - 1`` after it there is equal room."""
    rows = parts[0].rows
    room = budget - _CHUNK_BYTES
    # at the end the counts of an array and the entries made from it exist together
    dense = room >= 4 * rows + _ENTRY * rows
    counter: _Dense | _Sparse = _Dense(rows) if dense else _Sparse(name, room)
    lengths = np.zeros((0, 2), np.int64)
    requests = done = 0
    for source in parts:
        for ids, starts in source.chunks():
            counter.add(ids)
            lengths = _merged(lengths, *np.unique(np.diff(starts), return_counts=True))
            done += len(ids)
            if progress is not None:
                progress(name, done)
        requests = max(requests, source.requests)
    ids, counts = counter.result()
    del counter
    room -= _ENTRY * len(ids)
    sample = BagSample(min(bag_rows, max(room, 0) // (tables * _BAG_ROW)))
    if bag_rows and (lengths[:, 0] > 1).any():
        for source in parts:
            for chunk in source.chunks():
                sample.add(*chunk)
    return TableTrace(name, rows, requests, ids, counts, sample.result() if bag_rows else None, lengths)


def _merged(have: Ids, keys: NDArray[Any], counts: NDArray[Any]) -> Ids:
    """(key, count) rows, ascending and distinct, together with further ones."""
    every = np.concatenate([have[:, 0], keys])
    number = np.concatenate([have[:, 1], counts])
    distinct, inverse = np.unique(every, return_inverse=True)
    out = np.zeros((len(distinct), 2), np.int64)
    out[:, 0] = distinct
    np.add.at(out[:, 1], inverse, number)
    return out


class _Dense:
    """One count per row: 4 bytes each, 8 once there are more accesses than 4 bytes count."""

    def __init__(self, rows: int) -> None:
        self._counts: NDArray[Any] = np.zeros(rows, np.uint32)
        self._total = 0

    def add(self, ids: Ids) -> None:
        self._total += len(ids)
        if self._total >= 1 << 32 and self._counts.dtype == np.uint32:
            self._counts = self._counts.astype(np.uint64)
        np.add.at(self._counts, ids, self._counts.dtype.type(1))

    def result(self) -> tuple[Ids, Ids]:
        ids = np.flatnonzero(self._counts).astype(np.int64, copy=False)
        return ids, self._counts[ids].astype(np.int64)


class _Sparse:
    """Sorted rows and counts; new ids are gathered until there are as many as there are entries."""

    def __init__(self, name: str, room: int) -> None:
        self._name, self._room = name, room
        self._known = np.zeros((0, 2), np.int64)
        self._new: list[tuple[Ids, Ids]] = []
        self._waiting = 0

    def add(self, ids: Ids) -> None:
        rows, counts = np.unique(ids, return_counts=True)
        self._new.append((rows, counts.astype(np.int64)))
        self._waiting += len(rows)
        if self._waiting >= max(len(self._known), 1 << 16):
            self._merge()

    def _merge(self) -> None:
        # merging holds both sides, their concatenation, its order and the result
        need = 5 * _ENTRY * (len(self._known) + self._waiting)
        if need > self._room:
            raise RequestError(
                "trace.memory",
                f"table {self._name}: exact counts of over {len(self._known):,} rows need {need:,} bytes, "
                f"{max(self._room, 0):,} are left of the memory limit",
                hint="raise --memory-limit, or trace fewer tables at a time",
            )
        if self._new:
            rows = np.concatenate([r for r, _ in self._new])
            counts = np.concatenate([c for _, c in self._new])
            self._new.clear()
            self._waiting = 0
            self._known = _merged(self._known, rows, counts)

    def result(self) -> tuple[Ids, Ids]:
        self._merge()
        return np.ascontiguousarray(self._known[:, 0]), np.ascontiguousarray(self._known[:, 1])
