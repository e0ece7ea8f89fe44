"""Which kernels run: compiled by numba, or numpy alone.  Results are the same to the bit.

The environment variable ``CIMC_KERNELS`` asks for one of them (``numba`` or ``numpy``); without it numba is
used where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from cimc.errors import ProgramError

Backend = Literal["numba", "numpy"]

VARIABLE = "CIMC_KERNELS"
_preferred: ContextVar[Backend | None] = ContextVar("_preferred", default=None)


@contextmanager
def preferring(kernels: Backend) -> Iterator[None]:
    """Inside, :func:`backend` gives ``kernels`` unless the variable asks for others."""
    token = _preferred.set(kernels)
    try:
        yield
    finally:
        _preferred.reset(token)


def backend() -> Backend:
    """The kernels of this process; does not import numba.

    Raises:
        ProgramError: ``sim.kernels`` for another value of the variable, or where numba is asked for and
        missing.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked == "numpy":
        return "numpy"
    if asked not in ("", "numba"):
        raise ProgramError(
            "sim.kernels", f"{VARIABLE} is '{asked}'", hint=f"set {VARIABLE} to numba or numpy, or unset it"
        )
    preferred = _preferred.get()
    if preferred is not None and not asked:
        return preferred
    compiles = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
    if compiles and importlib.util.find_spec("numba") is not None:
        return "numba"
    if asked:
        raise ProgramError(
            "sim.kernels",
            f"{VARIABLE} asks for numba, which is not installed or disabled",
            hint="pip install numba",
        )
    return "numpy"


def fallback_note() -> str | None:
    """What to say about kernels that were not asked for."""
    if backend() == "numba" or os.environ.get(VARIABLE):
        return None
    return "numba is not installed or disabled: numpy kernels, with the same results, slower"
