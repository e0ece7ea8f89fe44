"""Embedding tables and bags over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from cimc.analysis.row_scales import TableReader, as_int8
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import f32, shape_of, symbol
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.graph import Graph
from cimc.transforms.matching.nodes import is_integer, node_of, show
from cimc.transforms.recognise.layers.quantised import integer_constant


@dataclass(frozen=True)
class Table:
    """An embedding table ``[rows, dim]`` of the store: floats, or int8 with a scale, or with one per row.

    ``row_scales`` and ``row_biases`` name ``float32[rows]`` in the store.
    """

    symbol: str
    rows: int
    dim: int
    scale: float | None = None
    row_scales: str | None = None
    row_biases: str | None = None


def is_table(value: SSAValue, graph: Graph) -> bool:
    """Whether ``value`` is constant, so that gathering its rows may be a lookup."""
    return graph.analysis.constants.is_constant(value)


def table_of(value: SSAValue, graph: Graph) -> Table:
    """The table that ``value`` is; NoMatch unless it is a constant 2-D float tensor.

    A table of another float type than f32 is kept as it is stored: rows become f32 when they are read.
    """
    dims = graph.shape(value)
    need(0 not in dims, f"a table without {'rows' if dims and dims[0] == 0 else 'columns'}")
    quantised = integer_constant(value, graph)
    if quantised is not None and quantised[1].ndim == 2 and quantised[2].size == 1:
        node, integers, scale = quantised
        source = node.inputs[0]
        same = integers is graph.constant(source)
        name = graph.symbol_of(source) if same else graph.keep(source, ".int", integers)
        rows, dim = integers.shape
        return Table(name, rows, dim, float(scale.reshape(-1)[0]))
    found = _integer_table(value, graph)
    if found is not None:
        return found
    array = graph.analysis.constants.stored(value)
    if array is None:
        raise NoMatch("rows are gathered from a computed tensor, not from a constant table")
    if array.ndim != 2 or graph.analysis.element(value) != f32:
        kind = f"{graph.analysis.element(value)} {list(array.shape)}"
        raise NoMatch(f"a table must be f32 [rows, dim], {show(value)} is {kind}")
    while (cast := node_of(value, "Cast")) is not None:
        value = cast.inputs[0]
    return Table(graph.symbol_of(value), array.shape[0], array.shape[1])


def shaped_table(value: SSAValue, graph: Graph) -> tuple[Table, tuple[int, ...]]:
    """As :func:`table_of`, also of a constant of f32 with another rank than 2; with the extents of a row.

    A list of numbers is a table of one column (linear weights, one per id); rows that are matrices lie flat.
    """
    dims = graph.shape(value)
    array = graph.constant(value) if len(dims) != 2 else None
    if array is None or not array.ndim or array.dtype != np.float32 or not array.size:
        table = table_of(value, graph)
        return table, (table.dim,)
    rows, row = array.shape[0], array.shape[1:]
    name = graph.keep(value, ".rows", array.reshape(rows, -1))
    return Table(name, rows, array.size // rows), row


def _integer_table(value: SSAValue, graph: Graph) -> Table | None:
    """The table of narrow integers that ``value`` makes floats of, with its scales."""
    found = TableReader(graph.analysis.constants).read(value)
    if found is None or not found.sound:
        return None
    rows, dim = found.integers.shape
    integers, scales, biases = as_int8(found)
    if found.uniform and biases is not None:
        return None  # one scale, but integers that int8 does not hold: one scale for floats can be pooled
    kept = found.source
    if integers is found.integers and isinstance(kept.owner, onnx.InitializerOp):
        name = symbol(kept.owner.symbol)
    else:
        name = graph.keep(kept, ".int", integers)
    if found.uniform:
        return Table(name, rows, dim, float(np.float32(found.factor.reshape(-1)[0])))
    return Table(
        name,
        rows,
        dim,
        row_scales=graph.keep(kept, ".row_scales", scales),
        row_biases=None if biases is None else graph.keep(kept, ".row_biases", biases),
    )


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
    """A ``rec.embedding_bag``; NoMatch unless ids are integers, weights f32 and the padding id of 32 bits."""
    analysis = emit.graph.analysis
    for value in (ids, offsets):
        need(value is None or is_integer(analysis.element(value)), f"{show(ids)} does not hold integers")
    need(padding is None or -(1 << 31) <= padding < 1 << 31, "the padding id does not fit 32 bits")
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
        padding=padding,
        scale=table.scale,
        row_scales=table.row_scales,
        row_biases=table.row_biases,
    )
    return emit.add(op)


def _computed(emit: Emitter, value: SSAValue) -> SSAValue:
    """``value``, made by a host node if it is constant: the chip is handed ids, it does not hold them."""
    element = emit.graph.analysis.element(value)
    if emit.graph.constant(value) is None or element is None:
        return value
    made = emit.node("Identity", [value], emit.graph.shape(value), element)
    if isinstance(made.owner, onnx.NodeOp):
        emit.graph.pinned.add(made.owner)
    return made
