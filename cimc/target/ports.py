"""Where the host ports of a chip are: given tile by tile, or as a number that is spread over the edge."""

from __future__ import annotations

from typing import Any

Position = tuple[int, int]
"""x and y of a tile in its chip."""


def edge(width: int, height: int) -> list[Position]:
    """The tiles at the edge of a mesh, clockwise from (0, 0)."""
    top = [(x, 0) for x in range(width)]
    right = [(width - 1, y) for y in range(1, height)]
    bottom = [(x, height - 1) for x in range(width - 2, -1, -1)] if height > 1 else []
    left = [(0, y) for y in range(height - 2, 0, -1)] if width > 1 else []
    return top + right + bottom + left


def spread(count: int, width: int, height: int) -> list[Position]:
    """``count`` tiles of the edge at equal distances, clockwise from (0, 0): one or more corners first.

    Raises:
        ValueError: for less than one, or more than the edge has.
    """
    tiles = edge(width, height)
    if not 1 <= count <= len(tiles):
        raise ValueError(
            f"{count} ports, where a mesh of {width} x {height} has room for 1 to {len(tiles)} at its edge"
        )
    return [tiles[number * len(tiles) // count] for number in range(count)]


def completed(ports: Any, mesh: Any) -> Any:
    """``ports`` as a list of positions, where it is a number or one position; anything else as it is.

    Raises:
        ValueError: see :func:`spread`.
    """
    if _pair(ports):
        return [ports]
    if type(ports) is int and _pair(mesh) and min(mesh) > 0:
        return spread(ports, *mesh)
    return ports


def _pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(type(n) is int for n in value)


def wrong_ports(ports: tuple[Position, ...], mesh: tuple[int, int]) -> str:
    """What is wrong with positions of ports; ``""`` if nothing is."""
    if not ports:
        return "a chip has at least one port"
    for number, (x, y) in enumerate(ports):
        if x >= mesh[0] or y >= mesh[1]:
            return f"port {[x, y]} lies outside the mesh {list(mesh)}"
        if (x, y) in ports[:number]:
            return f"two ports lie at {[x, y]}"
    return ""
