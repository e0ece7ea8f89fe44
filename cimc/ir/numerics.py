"""float32 arithmetic of the vector unit, in numpy: the one meaning shared by IR evaluation and simulator.

Every operation rounds to float32.  Sums over an axis and dot products accumulate in index order, so that
results do not depend on the number of requests computed together, on threads or on a BLAS library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]

_ONE = np.float32(1)
_ZERO = np.float32(0)


def _sigmoid(x: Array) -> Array:
    # exp of the negative magnitude never overflows
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, _ONE, e) / (_ONE + e))


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
}


def unary(kind: str, x: Floats, alpha: float = 0.0, beta: float = 0.0) -> Floats:
    """Elementwise function ``kind`` (see ``cimc.ir.rec.UNARY``) of ``x``, any shape."""
    with np.errstate(all="ignore"):
        out = _UNARY[kind](x, np.float32(alpha), np.float32(beta))
    return np.asarray(out, dtype=x.dtype)


def binary(kind: str, a: Array, b: Array) -> Array:
    """Elementwise function ``kind`` (see ``cimc.ir.rec.BINARY``) with numpy broadcasting.

    Integer division truncates towards zero, as in ONNX.
    """
    with np.errstate(all="ignore"):
        if kind == "div" and np.issubdtype(a.dtype, np.integer):
            return np.asarray(np.fix(np.true_divide(a, b)), dtype=a.dtype)
        return np.asarray(_BINARY[kind](a, b), dtype=np.result_type(a, b))


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


def pair_dots(x: Floats, lhs: NDArray[np.int64], rhs: NDArray[np.int64]) -> Floats:
    """``out[b, p] = sum_d x[b, lhs[p], d] * x[b, rhs[p], d]`` for ``x[B, F, D]``, ``d`` ascending."""
    total = np.zeros((x.shape[0], len(lhs)), np.float32)
    by_dim = np.ascontiguousarray(np.moveaxis(x, 2, 0))
    for plane in by_dim:
        total += plane[:, lhs] * plane[:, rhs]
    return total


def matmul(a: Floats, b: Floats) -> Floats:
    """``[B, M, K] x [B, K, N]`` per request, ``K`` ascending."""
    total = np.zeros((a.shape[0], a.shape[1], b.shape[2]), np.float32)
    for k in range(a.shape[2]):
        total += a[:, :, k, None] * b[:, None, k, :]
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


def dequantize(acc: NDArray[np.int32], factors: Floats, bias: Floats | None) -> Floats:
    """``float32(acc) * factors + bias``, over the last axis."""
    out: Floats = acc.astype(np.float32) * factors
    return out if bias is None else out + bias


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Element type conversion; floats go towards zero when they become integers."""
    with np.errstate(all="ignore"):
        return x.astype(dtype)
