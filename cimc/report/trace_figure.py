"""The figure of ``cimc trace``: how skewed accesses are, and how long bags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimc.report.figure import COLOURS, finish, new_panels, save
from cimc.workload.traces import TableTrace, Trace

_SHOWN = len(COLOURS)
_POINTS = 200  # per curve: more cannot be told apart


def draw(trace: Trace, path: Path) -> None:
    """Rank against frequency (both logarithmic), and the lengths of bags, of the most accessed tables.

    Raises:
        CimcError: ``report.bad-figure``, ``report.no-matplotlib``, ``io.cannot-write``.
    """
    tables = sorted(trace.tables.values(), key=lambda t: (-t.lookups, t.name))
    shown = [t for t in tables if t.lookups][:_SHOWN]
    figure, (left, right) = new_panels(1, 2, width=10.0)
    for table in shown:
        ranks, share = _curve(table)
        left.plot(ranks, share, label=table.name)
    left.set_xscale("log")
    left.set_yscale("log")
    rest = f" ({len(tables) - len(shown)} more tables)" if len(tables) > len(shown) else ""
    finish(left, x="rank of the row", y="share of the accesses", title=f"Accesses by row{rest}")
    for table in shown:
        if len(table.pooling):
            right.plot(
                table.pooling[:, 0], table.pooling[:, 1] / max(1, table.bags), marker=".", label=table.name
            )
    right.locator_params(axis="x", integer=True)
    right.set_ylim(bottom=0)
    finish(right, x="ids in a bag", y="share of the bags", title="Lengths of bags", legend=False)
    save(figure, path)


def _curve(table: TableTrace) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    falling = np.sort(table.counts)[::-1]
    at = np.unique(np.geomspace(1, len(falling), min(_POINTS, len(falling))).astype(np.int64)) - 1
    return at + 1, falling[at] / max(1, table.lookups)
