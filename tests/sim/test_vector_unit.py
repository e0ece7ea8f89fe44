"""Every vector instruction against an oracle in plain Python (``vector_oracle.py``), edge values included."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.interpreter import hits
from cimc.ir.rec import BINARY, REDUCE, UNARY
from cimc.isa.instructions import INSTRUCTIONS, Instr, Ref, instr
from cimc.sim.kernels import availability, vector_arithmetic
from cimc.sim.memory import Memory
from cimc.sim.vector_unit import VECTOR
from tests.sim import vector_oracle as oracle

pytestmark = pytest.mark.filterwarnings("error")
SIZE = 1 << 14
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = 2.0**-149
EDGES = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 127.5, 255.5, math.inf, -math.inf, math.nan,
    LARGEST, -LARGEST, SMALLEST, -SMALLEST, 2.0**-126, -(2.0**-127), 2.0**24 - 1, 2.0**23 + 0.5, 88.7, -88.7,
    -103.5, 2.0**31, -(2.0**31), 3e9,
]  # fmt: skip
EDGES = [oracle.f32(x) for x in EDGES]
INTEGER_EDGES = [0, 1, -1, 2, 7, -7, 2**24 + 1, -(2**24) - 1, 2**31 - 1, -(2**31), 2**31 - 64]
FLOATS = st.one_of(st.sampled_from(EDGES), st.floats(-20, 20, width=32), st.floats(width=32))
TAME = st.floats(-20, 20, width=32)
INTEGERS = st.one_of(st.sampled_from(INTEGER_EDGES), st.integers(-(2**31), 2**31 - 1))
Values = Sequence[float]


class Machine:
    """A tile's memory with garbage in it, in which operands are laid out one after the other."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.requests = draw(st.integers(1, 3))
        self.iteration = draw(st.sampled_from([0, 0, 1, 3]))
        self.scratchpad = np.full((self.requests, SIZE), 0xA5, np.uint8)
        self.constants = np.full((1, SIZE), 0x5A, np.uint8)
        self.top = 1024

    def _ref(self, size: int, constant: bool) -> Ref:
        at = self.top + 4 * self.draw(st.integers(0, 3))
        self.top = at + -(-size // 4) * 4
        assert self.top <= SIZE
        stride = self.draw(st.sampled_from([0, 4, 64]))
        return Ref(at - stride * self.iteration, stride, constant)

    def source(
        self, n: int, values: st.SearchStrategy[float], dtype: str = "<f4", constant: bool | None = None
    ) -> tuple[Ref, list[Values]]:
        """A place with ``n`` elements in it, and what each request finds there."""
        where = self.draw(st.booleans()) if constant is None else constant
        ref = self._ref(4 * n, where)
        memory = self.constants if where else self.scratchpad
        some = self.draw(st.lists(values, min_size=1, max_size=16))
        pick = random.Random(self.draw(st.integers(0, 99)))
        rows = [[pick.choice(some) for _ in range(n)] for _ in range(len(memory))]
        at = ref.at(self.iteration)
        for k, row in enumerate(rows):
            memory[k, at : at + 4 * n] = np.array(row, dtype).view(np.uint8)
        return ref, rows * self.requests if where else rows

    def target(self, size: int) -> Ref:
        """A place for a result of ``size`` bytes."""
        return self._ref(size, False)

    def check(
        self,
        item: Instr,
        expected: Sequence[Values],
        dtype: str = "<f4",
        *,
        ulps: int = 0,
        zeros: bool = True,
    ) -> None:
        """Execute ``item`` with every kernel there is: it writes what is expected and nothing else."""
        at, size = item.ref("dst").at(self.iteration), len(expected[0]) * np.dtype(dtype).itemsize
        for _ in kernels():
            memory = Memory(self.scratchpad.copy(), self.constants)
            VECTOR[item.name](memory, item, self.iteration)
            found = memory.scratchpad[:, at : at + size].copy().view(dtype)
            for got, want in zip(found.tolist(), expected, strict=True):
                wrong = [
                    (k, g, w) for k, (g, w) in enumerate(zip(got, want, strict=True))
                    if not same(g, w, ulps, zeros)
                ]  # fmt: skip
                assert not wrong, (str(item), wrong)
            memory.scratchpad[:, at : at + size] = self.scratchpad[:, at : at + size]
            np.testing.assert_array_equal(memory.scratchpad, self.scratchpad)


def kernels() -> Iterator[str]:
    """Once with numpy, once with compiled kernels for any number of elements, where they can be had."""
    for name in ("numpy", "numba"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(availability.VARIABLE, name)
            patch.setattr(vector_arithmetic, "_WORTH", 0)
            yield name


def place(x: float) -> int:
    """Where an f32 stands among all f32, in order."""
    bits = int(np.array(x, np.float32).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def same(got: float, want: float, ulps: int, zeros: bool) -> bool:
    if got != got or want != want:
        return got != got and want != want
    if got == want:
        return got != 0 or not zeros or math.copysign(1, got) == math.copysign(1, want)
    return isinstance(got, float) and abs(place(got) - place(want)) <= ulps


SIZES = st.one_of(st.integers(1, 9), st.sampled_from([15, 16, 17, 33, 64, 67]))


@given(a=FLOATS, b=FLOATS, name=st.sampled_from(["add", "sub", "mul", "truediv"]))
def test_the_oracle_rounds_the_exact_result_once(a: float, b: float, name: str) -> None:
    """What rests on doubles having more than twice the digits, held to fractions."""
    assume(math.isfinite(a) and math.isfinite(b) and (name != "truediv" or b != 0))
    exact = getattr(operator, name)(Fraction(a), Fraction(b))
    found = {"add": oracle.add, "sub": oracle.sub, "mul": oracle.mul, "truediv": oracle.div}[name](a, b)
    if math.isinf(found):
        assert abs(exact) >= Fraction(LARGEST) + Fraction(2) ** 103
        return
    step = Fraction(2) ** max(math.frexp(found)[1] - 24, -149)
    assert abs(exact - Fraction(found)) <= step / 2
    if abs(exact - Fraction(found)) == step / 2:
        assert (Fraction(found) / step) % 2 == 0


@pytest.mark.parametrize("fn", UNARY)
@settings(max_examples=10)
@given(data=st.data())
def test_unary(fn: str, data: st.DataObject) -> None:
    m = Machine(data.draw)
    n = data.draw(SIZES)
    alpha, beta = (data.draw(TAME) for _ in range(2)) if fn in ("leaky_relu", "elu", "clip") else (0.0, 0.0)
    src, x = m.source(n, FLOATS)
    item = instr("unary", dst=m.target(4 * n), src=src, n=n, fn=fn, alpha=alpha, beta=beta)
    expected = [oracle.unary(fn, row, alpha, beta) for row in x]
    m.check(item, expected, ulps=oracle.INEXACT.get(fn, 0), zeros=fn not in oracle.FREE_ZEROS)


def strided(m: Machine, name: str, rows: int, cols: int, values: st.SearchStrategy[float], dtype: str):
    """An operand read with any steps, and its values [rows * cols] for every request."""
    row, col = (m.draw(st.integers(-2, 3)) for _ in range(2))
    low = min((rows - 1) * row, 0) + min((cols - 1) * col, 0)
    n = (rows - 1) * abs(row) + (cols - 1) * abs(col) + 1
    ref, data = m.source(n, values, dtype)
    found = [[x[r * row + c * col - low] for r in range(rows) for c in range(cols)] for x in data]
    return {name: ref._replace(base=ref.base - 4 * low), f"{name}row": row, f"{name}col": col}, found


@pytest.mark.parametrize("fn", BINARY)
@pytest.mark.parametrize("kind", ["f32", "i32"])
@settings(max_examples=10)
@given(data=st.data())
def test_binary(kind: str, fn: str, data: st.DataObject) -> None:
    if kind == "i32" and fn == "pow":
        pytest.skip("the verifier refuses it")
    m = Machine(data.draw)
    rows, cols = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    values, dtype = (FLOATS, "<f4") if kind == "f32" else (INTEGERS, "<i4")
    a, left = strided(m, "a", rows, cols, values, dtype)
    b, right = strided(m, "b", rows, cols, values, dtype)
    item = instr("binary", dst=m.target(4 * rows * cols), fn=fn, type=kind, rows=rows, cols=cols, **a, **b)
    function = (oracle.BINARY if kind == "f32" else oracle.INTEGER)[fn]
    expected = [
        [function(v, w) for v, w in zip(*pair, strict=True)] for pair in zip(left, right, strict=True)
    ]
    truth = fn in ("less", "less_equal", "equal")
    m.check(
        item, expected, "<f4" if truth else dtype,
        ulps=oracle.INEXACT.get(fn, 0) if kind == "f32" else 0, zeros=fn not in oracle.FREE_ZEROS,
    )  # fmt: skip


@pytest.mark.parametrize("fn", REDUCE)
@settings(max_examples=10)
@given(data=st.data())
def test_reduce(fn: str, data: st.DataObject) -> None:
    m = Machine(data.draw)
    outer, n, inner = (data.draw(st.integers(1, most)) for most in (3, 17, 5))
    src, x = m.source(outer * n * inner, FLOATS)
    dst = m.target(4 * outer * inner)
    item = instr("reduce", dst=dst, src=src, fn=fn, outer=outer, n=n, inner=inner)
    expected = [oracle.reduce(fn, row, outer, n, inner) for row in x]
    m.check(item, expected, zeros=fn not in oracle.FREE_ZEROS)


@settings(max_examples=30)
@given(data=st.data())
def test_quant(data: st.DataObject) -> None:
    m = Machine(data.draw)
    n, bits, sign = (
        data.draw(SIZES),
        data.draw(st.integers(1, 8)),
        data.draw(st.sampled_from(["signed", "unsigned"])),
    )
    scale = data.draw(
        st.one_of(st.sampled_from([1.0, 0.5, SMALLEST, 1e30]), st.floats(2.0**-20, 16, width=32))
    )
    src, x = m.source(n, FLOATS)
    item = instr("quant", dst=m.target(n), src=src, n=n, scale=scale, bits=bits, sign=sign)
    scale = item.real("scale")
    expected = [[oracle.quantised(v, scale, bits, sign == "signed") for v in row] for row in x]
    m.check(item, expected, "i1" if sign == "signed" else "u1")


@settings(max_examples=30)
@given(data=st.data())
def test_dequant(data: st.DataObject) -> None:
    m = Machine(data.draw)
    n = data.draw(SIZES)
    src, acc = m.source(n, INTEGERS, "<i4")
    (f, factors), (b, bias) = (m.source(n, FLOATS) for _ in range(2))
    item = instr("dequant", dst=m.target(4 * n), src=src, factors=f, bias=b, n=n)
    m.check(
        item,
        [
            [oracle.dequantised(*v) for v in zip(*r, strict=True)]
            for r in zip(acc, factors, bias, strict=True)
        ],
    )


@settings(max_examples=30)
@given(data=st.data())
def test_iadd(data: st.DataObject) -> None:
    m = Machine(data.draw)
    n = data.draw(SIZES)
    (a, left), (b, right) = (m.source(n, INTEGERS, "<i4") for _ in range(2))
    expected = [[oracle.i32(v + w) for v, w in zip(*r, strict=True)] for r in zip(left, right, strict=True)]
    m.check(instr("iadd", dst=m.target(4 * n), a=a, b=b, n=n), expected, "<i4")


@settings(max_examples=30)
@given(data=st.data())
def test_dots(data: st.DataObject) -> None:
    m = Machine(data.draw)
    features, dim, n = (
        data.draw(st.integers(1, 5)),
        data.draw(st.integers(1, 7)),
        data.draw(st.integers(1, 9)),
    )
    src, x = m.source(features * dim, FLOATS)
    pairs, chosen = m.source(2 * n, st.integers(0, features - 1), "<i4", constant=True)
    item = instr("dots", dst=m.target(4 * n), src=src, pairs=pairs, n=n, features=features, dim=dim)
    m.check(item, [oracle.dots(row, [int(p) for p in chosen[0]], dim) for row in x])


@settings(max_examples=30)
@given(data=st.data())
def test_matmul(data: st.DataObject) -> None:
    m = Machine(data.draw)
    rows, k, n = (data.draw(st.integers(1, 5)) for _ in range(3))
    a, left = m.source(rows * k, FLOATS)
    b, right = m.source(k * n, FLOATS)
    item = instr("matmul", dst=m.target(4 * rows * n), a=a, b=b, m=rows, k=k, n=n)
    m.check(item, [oracle.matmul(v, w, rows, k, n) for v, w in zip(left, right, strict=True)])


@settings(max_examples=30)
@given(data=st.data())
def test_copy(data: st.DataObject) -> None:
    """Concatenations, slices and transpositions: a box from any steps to any order of dense ones."""
    m = Machine(data.draw)
    counts = [data.draw(st.integers(1, 4)) for _ in range(3)]
    steps = [data.draw(st.integers(-3, 4)) for _ in range(3)]
    order = data.draw(st.permutations(range(3)))
    low = sum(min((c - 1) * s, 0) for c, s in zip(counts, steps, strict=True))
    src, x = m.source(sum((c - 1) * abs(s) for c, s in zip(counts, steps, strict=True)) + 1, INTEGERS, "<i4")
    to, width = [0] * 3, 1
    for d in order:
        to[d], width = width, width * counts[d]
    box = [(i, j, k) for i in range(counts[0]) for j in range(counts[1]) for k in range(counts[2])]

    def at(where: tuple[int, ...], by: list[int]) -> int:
        return sum(i * s for i, s in zip(where, by, strict=True))

    expected = []
    for row in x:
        out = [0.0] * width
        for where in box:
            out[at(where, to)] = row[at(where, steps) - low]
        expected.append(out)
    numbers = {
        f"{name}{d}": v
        for name, values in (("n", counts), ("d", to), ("s", steps))
        for d, v in enumerate(values)
    }
    m.check(
        instr("copy", dst=m.target(4 * width), src=src._replace(base=src.base - 4 * low), **numbers),
        expected,
        "<i4",
    )


@settings(max_examples=30)
@given(data=st.data())
def test_gather(data: st.DataObject) -> None:
    m = Machine(data.draw)
    rows, inner, n = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    src, x = m.source(rows * inner, INTEGERS, "<i4")
    index, chosen = m.source(n, st.integers(0, rows - 1), "<i4", constant=True)
    item = instr("gather", dst=m.target(4 * n * inner), src=src, index=index, n=n, inner=inner)
    m.check(item, [[row[int(j) * inner + c] for j in chosen[0] for c in range(inner)] for row in x], "<i4")


@settings(max_examples=30)
@given(data=st.data(), value=FLOATS)
def test_fill(data: st.DataObject, value: float) -> None:
    m = Machine(data.draw)
    n = data.draw(SIZES)
    m.check(instr("fill", dst=m.target(4 * n), value=value, n=n), [[value] * n] * m.requests)


@settings(max_examples=30)
@given(data=st.data())
def test_cast(data: st.DataObject) -> None:
    m = Machine(data.draw)
    n = data.draw(SIZES)
    src, x = m.source(n, FLOATS)
    expected: list[Values] = [[oracle.integer_of(v) for v in row] for row in x]
    m.check(instr("cast", dst=m.target(4 * n), src=src, n=n, to="i32"), expected, "<i4")
    src, x = m.source(n, INTEGERS, "<i4")
    m.check(
        instr("cast", dst=m.target(4 * n), src=src, n=n, to="f32"),
        [[oracle.f32(v) for v in row] for row in x],
    )


@settings(max_examples=30)
@given(data=st.data(), k=st.integers(1, 9), count=st.integers(0, 20), levels=st.sampled_from([1, 40]))
def test_merge(data: st.DataObject, k: int, count: int, levels: int) -> None:
    """The best of two lists are the best of all that they were made from; of equals the lower id."""
    m = Machine(data.draw)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    scores = rng.integers(-levels, levels + 1, (m.requests, count)).astype(np.float32)
    cut = int(rng.integers(0, count + 1))
    places = []
    for part, first in ((scores[:, :cut], 0), (scores[:, cut:], cut)):
        ref = m._ref(8 * k, False)
        at = ref.at(m.iteration)
        m.scratchpad[:, at : at + 8 * k] = np.ascontiguousarray(hits.best(part, first, k)).view(np.uint8)
        places.append(ref)
    item = instr("merge", dst=m.target(8 * k), a=places[0], b=places[1], k=k)
    m.check(item, hits.best(scores, 0, k).tolist(), "<i4")


def test_every_vector_instruction_has_its_test() -> None:
    vector = {name for name, spec in INSTRUCTIONS.items() if spec.unit == "vector"}
    assert vector == set(VECTOR) == {name for name in vector if f"test_{name}" in globals()}
    assert set(oracle.UNARY) == set(UNARY)
    assert set(oracle.BINARY) == set(BINARY)
