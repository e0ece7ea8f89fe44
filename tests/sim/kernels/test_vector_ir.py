"""Pieces of vector code, each compiled into a function of its own."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.kernels.vector_ir import (
    F32,
    FEATURES,
    I64,
    call,
    constant,
    load,
    loop,
    pointer,
    shifted,
    splat,
    store,
)


@intrinsic  # type: ignore[untyped-decorator]
def _scaled(typing: Any, source: Any, target: Any, factor: Any) -> Any:
    """``target[:4] = source[1:5] * factor + (1, 2, 3, 4)``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        s, t, f = arguments
        zero = ir.Constant(I64, 0)
        base = pointer(context, builder, signature.args[0], s, zero)
        values = load(builder, shifted(builder, base, 4), ir.VectorType(F32, 4), 4)
        made = builder.fmul(values, splat(builder, f, 4))
        made = builder.fadd(made, constant(F32, [1.0, 2.0, 3.0, 4.0]))
        store(builder, made, pointer(context, builder, signature.args[1], t, zero), 4)
        return context.get_dummy_value()

    return types.void(source, target, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def _triangle(typing: Any, count: Any) -> Any:
    """``0 + 1 + ... + (count - 1)``, and the iterations, as ``sum * 1000 + iterations``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(I64, 0)

        def body(index: Any, values: list[Any]) -> list[Any]:
            return [builder.add(values[0], index), builder.add(values[1], ir.Constant(I64, 1))]

        total, times = loop(builder, arguments[0], [zero, zero], body)
        return builder.add(builder.mul(total, ir.Constant(I64, 1000)), times)

    return types.int64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _bits(typing: Any, value: Any) -> Any:
    """The number of ones in a word, by an instruction of LLVM."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "llvm.ctpop.i64", I64, arguments[0])

    return types.int64(types.int64), generate


def test_vectors_are_read_and_written_where_they_should_be() -> None:
    run = numba.njit(lambda s, t, f: _scaled(s, t, f))
    source, target = np.arange(8, dtype=np.float32), np.full(6, -1, np.float32)
    run(source, target, np.float32(10))
    assert target.tolist() == [11, 22, 33, 44, -1, -1]


def test_a_loop_carries_values_and_runs_once_at_least() -> None:
    run = numba.njit(lambda n: _triangle(n))
    assert [run(n) for n in (1, 2, 5)] == [1, 1002, 10005]
    assert run(0) == 1


def test_instructions_of_llvm_can_be_called() -> None:
    assert numba.njit(lambda n: _bits(n))(0b1011) == 3


def test_features_have_their_sign() -> None:
    assert all(name[:1] in ("+", "-", "") for name in FEATURES)
