"""The figure of a trace: curves of the most accessed tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cimc.errors import CimcError
from cimc.report.trace_figure import _SHOWN, _curve, draw
from cimc.workload.traces import TableTrace, Trace

pytest.importorskip("matplotlib")


def table(name: str, counts: list[int], **more: object) -> TableTrace:
    return TableTrace(name, 100, 10, np.arange(len(counts)), np.array(counts), **more)  # type: ignore[arg-type]


def drawn(path: Path, *tables: TableTrace) -> str:
    draw(Trace({t.name: t for t in tables}), path)
    return path.read_text()


def test_the_curve_falls_from_the_most_read_row() -> None:
    ranks, share = _curve(table("t", [1, 5, 2, 2]))
    assert (ranks[0], ranks[-1]) == (1, 4)
    np.testing.assert_allclose(share, np.array([0.5, 0.2, 0.2, 0.1])[ranks - 1])


def test_of_long_curves_some_points_are_drawn() -> None:
    ranks, share = _curve(table("t", list(range(1, 100_001))))
    assert ranks[0] == 1
    assert ranks[-1] == 100_000
    assert len(ranks) <= 200
    assert (np.diff(share) <= 0).all()


def test_tables_are_named_the_most_accessed_first(tmp_path: Path) -> None:
    text = drawn(tmp_path / "t.svg", table("rare", [1]), table("often", [9, 9]), table("never", []))
    assert text.index("often") < text.index("rare")
    assert "never" not in text.replace("(1 more tables)", "")


def test_tables_that_have_no_colour_are_counted(tmp_path: Path) -> None:
    many = [table(f"t{k}", [k + 1]) for k in range(_SHOWN + 3)]
    assert "3 more tables" in drawn(tmp_path / "t.svg", *many)


def test_lengths_of_bags(tmp_path: Path) -> None:
    text = drawn(tmp_path / "t.svg", table("t", [4], pooling=np.array([[1, 3], [2, 1]])))
    assert "ids in a bag" in text


def test_a_format_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CimcError) as caught:
        drawn(tmp_path / "t.txt", table("t", [1]))
    assert caught.value.code == "report.bad-figure"
