"""Technology nodes: digital energy and area relative to 32 nm, wires.

Energy and area: Stillmaker and Baas, Integration 58 (2017) 74, at 0.9 V, as hwcomponents has them; 28 nm is
between 32 and 20 nm.  Wires: NeuroSim 1.4, narrowest metal: 0.2 fF a um at every node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

_ENERGY = {
    7: 0.160, 14: 0.234, 16: 0.292, 22: 0.476, 28: 0.79, 32: 1.0, 40: 1.345, 45: 1.56, 65: 1.96, 90: 3.04,
    130: 4.94,
}  # fmt: skip
_AREA = {
    7: 0.13, 14: 0.38, 16: 0.41, 22: 0.55, 28: 0.82, 32: 1.0, 40: 1.74, 45: 2.2, 65: 3.3, 90: 6.1, 130: 14.0
}  # fmt: skip
_OHM_PER_UM = {130: 0.41, 65: 1.18, 45: 2.18, 32: 4.66, 22: 9.8, 14: 15.9, 7: 52.0}

WIRE_FF_PER_UM = 0.2
"""Capacitance of a wire, fF a um."""


def between(table: Mapping[int, float], node: float, what: str) -> float:
    """The value at ``node`` nm, straight in logarithms between the entries of ``table``.

    Raises ``ValueError`` outside of them.
    """
    known = sorted(table)
    if not known[0] <= node <= known[-1]:
        raise ValueError(f"{what} is known from {known[0]} to {known[-1]} nm, not at {node:g} nm")
    above = next(n for n in known if n >= node)
    if above == node:
        return table[above]
    below = max(n for n in known if n < node)
    share = math.log(node / below) / math.log(above / below)
    return float(table[below] * (table[above] / table[below]) ** share)


def digital_energy(node: float) -> float:
    """Energy of digital logic relative to 32 nm."""
    return between(_ENERGY, node, "digital energy")


def digital_area(node: float) -> float:
    """Area of digital logic relative to 32 nm."""
    return between(_AREA, node, "digital area")


def wire_ohm_per_um(node: float) -> float:
    """Resistance of the narrowest wire; upper metal divides it."""
    return between(_OHM_PER_UM, node, "wire resistance")


def wire_pj_per_bit(um: float, volts: float = 0.9) -> float:
    """Energy of one bit on ``um`` of wire, half of the bits changing: ``C V^2 / 4``."""
    return WIRE_FF_PER_UM * um * volts**2 / 4 * 1e-3
