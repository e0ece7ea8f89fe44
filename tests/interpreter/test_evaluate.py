"""IR evaluation against index arithmetic in plain Python, element by element."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import Attribute
from xdsl.ir import Operation, SSAValue

from cimc.interpreter.evaluate import evaluate
from cimc.ir import rec
from cimc.ir.types import tensor
from tests.build import module
from tests.sim import vector_oracle as oracle

Place = tuple[int, ...]
Array = np.ndarray
DIMS = st.lists(st.integers(1, 4), min_size=2, max_size=4)
SETTINGS = settings(max_examples=20)


def numbers(dims: list[int], start: int = 0) -> Array:
    """Different whole numbers, so that a wrong place shows."""
    return (np.arange(np.prod(dims), dtype=np.float32) + start).reshape(dims)


def evaluated(make: Callable[[list[SSAValue]], Operation], *arrays: Array) -> Array:
    """What the operation gives, for a batch of any size."""
    inputs: dict[str, Attribute] = {f"x{i}": tensor((-1, *a.shape[1:])) for i, a in enumerate(arrays)}
    made, ctx = module(inputs, lambda b, args: [b.add(make(args))])
    return evaluate(made, ctx, {f"x{i}": a for i, a in enumerate(arrays)})["y0"]


def expect(found: Array, dims: list[int], at: Callable[[Place], float]) -> None:
    assert list(found.shape) == dims
    for place in itertools.product(*map(range, dims)):
        assert found[place].item() == at(place), place


def moved(place: Place, axis: int, to: int) -> Place:
    return (*place[:axis], to, *place[axis + 1 :])


@SETTINGS
@given(st.data(), DIMS)
def test_transpose(data: st.DataObject, dims: list[int]) -> None:
    x = numbers(dims)
    perm = [0, *data.draw(st.permutations(range(1, len(dims))))]
    found = evaluated(lambda v: rec.TransposeOp(v[0], perm), x)
    expect(found, [dims[p] for p in perm], lambda out: x[tuple(out[perm.index(d)] for d in range(len(dims)))])


@SETTINGS
@given(st.data(), DIMS)
def test_parts_of_an_axis(data: st.DataObject, dims: list[int]) -> None:
    x, axis = numbers(dims), data.draw(st.integers(1, len(dims) - 1))
    start = data.draw(st.integers(0, dims[axis] - 1))
    stop = data.draw(st.integers(start + 1, dims[axis]))
    found = evaluated(lambda v: rec.SliceOp(v[0], axis, start, stop), x)
    expect(found, list(moved(tuple(dims), axis, stop - start)), lambda o: x[moved(o, axis, o[axis] + start)])
    chosen = data.draw(st.lists(st.integers(0, dims[axis] - 1), min_size=1, max_size=5))
    found = evaluated(lambda v: rec.TakeOp(v[0], axis, chosen), x)
    expect(found, list(moved(tuple(dims), axis, len(chosen))), lambda o: x[moved(o, axis, chosen[o[axis]])])


@SETTINGS
@given(st.data(), DIMS)
def test_pad(data: st.DataObject, dims: list[int]) -> None:
    x, axis = numbers(dims), data.draw(st.integers(1, len(dims) - 1))
    before, after = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))

    def at(out: Place) -> float:
        inside = out[axis] - before
        return float(x[moved(out, axis, inside)]) if 0 <= inside < dims[axis] else -3.5

    found = evaluated(lambda v: rec.PadOp(v[0], axis, before, after, -3.5), x)
    expect(found, list(moved(tuple(dims), axis, before + dims[axis] + after)), at)


@SETTINGS
@given(st.data(), DIMS)
def test_concat(data: st.DataObject, dims: list[int]) -> None:
    axis = data.draw(st.integers(1, len(dims) - 1))
    widths = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    parts = [numbers(list(moved(tuple(dims), axis, w)), 1000 * k) for k, w in enumerate(widths)]
    owner = [(k, i) for k, w in enumerate(widths) for i in range(w)]

    def at(out: Place) -> float:
        part, inside = owner[out[axis]]
        return float(parts[part][moved(out, axis, inside)])

    found = evaluated(lambda v: rec.ConcatOp(v, axis), *parts)
    expect(found, list(moved(tuple(dims), axis, sum(widths))), at)


@SETTINGS
@given(st.data(), DIMS)
def test_reshape_and_expand(data: st.DataObject, dims: list[int]) -> None:
    x = numbers(dims)
    size = int(np.prod(dims[1:]))
    found = evaluated(lambda v: rec.ReshapeOp(v[0], (-1, 1, size)), x)
    expect(found, [dims[0], 1, size], lambda out: out[0] * size + out[2])
    axis = data.draw(st.integers(1, len(dims) - 1))
    narrow = numbers(list(moved(tuple(dims), axis, 1)))
    found = evaluated(lambda v: rec.ExpandOp(v[0], (-1, *dims[1:])), narrow)
    expect(found, dims, lambda out: narrow[moved(out, axis, 0)])


@SETTINGS
@given(st.data(), DIMS, st.sampled_from(rec.REDUCE), st.booleans())
def test_reduce(data: st.DataObject, dims: list[int], kind: str, kept: bool) -> None:
    axes = sorted(data.draw(st.sets(st.integers(1, len(dims) - 1), min_size=1)))
    x = (np.random.default_rng(len(axes)).normal(0, 9, dims)).astype(np.float32)

    def at(out: Place) -> float:
        rest = iter(out)
        where = [range(n) if d in axes else [next(rest)] for d, n in enumerate(dims)]
        values = [float(x[place]) for place in itertools.product(*where)]
        return oracle.reduce(kind, values, 1, len(values), 1)[0]

    found = evaluated(lambda v: rec.ReduceOp(kind, v[0], axes, kept), x)
    if kept:
        assert list(found.shape) == [1 if d in axes else n for d, n in enumerate(dims)]
        found = found.reshape([n for d, n in enumerate(dims) if d not in axes])
    expect(found, [n for d, n in enumerate(dims) if d not in axes], at)


@SETTINGS
@given(batch=st.integers(1, 3), m=st.integers(1, 4), k=st.integers(1, 5), n=st.integers(1, 4))
def test_products(batch: int, m: int, k: int, n: int) -> None:
    rng = np.random.default_rng(m * 10 + k)
    a, b = (rng.normal(0, 3, (batch, *dims)).astype(np.float32) for dims in ((m, k), (k, n)))
    found = evaluated(lambda v: rec.MatmulOp(*v), a, b)
    for got, left, right in zip(found, a, b, strict=True):
        assert got.ravel().tolist() == oracle.matmul(left.ravel().tolist(), right.ravel().tolist(), m, k, n)
    pairs = rng.integers(0, m, 2 * n)
    found = evaluated(lambda v: rec.DotInteractionOp(v[0], pairs[:n], pairs[n:]), a)
    for got, left in zip(found, a, strict=True):
        assert got.tolist() == oracle.dots(left.ravel().tolist(), pairs.tolist(), k)
