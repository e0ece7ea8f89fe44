"""Positions that the data give: one element of every list, and one-hot rows.

Both compare the positions with all there are.  ONNX counts negative ones from the end, so ``p`` and
``p - extent`` are compared; a position out of range picks nothing (onnxruntime refuses it in a selection, and
gives a row of ``off`` for one-hot rows).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import element_of, element_to_dtype, f32
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.nodes import axis_of, is_integer, node_of
from cimc.transforms.recognise.layout.shared_operands import number, place
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_VIEWS = ("Unsqueeze", "Reshape", "Squeeze", "Expand", "Cast")


class Positions(Recogniser):
    """Base of recognisers that compare positions with all there are."""

    def hits(self, emit: Emitter, index: SSAValue, axis: int, extent: int) -> SSAValue:
        """Truth values: where along ``axis``, which has extent 1 in ``index``, the index points to."""
        rank = len(rec.shape(index))
        element = element_of(index.type)
        assert element is not None
        numbers = np.arange(extent).astype(element_to_dtype(element))
        wide = tuple(extent if k == axis else 1 for k in range(rank))
        found = []
        for name, array in (("positions", numbers), ("positions.back", numbers - extent)):
            placed = place(emit, array.reshape(wide), f"{name}.{extent}.{axis}.r{rank}", rank)
            found.append(emit.add(rec.BinaryOp("equal", index, placed)))
        return emit.add(rec.BinaryOp("max", *found))

    def index(self, value: SSAValue) -> rec.Shape:
        """Extents of integers, one row per request; NoMatch for others."""
        need(is_integer(self.analysis.element(value)), "the positions are no integers")
        return self.graph.fixed(value, self.graph.rows(value))


class Pick(Positions):
    """One element of every list, at a position of the request's own::

        y[b, ..., k, ...] = x[b, ..., i[b, ..., k, ...], ...] = sum_p mask(x[b, ..., p, ...], i = p)

    ``GatherElements`` along an axis other than the batch whose positions run over the other axes whole (the
    last state of a history, by its length), and ``GatherND`` of ``x [B, L, ...]`` with a position per
    request, by ``batch_dims = 1`` or with the request's number beside it.
    """

    name = "pick"
    stage = Stage.OPERATORS
    kinds = frozenset({"GatherElements", "GatherND"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        if self.graph.constant(x) is not None:
            raise NotMine("selects from a constant")
        dims = self.graph.activation(x)
        if op.kind == "GatherND":
            return [self._one_each(op, dims, emit)]
        axis = axis_of(op, len(dims), 0)
        need(axis >= 1, "selects along axis 0, the batch")
        index, after = op.inputs[1], self.index(op.inputs[1])
        need(len(after) == len(dims), "there are more positions than lists")
        whole = [k for k in range(1, len(dims)) if k != axis]
        need(all(after[k] == dims[k] for k in whole), "the positions do not run over the other axes whole")
        expand = node_of(index, "Expand")
        if expand is not None and len(self.graph.shape(expand.inputs[0])) == len(dims):
            inner = self.index(expand.inputs[0])
            if inner[axis] == after[axis]:
                index, after = expand.inputs[0], inner
        if after[axis] == 1:
            hits = self.hits(emit, index, axis, dims[axis])
            return [emit.add(rec.ReduceOp("sum", emit.add(rec.BinaryOp("mask", x, hits)), [axis], True))]
        x = emit.add(rec.ReshapeOp(x, (*dims[:axis], 1, *dims[axis:])))
        index = emit.add(rec.ReshapeOp(index, (*after[: axis + 1], 1, *after[axis + 1 :])))
        hits = self.hits(emit, index, axis + 1, dims[axis])
        return [emit.add(rec.ReduceOp("sum", emit.add(rec.BinaryOp("mask", x, hits)), [axis + 1], False))]

    def _one_each(self, op: onnx.NodeOp, dims: rec.Shape, emit: Emitter) -> SSAValue:
        index = op.inputs[1]
        if not int_attribute(op, "batch_dims", 0):
            joined = node_of(index, "Concat")
            if joined is None or len(joined.inputs) != 2 or axis_of(joined, 2, 0) != 1:
                raise NoMatch("selects among all requests")
            need(self._numbers_requests(joined.inputs[0]), "selects from other requests")
            index = joined.inputs[1]
        need(int_attribute(op, "batch_dims", 0) <= 1, "selects in lists of lists")
        need(self.index(index)[1:] == (1,), "not one position per request")
        index = emit.add(rec.ReshapeOp(index, (rec.shape(index)[0], *[1] * (len(dims) - 1))))
        hits = self.hits(emit, index, 1, dims[1])
        return emit.add(rec.ReduceOp("sum", emit.add(rec.BinaryOp("mask", op.inputs[0], hits)), [1], False))

    def _numbers_requests(self, value: SSAValue) -> bool:
        """Whether ``value [B, 1]`` is ``0, 1, 2, ...``."""
        if self.graph.shape(value) != (self.graph.batch, 1):
            return False
        while (view := node_of(value, *_VIEWS)) is not None:
            before, after = self.graph.shape(view.inputs[0]), self.graph.shape(view.outputs[0])
            if [d for d in before if d != 1] != [d for d in after if d != 1]:
                return False
            value = view.inputs[0]
        span = node_of(value, "Range")
        return span is not None and [self.analysis.scalar(v) for v in span.inputs] == [0, self.graph.batch, 1]


class OneHot(Positions):
    """Rows of ``off`` with one ``on``, ``y = off + (on - off) [i = p]``, along an axis beside the batch."""

    name = "one-hot"
    stage = Stage.OPERATORS
    kinds = frozenset({"OneHot"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        index, depth = op.inputs[0], self.graph.constant(op.inputs[1])
        levels = self.graph.constant(op.inputs[2])
        if depth is None or depth.size != 1 or levels is None:
            raise NoMatch("depth and values are not constant")
        need(levels.dtype == np.float32 and levels.size == 2, "the values are not f32")
        dims = self.index(index)
        axis, extent = axis_of(op, len(dims) + 1, -1), int(depth.reshape(-1)[0])
        need(axis >= 1, "the rows are not one per request")
        need(extent >= 1, "the rows are empty")
        wide = emit.add(rec.ReshapeOp(index, (*dims[:axis], 1, *dims[axis:])))
        value = emit.add(rec.CastOp(self.hits(emit, wide, axis, extent), f32))
        off, on = (float(v) for v in levels.reshape(-1))
        if on - off != 1.0:
            value = emit.add(rec.BinaryOp("mul", value, number(emit, on - off, len(dims) + 1)))
        if off != 0.0:
            value = emit.add(rec.BinaryOp("add", value, number(emit, off, len(dims) + 1)))
        return [value]
