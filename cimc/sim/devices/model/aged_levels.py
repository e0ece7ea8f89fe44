"""A device at an age, seen from the cell levels of a target: the tables that cells are drawn from.

Conductances are measured in *levels* above level 0, so that an ideal cell holds its digit, and are kept as
integers with ``fraction`` binary places.  Everything up to the converters is integer arithmetic on these
tables; results are therefore the same in any order, on any machine.

========  =======================================================================================
level     target conductance ``g(l) = low + l (high - low) / (L - 1)``: evenly spaced (an assumption)
cell      ``m = l + e_p + e_r``: programming error and relaxation, cut at 0 uS; stuck cells hold 0 or L - 1
read      a Gaussian about ``m`` of the device's read noise, cut at 0 uS: its mean and variance
========  =======================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.errors import DeviceError
from cimc.sim.devices.model.device import (
    Device,
    NoRead,
    NoRelaxation,
    ReadConstant,
    RelaxationCurves,
)
from cimc.support.random import quantiles
from cimc.target.spec import Array

FRACTION = 16
"""Binary places of conductances, in levels."""
SINGLE_LIMIT = 1 << 23
DOUBLE_LIMIT = 1 << 50
"""Column sums of kernels in float32 and float64 stay below these."""
_REACH = 2048  # levels that cells may stray: tables and 64-bit products hold them
_READ_PLACES = 8  # read noise is tabulated for every 1/256 level
_SCALE = 8  # more binary places of standard deviations

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """What a device at an age does to a target conductance ``g``, in uS: arrays ``[L]``.

    ``programming``: standard deviation before verification; ``mean`` and ``relaxation``: shift and standard
    deviation of what happens after.  ``total`` is the standard deviation of the sum, before any cut.
    """

    target: NDArray[np.float64]
    programming: NDArray[np.float64]
    mean: NDArray[np.float64]
    relaxation: NDArray[np.float64]
    quantiles: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Standard deviation about ``target + mean``, float64 ``[L]``."""
        written = self.programming * math.sqrt(float(np.mean(self.quantiles**2)))
        out: NDArray[np.float64] = np.sqrt(written**2 + self.relaxation**2)
        return out


def check_age(age: float) -> float:
    """``age`` in seconds, or :class:`DeviceError` ``device.age``."""
    if not (isinstance(age, (int, float)) and math.isfinite(age) and age >= 0):
        raise DeviceError(
            "device.age", f"the age is {age} s", hint="give seconds since programming, 0 or more"
        )
    return float(age)


def notes(device: Device, age: float, target: str) -> list[str]:
    """What a run with this device assumes beyond its published figures, one sentence each."""
    found = []
    if device.name != "ideal" and target not in device.targets:
        whose = ", ".join(device.targets) or "no bundled target"
        found.append(
            f"device {device.name} was not measured on {target} (it belongs to {whose}): an assumption"
        )
    if float(device.wires.bit_ohm):
        found.append(f"device {device.name}: bit lines of tables are taken to have no resistance")
    if isinstance(device.relaxation, RelaxationCurves):
        first, last = (float(device.relaxation.curves[at].age) for at in (0, -1))
        if age > last:
            found.append(f"device {device.name}: nothing is published beyond {last:g} s; that curve is used")
        elif 0 < age < first:
            found.append(f"device {device.name}: nothing is published before {first:g} s; that curve is used")
    return found


