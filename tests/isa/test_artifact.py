"""Programs as files: what is read is what was written, and other formats are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.isa.artifact import load_program, save_program
from cimc.isa.instructions import Ref, instr
from cimc.isa.program import FORMAT_VERSION, ChipSegment, Header, Port, Program

BAG = instr("bag", dst=Ref(0), port=0, matrix=0, mode="sum", scale=1.0, idbits=17)
PORT = Port("ids", "bag", "i32", "int64", (), "fixed", padding=-1, longest=5)
PROGRAM = Program(
    Header("m.onnx", "d", "t", "td", "{}", "p", 0), (ChipSegment((PORT,), (), {7: (BAG,)}, (), {7: 2}),), (),
    np.zeros(0, np.uint8),
)  # fmt: skip


def test_widths_lengths_and_ports_are_kept(tmp_path: Path) -> None:
    save_program(PROGRAM, tmp_path / "p.cimc")
    assert load_program(tmp_path / "p.cimc").segments == PROGRAM.segments


@pytest.mark.parametrize("version", [*range(1, FORMAT_VERSION), FORMAT_VERSION + 1])
def test_other_formats_are_refused(version: int, tmp_path: Path) -> None:
    header = replace(PROGRAM.header, version=version)
    save_program(replace(PROGRAM, header=header), tmp_path / "p.cimc")
    with pytest.raises(ProgramError, match=f"format version {version}, this cimc reads") as caught:
        load_program(tmp_path / "p.cimc")
    assert caught.value.code == "program.version"
