"""One way to compile an inner loop; importing this costs nothing, calling it imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def jit(function: F) -> F:
    """``function`` compiled on its first call; the machine code is kept for later processes.

    No fast-math: sums keep their order, so results are equal on every machine.
    """
    from numba import njit

    compiled: F = njit(cache=True, nogil=True)(function)
    return compiled
