"""Figures of a study: energy against throughput, load over the mesh, gap against effort."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cimc.report import figure
from cimc.study.results import Row

NAMES = ("pareto", "load", "gap")


def draw(rows: Sequence[Row], folder: Path, suffix: str) -> list[Path]:
    """Write the figures of ``rows`` into ``folder``; those for which no row has data are left out.

    Raises:
        CimcError: ``report.no-matplotlib``, ``io.cannot-write``.
    """
    good = [row for row in rows if not row.get("error")]
    made = []
    for name, function in (("pareto", pareto), ("load", load), ("gap", gap)):
        path = folder / f"{name}{suffix}"
        if function(good, path):
            made.append(path)
    return made


def pareto(rows: Sequence[Row], path: Path) -> bool:
    """Energy per request against throughput; a panel a model, and a line through the front of each target."""
    rows = [r for r in rows if r.get("throughput_rps") and r.get("energy_pj")]
    if not rows:
        return False
    models, series = _names(rows, "model"), _series(rows)
    sheet, axes = figure.new_panels(1, len(models), width=max(6.4, 4.4 * len(models)))
    for one, model in zip(axes, models, strict=True):
        mine = [r for r in rows if r["model"] == model]
        for number, (label, members) in enumerate(series.items()):
            points = [_point(r) for r in members if r["model"] == model]
            if points:
                x, y = np.array(points).T
                one.plot(
                    x,
                    y,
                    linestyle="none",
                    color=figure.COLOURS[number % len(figure.COLOURS)],
                    marker=figure.MARKERS[number % len(figure.MARKERS)],
                    label=label,
                )
        for target in _names(mine, "target"):
            front = _front([_point(r) for r in mine if r["target"] == target])
            one.plot(*np.array(front).T, color="#888888", linewidth=0.8, zorder=0)
        one.set_xlim(0, 1.1 * max(r["throughput_rps"] / 1e6 for r in mine))
        one.set_ylim(0, 1.1 * max(r["energy_pj"] / 1e3 for r in mine))
        figure.finish(
            one, x="throughput (million requests/s)", y="energy per request (nJ)", title=model, legend=False
        )
    figure.legend_below(sheet, axes)
    figure.save(sheet, path)
    return True


def _point(row: Row) -> tuple[float, float]:
    return row["throughput_rps"] / 1e6, row["energy_pj"] / 1e3


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both throughput (more) and energy (less), by throughput."""
    best: list[tuple[float, float]] = []
    for point in sorted(set(points), key=lambda p: (-p[0], p[1])):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best[::-1]


def load(rows: Sequence[Row], path: Path) -> bool:
    """How busy the tiles of the first chip are: a panel a strategy, of the first model and seed."""
    rows = [r for r in rows if r.get("tile_busy")]
    if not rows:
        return False
    first = rows[0]
    mine = [r for r in rows if (r["model"], r["target"], r["seed"]) == tuple(first[k] for k in _SAME)]
    sheet, axes = figure.new_panels(1, len(mine), width=max(6.4, 3.2 * len(mine)), height=3.4)
    top = max(max(r["tile_busy"]) for r in mine)
    for one, row in zip(axes, mine, strict=True):
        width, height = row["mesh"]
        image = one.imshow(
            np.array(row["tile_busy"]).reshape(height, width),
            vmin=0,
            vmax=top,
            cmap="viridis",
            origin="lower",
        )
        one.grid(visible=False)
        figure.finish(one, x="tile x", y="tile y", title=row["strategy"])
    sheet.suptitle(f"{first['model']} on {first['target']}, seed {first['seed']}")
    sheet.colorbar(image, ax=axes, label="busiest unit of the tile (ns per request)")
    figure.save(sheet, path)
    return True


_SAME = ("model", "target", "seed")


def gap(rows: Sequence[Row], path: Path) -> bool:
    """Gap of the placement's load over its bound against the processor time of compiling; a panel a model."""
    rows = [r for r in rows if r.get("load_gap") is not None and r.get("compile_cpu_seconds")]
    if not rows:
        return False
    models, series = _names(rows, "model"), _series(rows)
    sheet, axes = figure.new_panels(1, len(models), width=max(6.4, 4.4 * len(models)))
    for one, model in zip(axes, models, strict=True):
        mine = [r for r in rows if r["model"] == model]
        for number, (label, members) in enumerate(series.items()):
            points = [r for r in members if r["model"] == model]
            one.plot(
                [r["compile_cpu_seconds"] for r in points],
                [100 * r["load_gap"] for r in points],
                linestyle="none",
                color=figure.COLOURS[number % len(figure.COLOURS)],
                marker=figure.MARKERS[number % len(figure.MARKERS)],
                label=label,
                clip_on=False,
            )
        seconds = [r["compile_cpu_seconds"] for r in mine]
        if max(seconds) > 10 * min(seconds):
            one.set_xscale("log")
        top = 100 * max(r["load_gap"] for r in mine)
        if top > 10 * _LINEAR:
            one.set_yscale("symlog", linthresh=_LINEAR)
            one.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
        one.set_ylim(0, max(_LINEAR, 1.2 * top))
        figure.finish(
            one,
            x="processor time of the compilation (s)",
            y="load over its lower bound (%)",
            title=model,
            legend=False,
        )
    figure.legend_below(sheet, axes)
    figure.save(sheet, path)
    return True


_LINEAR = 0.1
"""Gaps in percent up to which the axis is linear, so that 0 is on it."""


def _series(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """What shares a marker, by label: rows of a strategy, and of a target where there are several."""
    several = len(_names(rows, "target")) > 1
    found: dict[str, list[Row]] = {}
    for row in rows:
        label = f"{row['strategy']}, {row['target']}" if several else str(row["strategy"])
        found.setdefault(label, []).append(row)
    return found


def _names(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(str(row[key]) for row in rows))
