"""Bags of recorded requests, streamed from a request file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError, printable
from cimc.support.io.npz import Npz, Stream
from cimc.workload.traces.collect import Chunk

Ids = NDArray[np.int64]

_IDS_AT_A_TIME = 1 << 20
_BAGS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class BagInput:
    """How a model takes the bags of one table.

    Attributes:
        table, rows: the table.
        ids: name of the array of ids.
        offsets: name of the array of starts; ``""`` where ids are ``[requests]`` or
            ``[requests, ..., length]``.
        ends: ``offsets`` has one entry more, the end of the last bag.
        padding: ids of this value are not looked up.
        weights: name of the array of a weight per id; ``""`` if there is none.
    """

    table: str
    rows: int
    ids: str
    offsets: str = ""
    ends: bool = False
    padding: int | None = None
    weights: str = ""


@dataclass(frozen=True)
class RecordedBags:
    """The bags of one table in a request file: a :class:`~cimc.workload.traces.collect.BagSource`.

    The file is read in blocks, once per :meth:`chunks`; none of its arrays is ever whole in memory.
    """

    path: Path
    bag: BagInput

    @property
    def name(self) -> str:
        """The table."""
        return self.bag.table

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.bag.rows

    @property
    def requests(self) -> int:
        """Requests in the file.

        Raises:
            RequestError: as :meth:`chunks`.
        """
        with Npz(self.path) as file:
            shape = self._member(file, self.bag.offsets or self.bag.ids)
        return max(0, shape[0] - self.bag.ends) if shape else 0

    def chunks(self) -> Iterator[Chunk]:
        """All bags in order.

        Raises:
            RequestError: ``request.missing-input``, ``request.bad-dtype``, ``request.bad-shape``,
                ``request.bad-offsets``, ``request.id-out-of-range``, and those of the file itself.
        """
        first = 0
        with Npz(self.path) as file:
            for ids, starts in self._jagged(file) if self.bag.offsets else self._even(file):
                if self.bag.padding is not None:
                    ids, starts = _without(ids, starts, self.bag.padding)
                self._check(ids, starts, first)
                yield ids, starts
                first += len(starts) - 1

    def _even(self, file: Npz) -> Iterator[Chunk]:
        shape = self._member(file, self.bag.ids)
        if not shape:
            raise RequestError(
                "request.bad-shape",
                f"'{printable(self.bag.ids)}' is one number, not [requests, ...]",
                location=file.where,
            )
        if file.members[self.bag.ids].fortran and len(shape) > 1:
            raise RequestError(
                "request.bad-array",
                f"array '{printable(self.bag.ids)}' is stored column by column, and cannot be read in blocks",
                location=file.where,
                hint="write numpy.ascontiguousarray(ids)",
            )
        length = 1 if len(shape) < 2 else shape[-1]
        if not length:
            yield np.zeros(0, np.int64), np.zeros(int(np.prod(shape[:-1])) + 1, np.int64)
            return
        bags = max(1, _IDS_AT_A_TIME // length)
        with file.stream(self.bag.ids) as stream:
            while stream.left:
                ids = stream.take(bags * length).astype(np.int64, copy=False)
                yield ids, np.arange(len(ids) // length + 1, dtype=np.int64) * length

    def _jagged(self, file: Npz) -> Iterator[Chunk]:
        for name in (self.bag.ids, self.bag.offsets):
            if len(self._member(file, name)) != 1:
                raise RequestError(
                    "request.bad-shape",
                    f"'{printable(name)}' has shape {list(file.members[name].shape)}, expected one dimension",
                    location=file.where,
                )
        with ExitStack() as stack:
            ids = stack.enter_context(file.stream(self.bag.ids))
            offsets = stack.enter_context(file.stream(self.bag.offsets))
            total, done = ids.left, 0
            head = _whole(offsets, 1)
            if len(head):
                self._offsets(head, 0, total, file)
                ids.take(int(head[0]))  # ids before the first bag belong to none
                done = int(head[0])
            while len(head):
                more = _whole(offsets, _BAGS_AT_A_TIME)
                last = not offsets.left
                ends = np.concatenate([head, more])
                if last and not self.bag.ends:
                    ends = np.append(ends, total)
                if len(ends) == 1:
                    return
                self._offsets(ends, done, total, file)
                yield from self._cut(ids, ends)
                done, head = int(ends[-1]), ends[-1:] if not last else ends[:0]

    @staticmethod
    def _cut(ids: Stream, ends: Ids) -> Iterator[Chunk]:
        """Bags between ``ends``, a bounded number of ids at a time (at least one bag)."""
        at = 0
        while at < len(ends) - 1:
            stop = int(np.searchsorted(ends, ends[at] + _IDS_AT_A_TIME, side="right")) - 1
            stop = min(max(stop, at + 1), len(ends) - 1)
            part = ids.take(int(ends[stop] - ends[at])).astype(np.int64, copy=False)
            yield part, ends[at : stop + 1] - ends[at]
            at = stop

    def _member(self, file: Npz, name: str) -> tuple[int, ...]:
        if name not in file.members:
            raise RequestError(
                "request.missing-input",
                f"the model's input '{printable(name)}' is not among the arrays: "
                f"{', '.join(map(printable, sorted(file.members))) or '-'}",
                location=file.where,
            )
        if file.members[name].dtype.kind not in "iu":
            raise RequestError(
                "request.bad-dtype",
                f"input '{printable(name)}' is {file.members[name].dtype}, ids and offsets are integers",
                location=file.where,
            )
        return file.members[name].shape

    def _offsets(self, ends: Ids, least: int, total: int, file: Npz) -> None:
        if int(ends[0]) < least or int(ends[-1]) > total or (ends[1:] < ends[:-1]).any():
            raise RequestError(
                "request.bad-offsets",
                f"table {self.bag.table}: offsets must grow from 0 to at most {total} (the ids given)",
                location=file.where,
                hint="offsets hold the start of each request's ids, in order",
            )

    def _check(self, ids: Ids, starts: Ids, first: int) -> None:
        if not ids.size or (int(ids.min()) >= 0 and int(ids.max()) < self.bag.rows):
            return
        at = int(np.argmax((ids < 0) | (ids >= self.bag.rows)))
        request = first + int(np.searchsorted(starts, at, side="right")) - 1
        raise RequestError(
            "request.id-out-of-range",
            f"table {self.bag.table}: id {int(ids[at])} in bag {request} is not in 0..{self.bag.rows - 1}",
            hint="check the preprocessing of this feature, or clip or hash ids before the model",
        )


def _whole(stream: Stream, count: int) -> Ids:
    return stream.take(count).astype(np.int64, copy=False)


def _without(ids: Ids, starts: Ids, padding: int) -> Chunk:
    kept = ids != padding
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    return ids[kept], before[starts]
