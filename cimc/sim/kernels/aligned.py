"""Memory in which rows of vectors do not cross cache lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64  # bytes


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """A contiguous copy of ``values`` that begins at a multiple of 64 bytes."""
    raw = np.empty(values.nbytes + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    out: NDArray[Any] = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    out[...] = values
    return out
