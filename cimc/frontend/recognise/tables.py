"""Embedding tables and bags over them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from cimc.frontend.match import Emitter, Graph, NoMatch, is_integer, need, show
from cimc.ir import rec
from cimc.ir.types import f32, shape_of


@dataclass(frozen=True)
class Table:
    """An embedding table ``f32 [rows, dim]`` of the store."""

    symbol: str
    rows: int
    dim: int


def table_of(value: SSAValue, graph: Graph) -> Table:
    """The table that ``value`` is; NoMatch unless it is a constant 2-D f32 tensor."""
    array = graph.constant(value)
    if array is None:
        raise NoMatch("rows are gathered from a computed tensor, not from a constant table")
    if array.ndim != 2 or graph.analysis.element(value) != f32:
        kind = f"{graph.analysis.element(value)} {list(array.shape)}"
        raise NoMatch(f"a table must be f32 [rows, dim], {show(value)} is {kind}")
    return Table(graph.symbol_of(value), array.shape[0], array.shape[1])


def bag(
    emit: Emitter,
    table: Table,
    ids: SSAValue,
    *,
    mode: str,
    layout: str = "fixed",
    offsets: SSAValue | None = None,
    weights: SSAValue | None = None,
) -> SSAValue:
    """A ``rec.embedding_bag``; NoMatch unless ids are integers and weights f32."""
    analysis = emit.graph.analysis
    for value in (ids, offsets):
        need(value is None or is_integer(analysis.element(value)), f"{show(ids)} does not hold integers")
    need(weights is None or analysis.element(weights) == f32, "per-sample weights are not f32")
    for value in (ids, offsets, weights):
        need(value is None or shape_of(value.type) is not None, "a type does not show the rank")
    need(
        weights is None or analysis.shape(weights) == analysis.shape(ids),
        "per-sample weights do not have the shape of the ids",
    )
    op = rec.EmbeddingBagOp(
        table.symbol,
        table.rows,
        table.dim,
        _computed(emit, ids),
        mode=mode,
        layout=layout,
        offsets=None if offsets is None else _computed(emit, offsets),
        weights=None if weights is None else _computed(emit, weights),
    )
    return emit.add(op)


def _computed(emit: Emitter, value: SSAValue) -> SSAValue:
    """``value``, made by a host node if it is constant: the chip is handed ids, it does not hold them."""
    element = emit.graph.analysis.element(value)
    if emit.graph.constant(value) is None or element is None:
        return value
    return emit.node("Identity", [value], emit.graph.shape(value), element)
