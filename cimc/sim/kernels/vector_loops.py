"""The loops of :mod:`cimc.sim.kernels.vector_arithmetic`.  Importing this module imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.kernels.vector_ir import F32, I8, I32, load, pointer, store
from cimc.support.jit import jit

_ROUND = np.float32(1.5 * 2**23)
"""Added to and subtracted from a small float32, it leaves the nearest integer, halves to even."""


@intrinsic  # type: ignore[untyped-decorator]
def _bytes_of(typing: Any, source: Any, s_at: Any, target: Any, t_at: Any) -> Any:
    """``target uint8[t_at : t_at + 64] = source float32[s_at : s_at + 64]``, integers of -128..255.

    Written out because a narrowing store of 16 elements, which compilers choose, is slow on some processors.
    """
    n = types.int64
    signature = types.void(source, n, target, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, s_at, target, t_at = arguments
        kinds = signature.args
        values = load(builder, pointer(context, builder, kinds[0], source, s_at), ir.VectorType(F32, 64), 4)
        narrow = builder.trunc(builder.fptosi(values, ir.VectorType(I32, 64)), ir.VectorType(I8, 64))
        store(builder, narrow, pointer(context, builder, kinds[2], target, t_at), 1)
        return context.get_dummy_value()

    return signature, generate


@jit
def quant(x, at, scale, low, high, out, to, n):  # type: ignore[no-untyped-def]
    rounded = np.empty(-(-n // 64) * 64, np.float32)
    rounded[n:] = 0
    for b in range(x.shape[0]):
        source = x[b, at : at + n]
        for i in range(n):
            q = source[i] / scale
            q = q if q == q else np.float32(0)
            q = low if q < low else q
            q = high if q > high else q
            rounded[i] = (q + _ROUND) - _ROUND  # clipping first is the same, as the bounds are integers
        target = out[b, to : to + n]
        whole = n // 64 * 64
        for i in range(0, whole, 64):
            _bytes_of(rounded, i, target, i)
        for i in range(whole, n):
            target[i] = np.uint8(np.int32(rounded[i]))


@jit
def dequant(acc, at, factors, bias, out, to):  # type: ignore[no-untyped-def]
    n = factors.shape[0]
    for b in range(acc.shape[0]):
        source, target = acc[b, at : at + n], out[b, to : to + n]
        for i in range(n):
            target[i] = np.float32(source[i]) * factors[i] + bias[i]


@jit
def relu(x, at, out, to, n):  # type: ignore[no-untyped-def]
    for b in range(x.shape[0]):
        source, target = x[b, at : at + n], out[b, to : to + n]
        for i in range(n):
            value = source[i]
            target[i] = np.float32(0) if value <= np.float32(0) else value
