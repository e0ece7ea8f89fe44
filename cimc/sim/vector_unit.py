"""The vector unit: one function per instruction, as ``docs/isa.md`` defines them.

Arithmetic is that of :mod:`cimc.interpreter.numerics`, which IR evaluation uses too; common instructions on
many elements are compiled (:mod:`cimc.sim.kernels.vector_arithmetic`), with the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.interpreter import numerics
from cimc.ir.rec import COMPARISONS
from cimc.isa.instructions import Instr, Ref
from cimc.sim.kernels import vector_arithmetic
from cimc.sim.kernels.searches import running_best
from cimc.sim.memory import Memory


def _many(memory: Memory, n: int, src: Ref, dst: Ref, i: int) -> bool:
    """Whether compiled kernels take ``n`` elements of every request: enough, and not partly overlapping."""
    apart = abs(src.at(i) - dst.at(i))
    return (
        not src.constant and (apart == 0 or apart >= 4 * n) and vector_arithmetic.serves(memory.requests, n)
    )


def quant(memory: Memory, item: Instr, i: int) -> None:
    n, signed = item.number("n"), item.word("sign") == "signed"
    src, dst = item.ref("src"), item.ref("dst")
    if _many(memory, n, src, dst, i):
        high = (1 << (item.number("bits") - 1)) - 1 if signed else (1 << item.number("bits")) - 1
        vector_arithmetic.quant(
            memory.scratchpad.view(np.float32), src.at(i) // 4, item.real("scale"), -high if signed else 0,
            high, memory.scratchpad, dst.at(i), n,
        )  # fmt: skip
        return
    x = memory.f32(item.ref("src"), i, n)
    q = numerics.quantize(x, item.real("scale"), item.number("bits"), signed)
    memory.raw(item.ref("dst"), i, n)[...] = q.view(np.uint8)


def dequant(memory: Memory, item: Instr, i: int) -> None:
    n = item.number("n")
    src, dst, constants = item.ref("src"), item.ref("dst"), (item.ref("factors"), item.ref("bias"))
    if _many(memory, n, src, dst, i) and all(ref.constant for ref in constants):
        factors, bias = (memory.f32(ref, i, n)[0] for ref in constants)
        vector_arithmetic.dequant(
            memory.scratchpad.view(np.int32), src.at(i) // 4, factors, bias,
            memory.scratchpad.view(np.float32), dst.at(i) // 4,
        )  # fmt: skip
        return
    memory.f32(item.ref("dst"), i, n)[...] = numerics.dequantize(
        memory.i32(item.ref("src"), i, n),
        memory.f32(item.ref("factors"), i, n),
        memory.f32(item.ref("bias"), i, n),
    )


def iadd(memory: Memory, item: Instr, i: int) -> None:
    n = item.number("n")
    memory.i32(item.ref("dst"), i, n)[...] = memory.i32(item.ref("a"), i, n) + memory.i32(item.ref("b"), i, n)


def unary(memory: Memory, item: Instr, i: int) -> None:
    n = item.number("n")
    src, dst = item.ref("src"), item.ref("dst")
    if item.word("fn") == "relu" and _many(memory, n, src, dst, i):
        floats = memory.scratchpad.view(np.float32)
        vector_arithmetic.relu(floats, src.at(i) // 4, floats, dst.at(i) // 4, n)
        return
    x = memory.f32(item.ref("src"), i, n)
    memory.f32(item.ref("dst"), i, n)[...] = numerics.unary(
        item.word("fn"), x, item.real("alpha"), item.real("beta")
    )


def binary(memory: Memory, item: Instr, i: int) -> None:
    counts = (item.number("rows"), item.number("cols"))
    dtype = np.float32 if item.word("type") == "f32" else np.int32

    def read(name: str) -> NDArray[Any]:
        steps = (item.number(f"{name}row"), item.number(f"{name}col"))
        return memory.strided(item.ref(name), i, counts, steps, dtype)

    out = numerics.binary(item.word("fn"), read("a"), read("b"))
    wide = np.broadcast_to(out, (memory.requests, *counts))
    size = counts[0] * counts[1]
    kept = np.float32 if item.word("fn") in COMPARISONS else dtype
    memory.raw(item.ref("dst"), i, 4 * size).view(kept)[...] = wide.reshape(memory.requests, size)


def reduce(memory: Memory, item: Instr, i: int) -> None:
    outer, n, inner = item.number("outer"), item.number("n"), item.number("inner")
    x = memory.f32(item.ref("src"), i, outer * n * inner)
    wide = np.broadcast_to(x, (memory.requests, x.shape[1])).reshape(memory.requests * outer, n, inner)
    out = numerics.reduce(item.word("fn"), wide)
    memory.f32(item.ref("dst"), i, outer * inner)[...] = out.reshape(memory.requests, outer * inner)


def dots(memory: Memory, item: Instr, i: int) -> None:
    n, features, dim = item.number("n"), item.number("features"), item.number("dim")
    pairs = memory.i32(item.ref("pairs"), i, 2 * n)[0].astype(np.int64)
    x = memory.f32(item.ref("src"), i, features * dim).reshape(-1, features, dim)
    memory.f32(item.ref("dst"), i, n)[...] = numerics.pair_dots(x, pairs[:n], pairs[n:])


def matmul(memory: Memory, item: Instr, i: int) -> None:
    m, k, n = item.number("m"), item.number("k"), item.number("n")
    a = memory.f32(item.ref("a"), i, m * k)
    b = memory.f32(item.ref("b"), i, k * n)
    out = numerics.matmul(a.reshape(len(a), m, k), b.reshape(len(b), k, n))
    memory.f32(item.ref("dst"), i, m * n)[...] = out.reshape(len(out), m * n)


def copy(memory: Memory, item: Instr, i: int) -> None:
    counts = tuple(item.number(f"n{d}") for d in range(3))

    def view(name: str) -> NDArray[Any]:
        steps = tuple(item.number(f"{name[0]}{d}") for d in range(3))
        return memory.strided(item.ref(name), i, counts, steps, np.int32)

    view("dst")[...] = view("src")


def gather(memory: Memory, item: Instr, i: int) -> None:
    n, inner = item.number("n"), item.number("inner")
    index = memory.i32(item.ref("index"), i, n)[0].astype(np.int64)
    src = memory.i32(item.ref("src"), i, (int(index.max(initial=0)) + 1) * inner)
    chosen = src.reshape(len(src), src.shape[1] // inner, inner)[:, index]
    memory.i32(item.ref("dst"), i, n * inner)[...] = chosen.reshape(len(chosen), n * inner)


def fill(memory: Memory, item: Instr, i: int) -> None:
    memory.f32(item.ref("dst"), i, item.number("n"))[...] = np.float32(item.real("value"))


def cast(memory: Memory, item: Instr, i: int) -> None:
    n, dst = item.number("n"), item.ref("dst")
    if item.word("to") == "i32":
        x = memory.f32(item.ref("src"), i, n)
        memory.i32(dst, i, n)[...] = numerics.cast(x, np.dtype(np.int32))
    else:
        memory.f32(dst, i, n)[...] = memory.i32(item.ref("src"), i, n)


def merge(memory: Memory, item: Instr, i: int) -> None:
    n = 2 * item.number("k")
    a, b = memory.i32(item.ref("a"), i, n), memory.i32(item.ref("b"), i, n)
    memory.i32(item.ref("dst"), i, n)[...] = running_best.merged(a, b)


VECTOR: dict[str, Callable[[Memory, Instr, int], None]] = {
    f.__name__: f
    for f in (quant, dequant, iadd, unary, binary, reduce, dots, matmul, copy, gather, fill, cast, merge)
}
"""Instruction name -> what it does to the memory of its tile in loop iteration ``i``."""
