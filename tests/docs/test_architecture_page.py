"""The example of ``docs/architecture.md`` runs, and its tables name what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import onnx
import pytest

import cimc
from cimc.transforms.passes import PASSES
from models.tiny import requests_for, tiny_dlrm

ROOT = Path(__file__).parents[2]
PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_example_of_instruments_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(import cimc\nfrom cimc.instrument .*?)```", PAGE, re.DOTALL)
    model, _ = tiny_dlrm(seed=0, tables=2)
    onnx.save(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    exec(code, {"requests": requests_for(model, batch=8, seed=1)})
    out, err = capsys.readouterr()
    assert "all passes" in out
    assert "IR after recognise" in err
    assert (tmp_path / "ir" / "19-lower.mlir").exists()


def test_the_picture_is_the_contract() -> None:
    """Rooms stand in it line by line in the order that the contract of layers holds."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    wanted = [set(line.split(" | ")) for line in layers if line != "__main__"]
    rooms = set().union(*wanted)
    (picture,) = [block for block in PAGE.split("```") if "what a user touches" in block]
    drawn = []
    for line in picture.splitlines():
        if "─▶" in line or not line.strip():
            continue
        columns = re.sub("^ +(what .*?)? {2,}", "", line)  # rooms first, then what is in them
        named = [word for word in re.split(r" {5,}", columns)[0].split() if word in rooms]
        drawn.append(set(named))
    assert drawn == wanted


def test_every_folder_of_a_room_is_on_the_page() -> None:
    folders = [path.parent for path in (ROOT / "cimc").glob("*/*/__init__.py")]
    assert len(folders) > 20
    for folder in folders:
        name = folder.relative_to(ROOT / "cimc").as_posix()
        assert f"`{name}`" in PAGE or f" {folder.name}/" in PAGE, name


def test_every_pass_and_instrument_is_on_the_page() -> None:
    for name in PASSES:
        assert f"| `{name}`" in PAGE
    for name in cimc.instrument.__all__:
        assert f"`{name}" in PAGE or name == "Timing"
