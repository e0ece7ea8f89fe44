"""How many threads the BLAS under numpy takes: one, around thousands of small matrix products.

A BLAS hands every product to all cores, however small, and waits for the slowest; where cores are shared,
that wait is most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_holders = 0
_limit: Any = None


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread inside; what was there before comes back after the last of several threads has left.

    The number is the process's, not the caller's: products of other threads take one, too, meanwhile.
    """
    global _holders, _limit
    with _lock:
        if _holders == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _limit.restore_original_limits()
                _limit = None


@cache
def _controller() -> ThreadpoolController:
    """The libraries of this process: looking for them takes milliseconds."""
    return ThreadpoolController()
