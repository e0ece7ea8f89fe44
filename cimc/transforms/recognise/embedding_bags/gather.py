"""Embedding bags that are plain gathers of table rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.operands import axes_of, keeps_dims
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import DYNAMIC
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.graph import plain
from cimc.transforms.matching.nodes import axis_of, node_of
from cimc.transforms.recognise.embedding_bags.tables import bag, is_table, shaped_table
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_MODES = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max"}


class GatherBag(Recogniser):
    """Rows of a table, one per id: ``out[b, ...] = W[ids[b, ...]]``, ids ``[B]`` or ``[B, ..., L]``.

    ``GatherND`` with ids ``[B, ..., L, 1]`` is the same.  Rows may be numbers, or matrices.
    """

    name = "bag-gather"
    stage = Stage.OPERATORS
    kinds = frozenset({"Gather", "GatherND"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        if not is_table(op.inputs[0], self.graph):
            raise NotMine("rows are not gathered from a constant table")
        table, row = shaped_table(op.inputs[0], self.graph)
        need(axis_of(op, 1 + len(row), 0) == 0, "the table is not indexed along axis 0")
        ids = ids_of(op, emit)
        self.graph.fixed(ids, self.graph.rows(ids))
        value = bag(emit, table, ids, mode="none")
        return [value if len(row) == 1 else rows_as(value, row, emit)]


class PooledGatherBag(Recogniser):
    """Rows of a table, reduced over the last axis of the ids::

    out[b, ...] = reduce_l(W[ids[b, ..., l]])            reduce: ReduceSum, ReduceMean, ReduceMax

    The rows may be regrouped in between, ``[B, S * L, D]`` to ``[B, S, L, D]``.
    """

    name = "bag-pooled-gather"
    kinds = frozenset(_MODES)

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        regroup = node_of(op.inputs[0], "Reshape")
        rows = op.inputs[0] if regroup is None else regroup.inputs[0]
        gather = node_of(rows, "Gather") or node_of(rows, "GatherND")
        if gather is None or not is_table(gather.inputs[0], self.graph):
            raise NotMine("what is reduced are not rows of a constant table")
        need(len(self.graph.users(gather.outputs[0])) == 1, "the rows are used elsewhere too")
        shape = self.graph.shape(op.inputs[0])
        table, row = shaped_table(gather.inputs[0], self.graph)
        need(axis_of(gather, 1 + len(row), 0) == 0, "the table is not indexed along axis 0")
        last = len(shape) - len(row) - 1
        axes = [a % len(shape) for a in axes_of(op, self.analysis) or ()]
        need(axes == [last], "rows are not reduced over the last axis of the ids")
        ids = ids_of(gather, emit)
        if regroup is not None:
            need(len(row) == 1, "rows that are no lists of numbers are regrouped")
            ids = self._regrouped(ids, regroup, table.dim, emit)
        need(len(self.graph.rows(ids)) >= 2, "ids have no axis to reduce")
        value = bag(emit, table, ids, mode=_MODES[op.kind])
        kept = (1,) if keeps_dims(op) else ()
        return [value if len(row) == 1 and not kept else rows_as(value, (*kept, *row), emit)]

    def _regrouped(self, ids: SSAValue, regroup: onnx.NodeOp, dim: int, emit: Emitter) -> SSAValue:
        """``ids`` in the shape that their rows are brought into."""
        need(len(self.graph.users(regroup.outputs[0])) == 1, "the rows are used elsewhere too")
        shape, element = self.graph.shape(regroup.outputs[0]), self.analysis.element(ids)
        need(shape[-1] == dim and len(shape) > 2, "rows are cut or joined")
        need(shape[0] == self.graph.batch, "rows of several requests are joined")
        self.graph.fixed(ids, self.graph.rows(ids))
        if element is None or not all(isinstance(d, int) for d in shape[1:]):
            raise NoMatch("an extent of the rows is not known")
        return reshaped(ids, shape[:-1], element, emit)


def ids_of(op: onnx.NodeOp, emit: Emitter) -> SSAValue:
    """The ids of a ``Gather``, or of a ``GatherND`` by one number per row: without its last axis of one."""
    graph, ids = emit.graph, plain(op.inputs[1], emit.graph)
    if op.kind != "GatherND":
        return ids
    need(not int_attribute(op, "batch_dims", 0), "the table has a batch of its own")
    shape, element = graph.shape(ids), graph.analysis.element(ids)
    need(len(shape) > 1 and shape[-1] == 1, "not one id per row")
    graph.fixed(ids, graph.rows(ids))
    wide = node_of(ids, "Unsqueeze")
    if wide is not None and graph.analysis.shape(wide.inputs[0]) == shape[:-1]:
        return plain(wide.inputs[0], graph)
    if element is None:
        raise NoMatch("the element type of the ids is not known")
    return reshaped(ids, shape[:-1], element, emit)


def rows_as(value: SSAValue, row: Sequence[int], emit: Emitter) -> SSAValue:
    """Rows ``[B, ..., dim]`` of which each has the extents ``row``."""
    dims = rec.shape(value)
    need(DYNAMIC not in dims[1:], "an extent of the ids is not known")
    return emit.add(rec.ReshapeOp(value, (*dims[:-1], *row)))


def reshaped(ids: SSAValue, shape: Sequence[Known], element: Attribute, emit: Emitter) -> SSAValue:
    """``ids`` in another shape ``[B, ...]`` whose extents beside the batch are known."""
    target = emit.constant(np.array([-1, *shape[1:]], np.int64))
    return emit.node("Reshape", [ids, target], shape, element)
