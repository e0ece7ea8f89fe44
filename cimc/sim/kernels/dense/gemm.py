"""Exact integer matrix products on the float units.

numpy multiplies integer matrices with scalar loops, tens of times slower than the BLAS it uses for
float32.  A float32 product of integer matrices is exact, whatever the order of its additions and with or
without fused multiply-adds, as long as no sum of absolute products can reach ``2**24``: then every
intermediate value is an integer that float32 represents.  Longer products are split along K.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F32_EXACT = 1 << 24
"""Integers of at most this magnitude are float32 numbers."""

_BATCH_ELEMENTS = 1 << 22  # float32 elements of one temporary (16 MiB)


def integer_matmul(
    x: NDArray[np.integer[Any]], w: NDArray[np.float32], x_max: int, w_max: int
) -> NDArray[np.int32]:
    """``x [B, K] @ w [K, N]`` exactly, int32 ``[B, N]``.

    ``w`` holds integers; ``x_max`` and ``w_max`` bound the magnitudes, with ``x_max * w_max <= 2**24``.
    The caller has made sure that the result fits int32.
    """
    batch, rows = x.shape
    cols = w.shape[1]
    split = max(1, F32_EXACT // max(1, x_max * w_max))
    step = max(1, _BATCH_ELEMENTS // max(1, cols, min(split, rows)))
    out = np.empty((batch, cols), dtype=np.int32)
    for b in range(0, batch, step):
        for k in range(0, max(rows, 1), split):
            part = np.matmul(x[b : b + step, k : k + split].astype(np.float32), w[k : k + split])
            if k == 0:
                out[b : b + step] = part
            else:
                out[b : b + step] += part.astype(np.int32)
    return out
