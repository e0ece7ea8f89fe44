"""The verifier of corpora: word lines, order of blocks, arrays of their own, searches of whole items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.isa.artifact import load_program, save_program
from cimc.isa.directory import items_of
from cimc.isa.footprint import accesses
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import sum_bits
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.isa.program import ChipSegment, Program
from cimc.isa.verify import verify_program
from cimc.target.spec import Target
from tests.searching import corpus_of, searching

QUERIES = np.random.default_rng(2).normal(0, 1, (8, 16)).astype(np.float32)


def made(dim: int = 16, items: int = 300) -> tuple[Program, Target]:
    queries = np.random.default_rng(2).normal(0, 1, (8, dim)).astype(np.float32)
    return searching(corpus_of(items, dim, 1), queries, 6)


def refused(program: Program, target: Target) -> str:
    with pytest.raises(ProgramError) as caught:
        verify_program(program, target)
    assert caught.value.code == "isa.invalid"
    return caught.value.message


def test_text_and_bytes_give_the_program_back(tmp_path: Any) -> None:
    program, target = made()
    again = parse_program(format_program(program), arrays_of(program))
    save_program(program, tmp_path / "one.cimc")
    save_program(again, tmp_path / "two.cimc")
    assert (tmp_path / "one.cimc").read_bytes() == (tmp_path / "two.cimc").read_bytes()
    verify_program(load_program(tmp_path / "one.cimc"), target)


def with_instruction(program: Program, name: str, change: Callable[[Instr], Instr]) -> Program:
    """The program with one instruction of a kind changed."""
    (segment,) = program.segments
    assert isinstance(segment, ChipSegment)
    streams, left = dict(segment.streams), [True]
    for tile, stream in streams.items():
        new = []
        for item in stream:
            new.append(change(item) if item.name == name and left else item)
            if item.name == name:
                left = []
        streams[tile] = tuple(new)
    return replace(program, segments=(replace(segment, streams=streams),))


def having(item: Instr, **operands: int) -> Instr:
    return Instr(
        item.name,
        tuple(operands.get(f.name, value) for f, value in zip(item.spec.fields, item.operands, strict=True)),
    )


@pytest.mark.parametrize(
    ("part", "change", "why"),
    [
        ("lines", lambda a: a + 32, "beyond the word lines"),
        ("lines", lambda a: a * 0, "on the same word lines"),
        ("lines", lambda a: a[1:], "no first word lines"),
        ("blocks", lambda a: a[::-1].copy(), "out of order"),
        ("blocks", lambda a: np.concatenate([a[:1], a[:1], a[2:]]), "cover it once"),
        ("row_scales", lambda a: a[1:], "scales or biases of rows"),
        ("row_scales", lambda a: -a, "not positive"),
        ("row_scales", lambda a: a * np.float32(np.nan), "not finite"),
    ],
)
def test_corpora_that_are_refused(part: str, change: Any, why: str) -> None:
    program, target = made()
    name = f"items.{part}"
    program.data[name] = change(program.data[name])
    assert why in refused(program, target)


def test_an_array_of_a_corpus_holds_nothing_else() -> None:
    program, target = made()
    twice = {name.replace("items", "more"): array for name, array in program.data.items()}
    both = replace(program, matrices=(*program.matrices, replace(program.matrices[0], name="more")))
    both.data.update(twice)
    assert "items and more share columns" in refused(both, target)


@pytest.mark.parametrize(
    ("name", "operands", "why"),
    [
        ("search", {"k": 0}, "1 to 65536 hits"),
        ("search", {"width": 8}, "16 or 32 bits"),
        ("search", {"shift": 32}, "less than 32"),
        ("search", {"count": 100}, "has 10 blocks"),
        ("search", {"first": 5}, "not all of these blocks"),
        ("merge", {"k": 0}, "1 to 65536 hits"),
    ],
)
def test_instructions_that_are_refused(name: str, operands: dict[str, int], why: str) -> None:
    program, target = made()
    changed = with_instruction(program, name, lambda item: having(item, **operands))
    assert why in refused(changed, target)


def test_a_search_has_all_numbers_of_its_items() -> None:
    program, target = made(dim=40, items=60)  # 32 word lines: two parts
    changed = with_instruction(program, "search", lambda item: having(item, count=1))
    assert "parts of items are on another tile" in refused(changed, target)


def test_an_mvm_takes_no_corpus() -> None:
    program, target = made()
    dense = replace(program, matrices=(replace(program.matrices[0], kind="dense"),))
    assert refused(dense, target)


def test_what_a_search_touches() -> None:
    program, _ = made()
    for stream in program.chip_segments[0].streams.values():
        for item in stream:
            if item.name == "search":
                assert [(a.write, a.high) for a in accesses(item, program)] == [(False, 16), (True, 48)]
    assert items_of(program, program.matrices[0], 1, 2) == range(32, 96)


def test_bits_of_sums() -> None:
    assert sum_bits(64, 8, 8, True) == 21  # 64 x 127 x 128 < 2^20, and the sign
    assert sum_bits(1, 2, 8, False) == 10
