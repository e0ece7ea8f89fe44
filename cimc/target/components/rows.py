"""Word lines: DACs, and the cells behind them."""

from __future__ import annotations

DOUBLING = "DAC energy doubles with each bit (MNSIM 2.0)"
CURRENT = "cell energy V^2 G t of all cells of a row"

UNIFORM_SIGNED = 0.344
"""Mean square of uniform signed 4-bit inputs, over that of the largest."""


def dac_relative(bits: int) -> float:
    """Energy of a DAC relative to one of 4 bits."""
    return float(2.0 ** (bits - 4))


def row_pj(volts: float, line_ms: float, ns: float, columns: int, fF_per_cell: float = 0.039) -> float:
    """Energy of one driven row, pJ: ``V_rms^2 G t + C V^2``.

    ``volts``: largest input; ``line_ms``: conductance of all cells of the row, mS; ``columns``: cells.
    """
    return UNIFORM_SIGNED * volts**2 * line_ms * ns + fF_per_cell * columns * volts**2 * 1e-3
