"""Where instances of the dense part lie: the mesh in zones of equal size, and the middle of each zone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.errors import InfeasibleError, Shortage
from cimc.target.spec import Target

Ints = NDArray[np.int64]


def zones(target: Target, count: int, size: int) -> Ints:
    """Tiles of ``count`` instances of ``size`` tiles each, int64 ``[count, size]``; no tile twice.

    Instance ``r`` is on chip ``r mod chips``.  A chip is cut into zones of nearly equal size, one an
    instance; its tiles are those of the zone that are nearest to all others of it, those near the port first.

    Raises:
        InfeasibleError: the machine has fewer tiles.
    """
    chips, per_chip = target.system.chips, target.tiles_per_chip
    each = -(-count // chips)
    if each * size > per_chip:
        raise InfeasibleError(
            Shortage("tiles", count * size, chips * (per_chip // size) * size, "tiles", ("fewer copies",))
        )
    path = _path(target, per_chip // each)
    found = np.zeros((count, size), np.int64)
    for number in range(each):
        zone = path[number * per_chip // each : (number + 1) * per_chip // each]
        tiles = np.array(_middle(zone, size, target), np.int64)
        for chip in range(min(chips, count - number * chips)):
            found[number * chips + chip] = chip * per_chip + tiles
    return found


def chips_beside(target: Target, count: int) -> Ints:
    """A tile on each chip that has none of ``count`` instances, as many for each, int64 ``[count, n]``.

    It is that of the first port: what comes from other chips is there at once.
    """
    each = max(target.system.chips // count - 1, 0)
    ports = [target.port_tile(chip, 0) for chip in range(count, count * (each + 1))]
    return np.array(ports, np.int64).reshape(each, count).T


def _path(target: Target, zone: int) -> list[int]:
    """All tiles of a chip along a line that turns back and forth, in strips as high as a zone is wide."""
    width, height = target.chip.mesh
    strip = min(height, max(1, round(zone**0.5)))
    found: list[int] = []
    for number, top in enumerate(range(0, height, strip)):
        rows = range(top, min(top + strip, height))
        columns = range(width) if number % 2 == 0 else reversed(range(width))
        for place, x in enumerate(columns):
            found += [y * width + x for y in (rows if place % 2 == 0 else reversed(rows))]
    return found


def _middle(zone: list[int], size: int, target: Target) -> list[int]:
    """``size`` tiles of a zone: one in its middle, then always the nearest to those before."""

    def spread(tile: int) -> int:
        return sum(target.hops(tile, other) for other in zone)

    chosen = [min(zone, key=lambda t: (spread(t), target.port_hops(t), t))]
    while len(chosen) < size:
        rest = [t for t in zone if t not in chosen]
        chosen.append(
            min(
                rest,
                key=lambda t: (sum(target.hops(t, o) for o in chosen), spread(t), target.port_hops(t), t),
            )
        )
    return chosen
