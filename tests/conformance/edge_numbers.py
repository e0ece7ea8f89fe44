"""Edge values of operators that compute."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from tests.conformance.edge_moves import ROWS, WHOLE, X24, X45, Array, floats, ints
from tests.conformance.sweep import Case

SPECIAL = np.array(
    [[0.0, -0.0, 0.5, -0.5], [1.5, 2.5, -2.5, 1e30], [np.nan, np.inf, -np.inf, -7.25]], np.float32
)
"""Halves, zeros of both signs, and what is no number."""
SIGNED = np.array([[7, -7, 8, -8], [1, -1, 0, 5], [-9, 9, 3, -3]])


def f32(value: float) -> Array:
    return np.array(value, np.float32)


def reductions() -> Iterator[Case]:
    """Axes of every sign, several, none and empty; with and without noop_with_empty_axes."""
    old = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
    rare = ("ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
    for op, keep in product((*old, *rare), (0, 1)):
        x = np.abs(X45) + np.float32(0.5) if "Log" in op else X45
        for axes in ([1], [-1], [-2, -1], [0], [2, 1], [1, 1], [-3], [3], [-4], [0, 1, 2]):
            yield Case(op, 11, (x,), {"axes": axes, "keepdims": keep})
            for noop in (0, 1):
                attrs = {"keepdims": keep, "noop_with_empty_axes": noop}
                yield Case(op, 18, (x, ints(*axes)), attrs)
        for noop in (0, 1):
            attrs = {"keepdims": keep, "noop_with_empty_axes": noop}
            yield Case(op, 18, (x, ints()), attrs)
            yield Case(op, 18, (x,), attrs)
        yield Case(op, 11, (x,), {"keepdims": keep})
    for op, axis, keep, last in product(("ArgMax", "ArgMin"), (-3, -1, 0, 1, 2, 3), (0, 1), (0, 1)):
        tied = np.round(X45 / 4).astype(np.float32)
        yield Case(op, 13, (tied,), {"axis": axis, "keepdims": keep, "select_last_index": last})
        yield Case(op, 13, (WHOLE,), {"axis": axis, "keepdims": keep, "select_last_index": last})


def runs() -> Iterator[Case]:
    """CumSum, Trilu, Softmax and the normalisations on every axis."""
    for x, axis, exclusive, reverse in product((X24, X45, WHOLE), (-3, -2, -1, 0, 1, 2), (0, 1), (0, 1)):
        for kind in (np.int64, np.int32):
            attrs = {"exclusive": exclusive, "reverse": reverse}
            yield Case("CumSum", 14, (x, np.array(axis, kind)), attrs)
        yield Case("CumSum", 11, (x, ints(axis)), {"exclusive": exclusive, "reverse": reverse})
    yield Case("CumSum", 14, (floats(ROWS, 1), np.array(1)), {"exclusive": 1})
    yield Case("CumSum", 14, (floats(ROWS, 0), np.array(1)), {})
    for k, upper in product((None, -5, -1, 0, 1, 2, 9), (0, 1)):
        for x in (X45, WHOLE):
            yield Case("Trilu", 14, (x, None if k is None else np.array(k)), {"upper": upper})
    for op, x, axis in product(("Softmax", "LogSoftmax"), (X24, X45), (None, -3, -2, -1, 0, 1, 2, 3)):
        for opset in (1, 11, 13):
            yield Case(op, opset, (x,), {} if axis is None else {"axis": axis})
    for x, axis, p in product((X24, X45, X24 * 0), (-1, 0, 1, 2), (1, 2)):
        yield Case("LpNormalization", 1, (x,), {"axis": axis, "p": p})


def choices() -> Iterator[Case]:
    """OneHot and TopK: indices of every sign and out of range, depth and k at both ends, every axis."""
    for depth, axis in product((0, 1, 3, 4), (-3, -2, -1, 0, 1, 2)):
        for index in (ints(0, -1, 3), ints(-4, 4, 2), SIGNED):
            for levels in (np.array([0, 1], np.float32), np.array([2, -1], np.float32), ints(0, 1)):
                yield Case("OneHot", 11, (index, np.array(depth), levels), {"axis": axis})
        yield Case("OneHot", 11, (X24, np.array(depth), np.array([0, 1], np.float32)), {"axis": axis})
        for few, size in product((np.int32, np.int64), (np.int32, np.float32)):
            levels = np.array([3, -2], np.float32)
            yield Case("OneHot", 11, (SIGNED.astype(few), np.array(depth, size), levels), {"axis": axis})
    tied = np.round(X24 / 2).astype(np.float32)
    for x, k, axis, largest, sort in product((X24, tied), (0, 1, 3, 4, 5), (-1, 0, 1, 2), (0, 1), (0, 1)):
        if sort or largest:
            attrs = {"axis": axis, "largest": largest, "sorted": 1}
            yield Case("TopK", 11, (x, ints(k)), attrs, 2)
    for k in (0, 1, 4, 5):
        yield Case("TopK", 10, (X24, ints(k)), {"axis": 1}, 2)
        yield Case("TopK", 1, (X24,), {"axis": 1, "k": k}, 2)


def ranges() -> Iterator[Case]:
    """Range upwards, downwards and empty, of integers and floats."""
    for start, limit, delta in product((-3, 0, 2, 7), (-4, 0, 3, 8), (-3, -1, 1, 2, 0)):
        for kind in (np.int64, np.int32, np.float32):
            arrays = tuple(np.array(v, kind) for v in (start, limit, delta))
            yield Case("Range", 11, arrays, whole=())
    for delta in (0.5, -0.3, 0.1):
        yield Case("Range", 11, (f32(0), f32(1.0), f32(delta)), whole=())


def elementwise() -> Iterator[Case]:
    """Signs, zeros, halves and what is no number."""
    for op in (
        "Round", "Sign", "Floor", "Ceil", "Neg", "Abs", "Reciprocal", "Relu", "Sqrt", "IsNaN", "Exp", "Tanh",
        "Sigmoid", "Softplus", "Erf", "HardSwish", "Softsign", "Elu", "LeakyRelu", "Selu", "Celu",
        "ThresholdedRelu", "HardSigmoid",
    ):  # fmt: skip
        yield Case(op, 16, (SPECIAL,))
        yield Case(op, 16, (X24,))
    for low, high in product((None, -1.0, 2.0, np.nan, -np.inf), (None, 1.0, -2.0, np.nan, np.inf)):
        bounds = [None if v is None else f32(v) for v in (low, high)]
        yield Case("Clip", 13, (SPECIAL, *bounds))
        yield Case("Clip", 13, (X24, *bounds))
        attrs = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        yield Case("Clip", 6, (X24,), attrs)
    for detect in product((0, 1), (0, 1)):
        yield Case("IsInf", 10, (SPECIAL,), {"detect_negative": detect[0], "detect_positive": detect[1]})
    for op, divisor in product(("Div", "Mod", "Pow", "Max", "Min"), (-3, -1, 1, 2, 3)):
        for kind in (np.int64, np.int32):
            yield Case(op, 13, (SIGNED.astype(kind), np.array([divisor], kind)))
        yield Case(op, 13, (SPECIAL, f32(divisor).reshape(1)), {"fmod": 1} if op == "Mod" else {})
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "Equal", "GreaterOrEqual", "PRelu"):
        for other in (f32(0.0), f32(np.nan), f32(-2.0).reshape(1, 1), floats(4), floats(1, 4), floats(3, 1)):
            yield Case(op, 16, (SPECIAL, other))
    for to, x in product((1, 6, 7, 9, 10, 11), (SPECIAL[:2, :3], X24, SIGNED, SIGNED > 0)):
        yield Case("Cast", 13, (x,), {"to": to})
    for yes, no in product((X24, f32(1.0), floats(4), f32(np.nan)), repeat=2):
        yield Case("Where", 16, (SIGNED > 0, yes, no), whole=(0,))
