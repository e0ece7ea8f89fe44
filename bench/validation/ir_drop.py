"""The model of IR drop against a nodal analysis of the whole network of wires and cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.validation.rows import Row, Section
from cimc.sim.devices.model import wires
from cimc.sim.devices.model.device import Wires

F64 = NDArray[np.float64]
OHM = 1.19
"""Of a wire of 28 nm from cell to cell along the short side of a cell."""


def nodal(g: F64, volts: F64, ohm: float) -> F64:
    """Column currents in uA of cells ``g [R, C]`` uS between word lines, driven from the left with ``volts``,
    and bit lines that end in a virtual ground below: Kirchhoff's current law at all ``2 R C`` nodes."""
    rows, cols = g.shape
    n, wire = rows * cols, 1e6 / ohm
    matrix, current = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
    word = np.arange(n).reshape(rows, cols)
    bit = word + n
    joints = [
        (word[:, 1:], word[:, :-1], wire),
        (bit[1:], bit[:-1], wire),
        (word, bit, g),
    ]
    for one, other, conductance in joints:
        a, b, s = one.ravel(), other.ravel(), np.broadcast_to(conductance, one.shape).ravel()
        np.add.at(matrix, (a, a), s)
        np.add.at(matrix, (b, b), s)
        np.add.at(matrix, (a, b), -s)
        np.add.at(matrix, (b, a), -s)
    matrix[word[:, 0], word[:, 0]] += wire
    current[word[:, 0]] += wire * volts
    matrix[bit[-1], bit[-1]] += wire
    return np.asarray(np.linalg.solve(matrix, current)[bit[-1]] * wire)


def lines(ohm: float) -> Wires:
    """Wires of this resistance in both directions."""
    figure = {"value": ohm, "unit": "ohm", "source": "validation", "basis": "assumed"}
    return Wires.model_validate({"word_ohm": figure, "bit_ohm": figure})


def section() -> Section:
    """Small arrays of random cells of 1 to 40 uS, half of their rows driven."""
    rows, rng = [], np.random.default_rng(0)
    for size, ohm in ((16, OHM), (32, OHM), (32, 4.0), (40, OHM), (40, 2.0)):
        g = rng.uniform(1.0, 40.0, (size, size))
        volts = (rng.random(size) < 0.5).astype(np.float64)
        d = wires.drop(lines(ohm), g, g)
        ours, exact, ideal = volts @ (g / (1 + d)), nodal(g, volts, ohm), volts @ g
        lost = float((ideal - exact).sum() / ideal.sum())
        worst = int(np.argmax(np.abs(ours / exact - 1)))
        name = f"{size} x {size} cells, {ohm:g} ohm a cell, d up to {float(d.max()):.2g}"
        rows.append(Row(f"{name}: current lost, share", float((ideal - ours).sum() / ideal.sum()), lost,
                        0.1, "nodal analysis of all wires"))  # fmt: skip
        rows.append(Row(f"{name}: the column that is furthest off, uA", float(ours[worst]),
                        float(exact[worst]), 0.02, "nodal analysis of all wires"))  # fmt: skip
    full = np.full((512, 512), 5.5e3 / 512)
    deepest = float(wires.drop(lines(OHM), full, full).max())
    rows.append(Row(f"512 x 512 cells of 10.7 uS, {OHM} ohm a cell: largest d that the model takes",
                    wires.LIMIT, deepest, 0.0,
                    "first-order drop of a full array of `tsinghua28` (5.5 mS a row) on wires of 28 nm",
                    reason="the model is of first order and refuses such an array (`device.ir-drop`); "
                    "presets have no resistive wires"))  # fmt: skip
    about = (
        "The drop of each cell's voltage is modelled to first order in the resistance of the wires "
        "(devices.md); the whole network is solved beside it."
    )
    return Section("IR drop against a nodal solution", about, tuple(rows))
