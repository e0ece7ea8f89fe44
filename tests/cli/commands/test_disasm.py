"""``cimc disasm``: text to a file or to standard output."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands.small_files import refused, write_program
from tests.cli.tiny_files import call


def test_text_and_arrays_are_written_side_by_side(tmp_path: Path) -> None:
    program = write_program(tmp_path)
    found = call("disasm", program, "-o", tmp_path / "p.s", "--json").json
    assert Path(found["text"]) == tmp_path / "p.s"
    assert Path(found["data"]) == tmp_path / "p.safetensors"
    assert found["instructions"] == 3
    assert call("disasm", program).out == (tmp_path / "p.s").read_text()


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not a program")
    assert refused("disasm", tmp_path / "x").startswith("program.")


def test_the_program_is_not_its_own_output(tmp_path: Path) -> None:
    program = write_program(tmp_path)
    assert refused("disasm", program, "-o", program) == "io.same-file"
