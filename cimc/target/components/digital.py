"""Digital parts of a tile: fp32 lanes, routers."""

from __future__ import annotations

from cimc.target.components.technology import between, digital_area, digital_energy

SYNTHESIS = "40 nm synthesis at 1 GHz of a public technology library (ashleyswang/pm-tech-lib)"
DSENT = "DSENT, router of 5 ports and 32 bits"

_ADD_PJ, _MULTIPLY_PJ = 5.56, 11.8
_ADD_UM2, _MULTIPLY_UM2 = 4360.0, 8970.0
_ROUTER_PJ = {45: 0.070, 32: 0.038, 22: 0.018, 11: 0.0055}
_ROUTER_MW = {45: 4.66, 32: 3.97, 22: 3.38, 11: 1.02}
_CLOCK_MW = {45: 0.32, 32: 0.18, 22: 0.10, 11: 0.03}


def lane_pj(node: float) -> float:
    """Energy of an operation of an fp32 lane, pJ: the mean of an addition and a multiplication."""
    return (_ADD_PJ + _MULTIPLY_PJ) / 2 * digital_energy(node) / digital_energy(40)


def lane_mm2(node: float) -> float:
    """Area of an fp32 lane, mm2: an adder and a multiplier."""
    return (_ADD_UM2 + _MULTIPLY_UM2) * 1e-6 * digital_area(node) / digital_area(40)


def router_pj_per_bit(node: float) -> float:
    """Energy of a bit through a router, pJ, without clock."""
    return between(_ROUTER_PJ, node, "router energy")


def router_static_mw(node: float) -> float:
    """Leakage and clock of a router, mW."""
    return between(_ROUTER_MW, node, "router leakage") + between(_CLOCK_MW, node, "router clock")
