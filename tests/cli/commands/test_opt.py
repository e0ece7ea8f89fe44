"""``cimc opt``: IR in, IR out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands.small_files import refused, write_model
from tests.cli.tiny_files import call

TEXT = "func.func @main() {\n  func.return\n}\n"


def test_text_is_verified_and_printed(tmp_path: Path) -> None:
    (tmp_path / "a.mlir").write_text(TEXT)
    done = call("opt", tmp_path / "a.mlir")
    assert done.code == 0
    assert "func.func @main()" in done.out
    assert call("opt", tmp_path / "a.mlir", "--verify-only").out == ""


def test_a_model_is_imported(tmp_path: Path) -> None:
    assert '"MatMul"' in call("opt", write_model(tmp_path)).out


def test_without_samples_of_activations_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mlir").write_text(TEXT)
    for name, said in (("choose-adc-steps", True), ("shard", False)):
        done = call("opt", tmp_path / "a.mlir", "-p", name, "--target", "tsinghua28")
        assert done.code == 0, done.err
        assert ("no samples of activations" in done.err) == said


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("-p", "nosuch"), "pass.unknown"),
        (("-p", "choose-adc-steps"), "pass.needs-target"),
        (("-p", "quantize", "--target", "tsinghua28"), "quantize.no-calibration"),
        (("--data", "nosuch.safetensors"), "ir.bad-store"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    (tmp_path / "a.mlir").write_text(TEXT)
    assert refused("opt", tmp_path / "a.mlir", *options) == code


def test_ir_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.mlir").write_text("func.func @main( {\n")
    assert refused("opt", tmp_path / "a.mlir") == "ir.syntax"
