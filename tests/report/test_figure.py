"""Figures: format by name, equal bytes for equal data, errors before the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cimc.errors import CimcError
from cimc.report import figure as figures

pytest.importorskip("matplotlib")

SCRIPT = """
import sys
from pathlib import Path
from cimc.report import figure as figures
drawn, axes = figures.new_figure()
axes.plot([1, 2, 3], [3.0, 1.0, 2.0], marker=figures.MARKERS[0], label="a")
axes.fill_between([1, 2, 3], [2.0, 0.5, 1.0], [4.0, 2.0, 3.0], alpha=0.2)
figures.finish(axes, x="ADC bits", y="AUC", title="t")
figures.save(drawn, Path(sys.argv[1]))
"""


def draw(path: Path) -> bytes:
    drawn, axes = figures.new_figure()
    axes.plot([1, 2], [2, 1], label="line")
    figures.finish(axes, x="x (ns)", y="y (pJ)", title="title")
    figures.save(drawn, path)
    return path.read_bytes()


def test_svg_and_png_by_suffix(tmp_path: Path) -> None:
    assert b"<svg" in draw(tmp_path / "a.svg")
    assert draw(tmp_path / "a.PNG").startswith(b"\x89PNG")


def test_equal_data_gives_equal_bytes_in_any_process(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.svg", "two.svg", "one.png", "two.png")]
    for path in paths:
        subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True)
    one, two, three, four = (path.read_bytes() for path in paths)
    assert one == two
    assert three == four
    assert b"<dc:date>" not in one


def test_a_users_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    plain = draw(tmp_path / "a.svg")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.hashsalt": "other"}):
        assert draw(tmp_path / "b.svg") == plain
        assert matplotlib.rcParams["font.size"] == 30  # and they are left as they were


def test_unknown_suffix_is_refused_before_the_work() -> None:
    figures.require(None)
    with pytest.raises(CimcError, match="format") as caught:
        figures.require(Path("figure.pdf"))
    assert caught.value.code == "report.bad-figure"


def test_missing_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CimcError, match="not installed") as caught:
        figures.new_figure()
    assert caught.value.code == "report.no-matplotlib"
    assert caught.value.hint == "pip install 'cimc[report]'"


def test_finish_labels_the_axes() -> None:
    drawn, axes = figures.new_panels(1, 2)
    for one in axes:
        one.plot([0, 1], [0, 1], label="hidden")
    figures.finish(axes[0], x="age (s)", y="AUC", title="t")
    figures.finish(axes[1], x="age (s)", y="AUC", legend=False)
    assert axes[0].get_xlabel() == "age (s)"
    assert axes[0].get_legend() is not None
    assert axes[1].get_legend() is None
    assert len(drawn.axes) == 2


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    drawn, _ = figures.new_figure()
    with pytest.raises(CimcError, match="cannot write"):
        figures.save(drawn, tmp_path / "no" / "a.svg")
