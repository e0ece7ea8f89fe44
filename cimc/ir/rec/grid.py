"""Grids that quantised models round activations to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """The numbers ``scale * k`` for ``k = low .. high``; zero is among them or beside them.

    The zero point of ONNX is gone: ``uint8`` with zero point ``z`` is ``-z .. 255 - z``.
    """

    scale: float
    low: int
    high: int
