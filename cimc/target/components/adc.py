"""Converters: energy by a fit to the survey of published ADCs, area and time by a fit to in-memory chips."""

from __future__ import annotations

import math

SURVEY = "survey of ADCs (B. Murmann), fit of hwcomponents-adc (arXiv 2404.06553)"
ZIGZAG = "fit of ZigZag-IMC to three 28 nm in-memory chips"
BITS = range(3, 13)
"""Resolutions that the models hold for."""
SILICON = 2.65
"""Median energy of the survey's chips at 20-32 nm, 6 to 10.5 bits, over the fit, which is a floor."""

_FLAT = 4  # the survey's fit is used from here on; it has no converters below


def survey_pj(bits: float, samples_per_s: float, node: float) -> float:
    """Energy of one conversion, pJ, of ``bits`` effective bits: what the best designs reach.

    ``exp(24.579 + 1.88 ln n - 2.829 ln b) / (2 * 10^((FOM - SNDR) / 10))`` with ``SNDR = 6.021 b + 1.761``,
    and ``FOM`` the lesser of ``213.78 - 2.872 ln f`` and ``128.31 + 3.2205 ceil(b)``; from 4 bits on.
    """
    if bits < _FLAT:
        raise ValueError(f"the survey's fit begins at {_FLAT} bits")
    sndr = 6.021 * bits + 1.761
    merit = min(213.78 - 2.872 * math.log(samples_per_s), 128.31 + 3.2205 * math.ceil(bits))
    scale = math.exp(24.579 + 1.88 * math.log(node) - 2.829 * math.log(bits))
    return scale / (2 * 10 ** ((merit - sndr) / 10))


def in_memory_pj(bits: float, volts: float = 0.9) -> float:
    """Energy of one conversion, pJ, in 28 nm in-memory chips: ``(100 b + 0.001 4^b) fF V^2``; 3 to 8 bits."""
    return (100 * bits + 0.001 * 4**bits) * volts**2 * 1e-3


def in_memory_um2(bits: float) -> float:
    """Area, um2, of a converter of these chips: ``10^(1.206 - 0.0369 b) 2^b``; 3 to 8 bits."""
    return float(10 ** (1.206 - 0.0369 * bits) * 2**bits)


def settling(rows: float) -> float:
    """How settling grows with the rows on a column: ``0.00653 rows + 0.64``, in units of these chips."""
    return 0.00653 * rows + 0.64


def relative_pj(bits: int, rate: float = 43e6) -> float:
    """Energy of a conversion relative to 8 bits at one rate and node: the survey's, below 4 bits ZigZag's.

    Raises ``ValueError`` outside of :data:`BITS`.
    """
    if bits not in BITS:
        raise ValueError(f"converters are known from {BITS.start} to {BITS.stop - 1} bits, not with {bits}")
    whole = survey_pj(max(bits, _FLAT), rate, 28) / survey_pj(8, rate, 28)
    return whole * in_memory_pj(min(bits, _FLAT)) / in_memory_pj(_FLAT)
