"""The vector unit's commonest instructions on many elements, compiled: one pass each, without temporaries.

They compute what :mod:`cimc.interpreter.numerics` defines: every operation rounds to float32, nothing is
fused. Memory is a tile's scratchpad ``[requests, elements]`` in some type; operands begin at an element of
every row.  Importing this module is cheap: numba is imported by the first use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.availability import backend

Floats = NDArray[np.float32]
_WORTH = 1 << 12
"""Elements below which numpy is as good."""


def serves(requests: int, n: int) -> bool:
    """Whether these kernels are in use and ``n`` elements of each request are worth a call."""
    return requests * n >= _WORTH and backend() == "numba"


def quant(
    x: Floats, at: int, scale: float, low: int, high: int, out: NDArray[np.uint8], to: int, n: int
) -> None:
    """``clip(rint(x / scale), low, high)`` as bytes, halves to even, NaN as 0."""
    _kernels().quant(x, at, np.float32(scale), np.float32(low), np.float32(high), out, to, n)


def dequant(acc: NDArray[np.int32], at: int, factors: Floats, bias: Floats, out: Floats, to: int) -> None:
    """``float32(acc) * factors + bias``; ``factors`` and ``bias`` ``[n]``."""
    _kernels().dequant(acc, at, factors, bias, out, to)


def relu(x: Floats, at: int, out: Floats, to: int, n: int) -> None:
    """``max(x, 0)``; NaN stays."""
    _kernels().relu(x, at, out, to, n)


def _kernels() -> Any:
    from cimc.sim.kernels import vector_loops

    return vector_loops
