"""Widths of ids, forms of bags, and which instruction has which header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.link_widths import HEADER_BITS, BagForm, Headers, bag_form, host_headers, id_bits, length_form
from cimc.isa.program import ChipSegment, Port
from cimc.target import load_target

JAGGED = Port("ids", "bag", "i32", "int64", (), "offsets", "starts")


@given(st.integers(1, 2**31))
def test_an_id_has_the_fewest_bits_that_tell_all_rows_apart(rows: int) -> None:
    bits = id_bits(rows)
    assert bits >= 1
    assert rows <= 1 << bits
    assert bits == 1 or rows > 1 << (bits - 1)


@pytest.mark.parametrize(
    ("rows", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (512, 9), (513, 10), (100_000, 17)]
)
def test_widths(rows: int, bits: int) -> None:
    assert id_bits(rows) == bits


@pytest.mark.parametrize(
    ("longest", "padding", "form"),
    [
        (1, None, BagForm(0, 0)),  # every bag has so many: nothing says it
        (80, None, BagForm(0, 0)),
        (1, -1, BagForm(1, 0)),  # 0 or 1 id
        (7, 0, BagForm(3, 0)),
        (8, 0, BagForm(4, 0)),
        (0, 0, BagForm(0, 0)),
        (None, None, BagForm(1, 1)),
        (None, -1, BagForm(1, 1)),
    ],
)
def test_lengths(longest: int | None, padding: int | None, form: BagForm) -> None:
    port = Port("ids", "bag", "i32", "int64", (), "fixed", padding=padding, longest=longest)
    assert length_form(port) == form
    assert bag_form(port, 9) == BagForm(form.per_bag, form.per_id + 9)


def test_offsets_are_lengths_in_unary_and_weights_are_words() -> None:
    assert bag_form(JAGGED, 9) == BagForm(1, 10)
    weighted = Port("ids", "bag", "i32", "int64", (), "offsets", "starts", "w")
    assert bag_form(weighted, 9) == BagForm(1, 42)


def test_one_header_a_chip_on_the_link_and_one_a_tile_on_the_mesh() -> None:
    load = instr("load", dst=Ref(0), port=0, n=1)
    bag = instr("bag", dst=Ref(0), port=1, matrix=0, mode="sum", scale=1.0, idbits=9)
    store = instr("store", port=0, src=Ref(0), n=1)
    other = instr("fill", dst=Ref(0), value=0.0, n=1)
    streams: dict[int, tuple[Instr, ...]] = {
        70: (store,), 64: (other, bag, load), 5: (bag, store, load, store), 3: (other,), 2: (load, load),
    }  # fmt: skip
    found = host_headers(ChipSegment((), (), streams), load_target("tsinghua28{system.chips=2}"))
    both = Headers(HEADER_BITS, HEADER_BITS)
    assert found == {
        (2, 0): both, (5, 0): Headers(0, HEADER_BITS), (5, 1): both, (64, 1): both, (70, 0): both
    }  # fmt: skip
