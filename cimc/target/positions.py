"""Tiles of the mesh by their position."""

from __future__ import annotations

from cimc.target.spec import Target


def middle_tile(target: Target) -> int:
    """The tile in the middle of the first chip."""
    width, height = target.chip.mesh
    return (height // 2) * width + width // 2
