"""Throughput of policies relative to the default: a row a policy, its cells, the best with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cimc.report import figure

_ROW = 0.26
"""Inches."""


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Write the figure; instances one below the other, as high as there are rows."""
    rows = [len(found["policies"]) for found in results]
    sheet, axes = figure.new_figure(width=8.0, height=1.0 + _ROW * (sum(rows) + 2 * len(rows)))
    at, ticks, labels = 0.0, [], []
    for number, found in enumerate(results):
        default = found["policies"]["default"]["throughput_rps"]["value"]
        # cells are of shorter runs: relative to the default pipeline's own
        short = next(
            cell["throughput_rps"]
            for cell in found["cells"]
            if found["policies"]["default"]["cell"].items() <= cell.items()
        )
        ticks.append(at)
        labels.append(found["instance"])
        ranked = sorted(found["policies"].items(), key=lambda pair: -pair[1]["throughput_rps"]["value"])
        for place, (name, row) in enumerate(ranked):
            at += 1
            cells = [
                cell["throughput_rps"] / short
                for cell in found["cells"]
                if cell["policy"] == name and "throughput_rps" in cell
            ]
            once = number == place == 0
            grey = {"color": "#999999", "label": "its cells" if once else None}
            axes.plot(cells, [at] * len(cells), "|", zorder=2, **grey)
            ratio, own = row["relative"], name == "default"
            said = {True: "default", False: "best cell, 95 % interval"}[own]
            axes.errorbar(
                [ratio["value"]],
                [at],
                xerr=[[ratio["value"] - ratio["low"]], [ratio["high"] - ratio["value"]]],
                fmt=figure.MARKERS[0],
                color=figure.COLOURS[1 if own else 0],
                capsize=2.5,
                label=said,
                zorder=3,
            )
            green = {"color": figure.COLOURS[2], "label": "its bound" if once else None}
            axes.plot([row["bound_rps"] / default], [at], ">", markersize=4, **green)
            ticks.append(at)
            labels.append(f"{name} ({row['instances']})")
        at += 2
    axes.set_yticks(ticks, labels)
    for number, label in enumerate(axes.get_yticklabels()):
        if ticks[number] in _heads(rows):
            label.set_fontweight("bold")
    axes.set_ylim(at - 0.5, -0.8)
    axes.axvline(1.0, color="#444444", linewidth=0.8, zorder=1)
    axes.set_xscale("log")
    axes.set_xticks([0.03, 0.1, 0.3, 1.0, 3.0, 10.0], ["0.03", "0.1", "0.3", "1", "3", "10"])
    axes.minorticks_off()
    figure.finish(axes, x="throughput, relative to default (instances in brackets)", y="", legend=False)
    figure.legend_below(sheet, [axes])
    figure.save(sheet, path)


def _heads(rows: list[int]) -> list[float]:
    found, at = [], 0.0
    for count in rows:
        found.append(at)
        at += count + 2
    return found
