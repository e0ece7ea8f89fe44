"""Segment reductions of table rows, as tf2onnx spells them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.ir import SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.operands import axes_of, keeps_dims
from cimc.analysis.shapes.rules.selections import OPEN_END, slices_of
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import i64
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.graph import plain
from cimc.transforms.matching.nodes import axis_of, node_of, show
from cimc.transforms.recognise.embedding_bags.tables import bag, is_table, table_of
from cimc.transforms.recognise.recogniser import Recogniser

LOWEST = float(np.finfo(np.float32).min)


class SegmentBag(Recogniser):
    """Rows of a table, pooled over those with the same segment number ``s[i]`` in ``0 .. S - 1``::

        out[k] = sum_{i: s[i] = k} W[ids[i]] * w[i]

    tf2onnx sorts the segment numbers (``TopK``), scatters the positions of each segment's rows into a
    matrix ``[S, longest]`` that is -1 elsewhere, gathers from the rows with a neutral one at their end, and
    reduces over axis 1.  Segment numbers that come from the row splits of a ragged tensor are these
    splits (which begin at 0, as TensorFlow demands); others are sorted and counted on the host.
    """

    name = "bag-segment"
    kinds = frozenset({"ReduceSum", "ReduceMax"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        gather = node_of(op.inputs[0], "Gather")
        scatter = node_of(gather.inputs[1], "ScatterND") if gather is not None else None
        joined = node_of(gather.inputs[0], "Concat") if gather is not None else None
        if gather is None or scatter is None or joined is None:
            raise NotMine("not a reduction of rows that were scattered by segment")
        need(axis_of(gather, 2, 0) == 0 and len(joined.inputs) == 2, "rows are not gathered along axis 0")
        need(axes_of(op, self.analysis) in ([1], [-2]), "rows are not reduced along a segment")
        need(not keeps_dims(op), "the reduced axis is kept")
        self._neutral(op, joined)
        self.graph.rows(op.outputs[0])
        top, where = self._sorted(scatter)
        table, ids, weights = self._rows(joined.inputs[0])
        need(weights is None or op.kind == "ReduceSum", "weights with a maximum")
        mode = "sum" if op.kind == "ReduceSum" else "max"
        splits = self.splits(top.inputs[0])
        if splits is not None:
            offsets, layout = plain(splits, self.graph), "offsets_end"
        else:
            ids = self._in_order(ids, top.outputs[1], emit)
            weights = None if weights is None else self._in_order(weights, top.outputs[1], emit)
            offsets, layout = self._counted(scatter, where, emit), "offsets"
        if mode == "max":
            self.graph.ctx.notes.append(
                f"{show(table)}: an empty segment gives zeros, in onnxruntime the lowest number"
            )
        found = table_of(table, self.graph)
        return [bag(emit, found, ids, mode=mode, layout=layout, offsets=offsets, weights=weights)]

    def splits(self, segments: SSAValue) -> SSAValue | None:
        """The row splits that segment numbers come from, if there are as many segments as requests."""
        found = RaggedSplits(self.analysis).of(segments)
        if found is None or d.sub(self.graph.shape(found)[0], 1) != self.graph.batch:
            return None
        return found

    def _in_order(self, value: SSAValue, order: SSAValue, emit: Emitter) -> SSAValue:
        element = self.analysis.element(value)
        if element is None:
            raise NoMatch("the element type is not known")
        return emit.node("Gather", [value, order], self.graph.shape(order), element)

    def _neutral(self, op: onnx.NodeOp, joined: onnx.NodeOp) -> None:
        """The row that index -1 picks changes no reduction."""
        number = self.analysis.info(joined.inputs[1]).splat
        shape = self.graph.shape(joined.inputs[1])
        need(int_attribute(joined, "axis", 0) == 0 and shape[0] == 1, "there is no neutral row at the end")
        lowest = number is not None and number <= LOWEST
        need(number == 0.0 if op.kind == "ReduceSum" else lowest, "the row at the end is not neutral")

    def _sorted(self, scatter: onnx.NodeOp) -> tuple[onnx.NodeOp, onnx.NodeOp]:
        """The TopK of all segment numbers, and the Gather that gives the size of each row's segment."""
        fill, index, updates = scatter.inputs
        need(scatter.attribute("reduction") in (None, StringAttr("none")), "positions are not just written")
        need(self.analysis.info(fill).splat == -1.0, "what no row is scattered to is not -1")
        top = node_of(updates, "TopK")
        if top is None or updates is not top.outputs[1]:
            raise NoMatch("the scattered positions are not those of a sort")
        shape = self.graph.shape(top.inputs[0])
        need(
            len(shape) == 1
            and self.analysis.scalar(top.inputs[1]) == shape[0]
            and int_attribute(top, "largest", 1) == 0
            and int_attribute(top, "sorted", 1) == 1,
            "segment numbers are not all sorted upwards",
        )
        pair = node_of(index, "Concat")
        columns = [node_of(v, "Unsqueeze") for v in pair.inputs] if pair is not None else []
        need(len(columns) == 2 and all(c is not None for c in columns), "rows are not scattered by segment")
        number, place = (c.inputs[0] for c in columns if c is not None)
        need(plain(number, self.graph) is top.outputs[0], "rows are scattered by another number")
        # in sorted order a segment of c rows is c neighbours, so i mod c is different for each of them
        modulo = node_of(place, "Mod")
        if modulo is None:
            raise NoMatch("the place of a row in its segment is not understood")
        span, sizes = node_of(modulo.inputs[0], "Range"), node_of(modulo.inputs[1], "Gather")
        if span is None or sizes is None:
            raise NoMatch("the place of a row in its segment is not understood")
        bounds = [self.analysis.scalar(v) for v in span.inputs]
        need(bounds == [0, shape[0], 1], "rows are not numbered from 0")
        unique = node_of(sizes.inputs[0], "Unique")
        if unique is None or len(unique.outputs) < 4:
            raise NoMatch("the sizes of segments are not counted by Unique")
        need(
            sizes.inputs[0] is unique.outputs[3]
            and sizes.inputs[1] is unique.outputs[2]
            and unique.inputs[0] is top.outputs[0],
            "the sizes of segments are counted from other numbers",
        )
        return top, sizes

    def _rows(self, value: SSAValue) -> tuple[SSAValue, SSAValue, SSAValue | None]:
        """Table, ids and weights of the rows ``[n, dim]``."""
        weights, product = None, node_of(value, "Mul")
        if product is not None:
            index = 0 if node_of(product.inputs[0], "Gather") is not None else 1
            value, column = product.inputs[index], node_of(product.inputs[1 - index], "Unsqueeze", "Reshape")
            need(column is not None and self.graph.shape(column.outputs[0])[1:] == (1,), "rows are scaled")
            assert column is not None
            weights = plain(column.inputs[0], self.graph)
            need(len(self.graph.shape(weights)) == 1, "rows are scaled by other than one number each")
        gather = node_of(value, "Gather")
        if gather is None or not is_table(gather.inputs[0], self.graph) or axis_of(gather, 2, 0) != 0:
            raise NoMatch("what is reduced are not rows of a constant table")
        ids = plain(gather.inputs[1], self.graph)
        need(len(self.graph.shape(ids)) == 1, "ids are not one list")
        return gather.inputs[0], ids, weights

    def _counted(self, scatter: onnx.NodeOp, sizes: onnx.NodeOp, emit: Emitter) -> SSAValue:
        """Where each segment starts among the sorted rows: the sum of the sizes of those before it.

        Every row writes the size of its segment to the segment's place; rows of one segment agree.
        """
        pair, fill = node_of(scatter.inputs[1], "Concat"), node_of(scatter.inputs[0], "ConstantOfShape")
        if fill is None:
            raise NoMatch("the number of segments is not understood")
        assert pair is not None
        batch = self.graph.batch
        assert batch is not None
        zero, one = (emit.constant(np.array([k], np.int64)) for k in (0, 1))
        count = emit.node("Slice", [fill.inputs[0], zero, one], [1], i64)
        none = emit.node("Expand", [zero, count], [batch], i64)
        each = emit.node("ScatterND", [none, pair.inputs[0], sizes.outputs[0]], [batch], i64)
        axis = emit.constant(np.array(0, np.int64))
        return emit.node("CumSum", [each, axis], [batch], i64, {"exclusive": IntegerAttr(1, i64)})


