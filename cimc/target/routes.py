"""Which way messages take over a mesh, and which port is near: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cimc.target.ports import Position


def x_first(at: Position, to: Position) -> Iterator[Position]:
    """The tiles from ``at`` to ``to``, both included: along X first, then along Y."""
    (x, y), (to_x, to_y) = at, to
    yield x, y
    while (x, y) != (to_x, to_y):
        if x != to_x:
            x += 1 if to_x > x else -1
        else:
            y += 1 if to_y > y else -1
        yield x, y


def nearest(ports: Sequence[Position], at: Position) -> int:
    """The port with the fewest hops to ``at``, of equals the first."""
    hops = [abs(x - at[0]) + abs(y - at[1]) for x, y in ports]
    return hops.index(min(hops))
