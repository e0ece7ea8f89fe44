"""Random instructions for round-trip properties."""

from __future__ import annotations

from hypothesis import strategies as st

from cimc.isa.instructions import INSTRUCTIONS, Field, Index, Instr, Kind, Operand, Ref

_U31 = st.integers(0, 2**31 - 1)
_U32 = st.integers(0, 2**32 - 1)
_I32 = st.integers(-(2**31), 2**31 - 1)


def operands(entry: Field) -> st.SearchStrategy[Operand]:
    """Any operand that fits a field."""
    if entry.kind is Kind.DEST:
        return st.builds(Ref, _U31, _I32, st.just(False))
    if entry.kind is Kind.SOURCE:
        return st.builds(Ref, _U31, _I32, st.booleans())
    if entry.kind in (Kind.PORT, Kind.MATRIX):
        return st.builds(Index, _U32, _I32)
    if entry.kind is Kind.CHOICE:
        return st.sampled_from(entry.choices)
    if entry.kind is Kind.FLOAT:
        return st.floats(width=32, allow_nan=False)
    return _I32 if entry.kind is Kind.STEP else _U32


@st.composite
def instructions(draw: st.DrawFn) -> Instr:
    """Any instruction."""
    spec = INSTRUCTIONS[draw(st.sampled_from(sorted(INSTRUCTIONS)))]
    return Instr(spec.name, tuple(draw(operands(f)) for f in spec.fields))
