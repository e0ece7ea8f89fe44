"""Embedding tables and bags over them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import BlockArgument, SSAValue

from cimc.frontend.match import Emitter, Graph, NoMatch, is_integer, need, node_of, show
from cimc.frontend.recognise.quantised import integer_constant
from cimc.ir import onnx, rec
from cimc.ir.types import f32, shape_of


@dataclass(frozen=True)
class Table:
    """An embedding table ``[rows, dim]`` of the store: floats, or int8 with a scale."""

    symbol: str
    rows: int
    dim: int
    scale: float | None = None


def is_table(value: SSAValue, graph: Graph) -> bool:
    """Whether ``value`` is constant, so that gathering its rows may be a lookup."""
    return graph.analysis.constants.stored(value) is not None


def table_of(value: SSAValue, graph: Graph) -> Table:
    """The table that ``value`` is; NoMatch unless it is a constant 2-D float tensor.

    A table of another float type than f32 is kept as it is stored: rows become f32 when they are read.
    """
    quantised = integer_constant(value, graph)
    if quantised is not None and quantised[1].ndim == 2 and quantised[2].size == 1:
        node, integers, scale = quantised
        source = node.inputs[0]
        same = integers is graph.constant(source)
        name = graph.symbol_of(source) if same else graph.derive(source, ".int", lambda: integers)
        rows, dim = integers.shape
        return Table(name, rows, dim, float(scale.reshape(-1)[0]))
    array = graph.analysis.constants.stored(value)
    if array is None:
        raise NoMatch("rows are gathered from a computed tensor, not from a constant table")
    if array.ndim != 2 or graph.analysis.element(value) != f32:
        kind = f"{graph.analysis.element(value)} {list(array.shape)}"
        raise NoMatch(f"a table must be f32 [rows, dim], {show(value)} is {kind}")
    while (cast := node_of(value, "Cast")) is not None:
        value = cast.inputs[0]
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
    padding: int | None = None,
) -> SSAValue:
    """A ``rec.embedding_bag``; NoMatch unless ids are integers and weights f32.

    Padding is dropped where ids come in from outside the chip, so ids of a padded bag are a model input or
    made on the host.
    """
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
        _computed(emit, ids, padding is not None and not isinstance(ids, BlockArgument)),
        mode=mode,
        layout=layout,
        offsets=None if offsets is None else _computed(emit, offsets),
        weights=None if weights is None else _computed(emit, weights),
        padding=padding,
        scale=table.scale,
    )
    return emit.add(op)


def _computed(emit: Emitter, value: SSAValue, on_host: bool = False) -> SSAValue:
    """``value``, made by a host node if it is constant or must be: the chip is handed ids, it does not
    hold them."""
    element = emit.graph.analysis.element(value)
    if (emit.graph.constant(value) is None and not on_host) or element is None:
        return value
    made = emit.node("Identity", [value], emit.graph.shape(value), element)
    if isinstance(made.owner, onnx.NodeOp):
        emit.graph.pinned.add(made.owner)
    return made
