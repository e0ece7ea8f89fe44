"""Embedding bags that are plain gathers of table rows."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.frontend.match import Emitter, NotMine, Recogniser, axis_of, need, node_of, plain
from cimc.frontend.recognise.tables import bag, is_table, table_of
from cimc.frontend.shape_rules import axes_of
from cimc.ir import onnx, rec
from cimc.ir.onnx import int_attribute
from cimc.ir.types import DYNAMIC

_MODES = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max"}


class GatherBag(Recogniser):
    """Rows of a table, one per id: ``out[b, ...] = W[ids[b, ...]]``, ids ``[B]`` or ``[B, ..., L]``."""

    name = "bag-gather"
    kinds = frozenset({"Gather"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        if not is_table(op.inputs[0], self.graph):
            raise NotMine("rows are not gathered from a constant table")
        need(int_attribute(op, "axis", 0) == 0, "the table is not indexed along axis 0")
        table = table_of(op.inputs[0], self.graph)
        ids = plain(op.inputs[1], self.graph)
        self.graph.fixed(ids, self.graph.rows(ids))
        return [bag(emit, table, ids, mode="none")]


class PooledGatherBag(Recogniser):
    """Rows of a table, reduced over the last axis of the ids::

    out[b, ...] = reduce_l(W[ids[b, ..., l]])            reduce: ReduceSum, ReduceMean, ReduceMax
    """

    name = "bag-pooled-gather"
    kinds = frozenset(_MODES)

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        gather = node_of(op.inputs[0], "Gather")
        if gather is None or not is_table(gather.inputs[0], self.graph):
            raise NotMine("what is reduced are not rows of a constant table")
        need(len(self.graph.users(gather.outputs[0])) == 1, "the rows are used elsewhere too")
        shape = self.graph.shape(gather.outputs[0])
        need(axis_of(gather, 2, 0) == 0, "the table is not indexed along axis 0")
        axes = [a % len(shape) for a in axes_of(op, self.analysis) or ()]
        need(axes == [len(shape) - 2], "rows are not reduced over the last axis of the ids")
        table = table_of(gather.inputs[0], self.graph)
        ids = plain(gather.inputs[1], self.graph)
        need(len(self.graph.rows(ids)) >= 2, "ids have no axis to reduce")
        value = bag(emit, table, ids, mode=_MODES[op.kind])
        if int_attribute(op, "keepdims", 1):
            dims = rec.shape(value)
            need(DYNAMIC not in dims[1:], "an extent of the ids is not known")
            value = emit.add(rec.ReshapeOp(value, (*dims[:-1], 1, dims[-1])))
        return [value]
