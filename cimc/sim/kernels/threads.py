"""Sharing a product among threads: parts of the batch, or blocks of columns where the batch is small.

Compiled kernels run without the interpreter lock.  Every result is computed by one thread, in operations that
do not depend on its neighbours, so neither the number of threads nor the split changes a bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

SAMPLES = 32
"""Samples that are worth a part of a batch."""
COLUMNS = 64
"""Columns that are worth a block; blocks begin at multiples of them."""


def shares(batch: int, cols: int, threads: int) -> tuple[list[slice], list[slice]]:
    """Parts of ``batch`` samples and blocks of ``cols`` columns, whose pairs are tasks for ``threads``.

    The batch alone is cut where that occupies all threads; else the columns are, always into the same blocks,
    as weights have to be laid out for each of them.
    """
    if threads == 1:
        return [slice(0, batch)], [slice(0, cols)]
    by_column = 1 if batch >= SAMPLES * threads else min(threads, -(-cols // COLUMNS))
    by_sample = min(-(-threads // by_column), max(1, batch // SAMPLES))
    return _cut(batch, by_sample, 1), _cut(cols, by_column, COLUMNS)


def _cut(size: int, parts: int, multiple: int) -> list[slice]:
    step = -(-size // (parts * multiple)) * multiple
    edges = [*range(0, size, max(step, 1)), size] if size else [0, 0]
    return [slice(a, b) for a, b in pairwise(edges)]


def run(tasks: Sequence[Callable[[], None]], threads: int) -> None:
    """Run all ``tasks``, at most ``threads`` at a time; then the first exception of one is raised."""
    if threads == 1 or len(tasks) == 1:
        for task in tasks:
            task()
        return
    pool = _helpers.of(threads)
    started = [pool.submit(task) for task in tasks]
    wait(started)  # also when one fails: none may write to memory that its owner has given away
    for done in started:
        done.result()


class _Helpers(threading.local):
    """The helpers of one thread, kept between its calls, and ended with it.

    Threads that simulate at the same time have their own, so none waits for tasks of another; a task may
    itself share its work.
    """

    def __init__(self) -> None:
        self.pool: ThreadPoolExecutor | None = None
        self.kind = (0, 0)

    def of(self, threads: int) -> ThreadPoolExecutor:
        """A pool of ``threads``; those of a parent process do not outlive a fork."""
        kind = (threads, os.getpid())
        if self.pool is None or self.kind != kind:
            self.pool = ThreadPoolExecutor(threads, thread_name_prefix="cimc-kernel")
            self.kind = kind
        return self.pool


_helpers = _Helpers()
