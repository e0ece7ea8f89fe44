"""Gathered sums of table rows, compiled: one pass over the ids, no gathered copies.

Bags and ids are checked by the callers in ``pooled_rows.py``, which define what is computed.  Importing this
module is cheap: numba is imported by the first use.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.availability import backend
from cimc.support.jit import jit

Ids = NDArray[np.int64]


def serves(table: Any) -> bool:
    """Whether these kernels can read ``table``: numba is in use, and rows lie one after another in memory."""
    return isinstance(table, np.ndarray) and table.flags.c_contiguous and backend() == "numba"


def pooled_sum(table: NDArray[Any], ids: Ids, starts: Ids) -> NDArray[np.int32]:
    """Sums of the rows of each bag, int32 ``[bags, D]``."""
    out = np.zeros((len(starts) - 1, table.shape[1]), np.int32)
    _kernels()["sum"](np.asarray(table), ids, starts, out)
    return out


def weighted_sum(
    table: NDArray[Any], scale: float, ids: Ids, weights: NDArray[np.float32], starts: Ids
) -> NDArray[np.float32]:
    """Sums of ``weight * (float32(row) * scale)`` in the order of each bag, float32 ``[bags, D]``."""
    out = np.zeros((len(starts) - 1, table.shape[1]), np.float32)
    _kernels()["weighted"](np.asarray(table), np.float32(scale), ids, weights, starts, out)
    return out


def _sum(table, ids, starts, out):  # type: ignore[no-untyped-def]
    for b in range(out.shape[0]):
        total = out[b]
        for j in range(starts[b], starts[b + 1]):
            row = table[ids[j]]
            for c in range(out.shape[1]):
                total[c] += row[c]


def _weighted(table, scale, ids, weights, starts, out):  # type: ignore[no-untyped-def]
    for b in range(out.shape[0]):
        total = out[b]
        for j in range(starts[b], starts[b + 1]):
            row, weight = table[ids[j]], weights[j]
            for c in range(out.shape[1]):
                total[c] += weight * (np.float32(row[c]) * scale)


@cache
def _kernels() -> dict[str, Any]:
    return {"sum": jit(_sum), "weighted": jit(_weighted)}
