"""Figures: one plain style, SVG or PNG by file name, equal data giving equal bytes.

Draw on what :func:`new_figure` returns, then :func:`save` it::

    require(path)                                    # before the work whose result is drawn
    figure, axes = new_figure()
    axes.plot(bits, auc, marker=MARKERS[0], label="wan2022")
    finish(axes, x="ADC bits", y="AUC", title="...")
    save(figure, path)

matplotlib is the optional extra ``report`` and imported by these functions alone.  Figures are made without
``pyplot``: no window, no global state, and a user's ``matplotlibrc`` changes nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.errors import CimcError
from cimc.support.io.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers; the default cycle of every axes."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""A marker per colour, so that a figure survives being printed in grey."""

SUFFIXES = (".svg", ".png")

_DPI = 150
_STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so letters are the same everywhere
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "cimc",
}


def require(path: Path | None) -> None:
    """Make sure that a figure can be saved to ``path`` (``None``: nothing to do), before the work starts.

    Raises :class:`~cimc.errors.CimcError`: ``report.bad-figure`` for a suffix other than ``.svg`` and
    ``.png``, ``report.no-matplotlib`` where the extra is not installed.
    """
    if path is None:
        return
    if path.suffix.lower() not in SUFFIXES:
        raise CimcError(
            "report.bad-figure",
            f"cannot tell the format of a figure called {path.name}",
            hint="figures are written as .svg or .png",
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise CimcError(
            "report.no-matplotlib",
            "figures are drawn by matplotlib, which is not installed",
            hint="pip install 'cimc[report]'",
        ) from None


@contextmanager
def style() -> Iterator[None]:
    """The style of this module, for a block that makes artists of its own (legends, annotations, tables)."""
    require(Path("figure.svg"))
    import matplotlib
    from cycler import cycler  # a dependency of matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)
        yield


def new_figure(*, width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    """An empty figure of ``width x height`` inches with one axes.

    Raises :class:`~cimc.errors.CimcError`: ``report.no-matplotlib``.
    """
    figure, axes = new_panels(1, 1, width=width, height=height)
    return figure, axes[0]


def new_panels(
    rows: int,
    cols: int,
    *,
    width: float = 9.0,
    height: float = 4.0,
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure of ``width x height`` inches with ``rows x cols`` axes, row after row.

    Raises :class:`~cimc.errors.CimcError`: ``report.no-matplotlib``.
    """
    with style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, cols, squeeze=False, sharex=share_x, sharey=share_y)
        return figure, [one for row in axes for one in row]


def finish(axes: Axes, *, x: str, y: str, title: str = "", legend: bool | Sequence[str] = True) -> None:
    """Label the axes (with units: ``"latency (ns)"``) and add a legend where something has a label."""
    with style():
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if title:
            axes.set_title(title)
        handles, labels = axes.get_legend_handles_labels()
        if legend is not True and legend is not False:
            labels = list(legend)
        if legend is not False and handles:
            axes.legend(handles, labels)


def legend_below(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, below them, where it covers no data; for use with ``legend=False``."""
    with style():
        found: dict[str, Any] = {}
        for axes in panels:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(label, handle)
        if found:
            longest = max(map(len, found)) + 6  # characters, about 0.075 inches each
            columns = max(1, min(len(found), int(figure.get_figwidth() / (0.075 * longest))))
            figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=columns)


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path``, as SVG or PNG by its suffix, atomically and without a date.

    Raises :class:`~cimc.errors.CimcError`: ``report.bad-figure``, ``report.no-matplotlib``,
    ``io.cannot-write``.
    """
    require(path)
    kind = path.suffix.lower()[1:]
    metadata = {"Date": None, "Creator": "cimc"} if kind == "svg" else {"Software": "cimc"}
    data = io.BytesIO()
    with style():
        figure.savefig(data, format=kind, dpi=_DPI, metadata=metadata)
    write_atomically(path, data.getvalue())
