"""Programs as text: lossless, and mistakes are located."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.errors import ProgramError
from cimc.isa.artifact import to_bytes
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.isa.program import ChipSegment, Header, HostSegment, Matrix, Port, Program
from cimc.remarks import Remarks
from tests.isa.strategies import instructions
from tests.remarks.strategies import remarks

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_NAME = st.text(string.ascii_letters + string.digits + "./_:#\" '=", min_size=1, max_size=12)
_SIZE = st.integers(0, 2**40)
_SHAPE = st.lists(st.integers(-1, 100), max_size=3).map(tuple)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_PORTS = st.lists(st.builds(Port, _TEXT, _NAME, _NAME, _NAME, _SHAPE, _NAME, _TEXT, _TEXT), max_size=3).map(
    tuple
)
_STREAMS = st.dictionaries(st.integers(0, 500), st.lists(instructions(), max_size=5).map(tuple), max_size=3)
_PAIRS = st.lists(st.tuples(_TEXT, _TEXT), max_size=2).map(tuple)
_CHIPS = _STREAMS.flatmap(
    lambda streams: st.builds(
        ChipSegment, _PORTS, _PORTS, st.just(streams), st.just(()),
        st.fixed_dictionaries({}, optional={tile: st.integers(-1, 9) for tile in streams}),
    )
)  # fmt: skip
_SEGMENTS = _CHIPS | st.builds(
    HostSegment, _NAME, _PAIRS, _PAIRS, st.lists(_TEXT, max_size=2).map(tuple), _SIZE
)
_MATRICES = st.builds(Matrix, _NAME, _NAME, _SIZE, _SIZE, _SIZE, _SIZE, _SIZE, _SIZE, _SIZE, st.booleans())
_HEADERS = st.builds(
    Header, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _SIZE,
    st.lists(st.tuples(_TEXT, _NAME, _SHAPE), max_size=2).map(tuple), _PAIRS, _SIZE,
    st.lists(_TEXT, max_size=2).map(tuple),
)  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any program, sensible or not."""
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    names = draw(st.lists(_NAME, max_size=3, unique=True))
    kinds = zip(names, ("i1", "i4", "f4"), strict=False)
    data: dict[str, Any] = {name: rng.integers(-9, 9, (2, 3)).astype(kind) for name, kind in kinds}
    constants = rng.integers(0, 255, draw(st.integers(0, 5))).astype(np.uint8)
    others = draw(
        st.dictionaries(st.from_regex(r"[a-z]{1,4}-[a-z_]{1,4}", fullmatch=True), _JSON, max_size=2)
    )
    said = draw(remarks())
    found = Remarks.from_json({**said.to_json(), **others})
    return Program(
        draw(_HEADERS), tuple(draw(st.lists(_SEGMENTS, max_size=3))),
        tuple(draw(st.lists(_MATRICES, max_size=2))), constants, data, found,
    )  # fmt: skip


@given(programs())
def test_text_and_arrays_give_the_identical_artifact(program: Program) -> None:
    text = format_program(program)
    again = parse_program(text, arrays_of(program))
    assert to_bytes(again) == to_bytes(program)
    assert format_program(again) == text


def small() -> Program:
    header = Header("m.onnx", "d", "t", "td", "{}", "p", 0)
    return Program(header, (ChipSegment((), (), {0: ()}),), (), np.zeros(0, np.uint8))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (".program", ".programme", "no directive"),
        ('model = "m.onnx"', "model = m.onnx", "no JSON value"),
        ('model = "m.onnx"', "modell = 1", "lacks model and does not take modell"),
        (".tile 0", ".tile -1", "stands in"),
        (".tile 0", ".tile 0\n.tile 0", "already"),
        (".segment chip", ".host_ports [[0, 1]]", "stands in"),
        (".tile 0", '.host_ports [[0, "1"]]\n.tile 0', "malformed"),
        (".tile 0", ".tile 0\nmvm dst=[0]", "mvm takes the operands"),
        (".segment chip", ".segment host model=1", "lacks"),
        (".segment chip", ".port in value=1", "stands in"),
        (".segment chip", "load dst=[0]", "stands after"),
        (".segment chip", '.matrix name="a"rows=3', "expected a space"),
        (".segment chip", ".matrix !", "expected key=value"),
    ],
)
def test_mistakes_name_the_line(old: str, new: str, why: str) -> None:
    text = format_program(small()).replace(old, new, 1)
    with pytest.raises(ProgramError, match=why) as caught:
        parse_program(text, {}, "p.s")
    assert caught.value.code == "isa.syntax"
    assert str(caught.value.location).startswith("p.s:")


def test_other_arrays_are_refused_unless_the_digest_is_deleted() -> None:
    text, other = format_program(small()), {"data/x": np.zeros(3)}
    with pytest.raises(ProgramError) as caught:
        parse_program(text, other)
    assert caught.value.code == "isa.other-data"
    lines = [line for line in text.split("\n") if not line.startswith(".data")]
    assert "x" in parse_program("\n".join(lines), other).data
