"""Products of noisy layers with multi-bit phases on the integer units: the sums of float products, sooner.

The planes of a column tile hold integers whose sums float products keep exact (``column_tiles.py``), so
that any exact product gives the same bits.  Here a plane is cut into digits small enough for the
processor's dot products, which are several times as fast as float32 ones; joining the sums of the digits is
exact in float32 again, as none of its steps exceeds the whole sum by more than what the digits left out.
Importing this imports numba.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.dense import dot_products
from cimc.sim.kernels.dense.group_plan import IntegerProduct
from cimc.support.jit import jit

_BITS = 7 if dot_products.DOT == "vnni" else 14  # of a digit; the highest one has a sign besides
_DIGITS = 2 if dot_products.DOT == "vnni" else 1  # more are no faster than the float product

Floats = NDArray[Any]


@dataclass(frozen=True)
class IntegerPlane:
    """A plane ``[R, C]`` of integers in float32, as ``digits`` planes side by side."""

    product: IntegerProduct
    digits: int

    @classmethod
    def of(cls, plane: Floats, drive: int) -> IntegerPlane | None:
        """``plane`` for inputs up to ``drive``, or ``None`` where the float product does as well."""
        if plane.dtype != np.float32 or not plane.size or drive > 255:
            return None
        rest = plane.astype(np.int64)
        reach = max(int(rest.max()), -1 - int(rest.min()))
        digits = max(1, -(-reach.bit_length() // _BITS))
        if digits > _DIGITS or (len(plane) * drive) << _BITS >= 1 << 31:
            return None
        parts = []
        for _ in range(digits - 1):
            parts.append(rest & ((1 << _BITS) - 1))
            rest = rest >> _BITS
        whole: NDArray[Any] = np.concatenate([*parts, rest], axis=1).astype(dot_products.WEIGHT)
        return cls(IntegerProduct(whole, 0, False), digits)

    def __call__(self, driven: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``driven [n, R] @ plane``, ``[n, C]``."""
        width = self.product.cols
        parts = np.empty((len(driven), width), np.int32)
        self.product(driven, parts.reshape(-1), 0, width)
        out = np.empty((len(driven), width // self.digits), np.float32)
        _join(parts, np.float32(1 << _BITS), out)
        return out


@jit
def _join(parts, base, out):  # type: ignore[no-untyped-def]
    """``out[i, c] = sum over k of parts[i, k * C + c] * base**k``."""
    cols = out.shape[1]
    for i in range(len(parts)):
        total, first = out[i], parts.shape[1] - cols
        part = parts[i, first:]
        for c in range(cols):
            total[c] = np.float32(part[c])
        while first > 0:
            first -= cols
            part = parts[i, first : first + cols]
            for c in range(cols):
                total[c] = total[c] * base + np.float32(part[c])
