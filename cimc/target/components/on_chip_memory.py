"""On-chip memory: energy, area and leakage by size, from CACTI 7 (32 nm, high performance, 256 bits)."""

from __future__ import annotations

import math

CACTI = "CACTI 7, SRAM of one port, 256 bits, 32 nm"

_KB = (2, 16, 64, 256, 1024)
_PJ_PER_BIT = (0.0151, 0.0254, 0.0924, 0.186, 0.398)
_UM2_PER_KB = (3417, 1701, 1573, 2026, 1816)


def _of(table: tuple[float, ...], size: float) -> float:
    if not 0 < size <= _KB[-1]:
        raise ValueError(f"memories are known up to {_KB[-1]} KB, not of {size:g} KB")
    size = max(size, _KB[0])  # a smaller one as the smallest that is known: no less per bit
    at = max(1, next(i for i, kb in enumerate(_KB) if kb >= size))
    share = math.log(size / _KB[at - 1]) / math.log(_KB[at] / _KB[at - 1])
    return float(table[at - 1] * (table[at] / table[at - 1]) ** share)


def read_pj_per_bit(kilobytes: float) -> float:
    """Energy of reading a bit, pJ; up to 1 MB."""
    return _of(_PJ_PER_BIT, kilobytes)


def area_um2(kilobytes: float) -> float:
    """Area, um2."""
    return _of(_UM2_PER_KB, kilobytes) * kilobytes
