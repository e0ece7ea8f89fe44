"""What lookups did in a run: the part of the event counts that depends on the requests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Site = tuple[int, int, int]
"""Segment, tile and position of an instruction in that tile's stream."""


@dataclass
class LookupActivity:
    """Sums over all requests (and loop iterations) of one lookup instruction.

    Attributes:
        block_rows: ``int64[blocks]``, word lines driven in each block of the table.
        block_activations: ``int64[blocks]``, times each block was activated: rows of one bag in one block
            are pooled up to ``pool_rows`` at once (one by one in the modes that need single rows).
        tile_visits: for each owning tile, the requests that reached it.
        ids: ids looked up.
    """

    block_rows: NDArray[np.int64]
    block_activations: NDArray[np.int64]
    tile_visits: dict[int, int] = field(default_factory=dict)
    ids: int = 0


@dataclass
class Activity:
    """Activity of a whole run."""

    requests: int = 0
    lookups: dict[Site, LookupActivity] = field(default_factory=dict)
    host_seconds: float = 0.0
    """Wall time that host segments took on this machine; reported apart, never part of modelled time."""
