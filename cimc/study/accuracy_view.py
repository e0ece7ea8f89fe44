"""A sweep of accuracy as a table, as CSV and as a figure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.errors import CimcError
from cimc.metrics.intervals import Estimate
from cimc.report import figure as figures
from cimc.report.blocks import Block, facts, table
from cimc.study.accuracy_measures import Point, Study, heading
from cimc.support.quantities import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UNITS = {"adc_bits": "ADC bits", "weights": "weight bits", "acts": "activation bits", "age": "age (s)"}


def blocks(study: Study) -> list[Block]:
    """The sweep for people: what it is about, and a line per point."""
    about = study.about
    lines: list[tuple[str, object]] = [
        ("model", about["model"]),
        ("target", about["target"]),
        ("requests", count(about["requests"])),
    ]
    if about["positives"] is not None:
        lines.append(("labels", f"{count(about['positives'])} of them positive"))
    if about["queries"] is not None:
        lines.append(("retrieval", f"{count(about['queries'])} queries, {count(about['items'])} items"))
    methods: dict[str, list[str]] = {}
    for name in study.metrics:
        for each in (study.reference, *(p.metrics for p in study.points)):
            if name in each and each[name].method:
                methods.setdefault(each[name].method, [])
                if heading(name) not in methods[each[name].method]:
                    methods[each[name].method].append(heading(name))
    lines += [
        ("intervals" if not i else "", f"95 %, {method}: {', '.join(names)}")
        for i, (method, names) in enumerate(methods.items())
    ]
    lines += [("note", text) for text in study.notes]
    names = list(dict.fromkeys(key for point in study.points for key in point.settings))
    metrics = study.metrics
    rows = []
    if study.reference:
        first = ["float model", *("" for _ in names[1:])]
        rows.append([*first, "", *(_shown(study.reference.get(m), m) for m in metrics)])
    for point in study.points:
        cells = [_setting(point.settings.get(name)) for name in names]
        if point.error is not None:
            rows.append([*cells, "", "not possible", *("" for _ in metrics[1:])])
            chosen = ", ".join(f"{k} {_setting(v)}" for k, v in point.settings.items() if v is not None)
            lines.append(("not possible", f"{chosen}: {point.error['message']}"))
            continue
        seeds = str(len(point.seeds)) if point.seeds else "-"
        rows.append([*cells, seeds, *(_shown(point.metrics.get(m), m) for m in metrics)])
    columns = [*names, ">seeds", *(heading(m) for m in metrics)]
    return [facts("Accuracy", lines), table("", columns, rows)]


def _setting(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _shown(estimate: Estimate | None, metric: str) -> str:
    if estimate is None:
        return "-"
    digits = 1 if metric == "sqnr_db" else 4
    text = f"{estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def as_csv(study: Study) -> str:
    """A line per point: its settings, number of seeds, and value, low and high of every metric."""
    names = list(dict.fromkeys(key for point in study.points for key in point.settings))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = [f"{m}{part}" for m in study.metrics for part in ("", "_low", "_high", "_method")]
    writer.writerow([*names, "seeds", *fields, "error"])
    if study.reference:
        cells = _cells(study.reference, study.metrics)
        writer.writerow(["float", *("" for _ in names[1:]), "", *cells, ""])
    for point in study.points:
        error = "" if point.error is None else point.error["code"]
        chosen = ["" if point.settings.get(n) is None else point.settings[n] for n in names]
        writer.writerow([*chosen, len(point.seeds) or "", *_cells(point.metrics, study.metrics), error])
    return out.getvalue()


def _cells(metrics: dict[str, Estimate], names: Sequence[str]) -> list[Any]:
    cells: list[Any] = []
    for name in names:
        one = metrics.get(name)
        cells += ["", "", "", ""] if one is None else [
            _number(one.value), _number(one.low), _number(one.high), one.method
        ]  # fmt: skip
    return cells


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


# --------------------------------------------------------------------------------------------------
# Figure


def check_plot(study: Study, metrics: Sequence[str]) -> tuple[str, ...]:
    """The metrics to draw: those asked for, or the most telling one.

    Raises:
        CimcError: ``accuracy.no-metric`` for one that was not measured.
    """
    measured = study.metrics
    for name in metrics:
        if name not in measured:
            raise CimcError(
                "accuracy.no-metric",
                f"'{name}' was not measured",
                hint=f"measured were: {', '.join(measured) or 'nothing'}",
            )
    if metrics:
        return tuple(metrics)
    return next(((m,) for m in measured if m == "auc" or m.startswith("recall@")), measured[:1])


def draw(study: Study, path: Path, metrics: Sequence[str] = (), x: str | None = None) -> None:
    """Draw metrics over the setting ``x``, a line per combination of the others, with intervals as bars.

    ``x``: by default the numeric setting with the most values.  The float model is a dashed line.

    Raises:
        CimcError: ``accuracy.no-metric``, ``accuracy.no-axis``; as :func:`cimc.report.figure.save`.
    """
    chosen = check_plot(study, metrics)
    axis = _axis(study, x)
    drawn, panels = figures.new_panels(1, len(chosen), width=1.2 + 5.4 * len(chosen), height=4.0)
    about = study.about
    title = f"{about['model']} on {about['target']}, {count(about['requests'])} requests"
    for number, (axes, metric) in enumerate(zip(panels, chosen, strict=True)):
        _panel(axes, study, metric, axis, "" if number else title)
    figures.legend_below(drawn, panels)
    figures.save(drawn, path)


def _axis(study: Study, asked: str | None) -> str:
    if asked is not None:
        if asked not in study.axes:
            raise CimcError(
                "accuracy.no-axis",
                f"'{asked}' does not vary",
                hint=f"these do: {', '.join(study.axes) or 'none'}",
            )
        return asked
    numeric = [n for n, vs in study.axes.items() if all(_is_number(v) for v in vs if v is not None)]
    return max(numeric or study.axes, key=lambda n: len(study.axes[n]), default="mode")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _panel(axes: Axes, study: Study, metric: str, axis: str, title: str) -> None:
    others = [name for name in study.axes if name != axis]
    lines: dict[tuple[Any, ...], list[Point]] = {}
    for point in study.points:
        if metric in point.metrics and math.isfinite(point.metrics[metric].value):
            lines.setdefault(tuple(point.settings.get(n) for n in others), []).append(point)
    values = [v for v in dict.fromkeys(p.settings.get(axis) for p in study.points) if v is not None]
    numeric = bool(values) and all(_is_number(v) for v in values)
    spread = numeric and max(values) > 10 * max(min((v for v in values if v > 0), default=1.0), 1e-12)
    places = {v: float(v) if numeric else float(i) for i, v in enumerate(values)}
    beside = _beside(list(places.values()), spread, len(lines))
    for number, (key, points) in enumerate(lines.items()):
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        label = ", ".join(_label(n, v) for n, v in zip(others, key, strict=True) if v is not None)
        placed = [p for p in points if p.settings.get(axis) is not None]
        level = points[0].metrics[metric].value
        if not placed:  # a setting that the axis does not concern, as the age of a mode without cells
            axes.axhline(level, color=colour, linestyle=":", label=label)
            continue
        xs = [beside(places[p.settings[axis]], number) for p in placed]
        found = [p.metrics[metric] for p in placed]
        ys = [m.value for m in found]
        bars = [
            [0.0 if m.low is None else m.value - m.low for m in found],
            [0.0 if m.high is None else m.high - m.value for m in found],
        ]
        marker = figures.MARKERS[number % len(figures.MARKERS)]
        style = "-" if numeric else "none"
        axes.errorbar(
            xs, ys, yerr=bars, color=colour, marker=marker, linestyle=style, capsize=2.5, elinewidth=0.9,
            markersize=5, linewidth=1.5, label=label or None,
        )  # fmt: skip
    if metric in study.reference:
        value = study.reference[metric].value
        if math.isfinite(value):
            axes.axhline(value, color="#444444", linestyle="--", linewidth=1.0, label="float model")
    if spread and min(values) > 0:
        axes.set_xscale("log")
    elif spread:
        axes.set_xscale("symlog", linthresh=min(v for v in values if v > 0))
    elif numeric:
        axes.set_xticks(sorted(places.values()), [f"{v:g}" for v in sorted(places.values())])
    else:
        axes.set_xticks(list(places.values()), [str(v) for v in places])
    figures.finish(axes, x=_UNITS.get(axis, axis), y=heading(metric), title=title, legend=False)


def _beside(places: Sequence[float], spread: bool, lines: int) -> Callable[[float, int], float]:
    """Where a line draws its point at a place: next to those of other lines, so that all bars are seen."""
    low, high = min(places, default=0.0), max(places, default=0.0)
    if spread and low <= 0:
        return lambda place, number: place
    step = 0.012 * (math.log10(high / low) if spread else high - low)

    def moved(place: float, number: int) -> float:
        shift = step * (number - (lines - 1) / 2)
        return place * 10.0**shift if spread else place + shift

    return moved


def _label(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{_UNITS.get(name, name).removesuffix(' (s)')} {_setting(value)}"
