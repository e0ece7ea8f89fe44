"""Normal deviates: quantiles of the normal distribution, chosen by 16 bits of a word.

For cells an entry of a table (:func:`normal_quantiles`), for conversions an approximation of that entry in a
few operations of float32 (:func:`deviate`), each rounded once: the same bits on every machine, compiled or
not.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.support.random.splitmix import Words

QUANTILES = 1 << 16
"""Entries of a table of quantiles: 16 bits of a word choose one."""
LANES = 4
"""Deviates that one 64-bit word gives: 16 bits each, the lowest first."""
FRACTION = 24
"""Fraction bits of the fixed-point tables of quantiles."""


def lane(word: Words, which: NDArray[Any] | int) -> NDArray[np.int64]:
    """16-bit field ``which`` (0..3) of each word, as an index into a table of quantiles."""
    shift = np.asarray(which).astype(np.uint64) * np.uint64(16)
    return ((word >> shift) & np.uint64(QUANTILES - 1)).astype(np.int64)


@cache
def normal_quantiles() -> NDArray[np.float64]:
    """Standard normal deviates, float64 ``[65536]``, ascending and symmetric about 0.

    Entry ``k`` is the quantile at ``(k + 1/2) / 65536``, scaled by 1.00005 so that the variance of a
    uniformly chosen entry is exactly 1 (up to rounding).  The largest magnitude is 4.33.
    """
    upper = quantiles(np.arange(QUANTILES // 2, QUANTILES))
    table = np.concatenate([-upper[::-1], upper])
    table /= np.sqrt(np.mean(table * table))
    table.setflags(write=False)
    return table


CENTRE = 32768
LOGARITHM = (1.4387256, -0.67778337, 0.32118806, -0.082130305)
"""``log2(1 + t) ~ t * (a + b t + ..)`` for ``t`` in 0..1: exact at both ends, else within 1.1e-4."""
CURVE = (
    3.825924e-05, 6.9037233e-06, 2.7715137e-07, -5.0108927e-08, 2.1469104e-09, 6.230916e-11, -8.034128e-12,
    1.8989094e-13,
)  # fmt: skip
"""The quantile at ``u`` over ``65536 (u - 1/2)``, in powers of ``-log2(4 u (1 - u))``, 0 to 15."""


def deviate(at: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Entry ``at`` (0..65535) of :func:`normal_quantiles` as conversions use it, float32.

    With ``u = (at + 1/2) / 65536``, ``(u - 1/2)`` times a polynomial of ``-log2(4 u (1 - u))``, which grows
    as the square of the quantile does; the logarithm is the exponent and a polynomial of the mantissa.  Both
    are least-maximum fits: entries err by less than 8e-5, ascend, are symmetric about 0, and have variance 1
    to within 1e-7.  Operations are those of float32 in the order written, none fused.
    """
    real = np.float32
    k = at.astype(np.float32)
    left = k + real(0.5)
    product = left * (real(2 * CENTRE - 0.5) - k)
    bits = product.view(np.int32)
    part = ((bits & 0x7FFFFF) | 0x3F800000).view(np.float32) - real(1.0)
    depth = (157 - (bits >> 23)).astype(np.float32) - _polynomial(LOGARITHM, part) * part
    found: NDArray[np.float32] = (left - real(CENTRE)) * _polynomial(CURVE, depth)
    return found


def _polynomial(coefficients: tuple[float, ...], at: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.full_like(at, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * at + np.float32(c)
    return total


@cache
def deviates() -> NDArray[np.float32]:
    """:func:`deviate` of every entry, float32 ``[65536]``."""
    table = deviate(np.arange(QUANTILES))
    table.setflags(write=False)
    return table


def quantiles(at: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Normal quantiles at ``(at + 1/2) / 65536``, not rescaled."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((int(k) + 0.5) / QUANTILES) for k in at])


@cache
def accepted_quantiles(accept: float, converged: float) -> NDArray[np.float64]:
    """Errors of verified cells in units of their standard deviation before verification, ``[65536]``.

    ``accept`` is the half width of the band in the same units.  Inside it lie ``converged`` of the cells,
    distributed as the Gaussian cut to the band; the others follow the Gaussian beyond it, half on each side.
    """
    normal = NormalDist()
    tail = normal.cdf(-accept)
    outside = (1.0 - converged) / 2.0
    u = (np.arange(QUANTILES) + 0.5) / QUANTILES
    lower = u < outside
    upper = u > 1.0 - outside
    p = np.empty(QUANTILES)
    middle = ~(lower | upper)
    p[middle] = tail + (u[middle] - outside) / converged * (1.0 - 2.0 * tail)
    if outside > 0:
        p[lower] = u[lower] / outside * tail
        p[upper] = 1.0 - (1.0 - u[upper]) / outside * tail
    found = np.array([normal.inv_cdf(min(max(float(v), 1e-300), 1.0 - 1e-16)) for v in p])
    table: NDArray[np.float64] = (found - found[::-1]) / 2.0  # symmetric to the last bit
    table.setflags(write=False)
    return table


def fixed(table: NDArray[np.float64]) -> NDArray[np.int64]:
    """A table of quantiles in fixed point with :data:`FRACTION` fraction bits."""
    return np.rint(table * (1 << FRACTION)).astype(np.int64)
