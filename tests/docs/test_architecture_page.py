"""The example of ``docs/architecture.md`` runs, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

import cimc
from cimc.transforms.passes import PASSES
from models.tiny import requests_for, tiny_dlrm

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
    assert (tmp_path / "ir" / "16-lower.mlir").exists()


def test_every_pass_and_instrument_is_on_the_page() -> None:
    for name in PASSES:
        assert f"| `{name}`" in PAGE
    for name in cimc.instrument.__all__:
        assert f"`{name}" in PAGE or name == "Timing"
