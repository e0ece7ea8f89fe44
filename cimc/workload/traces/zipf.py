"""Exact samples of finite Zipf and Zipf-Mandelbrot distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.support.random.draws import uniform

F64 = NDArray[np.float64]


def zipf(
    key: int,
    position: NDArray[Any],
    exponent: float,
    count: NDArray[Any] | int,
    shift: NDArray[Any] | float = 1.0,
) -> NDArray[np.int64]:
    """Samples ``k`` of ``0 .. count - 1`` with probability proportional to ``(k + shift) ** -exponent``.

    Rejection-inversion (Hörmann and Derflinger, ACM TOMACS 6, 1996): a uniform number under the integral of
    the continuous function is inverted, rounded to an integer and accepted if it lies in the part of that
    integer's interval that has the integer's weight.  The first integer gets an interval of exactly its
    weight, so that no ``shift`` above 0 needs care.  Acceptance is above 3/4.

    Args:
        key: of the random numbers.
        position: one distinct number below 2**56 per sample; equal positions give equal samples.
        exponent: 0 (uniform) or more.
        count: per sample or common; at least 1.
        shift: per sample or common, above 0.
    """
    size = position.shape
    n = np.broadcast_to(np.asarray(count, np.int64), size)
    v = np.broadcast_to(np.asarray(shift, np.float64), size)
    out = np.zeros(size, np.int64)
    todo = np.flatnonzero(n > 1)
    attempt = 0
    while todo.size:
        k_n, k_v = n[todo], v[todo]
        first, last = _integral(0.5 + k_v, exponent), _integral(k_n - 0.5 + k_v, exponent)
        low = first - k_v**-exponent
        u = low + uniform(key, position[todo].astype(np.int64) + (attempt << 56)) * (last - low)
        k = np.zeros(todo.size, np.int64)
        tail = u >= first
        x = _inverse(u[tail], exponent) - k_v[tail]
        k[tail] = np.clip(np.floor(x + 0.5), 1, k_n[tail] - 1).astype(np.int64)
        weight = (k + k_v) ** -exponent
        good = ~tail | (u >= _integral(k + 0.5 + k_v, exponent) - weight)
        out[todo[good]] = k[good]
        todo = todo[~good]
        attempt += 1
    return out


def _integral(x: F64, exponent: float) -> F64:
    """An antiderivative of ``x ** -exponent`` that is continuous in the exponent: 0 at 1."""
    power = 1.0 - exponent
    logs = np.log(x)
    return logs if abs(power) < 1e-12 else np.expm1(power * logs) / power


def _inverse(area: F64, exponent: float) -> F64:
    power = 1.0 - exponent
    found: F64 = np.exp(area if abs(power) < 1e-12 else np.log1p(power * area) / power)
    return found
