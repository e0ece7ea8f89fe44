"""Binary and text forms are lossless, and damage is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.errors import ProgramError
from cimc.isa.assembly import format_instr, format_stream, parse_instr
from cimc.isa.encoding import decode, encode, size_of
from cimc.isa.instructions import BY_OPCODE, INSTRUCTIONS, Instr, Ref, instr
from tests.isa.strategies import instructions
from tools.docs import isa_table


@given(st.lists(instructions(), max_size=20))
def test_binary_round_trip(stream: list[Instr]) -> None:
    code = encode(stream)
    assert len(code) == sum(size_of(i.name) for i in stream)
    assert decode(code) == tuple(stream)
    assert encode(decode(code)) == code


@given(st.lists(instructions(), max_size=20))
def test_text_round_trip(stream: list[Instr]) -> None:
    lines = format_stream(stream)
    assert [parse_instr(line) for line in lines] == stream


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_fail_cleanly(code: bytes) -> None:
    try:
        stream = decode(code)
    except ProgramError as error:
        assert error.code == "isa.bad-code"  # noqa: PT017
        return
    assert decode(encode(stream)) == stream


@given(st.lists(instructions(), min_size=1, max_size=3), st.data())
def test_cut_code_is_refused(stream: list[Instr], data: st.DataObject) -> None:
    code = encode(stream)
    boundaries = {sum(size_of(i.name) for i in stream[:k]) for k in range(len(stream) + 1)}
    cut = data.draw(st.integers(1, len(code)))
    if cut in boundaries:
        assert decode(code[:cut]) == tuple(stream[: sorted(boundaries).index(cut)])
        return
    with pytest.raises(ProgramError, match="cut off"):
        decode(code[:cut])


def test_operands_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ProgramError) as error:
        encode([instr("loop", count=2**32)])
    assert error.value.code == "isa.operand-range"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("frobnicate", "no instruction"),
        ("loop", "takes the operands count"),
        ("loop count=x", "invalid literal"),
        ("loop count=1 count=2", "takes the operands"),
        ("iadd dst=c[0] a=[0] b=[0] n=1", "no address to write"),
        ("iadd dst=[0] a=(0) b=[0] n=1", "no address to read"),
        ("load dst=[0] port=m0 n=1", "no port"),
        ("unary dst=[0] src=[0] n=1 fn=sinh alpha=0.0 beta=0.0", "none of"),
    ],
)
def test_bad_lines_say_where_and_why(line: str, why: str) -> None:
    with pytest.raises(ProgramError, match=why) as error:
        parse_instr(line, file="prog.s", number=7)
    assert error.value.code == "isa.syntax"
    assert error.value.location is not None
    assert error.value.location.file == "prog.s:7"


def test_text_of_one_instruction() -> None:
    item = instr("iadd", dst=Ref(64, 8), a=Ref(0), b=Ref(16, -4, True), n=3)
    assert format_instr(item) == "iadd dst=[64+8i] a=[0] b=c[16-4i] n=3"


def test_opcodes_are_distinct() -> None:
    assert len(BY_OPCODE) == len(INSTRUCTIONS)


def test_documented_table_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "isa.md"
    text = page.read_text(encoding="utf-8")
    assert isa_table.with_table(text) == text, "run: python -m tools.docs.isa_table docs/isa.md"
