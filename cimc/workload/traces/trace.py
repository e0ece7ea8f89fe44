"""What a trace consists of, as plain arrays, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cimc.errors import Location, RequestError, printable
from cimc.support.io.files import atomic_file
from cimc.support.io.npz import Npz, write_npz
from cimc.support.row_bags import RowBags
from cimc.support.shown import Shown, counted, some

Counts = NDArray[np.int64]

MOST = 1 << 62
"""Largest number of accesses, and largest number of a row: sums of integers stay exact."""


def _no_lengths() -> Counts:
    return np.zeros((0, 2), np.int64)


@dataclass(frozen=True, repr=False)
class TableTrace(Shown):
    """Accesses of one table.

    Attributes:
        name: the table.
        rows: rows of the table; 0 where the file that the counts come from does not say.
        requests: requests that were seen.
        ids: ``int64[u]``, the rows that were read, ascending.
        counts: ``int64[u]``, how often each was read: exact.
        kept: bags of two distinct rows or more, each with its rows ascending: all, or a random share; None if
            nobody looked at which rows are read together.  Of a file of version 0.1, which has pairs instead:
            bags of two rows, as often as the pair was seen.
        pooling: ``int64[k, 2]``, lengths of bags, ascending, and how many bags have each; empty if unknown.
    """

    name: str
    rows: int
    requests: int
    ids: Counts
    counts: Counts
    kept: RowBags | None = None
    pooling: Counts = field(default_factory=_no_lengths)

    def _brief(self) -> str:
        return f"of {self.name!r}: {counted(self.lookups, 'lookup')} of {counted(len(self.ids), 'row')}"

    @property
    def lookups(self) -> int:
        """Accesses in all."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """Rows that were read."""
        return len(self.ids)

    @property
    def bags(self) -> int:
        """Bags that were seen; 0 if unknown."""
        return int(self.pooling[:, 1].sum())


@dataclass(frozen=True, repr=False)
class Trace(Shown):
    """Accesses of all tables, by name."""

    tables: Mapping[str, TableTrace]

    def _brief(self) -> str:
        tables = f"{counted(len(self.tables), 'table')}: {some(self.tables)}"
        return f"of {counted(self.requests, 'request')}, {counted(self.lookups, 'lookup')} in {tables}"

    @property
    def lookups(self) -> int:
        """Accesses of all tables."""
        return sum(t.lookups for t in self.tables.values())

    @property
    def requests(self) -> int:
        """Requests seen."""
        return max((t.requests for t in self.tables.values()), default=0)

    def write(self, file: BinaryIO) -> None:
        """Write the ``.npz`` form: per table ``NAME.rows``, ``NAME.counts`` and what else is known of it.

        Equal traces give equal bytes.
        """
        arrays: dict[str, NDArray[Any]] = {"requests": np.array(self.requests, np.int64)}
        for name, table in sorted(self.tables.items()):
            arrays[f"{name}.rows"], arrays[f"{name}.counts"] = table.ids, table.counts
            arrays[f"{name}.size"] = np.array(table.rows, np.int64)
            arrays[f"{name}.requests"] = np.array(table.requests, np.int64)
            if table.kept is not None:
                arrays |= {f"{name}.{part}": array for part, array in _of_bags(table.kept).items()}
            if len(table.pooling):
                arrays[f"{name}.pooling"] = table.pooling
        write_npz(file, arrays)

    def save(self, path: Path) -> None:
        """Write the trace to a file, atomically; see :meth:`write`.

        Raises:
            CimcError: ``io.cannot-write``.
        """
        with atomic_file(path) as file:
            self.write(file)

    @classmethod
    def load(cls, path: Path, max_bytes: int = 1 << 32) -> Trace:
        """Read a trace, or a frequency file: ``NAME.rows`` and ``NAME.counts`` per table, and ``requests``.

        ``max_bytes``: largest total size, unpacked, as the archive's directory states it.

        Raises:
            RequestError: ``request.unreadable``, ``request.not-npz``, ``request.bad-array``,
                ``request.too-large``, ``trace.bad-file``.
        """
        with Npz(path, max_bytes) as file:
            arrays = {name: file.read(name) for name in file.members}
        where = Location(file=str(path))
        names = sorted(n.removesuffix(".counts") for n in arrays if n.endswith(".counts"))
        if not names:
            raise _bad("it holds no array NAME.counts", where)
        common = _number(arrays, "requests", -1, where)
        return cls({name: _table(name, arrays, common, where) for name in names})


def _bad(why: str, where: Location) -> RequestError:
    return RequestError(
        "trace.bad-file",
        f"this is no trace: {why}",
        location=where,
        hint="a trace holds, per table, NAME.rows (ascending row numbers) and NAME.counts (their accesses), "
        "and 'requests', the number of requests they come from; 'cimc trace' writes such files",
    )


def _number(arrays: Mapping[str, NDArray[Any]], name: str, default: int, where: Location) -> int:
    if name not in arrays:
        return default
    if arrays[name].shape != () or arrays[name].dtype.kind not in "iu" or int(arrays[name]) < 0:
        raise _bad(f"'{printable(name)}' is not one number of at least 0", where)
    return int(arrays[name])


def _whole(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], where: Location) -> Counts:
    """An array of integers; ``shape`` has -1 for any extent."""
    array = arrays.get(name, np.zeros(0))
    fits = array.ndim == len(shape) and all(w in (-1, h) for w, h in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in "iu" or (array.size and int(array.max()) > MOST):
        raise _bad(f"'{printable(name)}' is missing or no array of integers of the shape expected", where)
    return array.astype(np.int64)


def _table(name: str, arrays: Mapping[str, NDArray[Any]], common: int, where: Location) -> TableTrace:
    ids = _whole(arrays, f"{name}.rows", (-1,), where)
    counts = _whole(arrays, f"{name}.counts", (len(ids),), where)
    size = _number(arrays, f"{name}.size", 0, where)
    requests = _number(arrays, f"{name}.requests", common, where)
    if requests < 0:
        raise _bad("'requests' is missing", where)
    if len(ids) and (int(ids[0]) < 0 or (np.diff(ids) <= 0).any() or int(counts.min()) < 0):
        raise _bad(f"rows of '{printable(name)}' do not ascend from 0, or counts are negative", where)
    if float(counts.sum(dtype=np.float64)) > MOST:
        raise _bad(f"counts of '{printable(name)}' add up to more than 2^62", where)
    if size and len(ids) and int(ids[-1]) >= size:
        raise _bad(f"'{printable(name)}' has {size} rows, row {int(ids[-1])} is counted", where)
    pooling = _no_lengths()
    if f"{name}.pooling" in arrays:
        pooling = _whole(arrays, f"{name}.pooling", (-1, 2), where)
        if len(pooling) and (int(pooling.min()) < 0 or (np.diff(pooling[:, 0]) <= 0).any()):
            raise _bad(f"pooling factors of '{printable(name)}' do not ascend", where)
        if float(pooling.astype(np.float64).prod(axis=1).sum() + pooling[:, 1].sum(dtype=np.float64)) > MOST:
            raise _bad(f"bags of '{printable(name)}' add up to more than 2^62", where)
    return TableTrace(name, size, requests, ids, counts, _bags(name, ids, arrays, where), pooling)


def _of_bags(bags: RowBags) -> dict[str, NDArray[Any]]:
    """The arrays of a file that hold ``bags``; rows in four bytes where that is enough."""
    narrow = np.int32 if not len(bags.rows) or int(bags.rows.max()) <= np.iinfo(np.int32).max else np.int64
    arrays: dict[str, NDArray[Any]] = {
        "bag_rows": bags.rows.astype(narrow),
        "bag_lengths": bags.lengths.astype(np.int32),
    }
    if (bags.weights != 1).any():
        arrays["bag_weights"] = bags.weights
    return arrays


def _bags(name: str, ids: Counts, arrays: Mapping[str, NDArray[Any]], where: Location) -> RowBags | None:
    """The bags of a table, or the pairs that version 0.1 wrote in their place."""
    if f"{name}.bag_rows" in arrays:
        rows = _whole(arrays, f"{name}.bag_rows", (-1,), where)
        lengths = _whole(arrays, f"{name}.bag_lengths", (-1,), where)
        weights = None
        if f"{name}.bag_weights" in arrays:
            weights = _whole(arrays, f"{name}.bag_weights", (len(lengths),), where)
        whole = not len(lengths) or (int(lengths.min()) >= 2 and int(lengths.max()) <= len(rows))
        if not whole or int(lengths.sum()) != len(rows):
            raise _bad(f"lengths of the bags of '{printable(name)}' do not add up", where)
        bags = RowBags.of_lengths(rows, lengths, weights)
    elif f"{name}.pairs" in arrays:
        pairs = _whole(arrays, f"{name}.pairs", (-1, 2), where)
        bags = RowBags.of_pairs(pairs, _whole(arrays, f"{name}.pair_counts", (len(pairs),), where))
    else:
        return None
    inside = np.ones(len(bags.rows), np.bool_)
    inside[bags.starts[:-1]] = False
    rising = np.diff(bags.rows, prepend=bags.rows[:1])[inside] > 0
    if not (np.isin(bags.rows, ids).all() and rising.all()):
        raise _bad(
            f"bags or pairs of '{printable(name)}' are not of rows that were counted, ascending", where
        )
    if len(bags) and (int(bags.weights.min()) < 1 or float(bags.weights.sum(dtype=np.float64)) > MOST):
        raise _bad(f"bags or pairs of '{printable(name)}' are not counted in whole numbers from 1", where)
    return bags
