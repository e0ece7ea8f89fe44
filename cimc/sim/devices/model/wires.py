"""IR drop: what the resistance of word and bit lines takes from each cell, as one factor per cell.

Word lines are driven at column 0 (undriven ones are held at 0 V), bit lines end in a virtual ground below the
last row.  Such a network is linear in the drives, so each cell has one transfer conductance, whatever the
inputs.  To first order in the resistance it is ``g (1 - d)``: its word line loses what the row's cells draw,
and of what reaches its bit line the other cells of the column shunt a part back::

    d = Rw sum_c' g[r, c'] (min(c, c') + 1)  +  Rb sum_r' g[r', c] (R - max(r, r'))

The model uses ``g / (1 + d)``, which stays positive and is closer to second order.  Being a property of the
cell, it costs nothing at run time.  A nodal solution in the tests bounds the error; above :data:`LIMIT` the
model is refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.errors import DeviceError
from cimc.sim.devices.model.aged_levels import FRACTION, Ints, Levels
from cimc.sim.devices.model.device import Wires

LIMIT = 0.3
"""Largest drop ``d`` that the model is used for."""

Floats = NDArray[np.float64]


def resistive(wires: Wires) -> bool:
    """Whether the wires have any resistance."""
    return float(wires.word_ohm) > 0 or float(wires.bit_ohm) > 0


def drop(wires: Wires, word_load: Floats, bit_load: Floats) -> Floats:
    """The drop ``d`` of a block's cells, float64 ``[R, C]``.

    ``word_load [R, C]``: uS that hang on the word line at each column (both devices of a pair);
    ``bit_load [R, C]``: uS that each cell hangs on its bit line.
    """
    along = _weighted(word_load, axis=1)
    down = _weighted(bit_load[::-1], axis=0)[::-1]  # R - max(r, r') counts from the lower end
    return 1e-6 * (float(wires.word_ohm) * along + float(wires.bit_ohm) * down)


def _weighted(load: Floats, axis: int) -> Floats:
    """``sum_j load[j] (min(i, j) + 1)`` for every ``i`` along ``axis``."""
    places = np.arange(1, load.shape[axis] + 1, dtype=np.float64)
    places = places[:, np.newaxis] if axis == 0 else places
    upto = np.cumsum(load * places, axis=axis)
    beyond = load.sum(axis=axis, keepdims=True) - np.cumsum(load, axis=axis)
    return np.asarray(upto + places * beyond)


def attenuated(levels: Levels, m: Ints, variance: Ints, d: Floats) -> tuple[Ints, Ints]:
    """Conductances ``m`` and variances of cells whose voltage falls by ``d``; level 0 stays the reference."""
    factor = 1.0 / (1.0 + d)
    low = levels.low / levels.unit * 2.0**FRACTION
    return (
        np.rint((m + low) * factor - low).astype(np.int64),
        np.rint(variance * (factor * factor)).astype(np.int64),
    )


def check(d: float, where: str) -> None:
    """Refuse drops beyond :data:`LIMIT` (``device.ir-drop``)."""
    if d > LIMIT:
        raise DeviceError(
            "device.ir-drop",
            f"{where}: wires take up to {d:.2g} of a cell's voltage, the model holds up to {LIMIT:g}",
            hint="use smaller arrays, or less resistance in the device's wires",
        )
