"""Access counts that were gathered elsewhere: text files of ``id,count`` lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cimc.errors import Location, RequestError, printable
from cimc.support.io.claims import reading
from cimc.workload.traces.trace import MOST, TableTrace


def read_counts(path: Path, name: str, rows: int, requests: int) -> TableTrace:
    """The accesses of table ``name`` from a file of ``id,count`` lines, in any order.

    A first line that is no pair of numbers is a heading.  Counts of an id that occurs again are added.

    Args:
        path: the file.
        name: the table.
        rows: rows of the table; 0 if unknown.
        requests: requests that the counts come from.

    Raises:
        RequestError: ``request.unreadable``, ``trace.bad-file``.
    """
    where = Location(file=str(path))
    ids: list[int] = []
    counts: list[int] = []
    reading(path, "the counts")
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                text = line.strip()
                if not text:
                    continue
                left, comma, right = text.partition(",")
                try:
                    row, count = int(left), int(right)
                except ValueError:
                    if number == 1 and comma:
                        continue
                    raise _bad(f"line {number} is '{printable(text, 40)}', not id,count", where) from None
                if row < 0 or count < 0 or (rows and row >= rows) or max(row, count) > MOST:
                    limit = f"ids are below {rows}" if rows else "neither is above 2^62"
                    raise _bad(f"line {number}: id and count are at least 0, {limit}", where)
                ids.append(row)
                counts.append(count)
    except OSError as error:
        raise RequestError(
            "request.unreadable", f"cannot read the file: {error.strerror or error}", location=where
        ) from None
    except UnicodeDecodeError:
        raise _bad("it is no text", where) from None
    if sum(counts) > MOST:
        raise _bad("its counts add up to more than 2^62", where)
    distinct, inverse = np.unique(np.array(ids, np.int64), return_inverse=True)
    total = np.zeros(len(distinct), np.int64)
    np.add.at(total, inverse, np.array(counts, np.int64))
    return TableTrace(name, rows, requests, distinct[total > 0], total[total > 0])


def _bad(why: str, where: Location) -> RequestError:
    return RequestError(
        "trace.bad-file", f"this is no frequency file: {why}", location=where, hint="lines are: id,count"
    )
