"""What a request takes, and what the machine takes meanwhile, before anything is placed: an estimate.

It has the large terms of the cost model (arrays, vector units, links); what scratchpads and buses take is
taken to be in proportion.  Differences between allocations are exact as far as hops and components are known.
"""

from __future__ import annotations

from collections.abc import Iterable

from cimc.isa.link_widths import HEADER_BITS
from cimc.mapping.allocation.allocation_problem import Power
from cimc.target.spec import Constant, Target
from cimc.transforms.partition.converter_parallelism import Layer
from cimc.transforms.partition.request_work import RequestWork

_AROUND = 1.15
"""Energy of a request over that of its arrays, vector units and links: scratchpads, buses, constants."""


def hop_pj(bits: float, hops: float, target: Target) -> float:
    """Energy of bits on the mesh."""
    return bits * hops * float(target.tile.router_pj_per_bit_hop)


def power_of(layers: Iterable[Layer], work: RequestWork, target: Target) -> Power:
    """Dynamic energy of a request but for answers of lookups, and static power of the target's parts."""
    array, tile = target.array, target.tile
    pj = 0.0
    for layer in layers:
        often = layer.uses * layer.phases
        columns, blocks = layer.cols * layer.slices, -(-layer.rows // array.rows)
        pj += often * _activation_pj(columns, layer.rows, blocks, target)
    for lookup in work.lookups:
        times = lookup.ids if lookup.single else lookup.touched
        pj += times * _activation_pj(lookup.cells, 1, 1, target)
    width, height = target.chip.mesh
    pj += work.lane_operations * float(tile.vector_op_pj)
    outside = work.bits_in + work.bits_out + 2 * HEADER_BITS
    pj += outside * float(target.chip.host_link_pj_per_bit)
    pj += hop_pj(outside, (width + height) / 3, target)
    chips = target.system.chips
    return Power(
        _AROUND * pj,
        _mw(target, "array.static_mw"),
        _mw(target, "tile.scratchpad_static_mw")
        + _mw(target, "tile.router_static_mw")
        + _mw(target, "tile.clock_mw")
        + _mw(target, "tile.vector_lane_static_mw") * tile.vector_lanes,
        _mw(target, "chip.host_link_static_mw") * chips,
    )


def _activation_pj(columns: int, rows: int, blocks: int, target: Target) -> float:
    """Energy of one activation of ``rows`` word lines in ``blocks`` arrays, all ``columns`` of cells."""
    array = target.array
    steps = -(-columns // array.columns_per_step)
    converted = columns if array.gate_unused_adc else steps * array.columns_per_step
    return (
        steps * rows * float(array.row_pj)
        + blocks * (converted * float(array.conversion_pj) + steps * float(array.step_pj))
        + blocks * columns * float(target.tile.shift_add_pj)
    )


def _mw(target: Target, path: str) -> float:
    """A constant of static power; 0 where the target gives none."""
    found = {name: value for name, value, _ in target.fields()}.get(path)
    return float(found) if isinstance(found, Constant) else 0.0
