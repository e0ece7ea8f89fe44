"""``cimc asm``: what it needs beside the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands.small_files import refused, write_program
from tests.cli.tiny_files import call


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "p.s"
    assert call("disasm", write_program(tmp_path), "-o", path).code == 0
    return path


def test_arrays_lie_beside_the_text_or_where_data_says(text: Path, tmp_path: Path) -> None:
    arrays = text.with_suffix(".safetensors").rename(tmp_path / "elsewhere.safetensors")
    assert refused("asm", text, "-o", tmp_path / "a.cimc") == "isa.no-data"
    assert call("asm", text, "-o", tmp_path / "a.cimc", "--data", arrays).code == 0
    assert (tmp_path / "a.cimc").read_bytes() == (tmp_path / "p.cimc").read_bytes()


def test_a_text_that_is_no_program_is_refused(text: Path, tmp_path: Path) -> None:
    text.write_text(text.read_text().replace("unary", "unify", 1))
    assert refused("asm", text, "-o", tmp_path / "a.cimc").startswith("isa.")
    assert not (tmp_path / "a.cimc").exists()


def test_a_program_that_does_not_verify_is_not_written(text: Path, tmp_path: Path) -> None:
    found = text.read_text()
    assert "tile 0" in found
    text.write_text(found.replace("tile 0", "tile 9999"))
    assert refused("asm", text, "-o", tmp_path / "a.cimc")
    assert not (tmp_path / "a.cimc").exists()
