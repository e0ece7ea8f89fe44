"""Drawn cells against the publications of their devices: spreads, drifts and reads of 200,000 cells each.

Expected figures are written here from the publications, or from the fits to them that public simulators
state, and not read from the presets.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.validation.rows import Row, Section
from cimc.sim.devices.model.aged_levels import FRACTION, levels_for
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.model.programmed_cells import draw_devices, read_moments
from cimc.target.load_target import load_target

CELLS = 200_000
DAY = 86_400.0
WAN = "Wan et al., Nature 608, 2022"
FALCONE = "Falcone et al., 2025, by way of a public simulator's fit"
CURVES = {  # sum of c_i (g / 40 uS)^i, uS: fits of a public simulator to the figures of the paper
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    DAY: (0.701, 22.086, -50.773, 47.095, -16.458),
    2 * DAY: (0.782, 20.274, -43.507, 37.062, -11.934),
}
TOLERANCE = 0.02


def drawn(device: str, age: float, level: int) -> NDArray[np.float64]:
    """Conductances in uS of cells programmed to ``level`` of eight; those that are stuck are left out."""
    levels = levels_for(load_device(device), age, load_target("neurram130").array, 1)
    cols = np.arange(200, dtype=np.int64)
    rows = np.arange(CELLS // 200, dtype=np.int64)
    m = draw_devices(levels, 12345, rows, cols, 0, np.full((1, len(rows), 200), level))
    g = levels.low + levels.unit * m.ravel() / 2.0**FRACTION
    stuck = np.isclose(g, levels.low) | np.isclose(g, levels.low + levels.unit * 7)
    return np.asarray(g[~stuck], np.float64)


def _wan() -> list[Row]:
    """The cells of NeuRRAM."""
    rows = []
    fresh = drawn("wan2022", 0.0, 4)
    target = 1 + 4 * 39 / 7
    inside = float((np.abs(fresh - target) <= 1.0).mean())
    rows.append(Row("`wan2022`, fresh: share of cells within 1 uS of the target", inside, 0.99, 0.005,
                    f"{WAN}: 99 % of the cells converge to +/-1 uS"))  # fmt: skip
    for age, curve in CURVES.items():
        for level in (2, 4, 6):
            g = 1 + level * 39 / 7
            expected = sum(c * (g / 40) ** i for i, c in enumerate(curve))
            spread = float(drawn("wan2022", age, level).std())
            rows.append(Row(f"`wan2022`, {_age(age)}, {g:.1f} uS: standard deviation, uS", spread, expected,
                            TOLERANCE, f"{WAN}, polynomial that a public simulator fitted"))  # fmt: skip
    for age in (1.0, DAY):
        spreads = [float(drawn("wan2022", age, level).std()) for level in range(8)]
        name = f"`wan2022`, {_age(age)}: mean of the standard deviations over eight levels, uS"
        rows.append(Row(name, float(np.mean(spreads)), 2.8, 0.25, f"{WAN}: 2.8 uS on average",
                        reason="the age of the 2.8 uS is not at hand; the fit is below it at 1 s and above "
                        "at 1 day, so it may belong to minutes or hours"))  # fmt: skip
    rows.append(Row("`wan2022`, 2 days: largest of them, uS",
                    max(float(drawn("wan2022", 2 * DAY, level).std()) for level in range(8)), 4.0, 0.25,
                    f"{WAN}: at most about 4 uS"))  # fmt: skip
    return rows


def _falcone() -> list[Row]:
    """CMO/HfOx cells: the logarithm of time in mean and spread."""
    rows = []
    for age in (1.0, 3600.0, DAY, 2 * DAY):
        for level in (2, 6):
            g = 9 + level * (88.19 - 9) / 7
            found = drawn("falcone2025", age, level)
            written, after = 0.01129 * g + 0.0112, 0.042 * math.log(age) + 0.412
            name = f"`falcone2025`, {_age(age)}, {g:.1f} uS"
            both = f"{FALCONE}: written 0.01129 g + 0.0112, after 0.042 ln t + 0.412"
            spread = math.hypot(written, after)
            wide = float(found.std())
            rows.append(Row(f"{name}: standard deviation, uS", wide, spread, TOLERANCE, both))
            shift, drift = float(found.mean()) - g, f"{FALCONE}: -0.089 ln t"
            law = -0.089 * math.log(age)
            rows.append(Row(f"{name}: shift of the mean, uS", shift, law, 0.02, drift, absolute=True))
    return rows


def _reads() -> list[Row]:
    """Standard deviation of a read in the middle of the window."""
    rows = []
    for device, low, high, age, expected, source in (
        ("wan2022", 1.0, 40.0, DAY, 0.4, "a public simulator: about 1 % of the largest weight, 0.4 uS"),
        ("falcone2025", 9.0, 88.19, DAY, None, f"{FALCONE}: 0.0277 log10(g) sqrt(ln((t + 1 us) / 2 us))"),
    ):
        levels = levels_for(load_device(device), age, load_target("neurram130").array, 1)
        _, variance = read_moments(levels, np.array([4 << FRACTION]))
        sigma = levels.unit * math.sqrt(float(variance[0]) / 2.0**levels.variance_places)
        g = low + 4 * (high - low) / 7
        formula = 0.0277 * math.log10(g) * math.sqrt(math.log((age + 1e-6) / 2e-6))
        rows.append(Row(f"`{device}`, {_age(age)}, {g:.1f} uS: standard deviation of a read, uS", sigma,
                        formula if expected is None else expected, TOLERANCE, source))  # fmt: skip
    return rows


def _age(age: float) -> str:
    return {1.0: "1 s", 3600.0: "1 hour", DAY: "1 day"}.get(age, f"{age / DAY:g} days")


def section() -> Section:
    """Both devices."""
    about = (
        f"{CELLS:,} cells of a level are drawn as mode `noisy` draws them, stuck ones left out, and their "
        "statistics compared with the published curves, which are written out anew."
    )
    return Section("Devices against their published curves", about, (*_wan(), *_falcone(), *_reads()))
