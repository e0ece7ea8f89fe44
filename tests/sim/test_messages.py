"""Messages carry the bits that they say, and no others; what arrives is what was sent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.interpreter.bags import Bags
from cimc.isa.link_widths import bag_form, id_bits
from cimc.isa.program import Port
from cimc.sim.messages import (
    packed,
    packed_bags,
    packed_numbers,
    unpacked,
    unpacked_bags,
    unpacked_numbers,
)

ROWS = st.one_of(st.integers(1, 300), st.integers(1, 2**31 - 1))


@given(st.integers(1, 8), st.booleans(), st.integers(0, 9), st.integers(0, 20), st.integers(0, 99))
def test_values_of_their_width_arrive(bits: int, signed: bool, requests: int, n: int, seed: int) -> None:
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    sent = (
        np.random.default_rng(seed).integers(low, high, (requests, n)).astype(np.int8 if signed else np.uint8)
    )
    message = packed(sent.view(np.uint8), bits)
    assert message.shape == (requests, -(-n * bits // 8))
    np.testing.assert_array_equal(unpacked(message, n, bits, signed).view(sent.dtype), sent)


def test_what_is_wider_is_lost() -> None:
    message = packed(np.array([[0x5A]], np.uint8), 4)
    assert unpacked(message, 1, 4, False).tolist() == [[0x0A]]
    assert unpacked(message, 1, 4, True).view(np.int8).tolist() == [[-6]]


def test_numbers_lie_bit_by_bit() -> None:
    stream = packed_numbers(np.array([5, 1, 6]), 3)  # 101, 100, 011 from the lowest bit on: 1011 0001 1
    assert (stream.bits, stream.data.tolist()) == (9, [0b10001101, 0b1])


@given(ROWS, st.data())
def test_ids_of_a_table_come_back(rows: int, data: st.DataObject) -> None:
    ids = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=40)), np.int64)
    stream = packed_numbers(ids, id_bits(rows))
    assert stream.bits == ids.size * id_bits(rows)
    assert stream.data.size == -(-stream.bits // 8)
    np.testing.assert_array_equal(unpacked_numbers(stream, id_bits(rows)), ids)


@pytest.mark.parametrize(("ids", "bits"), [([4], 2), ([0, -1], 5), ([1 << 32], 32), ([2], 1)])
def test_ids_that_do_not_fit_are_not_packed(ids: list[int], bits: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        packed_numbers(np.array(ids), bits)


@given(ROWS, st.sampled_from(["exact", "padded", "jagged"]), st.booleans(), st.data())
def test_bags_come_back_in_the_bits_of_their_form(
    rows: int, kind: str, weighted: bool, data: st.DataObject
) -> None:
    longest = data.draw(st.integers(0, 9))
    count = data.draw(st.integers(0, 12))
    least = longest if kind == "exact" else 0
    lengths = data.draw(st.lists(st.integers(least, longest), min_size=count, max_size=count))
    total, rng = sum(lengths), np.random.default_rng(data.draw(st.integers(0, 99)))
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    weights = rng.normal(size=total).astype(np.float32) if weighted else None
    bags = Bags(rng.integers(0, rows, total), starts, weights, (count,))
    layout = ("offsets", "starts") if kind == "jagged" else ("fixed", "")
    port = Port(
        "ids", "bag", "i32", "int64", (), *layout, "w" if weighted else "",
        -1 if kind == "padded" else None, None if kind == "jagged" else longest,
    )  # fmt: skip
    message = packed_bags(bags, port, id_bits(rows))
    form = bag_form(port, id_bits(rows))
    assert message.bits == count * form.per_bag + total * form.per_id
    found = unpacked_bags(message, count, port, id_bits(rows))
    np.testing.assert_array_equal(found.ids, bags.ids)
    np.testing.assert_array_equal(found.starts, bags.starts)
    assert found.weights is weights
    assert found.shape == (count,)
