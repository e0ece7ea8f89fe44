"""Buffers of a tile: none that live together share a byte, parts lie inside of their whole."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import Block, SSAValue

from cimc.errors import InfeasibleError
from cimc.ir.types import tensor
from cimc.transforms.schedule.scratchpad import ALIGN, Buffers

LIVES = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


def value(n: int) -> SSAValue:
    """``n`` f32 per request."""
    return Block(arg_types=[tensor((-1, n))]).args[0]


@settings(max_examples=60)
@given(LIVES)
def test_buffers_that_live_together_lie_apart(lives: list[tuple[int, int, int]]) -> None:
    buffers = Buffers()
    made = []
    for n, start, length in lives:
        made.append(value(n))
        buffers.define(made[-1], start)
        buffers.use(made[-1], start + length)
    top = buffers.assign(10**6, 0)
    ends = [buffers.address(v) + 4 * n for v, (n, _, _) in zip(made, lives, strict=True)]
    assert top == max(ends)
    for (v, (n, s, w)), (u, (m, t, x)) in itertools.combinations(zip(made, lives, strict=True), 2):
        if s <= t + x and t <= s + w:
            a, b = buffers.address(v), buffers.address(u)
            assert a + 4 * n <= b or b + 4 * m <= a
    assert all(buffers.address(v) % ALIGN == 0 for v in made)
    busiest = max(sum(4 * n for n, s, w in lives if s <= at <= s + w) for at in range(20))
    assert top >= busiest
    with pytest.raises(InfeasibleError) as error:
        buffers.assign(busiest - 1, 7)
    assert error.value.shortage.demand >= busiest
    assert "tile 7" in str(error.value)


def test_memory_is_used_again() -> None:
    buffers, first, second = Buffers(), value(10), value(10)
    buffers.define(first, 0)
    buffers.use(first, 3)
    buffers.define(second, 4)
    assert buffers.assign(100, 0) == 40
    assert buffers.address(first) == buffers.address(second) == 0


def test_memory_is_used_again_only_where_it_must() -> None:
    """What overwrites a value waits for all who read it, which costs time and saves what nobody needs."""
    buffers, first, second = Buffers(), value(10), value(10)
    buffers.define(first, 0)
    buffers.use(first, 3)
    buffers.define(second, 4)
    assert buffers.assign(100, 0, apart=True) == 80
    assert buffers.address(first) != buffers.address(second)
    assert buffers.assign(79, 0, apart=True) == 40


def test_a_part_lies_in_its_whole() -> None:
    buffers, whole, part = Buffers(), value(10), value(4)
    buffers.define(whole, 0)
    assert part not in buffers
    buffers.alias(part, whole, 16)
    buffers.use(part, 9)
    other = value(1)
    buffers.define(other, 9)
    buffers.assign(1000, 0)
    assert buffers.address(part) == buffers.address(whole) + 16
    assert buffers.address(other) >= buffers.address(whole) + 40  # the part keeps the whole alive


def test_operands_are_made_in_place_of_their_concatenation() -> None:
    buffers, a, b, joined = Buffers(), value(3), value(5), value(11)
    elsewhere = value(3)
    buffers.define(a, 0)
    buffers.define(b, 1)
    inside = value(2)
    buffers.alias(inside, b, 4)
    buffers.concatenate(joined, [a, elsewhere, b], 2)
    assert len(buffers.buffers) == 1
    assert buffers.buffers[0].start == 0
    buffers.assign(1000, 0)
    at = buffers.address(joined)
    assert [buffers.address(v) - at for v in (a, b, inside)] == [0, 24, 28]


def test_a_value_joined_twice_is_made_in_place_once() -> None:
    buffers, a = Buffers(), value(3)
    one, two = value(3), value(3)
    buffers.define(a, 0)
    buffers.concatenate(one, [a], 1)
    buffers.concatenate(
        two,
        [
            a,
        ],
        2,
    )
    buffers.assign(1000, 0)
    assert buffers.address(a) == buffers.address(two)