def spread(device: Device, age: float, targets: NDArray[np.float64]) -> Spread:
    """Errors of cells programmed to ``targets`` uS, ``age`` seconds after they were written.

    At age 0 cells are as verified.  Curves are total spreads: the part beyond the error of programming is
    ``sqrt(curve**2 - programming**2)``.
    """
    written = float(device.programming.sigma) + float(device.programming.sigma_per_g) * targets
    table = _programming_quantiles(device)
    mean, after = np.zeros_like(targets), np.zeros_like(targets)
    relaxation = device.relaxation
    if age > 0 and isinstance(relaxation, RelaxationCurves):
        sigma = np.array([_on_curves(relaxation, age, g / float(device.window.high)) for g in targets])
        kept = (written**2) * float(np.mean(table**2))
        after = np.sqrt(np.maximum(sigma**2 - kept, 0.0))
    elif age > 0 and not isinstance(relaxation, (NoRelaxation, RelaxationCurves)):
        logarithm = math.log(max(age, 1.0))
        mean = mean + float(relaxation.mean_per_ln) * logarithm
        after = after + max(0.0, float(relaxation.sigma) + float(relaxation.sigma_per_ln) * logarithm)
    return Spread(targets, written, mean, after, table)


def _programming_quantiles(device: Device) -> NDArray[np.float64]:
    rule = device.programming
    if rule.accept is None:
        return quantiles.normal_quantiles()
    converged = 1.0 if rule.converged is None else float(rule.converged)
    return quantiles.accepted_quantiles(float(rule.accept) / float(rule.sigma), converged)


def _on_curves(relaxation: RelaxationCurves, age: float, fraction: float) -> float:
    """Standard deviation in uS, linear in the logarithm of the age between curves."""
    curves = relaxation.curves
    places = [math.log(float(curve.age)) for curve in curves]
    return float(np.interp(math.log(age), places, [curve(fraction) for curve in curves]))