class RaggedSplits:
    """Recognises the segment numbers that TensorFlow makes from row splits.

    ``0`` repeated ``V[1] - V[0]`` times, ``1`` repeated ``V[2] - V[1]`` times, ...: every number of
    ``Range(n)`` is repeated as often as the longest segment has rows, and a mask ``j < length`` keeps the
    first of them.
    """

    def __init__(self, analysis: ShapeAnalysis) -> None:
        self.analysis = analysis

    def of(self, segments: SSAValue) -> SSAValue | None:
        """The row splits ``V``, if ``segments`` come from them."""
        gather = node_of(self.bare(segments), "Gather")
        if gather is None or int_attribute(gather, "axis", 0) not in (0, -1):
            return None
        tile, mask = (
            node_of(self.bare(gather.inputs[0]), "Tile"),
            node_of(self.bare(gather.inputs[1]), "NonZero"),
        )
        test = node_of(self.bare(mask.inputs[0]), "Less") if mask is not None else None
        if tile is None or test is None:
            return None
        numbers, places = (
            node_of(self.bare(tile.inputs[0]), "Range"),
            node_of(self.bare(test.inputs[0]), "Range"),
        )
        lengths = self.bare(test.inputs[1])
        found = self.splits(lengths)
        if numbers is None or places is None or found is None:
            return None
        count = self.analysis.shape(lengths)
        wide = self.analysis.shape(tile.inputs[0])
        steps = [[self.analysis.scalar(v) for v in r.inputs] for r in (numbers, places)]
        if count is None or wide != (count[0], 1) or steps[0] != [0, count[0], 1]:
            return None
        if steps[1][0] != 0 or steps[1][2] != 1 or self.analysis.shape(test.inputs[1]) != (count[0], 1):
            return None
        repeats = node_of(self.bare(tile.inputs[1]), "Concat")
        if repeats is None or self.analysis.integers(repeats.inputs[0]) != [1] or len(repeats.inputs) != 2:
            return None
        longest = self.bare(repeats.inputs[1])
        same = longest is self.bare(places.inputs[1]) and self.is_longest(longest, lengths)
        return found if same else None

    def bare(self, value: SSAValue) -> SSAValue:
        """``value`` before casts and changes of shape that keep its elements in order."""
        while True:
            op = node_of(value, "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Expand")
            if op is None:
                return value
            before, after = (self.analysis.shape(v) for v in (op.inputs[0], op.outputs[0]))
            if op.kind == "Expand" and (before is None or before != after):
                return value
            if op.kind == "Transpose" and (before is None or len([x for x in before if x != 1]) > 1):
                return value
            value = op.inputs[0]

    def splits(self, lengths: SSAValue) -> SSAValue | None:
        """``V`` when ``lengths`` are ``V[1:] - V[:-1]``."""
        op = node_of(lengths, "Sub")
        parts = [node_of(v, "Slice") for v in op.inputs] if op is not None else []
        bounds = []
        for part in parts:
            cuts = slices_of(part, self.analysis) if part is not None else None
            if cuts is None or len(cuts) != 1 or cuts[0][0] != 0 or cuts[0][3] != 1:
                return None
            end = cuts[0][2]
            bounds.append((cuts[0][1], "end" if isinstance(end, int) and end >= OPEN_END else end))
        if bounds != [(1, "end"), (0, -1)]:
            return None
        one, two = (p.inputs[0] for p in parts if p is not None)
        return one if one is two and len(self.analysis.shape(one) or ()) == 1 else None

    def is_longest(self, value: SSAValue, lengths: SSAValue) -> bool:
        op = node_of(value, "Max", "ReduceMax")
        if op is not None and op.kind == "Max" and len(op.inputs) == 2:
            given = [self.analysis.scalar(v) for v in op.inputs]
            if 0 not in given:
                return False
            op = node_of(self.bare(op.inputs[1 - given.index(0)]), "ReduceMax")
        if op is None or op.kind != "ReduceMax" or axes_of(op, self.analysis) not in ([0], [-1], []):
            return False
        return self.bare(op.inputs[0]) is lengths
