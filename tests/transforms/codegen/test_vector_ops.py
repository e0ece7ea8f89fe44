"""Strided vector code does to memory what numpy does to arrays, in loops as in single instructions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.isa.instructions import Instr, Ref, instr
from cimc.sim.memory import Memory
from cimc.sim.vector_unit import VECTOR
from cimc.transforms.codegen.constant_pool import ConstantPool
from cimc.transforms.codegen.vector_ops import (
    binary,
    broadcast_strides,
    collapse,
    copy,
    dense_strides,
    looped,
)

A, B, OUT = Ref(0), Ref(8192), Ref(16384)
DIMS = st.lists(st.integers(1, 3), min_size=1, max_size=5)


def run(code: list[Instr], a: np.ndarray, b: np.ndarray, out: int) -> list[int]:
    """``out`` integers at ``OUT``, given those at ``A`` and ``B``."""
    scratchpad = np.zeros((1, 1 << 15), np.uint8)
    memory = Memory(scratchpad, np.zeros((1, 8), np.uint8))
    for ref, array in ((A, a), (B, b)):
        memory.i32(ref, 0, array.size)[...] = array.ravel()
    for item in code:
        VECTOR[item.name](memory, item, 0)
    return memory.i32(OUT, 0, out)[0].tolist()


@settings(max_examples=60)
@given(st.data(), DIMS)
def test_binary_broadcasts_as_numpy_does(data: st.DataObject, dims: list[int]) -> None:
    def operand(start: int) -> np.ndarray:
        mine = [d if data.draw(st.booleans()) else 1 for d in dims]
        mine = mine[data.draw(st.integers(0, len(dims) - 1)) :]  # leading axes may be missing
        return np.arange(start, start + int(np.prod(mine)), dtype=np.int32).reshape(mine)

    a, b = operand(1), operand(1000)
    expected = np.broadcast_to(a - b, dims)
    code = binary("sub", "i32", OUT, A, B, dims, a.shape, b.shape)
    assert run(code, a, b, expected.size) == expected.ravel().tolist()


@settings(max_examples=60)
@given(st.data(), DIMS)
def test_copy_permutes_as_numpy_does(data: st.DataObject, dims: list[int]) -> None:
    x = np.arange(int(np.prod(dims)), dtype=np.int32).reshape(dims)
    perm = data.draw(st.permutations(range(len(dims))))
    out = [dims[p] for p in perm]
    code = copy(OUT, A, out, dense_strides(out), [dense_strides(dims)[p] for p in perm])
    assert run(code, x, x, x.size) == np.transpose(x, perm).ravel().tolist()


def test_nothing_to_do_is_no_code() -> None:
    assert copy(OUT, A, [2, 0], [1, 1], [1, 1]) == []
    assert binary("add", "i32", OUT, A, B, [0], [0], [1]) == []


def test_loops_that_walk_memory_as_one_are_merged() -> None:
    assert collapse([(2, 12, 12), (3, 4, 4), (4, 1, 1)]) == [(24, 1, 1)]
    assert collapse([(2, 12, 0), (1, 7, 7), (12, 1, 1)]) == [(2, 12, 0), (12, 1, 1)]
    assert broadcast_strides([3, 1], [2, 3, 4]) == [0, 1, 0]
    body = [instr("fill", dst=OUT, value=1.0, n=3)]
    assert looped(1, body) == body
    assert [item.name for item in looped(5, body)] == ["loop", "fill", "end"]


def test_equal_constants_are_kept_once() -> None:
    pool = ConstantPool()
    one = pool.add(np.array([1.5, 2.5]))
    two = pool.add(np.array([True, False]))
    assert pool.add(np.array([1.5, 2.5], np.float32)) == one == Ref(0, 0, True)
    assert two == Ref(8, 0, True)
    assert pool.array()[:8].view(np.float32).tolist() == [1.5, 2.5]
    assert pool.array()[8:].view(np.int32).tolist() == [1, 0]
    assert pool.add(np.array([-(2**31), 2**31 - 1])).base == 16


@pytest.mark.parametrize("wide", [2**31, -(2**31) - 1])
def test_integers_beyond_the_chip_are_refused(wide: int) -> None:
    pool = ConstantPool()
    with pytest.raises(OverflowError):
        pool.add(np.array([0, wide]))
    assert pool.array().size == 0