def read_sigma(device: Device, age: float, g: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of a read of ``g`` uS, in uS."""
    read = device.read
    if isinstance(read, NoRead):
        return np.zeros_like(g)
    if isinstance(read, ReadConstant):
        return np.full_like(g, float(read.of_high) * float(device.window.high))
    t0 = float(read.t0)
    grown = math.sqrt(math.log((age + t0) / (2 * t0))) if age > t0 else 0.0
    out: NDArray[np.float64] = float(read.scale) * grown * np.log10(np.maximum(g, 1.0))
    return out


@dataclass(frozen=True)
class Levels:
    """The tables, for devices of ``count`` levels.

    Attributes:
        unit: uS of one level. low: uS of level 0; ``floor`` is ``m`` at 0 uS. needed: binary places with
        which rounding adds under 1 % to the smallest variance of a cell. single, variance_single: with
        ``needed`` places (64 steps), column sums of any block fit float32 kernels. error: int64 ``[65536]``,
        quantiles of the programming error, :data:`quantiles.FRACTION` binary places, in
            units of ``sigma_p``; ``normal`` likewise, of a standard normal.
        sigma_p, sigma_r, mean: int64 ``[L]``, in levels with ``FRACTION + 8`` binary places.
        stuck_low, stuck_any: thresholds for 32 random bits.
        read_shift: bits from ``m - floor`` to an index into the two tables of read noise.
        read_mean: int64, what cutting at 0 uS adds to the mean, :data:`FRACTION` binary places.
        read_variance: int64, level**2 with ``variance_places`` binary places.
    """

    count: int
    unit: float
    low: float
    floor: int
    needed: int
    single: bool
    variance_single: bool
    error: Ints
    normal: Ints
    sigma_p: Ints
    sigma_r: Ints
    mean: Ints
    stuck_low: int
    stuck_any: int
    read_shift: int
    read_mean: Ints
    read_variance: Ints
    variance_places: int

    @property
    def noisy(self) -> bool:
        """Whether reads fluctuate at all."""
        return bool(self.read_variance.any())

    @property
    def variance_scale(self) -> float:
        """Factor, a power of two, from summed variances to squared units of ``m``."""
        return float(2.0 ** (2 * FRACTION - self.variance_places))


def levels_for(device: Device, age: float, array: Array, coarsest: int) -> Levels:
    """Tables for an ``array`` whose ADC steps are at most ``coarsest``."""
    count = array.cell_levels
    low, high = float(device.window.low), float(device.window.high)
    unit = (high - low) / (count - 1)
    found = spread(device, age, low + unit * np.arange(count, dtype=np.float64))
    normal = quantiles.normal_quantiles()
    drive = (1 << array.dac_bits) - 1

    above = found.mean + float(found.quantiles.max()) * found.programming + normal[-1] * found.relaxation
    top = max(float(np.max(np.arange(count) + above / unit)), count - 1.0)
    reads = read_sigma(device, age, np.linspace(0.0, low + top * unit, 257))
    reach = max(top, low / unit) + low / unit + float(reads.max()) / unit
    if not reach <= _REACH:  # also where figures overflowed
        raise DeviceError(
            "device.invalid",
            f"device {device.name}: cells err by up to {reach:.3g} of {count} levels, {unit:.3g} uS apart",
            hint="widen the window, or check the device's figures",
        )
    bound = array.rows * drive * reach + coarsest

    needed = _places_needed(device, found, unit)

    floor = -round(low / unit * 2**FRACTION)
    read_shift = FRACTION - _READ_PLACES
    size = ((math.ceil(top * 2**FRACTION) + 2 - floor) >> read_shift) + 2
    places = (np.arange(size) + 0.5) * 2.0**-_READ_PLACES + floor / 2**FRACTION
    conductance = np.maximum(low + places * unit, 0.0)
    added, variance = _cut_moments(conductance / unit, read_sigma(device, age, conductance) / unit)
    peak = float(variance.max(initial=0.0))
    variance_places = 30 if peak == 0.0 else min(30, math.floor(math.log2(2.0**36 / peak)))

    scale = 2.0 ** (FRACTION + _SCALE) / unit
    stuck_low = round(float(device.stuck.low) * 2**32)
    return Levels(
        count=count,
        unit=unit,
        low=low,
        floor=floor,
        needed=needed,
        single=bound * 2.0**needed <= SINGLE_LIMIT,
        variance_single=array.rows * drive * drive * 64 <= SINGLE_LIMIT,
        error=quantiles.fixed(found.quantiles),
        normal=quantiles.fixed(normal),
        sigma_p=np.rint(found.programming * scale).astype(np.int64),
        sigma_r=np.rint(found.relaxation * scale).astype(np.int64),
        mean=np.rint(found.mean * scale).astype(np.int64),
        stuck_low=stuck_low,
        stuck_any=stuck_low + round(float(device.stuck.high) * 2**32),
        read_shift=read_shift,
        read_mean=np.rint(added * 2.0**FRACTION).astype(np.int64),
        read_variance=np.rint(variance * 2.0**variance_places).astype(np.int64),
        variance_places=variance_places,
    )


def _places_needed(device: Device, found: Spread, unit: float) -> int:
    """Binary places with which rounding (variance ``4**-places / 12``) adds under 1 % to any variance."""
    sigmas = found.total[found.total > 0] / unit
    needed = 0
    if sigmas.size:
        needed = max(0, math.ceil(math.log2(10.0 / (math.sqrt(12.0) * float(sigmas.min())))))
    fractional = found.mean.any() or float(device.wires.word_ohm) or float(device.wires.bit_ohm)
    return max(needed, 6) if fractional else needed


def _cut_moments(
    mean: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What ``max(0, N(mean, sigma))`` adds to the mean, and its variance.

    With ``t = mean / sigma``: ``E = mean F(t) + sigma f(t)`` and ``E2 = (mean**2 + sigma**2) F(t) + mean
    sigma f(t)``; ``f`` and ``F`` are the standard normal density and distribution.
    """
    added, variance = np.zeros_like(mean), np.zeros_like(mean)
    for i in np.flatnonzero(sigma > 0):
        m, s = float(mean[i]), float(sigma[i])
        t = m / s
        below = 0.5 * math.erfc(t / math.sqrt(2.0))
        density = math.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)
        added[i] = s * density - m * below
        expected = m + added[i]
        variance[i] = max(0.0, (m * m + s * s) * (1.0 - below) + m * s * density - expected * expected)
    return added, variance
