"""Rows of a table that are added to the rows of zeros that their segment numbers name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.ir import SSAValue

from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.rules.selections import slices_of
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import i64
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NotMine, need
from cimc.transforms.matching.graph import plain
from cimc.transforms.matching.nodes import is_integer, node_of
from cimc.transforms.recognise.embedding_bags.segment import SegmentBag
from cimc.transforms.recognise.embedding_bags.tables import bag, table_of


class ScatteredBag(SegmentBag):
    """``index_add`` and ``scatter_add`` of rows to zeros, of which each request has one::

        out[k] = sum_{i: s[i] = k} W[ids[i]] * w[i]

    ``ScatterND`` with ``reduction = add`` takes the segment numbers as a column, ``ScatterElements`` repeated
    along the rows.  The host sorts and counts them; a number out of range is refused there, as by the model.
    """

    name = "bag-scattered"
    kinds = frozenset({"ScatterND", "ScatterElements"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        reduction = op.attribute("reduction")
        if not isinstance(reduction, StringAttr) or reduction.data != "add":
            raise NotMine("nothing is added up")
        batch, dim = self._matrix(op.inputs[0])
        need(self.analysis.info(op.inputs[0]).splat == 0.0, "what rows are added to is not zeros")
        need(batch == self.graph.batch, "there is not one row per request")
        value = self._whole(op.inputs[2])
        count, _ = self._matrix(value)
        segments = self._segments(op, count, dim)
        table, ids, weights = self._rows(value)
        found = table_of(table, self.graph)
        need(found.dim == dim and self.graph.shape(ids) == (count,), "rows are cut or joined")
        order, offsets = self._sorted_and_counted(op, segments, count, batch, emit)
        ids = self._in_order(ids, order, emit)
        weights = None if weights is None else self._in_order(weights, order, emit)
        return [bag(emit, found, ids, mode="sum", layout="offsets", offsets=offsets, weights=weights)]

    def _matrix(self, value: SSAValue) -> tuple[Known, Known]:
        shape = self.graph.shape(value)
        need(len(shape) == 2, "rows are no lists of numbers")
        return shape[0], shape[1]

    def _whole(self, value: SSAValue) -> SSAValue:
        """``value`` before a slice that keeps all of it, which TorchScript puts in front of a scatter."""
        cut = node_of(value, "Slice")
        if cut is None or self.graph.shape(value) != self.analysis.shape(cut.inputs[0]):
            return value
        steps = [step for _, _, _, step in slices_of(cut, self.analysis) or ((0, 0, 0, None),)]
        return self._whole(cut.inputs[0]) if set(steps) == {1} else value

    def _segments(self, op: onnx.NodeOp, count: Known, dim: Known) -> SSAValue:
        """The segment numbers ``[count]`` of the rows."""
        index = op.inputs[1]
        if op.kind == "ScatterElements":
            need(int_attribute(op, "axis", 0) in (0, -2), "rows are not scattered along axis 0")
            need(self.graph.shape(index) == (count, dim), "parts of rows are scattered")
            wide = node_of(index, "Expand")
            need(wide is not None, "parts of rows have segments of their own")
            assert wide is not None
            index = wide.inputs[0]
        need(self.graph.shape(index) == (count, 1), "rows are not scattered by one number each")
        column = node_of(plain(index, self.graph), "Unsqueeze", "Reshape")
        need(column is not None, "segment numbers are no list")
        assert column is not None
        segments = plain(column.inputs[0], self.graph)
        need(self.graph.shape(segments) == (count,), "segment numbers are no list")
        need(is_integer(self.analysis.element(segments)), "segment numbers are no integers")
        return segments

    def _sorted_and_counted(
        self, op: onnx.NodeOp, segments: SSAValue, count: Known, batch: Known, emit: Emitter
    ) -> tuple[SSAValue, SSAValue]:
        """The order of rows by segment, and where each segment starts among them."""
        zero, one = (emit.constant(np.array([k], np.int64)) for k in (0, 1))
        shape = emit.node("Shape", [op.inputs[0]], [2], i64)
        requests = emit.node("Slice", [shape, zero, one], [1], i64)
        length = emit.node("Shape", [segments], [1], i64)
        numbers = emit.node("Cast", [segments], [count], i64, {"to": IntegerAttr(7, i64)})
        none = emit.node("Expand", [zero, requests], [batch], i64)
        each = emit.node("Expand", [one, length], [count], i64)
        added = {"axis": IntegerAttr(0, i64), "reduction": StringAttr("add")}
        sizes = emit.node("ScatterElements", [none, numbers, each], [batch], i64, added)
        axis = emit.constant(np.array(0, np.int64))
        offsets = emit.node("CumSum", [sizes, axis], [batch], i64, {"exclusive": IntegerAttr(1, i64)})
        # numbers below 0 count from the end; onnxruntime refuses a division by 0 even of no numbers
        divisor = emit.node("Max", [requests, one], [1], i64)
        positive = emit.node("Mod", [numbers, divisor], [count], i64)
        upwards = {"axis": IntegerAttr(0, i64), "largest": IntegerAttr(0, i64)}
        order = emit.nodes("TopK", [positive, length], [count], (i64, i64), upwards)[1]
        return order, offsets
