"""Operands that are the same for all requests: constants, and what exporters expand from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Operation, SSAValue

from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array
from cimc.ir.types import element_from_dtype, f32, tensor
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.graph import Graph
from cimc.transforms.matching.nodes import axis_of, node_of, show

_LIMIT = 1 << 20
"""Elements of a constant that is put together at compile time."""


def shared_array(value: SSAValue, graph: Graph) -> Array | None:
    """The array behind a value that every request has in common, with one row; ``None`` for others.

    A constant is itself.  A tensor filled with one number, a constant expanded along the batch, and table
    rows gathered by such ids (learned positions) count whatever the number of their rows.
    """
    found = graph.constant(value)
    if found is not None:
        return found
    shape = graph.analysis.shape(value)
    if not shape or shape[0] != graph.batch:
        return None
    rest = [d for d in shape[1:] if isinstance(d, int)]
    if len(rest) != len(shape) - 1 or int(np.prod(rest, dtype=np.int64)) > _LIMIT:
        return None
    splat = graph.analysis.info(value).splat
    if splat is not None and graph.analysis.element(value) == f32:
        return np.full((1, *rest), splat, np.float32)
    expand = node_of(value, "Expand")
    if expand is not None:
        inner = shared_array(expand.inputs[0], graph)
        if inner is None:
            return None
        wide = inner.reshape((1,) * (len(shape) - inner.ndim) + inner.shape)
        return np.broadcast_to(wide, (1, *rest)) if wide.shape[0] == 1 else None
    gather = node_of(value, "Gather")
    table = None if gather is None else graph.constant(gather.inputs[0])
    if gather is not None and table is not None and axis_of(gather, table.ndim, 0) == 0:
        ids = shared_array(gather.inputs[1], graph)
        if ids is None or not (np.abs(ids) < len(table)).all():
            return None
        return np.asarray(table[ids.astype(np.int64)])
    return None


def place(emit: Emitter, array: Array, name: str, rank: int) -> SSAValue:
    """A ``rec.constant`` of ``array`` with leading ones up to ``rank``; f32, truth values or integers."""
    if array.dtype == np.float32:
        return emit.shared(array, name, rank)
    dims = (1,) * (rank - array.ndim) + array.shape
    need(dims[:1] == (1,), f"constant {name} has rows of its own along the batch")
    if array.dtype != np.bool_ and array.size:
        limit = 1 << 31
        need(-limit <= int(array.min()) and int(array.max()) < limit, f"{name} does not fit 32 bits")
    stored = emit.graph.ctx.store.add(name, np.ascontiguousarray(array).reshape(dims))
    return emit.add(rec.ConstantOp(stored, tensor(dims, element_from_dtype(array.dtype))))


def name_of(value: SSAValue, rank: int) -> str:
    """How the constant behind ``value`` is called in the store when it is placed with ``rank`` axes."""
    owner = value.owner
    found = onnx.name_of(owner) if isinstance(owner, Operation) else None
    return f"{found or 'constant'}.r{rank}"


def aligned(
    emit: Emitter, values: Sequence[SSAValue], arrays: Sequence[Array | None], rank: int
) -> list[SSAValue]:
    """``values`` with those that have an array placed as constants of ``rank`` axes.

    NoMatch when one has more axes than ``rank``.
    """
    out = []
    for value, array in zip(values, arrays, strict=True):
        if array is None:
            out.append(value)
            continue
        if array.ndim > rank:
            raise NoMatch(f"{show(value)} has more axes than the operand")
        if array.ndim < rank and emit.graph.constant(value) is None:
            raise NoMatch(f"{show(value)} has fewer axes: its batch would meet another axis")
        out.append(place(emit, array, name_of(value, rank), rank))
    return out


def number(emit: Emitter, value: float, rank: int) -> SSAValue:
    """A ``rec.constant`` that holds one f32 number."""
    array = np.full((1,) * rank, value, np.float32)
    return emit.shared(array, f"number.{float(np.float32(value))!r}.r{rank}", rank)


class Terms:
    """Writes formulas over one activation."""

    def __init__(self, emit: Emitter, x: SSAValue) -> None:
        self.emit, self.x, self.rank = emit, x, len(rec.shape(x))

    def __call__(self, kind: str, a: SSAValue, b: SSAValue | float) -> SSAValue:
        other = b if isinstance(b, SSAValue) else self.number(b)
        return self.emit.add(rec.BinaryOp(kind, a, other))

    def number(self, value: float) -> SSAValue:
        return number(self.emit, value, self.rank)

    def unary(
        self, kind: str, a: SSAValue, alpha: float | None = None, beta: float | None = None
    ) -> SSAValue:
        return self.emit.add(rec.UnaryOp(kind, a, alpha, beta))

    def scaled(self, a: SSAValue, factor: float) -> SSAValue:
        return a if factor == 1.0 else self("mul", a, factor)
