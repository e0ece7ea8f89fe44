"""``cimc plan``: what is refused, and that a description that is saved is planned alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.tiny_files import call
from tests.study.planning.small_model import TEXT


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "m.yaml"
    path.write_text(text.replace("ROWS", "5000").replace("INTERACTION", "dot"))
    return path


@pytest.mark.parametrize(
    "wrong",
    [
        ("rows: 700", "rows: -7"),
        ("skew: 1.05", "skew: many"),
        ("skew: 1.05", "skew: true"),
        ("skew: 1.05", 'skew: "1"'),
        ("count: 1", "colour: 1"),
        ("dense", "thick"),
    ],
)
def test_descriptions_that_are_none(tmp_path: Path, wrong: tuple[str, str]) -> None:
    found = call("plan", written(tmp_path, TEXT.replace(*wrong)))
    assert found.code == 2
    assert "m.yaml" in found.err
    assert "Traceback" not in found.err


def test_what_is_no_rate_or_machine(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert call("plan", path, "--rate", "-3").code == 2
    assert call("plan", path, "--chips", "0").code == 2
    assert call("plan", tmp_path / "nothing.yaml").code == 2


@pytest.mark.parametrize("option", ["--trace", "--weights"])
def test_what_only_models_need(tmp_path: Path, option: str) -> None:
    path = written(tmp_path)
    found = call("plan", path, option, path)
    assert found.code == 2
    assert f"{option} goes with an ONNX model" in found.err


def test_a_wrong_element_is_reported_once(tmp_path: Path) -> None:
    found = call("plan", written(tmp_path, TEXT.split("tables:")[0] + "tables:\n  - {name: a, rows: -7}\n"))
    assert "tables[0].rows" in found.err
    assert "at least 1 item" not in found.err
    none = call("plan", written(tmp_path, TEXT.split("tables:")[0] + "tables: []\n"))
    assert "at least 1 item" in none.err
