"""float32 arithmetic of the vector unit, in numpy: the one meaning shared by IR evaluation and simulator.

Every operation rounds to float32.  Sums over an axis and dot products accumulate in index order, so that
results do not depend on the number of requests computed together, on threads or on a BLAS library.  What both
take from here, an oracle in plain Python holds to ``docs/isa.md``: ``tests/sim/vector_oracle.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]

_DOTS_BLOCK = 128  # requests whose pairs stay in the second-level cache
_ONE = np.float32(1)
_ZERO = np.float32(0)


def _sigmoid(x: Array) -> Array:
    # exp of the negative magnitude never overflows
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, _ONE, e) / (_ONE + e))


def _erf(x: Array) -> Array:
    # the C library's double precision function, rounded once
    values = np.fromiter(map(math.erf, x.reshape(-1).tolist()), np.float64, x.size)
    return values.astype(np.float32).reshape(x.shape)


def _softplus(x: Array) -> Array:
    # log(1 + e^x) without overflow
    return np.asarray(np.maximum(x, _ZERO) + np.log1p(np.exp(-np.abs(x))))


_UNARY: dict[str, Callable[[Array, np.float32, np.float32], Array]] = {
    "relu": lambda x, a, b: np.maximum(x, _ZERO),
    "leaky_relu": lambda x, a, b: np.where(x >= 0, x, x * a),
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "neg": lambda x, a, b: -x,
    "abs": lambda x, a, b: np.abs(x),
    "reciprocal": lambda x, a, b: _ONE / x,
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "erf": lambda x, a, b: _erf(x),
    "softplus": lambda x, a, b: _softplus(x),
    "elu": lambda x, a, b: np.where(x >= 0, x, a * np.expm1(np.minimum(x, _ZERO))),
    "sign": lambda x, a, b: np.sign(x),
    "floor": lambda x, a, b: np.floor(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "round": lambda x, a, b: np.rint(x),
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "pow": np.power,
    "prelu": lambda a, b: np.where(a >= 0, a, a * b),
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "mask": lambda a, b: np.where(b != 0, a, a.dtype.type(0)),
}
_TRUTH = ("less", "less_equal", "equal")


def unary(kind: str, x: Floats, alpha: float = 0.0, beta: float = 0.0) -> Floats:
    """Elementwise function ``kind`` (see ``cimc.ir.rec.UNARY``) of ``x``, any shape."""
    with np.errstate(all="ignore"):
        out = _UNARY[kind](x, np.float32(alpha), np.float32(beta))
    return np.asarray(out, dtype=x.dtype)


def binary(kind: str, a: Array, b: Array) -> Array:
    """Elementwise function ``kind`` (see ``cimc.ir.rec.BINARY``) with numpy broadcasting.

    Integer division truncates towards zero, as in ONNX, and gives 0 for a divisor of 0.  Comparisons give
    ``bool``.
    """
    with np.errstate(all="ignore"):
        if kind == "div" and np.issubdtype(a.dtype, np.integer):
            return _truncated(a, b)
        dtype = np.dtype(bool) if kind in _TRUTH else a.dtype if kind == "mask" else np.result_type(a, b)
        return np.asarray(_BINARY[kind](a, b), dtype=dtype)


def _truncated(a: Array, b: Array) -> Array:
    # in integers: a double would not hold every quotient of 64 bits, nor that of the smallest integer and -1
    floor = np.floor_divide(a, b)
    inexact = (floor * b != a) & (b != 0)
    return np.asarray(floor + (inexact & ((a < 0) != (b < 0))), dtype=a.dtype)


def reduce(kind: str, x: Array) -> Array:
    """Reduction of ``x[outer, n, inner]`` over its middle axis to ``[outer, inner]``, in index order."""
    outer, n, inner = x.shape
    with np.errstate(all="ignore"):
        if kind in ("max", "min"):
            return np.asarray(x.max(axis=1) if kind == "max" else x.min(axis=1))
        total = np.zeros((outer, inner), x.dtype)
        for i in range(n):
            part = x[:, i, :]
            total += part * part if kind == "l2" else part
        if kind == "mean":
            total = total / x.dtype.type(n)
        elif kind == "l2":
            total = np.sqrt(total)
        return np.asarray(total, dtype=x.dtype)


@np.errstate(all="ignore")
def pair_dots(x: Floats, lhs: NDArray[np.int64], rhs: NDArray[np.int64]) -> Floats:
    """``out[b, p] = sum_d x[b, lhs[p], d] * x[b, rhs[p], d]`` for ``x[B, F, D]``, ``d`` ascending."""
    out = np.empty((x.shape[0], len(lhs)), np.float32)
    # requests innermost: a feature is then a contiguous row, which gathers and multiplies at memory speed
    for start in range(0, x.shape[0], _DOTS_BLOCK):
        part = x[start : start + _DOTS_BLOCK]
        total = np.zeros((len(lhs), len(part)), np.float32)
        for plane in np.ascontiguousarray(part.transpose(2, 1, 0)):
            product = np.take(plane, lhs, axis=0)
            product *= np.take(plane, rhs, axis=0)
            total += product
        out[start : start + len(part)] = total.T
    return out


@np.errstate(all="ignore")
def matmul(a: Floats, b: Floats) -> Floats:
    """``[B, ..., M, K] x [B, ..., K, N]``, ``K`` ascending."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    total = np.zeros((*lead, a.shape[-2], b.shape[-1]), np.float32)
    for k in range(a.shape[-1]):
        total += a[..., :, k, None] * b[..., None, k, :]
    return total


def quantize(x: Floats, scale: float, bits: int, signed: bool) -> NDArray[np.int8] | NDArray[np.uint8]:
    """``clip(rint(x / scale))``: ``-(2^(bits-1) - 1) ..`` if signed, else ``0 .. 2^bits - 1``.

    Halves round to even.  NaN becomes 0: the array has no code for it.
    """
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    low = -high if signed else 0
    with np.errstate(all="ignore"):
        q = np.rint(x / np.float32(scale))
    np.clip(q, np.float32(low), np.float32(high), out=q)
    q = np.nan_to_num(q, copy=False, nan=0.0)
    out: NDArray[np.int8] | NDArray[np.uint8] = q.astype(np.int8) if signed else q.astype(np.uint8)
    return out


@np.errstate(all="ignore")
def dequantize(acc: NDArray[np.int32], factors: Floats, bias: Floats | None) -> Floats:
    """``float32(acc) * factors + bias``, over the last axis."""
    out: Floats = acc.astype(np.float32) * factors
    return out if bias is None else out + bias


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Element type conversion; floats go towards zero when they become integers.

    A float that does not fit, and NaN, becomes the smallest integer, on every processor.
    """
    with np.errstate(all="ignore"):
        out = x.astype(dtype)
        if x.dtype.kind == "f" and dtype.kind == "i":
            lowest = np.iinfo(dtype).min
            beyond = -float(lowest)  # a power of two: the first float above all integers
            out = np.where((x >= lowest) & (x < beyond), out, dtype.type(lowest))
    return out
