"""The two optimisers: Adam for dense parameters, Adagrad for the touched rows of embedding tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Adam:
    """Adam (Kingma and Ba, 2015) over a fixed list of arrays, updated in place."""

    def __init__(self, parameters: Sequence[Array], *, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self._parameters = list(parameters)
        self._first = [np.zeros_like(p) for p in parameters]
        self._second = [np.zeros_like(p) for p in parameters]
        self._beta1, self._beta2, self._steps = beta1, beta2, 0

    def step(self, grads: Sequence[Array], rate: float) -> None:
        self._steps += 1
        scale = rate * np.sqrt(1 - self._beta2**self._steps) / (1 - self._beta1**self._steps)
        for p, m, v, g in zip(self._parameters, self._first, self._second, grads, strict=True):
            m += (1 - self._beta1) * (g - m)
            v += (1 - self._beta2) * (g * g - v)
            p -= (scale * m / (np.sqrt(v) + 1e-8)).astype(p.dtype)


class RowAdagrad:
    """Adagrad (Duchi et al., 2011) on a table ``[R, D]``; a step costs only the rows it touches.

    Gradients of one row that occurs several times in a batch are summed first, as a dense gradient would.
    """

    def __init__(self, table: Array, *, start: float = 1e-6) -> None:
        self._table = table
        self._squares = np.full_like(table, start)

    def step(self, rows: Array, grads: Array, rate: float) -> None:
        """Update ``rows [n]`` (repeats allowed) by ``grads [n, D]``."""
        if not rows.size:
            return
        order = np.argsort(rows, kind="stable")
        sorted_rows = rows[order]
        first = np.flatnonzero(np.diff(sorted_rows, prepend=sorted_rows[0] - 1))
        unique = sorted_rows[first]
        total = np.add.reduceat(grads[order], first, axis=0)
        self._squares[unique] += total * total
        self._table[unique] -= self._table.dtype.type(rate) * total / np.sqrt(self._squares[unique])
