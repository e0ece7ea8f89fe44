"""Random words and deviates as vector code: :mod:`cimc.support.random.splitmix` to the bit, 32 at a time.

numba's cache notices changes of the file that holds a compiled function, not of this one or of
``support/random``: after changing them, remove ``__pycache__``.  Importing this imports numba.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.kernels.vector_ir import F32, I16, I32, I64, constant, loop, pointer, splat, store
from cimc.support.random.quantiles import CENTRE, CURVE, LOGARITHM
from cimc.support.random.splitmix import GAMMA, ROUNDS

WORDS = 8
"""Words that are mixed together."""
LANES = 4 * WORDS
"""Deviates that they give."""


def mixed(builder: Any, z: Any) -> Any:
    """The finaliser of splitmix64 on ``i64`` lanes."""
    for shift, factor in ROUNDS:
        z = builder.xor(z, builder.lshr(z, constant(I64, [shift] * WORDS)))
        if factor != 1:
            z = builder.mul(z, constant(I64, [factor] * WORDS))
    return z


def deviates(builder: Any, words: Any) -> Any:
    """:func:`cimc.support.random.quantiles.deviate` of the 16-bit fields of ``words``, lowest first."""
    i32, f32 = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)

    def real(value: float) -> Any:
        return constant(F32, [value] * LANES)

    def whole(value: int) -> Any:
        return constant(I32, [value] * LANES)

    def polynomial(coefficients: tuple[float, ...], at: Any) -> Any:
        total = real(coefficients[-1])
        for c in coefficients[-2::-1]:
            total = builder.fadd(builder.fmul(total, at), real(c))
        return total

    fields = builder.zext(builder.bitcast(words, ir.VectorType(I16, LANES)), i32)
    at = builder.sitofp(fields, f32)
    left = builder.fadd(at, real(0.5))
    product = builder.bitcast(builder.fmul(left, builder.fsub(real(2 * CENTRE - 0.5), at)), i32)
    mantissa = builder.or_(builder.and_(product, whole(0x7FFFFF)), whole(0x3F800000))
    part = builder.fsub(builder.bitcast(mantissa, f32), real(1.0))
    exponent = builder.sitofp(builder.sub(whole(157), builder.lshr(product, whole(23))), f32)
    depth = builder.fsub(exponent, builder.fmul(polynomial(LOGARITHM, part), part))
    return builder.fmul(builder.fsub(left, real(CENTRE)), polynomial(CURVE, depth))


@intrinsic  # type: ignore[untyped-decorator]
def fill(typing: Any, key: Any, word: Any, count: Any, out: Any) -> Any:
    """``out float32[32 * count]``: the deviates of words ``word ..`` of the stream ``key``."""
    n = types.int64
    signature = types.void(types.uint64, n, n, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        key, word, count, array = arguments
        target = pointer(context, builder, signature.args[3], array, ir.Constant(I64, 0))
        start = builder.add(key, builder.mul(word, ir.Constant(I64, GAMMA)))
        near = constant(I64, [(j + 1) * GAMMA % 2**64 for j in range(WORDS)])
        onwards = constant(I64, [WORDS * GAMMA % 2**64] * WORDS)

        def some(number: Any, carried: list[Any]) -> list[Any]:
            (state,) = carried
            z = deviates(builder, mixed(builder, state))
            store(builder, z, builder.gep(target, [builder.mul(number, ir.Constant(I64, 4 * LANES))]), 4)
            return [builder.add(state, onwards)]

        loop(builder, count, [builder.add(splat(builder, start, WORDS), near)], some)
        return context.get_dummy_value()

    return signature, generate
