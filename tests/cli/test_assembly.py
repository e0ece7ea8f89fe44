"""``cimc disasm`` and ``cimc asm``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.tiny_files import Tiny, call


@pytest.fixture
def text(program: Path, tmp_path: Path) -> Path:
    path = tmp_path / "p.s"
    assert call("disasm", program, "-o", path).code == 0
    return path


def test_round_trip_is_byte_identical(program: Path, text: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.cimc"
    assert call("asm", text, "-o", again).code == 0
    assert again.read_bytes() == program.read_bytes()


def test_without_a_file_the_text_goes_to_stdout(program: Path, text: Path) -> None:
    assert call("disasm", program).out == text.read_text()
    assert call("disasm", program, "--json").json["text"] == text.read_text()


def test_json_of_both(program: Path, text: Path, tmp_path: Path) -> None:
    found = call("disasm", program, "-o", text, "--json").json
    assert set(found) == {"text", "data", "instructions"}
    found = call("asm", text, "-o", tmp_path / "x.cimc", "--json").json
    assert set(found) == {"output", "bytes", "instructions"}


def test_an_edited_instruction_changes_what_the_program_does(tiny: Tiny, text: Path, tmp_path: Path) -> None:
    source = text.read_text()
    assert source.count("fn=sigmoid") == 1
    text.write_text("# by hand\n" + source.replace("fn=sigmoid", "fn=tanh"))
    edited = tmp_path / "edited.cimc"
    assert call("asm", text, "-o", edited).code == 0
    done = call("run", edited, "--inputs", tiny.requests, "--check", tiny.model)
    assert done.code == 1


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("fn=sigmoid", "fn=sinus", "isa.syntax"),
        ("  unary", "  unarry", "isa.syntax"),
        (".segment chip", ".segment moon", "isa.syntax"),
        (".segment chip", ".segmnt chip", "isa.syntax"),
        (".tile ", ".tile x", "isa.syntax"),
        ('kind="table"', "kind=table", "isa.syntax"),
        ('kind="table"', 'kid="table"', "isa.syntax"),
        ("seed = 0", "seed 0", "isa.syntax"),
        ('.data "', '.data "0', "isa.other-data"),
        ("dst=[0]", "dst=[999999999]", "isa.invalid"),
    ],
)
def test_mistakes_are_located(text: Path, tmp_path: Path, old: str, new: str, code: str) -> None:
    source = text.read_text()
    assert old in source
    line = source[: source.index(old) + 1].count("\n") + 1
    text.write_text(source.replace(old, new, 1))
    done = call("asm", text, "-o", tmp_path / "x.cimc")
    assert done.code == 2
    assert f"[{code}]" in done.err
    if code == "isa.syntax":
        assert f"{text}:{line}:" in done.err
    assert not (tmp_path / "x.cimc").exists()


def test_missing_data_is_an_error(text: Path, tmp_path: Path) -> None:
    text.with_suffix(".safetensors").unlink()
    done = call("asm", text, "-o", tmp_path / "x.cimc")
    assert done.code == 2
    assert "isa.no-data" in done.err
