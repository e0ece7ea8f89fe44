"""Weight matrices of linear layers: each content is stored, and later placed on arrays, once."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from cimc.ir import rec
from cimc.ir.tensor_store import Array
from cimc.ir.types import symbol
from cimc.transforms.matching.emitter import Emitter


def known_matrix(emit: Emitter, array: Array) -> str | None:
    """The name of a matrix ``[K, N]`` equal to ``array`` that a linear layer uses already."""
    graph = emit.graph
    seen: set[str] = set()
    for op in (*graph.function.body.block.ops, *emit.ops):
        if not isinstance(op, rec.LinearOp):
            continue
        name = symbol(op.weight)
        if name in seen:
            continue
        seen.add(name)
        other = graph.ctx.store[name]
        if (
            other.shape == array.shape
            and np.array_equal(other[:1], array[:1])
            and np.array_equal(other, array)
        ):
            return name
    return None


def matrix(emit: Emitter, array: Array, name: str) -> str:
    """The name in the store of a matrix computed at compile time."""
    array = np.ascontiguousarray(array, np.float32)
    return known_matrix(emit, array) or emit.graph.ctx.store.add(name, array)


def vector(emit: Emitter, array: Array, name: str) -> str:
    """The name in the store of a bias computed at compile time."""
    return emit.graph.ctx.store.add(name, np.ascontiguousarray(array, np.float32))


def linear(emit: Emitter, x: SSAValue, weight: Array, name: str, bias: str | None = None) -> SSAValue:
    """``x @ weight + bias`` for a matrix ``[K, N]`` computed at compile time; ``name`` if it is stored."""
    return emit.add(rec.LinearOp(x, matrix(emit, weight, name), weight.shape[1], bias))


def swapped(emit: Emitter, x: SSAValue) -> SSAValue:
    """``x`` with its last two axes exchanged: a reshape where one of them has a single element."""
    *lead, rows, cols = rec.shape(x)
    if 1 in (rows, cols):
        return emit.add(rec.ReshapeOp(x, (*lead, cols, rows))) if rows != cols else x
    rank = len(lead) + 2
    return emit.add(rec.TransposeOp(x, (*range(rank - 2), rank - 1, rank - 2)))
