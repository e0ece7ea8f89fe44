"""Values that are made when they are first asked for, once, and shared by all threads from then on."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """A value for each key, made by the first thread that asks for it; others wait for it meanwhile.

    Values must never change, as all threads use them at once.  A pickled or deep copy has none.
    """

    def __init__(self) -> None:
        self._made: dict[K, V] = {}
        self._lock = threading.RLock()  # to make one value may take another
        _all.add(self)

    def get(self, key: K, make: Callable[[K], V]) -> V:
        """The value of ``key``: ``make(key)``, unless there is one.  When that raises, nothing is kept."""
        try:
            return self._made[key]
        except KeyError:
            pass
        with self._lock:
            if key not in self._made:
                self._made[key] = make(key)  # others see it when it is whole
            return self._made[key]

    def __reduce__(self) -> tuple[type[Once[K, V]], tuple[()]]:
        return type(self), ()

    def unlock(self) -> None:
        """Forget who holds the lock: for a child process, in which no other thread of its parent lives on."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[Once[Any, Any]] = weakref.WeakSet()


def _unlock_all() -> None:
    for once in _all:
        once.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_all)
