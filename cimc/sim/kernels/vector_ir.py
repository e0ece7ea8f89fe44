"""Building vector code for numba: what the intrinsics of the compiled kernels share.

numba's own loops reach neither saturating additions nor dot products of small integers, and do not keep a
tile of accumulators in registers.  The inner loops are therefore written as LLVM intermediate representation,
which numba inlines into the kernel around them.  Vectors are as wide as the work wants; LLVM splits them to
what the processor has.  Importing this module imports numba.

numba's cache notices changes of the file that holds a compiled function, not of this one: after changing it,
remove ``__pycache__``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()

TRIPLE, _, _FEATURES = cpu_target.target_context.codegen().magic_tuple()
FEATURES = frozenset(str(_FEATURES).split(","))
"""Features of the processor that numba compiles for, each with its sign: ``+avx2``."""


def pointer(context: Any, builder: Any, kind: types.Array, array: Any, index: Any) -> Any:
    """Byte pointer to element ``index`` of a contiguous vector."""
    data = cgutils.create_struct_proxy(kind)(context, builder, value=array).data
    size = context.get_abi_sizeof(context.get_value_type(kind.dtype))
    base = builder.bitcast(data, I8.as_pointer())
    return builder.gep(base, [builder.mul(index, ir.Constant(I64, size))])


def shifted(builder: Any, base: Any, offset: int) -> Any:
    """``base`` moved by a constant number of bytes."""
    return builder.gep(base, [ir.Constant(I64, offset)])


def load(builder: Any, at: Any, kind: Any, align: int) -> Any:
    """The ``kind`` at a byte pointer that is a multiple of ``align``."""
    value = builder.load(builder.bitcast(at, kind.as_pointer()))
    value.align = align
    return value


def store(builder: Any, value: Any, at: Any, align: int) -> None:
    """Write ``value`` at a byte pointer that is a multiple of ``align``."""
    builder.store(value, builder.bitcast(at, value.type.as_pointer())).align = align


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """A vector of ``lanes`` copies."""
    kind = ir.VectorType(value.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, constant(I32, [0] * lanes))


def constant(kind: Any, values: Sequence[float]) -> Any:
    """A constant vector."""
    return ir.Constant(ir.VectorType(kind, len(values)), values)


def call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A call of the LLVM intrinsic ``name``."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def loop(
    builder: Any, count: Any, initial: list[Any], body: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """``initial`` carried through ``count`` iterations of ``body(index, values) -> values``; at least one."""
    entry = builder.block
    inside = builder.append_basic_block("body")
    end = builder.append_basic_block("end")
    builder.branch(inside)
    builder.position_at_end(inside)
    index = builder.phi(I64)
    index.add_incoming(ir.Constant(I64, 0), entry)
    carried = []
    for value in initial:
        phi = builder.phi(value.type)
        phi.add_incoming(value, entry)
        carried.append(phi)
    results = body(index, list(carried))
    following = builder.add(index, ir.Constant(I64, 1))
    index.add_incoming(following, builder.block)
    for phi, value in zip(carried, results, strict=True):
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), inside, end)
    builder.position_at_end(end)
    return results
