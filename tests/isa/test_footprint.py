"""What instructions touch: exactly the bytes that executing them reads and writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.isa.footprint import accesses, mvm_extent
from cimc.isa.instructions import INSTRUCTIONS, Instr, Ref, instr
from cimc.isa.program import Program
from cimc.sim.memory import Memory
from cimc.sim.vector_unit import VECTOR
from tests.cost.cost_programs import layer, program, table

SIZE = 4096
A, B, C, OUT = Ref(512), Ref(1024), Ref(1536), Ref(2560)
EMPTY = program({})


def simple() -> Iterator[Instr]:
    """One of each vector instruction with dense operands."""
    yield instr("quant", dst=OUT, src=A, n=5, scale=1.0, bits=8, sign="signed")
    yield instr("dequant", dst=OUT, src=A, factors=B, bias=C, n=5)
    yield instr("iadd", dst=OUT, a=A, b=B, n=5)
    yield instr("unary", dst=OUT, src=A, n=5, fn="neg", alpha=0.0, beta=0.0)
    yield instr("cast", dst=OUT, src=A, n=5, to="i32")
    yield instr("fill", dst=OUT, value=2.0, n=5)
    yield instr("reduce", dst=OUT, src=A, fn="sum", outer=2, n=3, inner=4)
    yield instr("matmul", dst=OUT, a=A, b=B, m=2, k=3, n=4)
    yield instr("gather", dst=OUT, src=A, index=B, n=3, inner=2)
    yield instr("dots", dst=OUT, src=A, pairs=B, n=3, features=2, dim=5)
    yield instr("merge", dst=OUT, a=A, b=B, k=3)


def written(item: Instr) -> set[int]:
    """Bytes that change, whatever was there."""
    changed: set[int] = set()
    for before in (0, 0xFF):
        scratchpad = np.zeros((1, SIZE), np.uint8)
        scratchpad[:, OUT.base - 512 :] = before
        VECTOR[item.name](Memory(scratchpad, np.zeros((1, 8), np.uint8)), item, 0)
        changed |= set(np.flatnonzero(scratchpad[0, OUT.base - 512 :] != before) + OUT.base - 512)
    return {int(b) for b in changed}


@pytest.mark.parametrize("item", list(simple()), ids=lambda item: item.name)
def test_dense_instructions_write_what_they_say(item: Instr) -> None:
    (write,) = [a for a in accesses(item, EMPTY) if a.write]
    at = write.ref.base
    assert written(item) == set(range(at + write.low, at + write.high))
    assert write.high - write.low == write.size


@pytest.mark.parametrize(
    ("item", "read"),
    [
        (instr("reduce", dst=OUT, src=A, fn="sum", outer=2, n=3, inner=4), {A: 96}),
        (instr("matmul", dst=OUT, a=A, b=B, m=2, k=3, n=4), {A: 24, B: 48}),
        (instr("dots", dst=OUT, src=A, pairs=B, n=3, features=2, dim=5), {A: 40, B: 24}),
        (instr("dequant", dst=OUT, src=A, factors=B, bias=C, n=5), {A: 20, B: 20, C: 20}),
        (instr("merge", dst=OUT, a=A, b=B, k=3), {A: 24, B: 24}),
        (instr("send", tile=1, tag=0, src=A, bytes=7, bits=4), {A: 7}),
        (instr("store", port=0, src=A, n=3), {A: 12}),
        (instr("recv", tile=1, tag=0, dst=OUT, bytes=7, bits=4, sign="signed"), {}),
        (instr("loadq", dst=OUT, port=0, n=3, scale=1.0, bits=4, sign="signed"), {}),
        (instr("fill", dst=OUT, value=2.0, n=5), {}),
        (instr("loop", count=3), {}),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_what_is_read(item: Instr, read: dict[Ref, int]) -> None:
    assert {a.ref: a.high for a in accesses(item, EMPTY) if not a.write} == read


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-3, 3)), min_size=3, max_size=3))
def test_strided_reads_reach_from_the_lowest_to_the_highest(axes: list[tuple[int, int]]) -> None:
    (n0, s0), (n1, s1), (n2, s2) = axes
    item = instr("copy", dst=OUT, src=A, n0=n0, n1=n1, n2=n2, s0=s0, s1=s1, s2=s2, d0=n1 * n2, d1=n2, d2=1)
    places = [4 * (i * s0 + j * s1 + k * s2) for i in range(n0) for j in range(n1) for k in range(n2)]
    read, write = accesses(item, EMPTY)
    assert (read.low, read.high) == (min(places), max(places) + 4)
    assert read.size == 4 * n0 * n1 * n2
    assert (write.write, write.low, write.high) == (True, 0, 4 * n0 * n1 * n2)


def with_matrices() -> Program:
    blocks = [(0, 4, 0, 3, 0, 0, 0), (0, 4, 3, 2, 0, 0, 9), (4, 2, 0, 3, 1, 0, 0)]
    return program({}, [(layer("w", 6, 5), blocks), (table("t", 9, 4), [(0, 9, 0, 4, 2, 0, 0)])])


def test_arrays_take_a_whole_input_and_give_the_columns_of_their_blocks() -> None:
    made = with_matrices()
    for first, count, columns in ((0, 2, 5), (1, 1, 2), (2, 1, 3), (0, 3, 5)):
        item = instr("mvm", dst=OUT, src=A, matrix=0, first=first, count=count)
        assert mvm_extent(item, made) == (6, columns)
        read, write = accesses(item, made)
        assert (read.high, write.high) == (6, 4 * columns)


@pytest.mark.parametrize(("mode", "rows"), [("sum", 1), ("max", 1), ("none", 3)])
def test_lookups_give_a_row_a_bag_or_one_for_each_id(mode: str, rows: int) -> None:
    item = instr("lookup", dst=OUT, ids=A, matrix=1, mode=mode, scale=1.0, n=3, drop="none", pad=0, idbits=9)
    read, write = accesses(item, with_matrices())
    assert (read.high, write.high) == (12, 4 * 4 * rows)
    weighted = instr(
        "lookupw", dst=OUT, ids=A, weights=B, matrix=1, scale=1.0, n=3, drop="none", pad=0, idbits=9
    )
    assert [a.ref for a in accesses(weighted, with_matrices())] == [A, B, OUT]
    bag = instr("bag", dst=OUT, port=0, matrix=1, mode="sum", scale=1.0, idbits=9)
    assert [a.high for a in accesses(bag, with_matrices())] == [16]


def test_every_vector_instruction_is_among_them() -> None:
    strided = {"binary", "copy"}
    assert {item.name for item in simple()} | strided == {
        n for n, s in INSTRUCTIONS.items() if s.unit == "vector"
    }
