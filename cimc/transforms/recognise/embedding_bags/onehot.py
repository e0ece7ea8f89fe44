"""Segment reductions of table rows as older tf2onnx spells them: products with one-hot segment numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.operands import axes_of, keeps_dims
from cimc.ir.onnx import dialect as onnx
from cimc.ir.rec import ints
from cimc.ir.types import element_to_onnx, i64
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NotMine, need
from cimc.transforms.matching.graph import plain
from cimc.transforms.matching.nodes import axis_of, node_of, show
from cimc.transforms.recognise.embedding_bags.segment import LOWEST, SegmentBag
from cimc.transforms.recognise.embedding_bags.tables import bag, table_of

_VIEWS = ("Unsqueeze", "Reshape", "Cast")


class OneHotSegmentBag(SegmentBag):
    """Rows of a table, pooled over those with the same segment number, by way of one-hot rows::

        out = MatMul(H, W[ids] * w)                         H[k, i] = 1 if s[i] = k else 0, k < S
        out = MatMul(H, W[ids]) / ReduceSum(H, 1)           (mean; the count guarded by Max with 1, or not)
        out = ReduceMax(Where(H, W[ids], -inf), 1)

    Segment numbers of a ragged tensor are its row splits; others are sorted and counted on the host, by the
    model's own ``H``.
    """

    name = "bag-onehot"
    kinds = frozenset({"MatMul", "ReduceMax", "Div"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        total, mode = op, "max" if op.kind == "ReduceMax" else "sum"
        if op.kind == "Div":
            product = node_of(op.inputs[0], "MatMul")
            if product is None or node_of(product.inputs[0], "OneHot", "Cast") is None:
                raise NotMine("what is divided is no product with one-hot rows")
            total, mode = product, "mean"
        hot, rows = self._chosen(total) if mode == "max" else self._product(total)
        if mode == "mean":
            need(len(self.graph.users(total.outputs[0])) == 1, "the sum is used elsewhere too")
            guarded = self._counts(op.inputs[1], hot)
        self.graph.rows(op.outputs[0])
        table, ids, weights = self._rows(plain(rows, self.graph))
        need(weights is None or mode == "sum", f"weights with mode {mode}")
        need(self.graph.opset >= 11, "adding up the sizes of segments needs operator set 11")
        segments = plain(hot.inputs[0], self.graph)
        need(self.graph.shape(segments) == self.graph.shape(ids), "not one segment number per id")
        offsets, layout = self.splits(segments), "offsets_end"
        if offsets is None:
            layout = "offsets"
            ids, weights, offsets = self._by_segment(hot, ids, weights, emit)
        if mode == "max" or (mode == "mean" and not guarded):
            reference = "the lowest number" if mode == "max" else "0 / 0"
            self.graph.ctx.notes.append(
                f"{show(table)}: an empty segment gives zeros, in onnxruntime {reference}"
            )
        found = table_of(table, self.graph)
        offsets = plain(offsets, self.graph)
        return [bag(emit, found, ids, mode=mode, layout=layout, offsets=offsets, weights=weights)]

    # -- reading ------------------------------------------------------------------------------------

    def _product(self, op: onnx.NodeOp) -> tuple[onnx.NodeOp, SSAValue]:
        return self._one_hot(op.inputs[0]), op.inputs[1]

    def _chosen(self, op: onnx.NodeOp) -> tuple[onnx.NodeOp, SSAValue]:
        where = node_of(op.inputs[0], "Where")
        cast = node_of(where.inputs[0], *_VIEWS) if where is not None else None
        if where is None or cast is None:
            raise NotMine("not a maximum over rows chosen by one-hot numbers")
        hot = self._one_hot(where.inputs[0])
        lowest = self.analysis.info(where.inputs[2]).splat
        need(lowest is not None and lowest <= LOWEST, "rows of other segments are not replaced by the lowest")
        need(axes_of(op, self.analysis) in ([1], [-2]), "rows are not reduced along a segment")
        need(not keeps_dims(op), "the reduced axis is kept")
        shape, rows = self.graph.shape(where.inputs[0]), self.graph.shape(where.inputs[1])
        need(len(shape) == 3 and shape[2] == 1 and len(rows) == 2, "the choice is not one per row")
        return hot, where.inputs[1]

    def _one_hot(self, value: SSAValue) -> onnx.NodeOp:
        """The OneHot ``[S, n]`` of zeros and ones behind casts and new axes."""
        while (view := node_of(value, *_VIEWS)) is not None:
            shape = self.graph.shape(view.outputs[0])
            need(shape[:2] == self.graph.shape(view.inputs[0])[:2], "one-hot rows change their shape")
            value = view.inputs[0]
        op = node_of(value, "OneHot")
        if op is None:
            raise NotMine("no factor is one-hot rows")
        levels = self.graph.constant(op.inputs[2])
        need(
            levels is not None and levels.astype(np.float64).reshape(-1).tolist() == [0.0, 1.0],
            "one-hot rows are not zeros and ones",
        )
        shape = self.graph.shape(op.outputs[0])
        need(len(shape) == 2 and axis_of(op, 2, -1) == 0, "one-hot rows are not one per segment")
        need(shape[0] == self.graph.batch, "there is not one segment per request")
        return op

    def _counts(self, value: SSAValue, hot: onnx.NodeOp) -> bool:
        """Whether a divisor ``[S, 1]``, which must be the rows of each segment, is guarded against zero."""
        shape, guarded = self.graph.shape(value), False
        need(len(shape) == 2 and shape[1] == 1, "the divisor is not one number per segment")
        while (op := node_of(value, "Max", *_VIEWS)) is not None:
            if op.kind == "Max":
                numbers = [self.analysis.info(v).splat for v in op.inputs]
                need(len(numbers) == 2 and 1.0 in numbers, "a count is limited by something other than 1")
                guarded, value = True, op.inputs[1 - numbers.index(1.0)]
            else:
                value = op.inputs[0]
        total = node_of(value, "ReduceSum")
        need(
            total is not None
            and axes_of(total, self.analysis) in ([1], [-1])
            and self._one_hot(total.inputs[0]) is hot,
            "the divisor is not the number of rows of each segment",
        )
        return guarded

    # -- index preparation --------------------------------------------------------------------------

    def _by_segment(
        self, hot: onnx.NodeOp, ids: SSAValue, weights: SSAValue | None, emit: Emitter
    ) -> tuple[SSAValue, SSAValue | None, SSAValue]:
        """Ids and weights in the order of their segments, and where each segment starts.

        The places of ones in ``H [S, n]``, row by row, are those of the rows of segment 0, then of 1, ...
        """
        count, rows = self.graph.shape(hot.outputs[0])
        chosen = self.analysis.fresh(hot.outputs[0], -1)
        shape: list[Known] = [chosen]

        def make(kind: str, inputs: list[SSAValue], extents: list[Known], attrs: dict[str, int]) -> SSAValue:
            given = {k: IntegerAttr(v, i64) for k, v in attrs.items()}
            value = emit.node(kind, inputs, extents, i64, given)
            assert isinstance(value.owner, onnx.NodeOp)
            self.graph.pinned.add(value.owner)  # it prepares ids
            return value

        one = make("Cast", [hot.outputs[0]], [count, rows], {"to": element_to_onnx(i64)})
        places = make("NonZero", [one], [2, chosen], {})
        order = make("Gather", [places, emit.constant(np.array(1))], shape, {"axis": 0})
        if self.graph.opset < 13:
            attrs: dict[str, Attribute]
            operands, attrs = [one], {"axes": ints([1]), "keepdims": IntegerAttr(0, i64)}
        else:
            operands, attrs = [one, emit.constant(np.array([1]))], {"keepdims": IntegerAttr(0, i64)}
        total = emit.node("ReduceSum", operands, [count], i64, attrs)
        starts = make("CumSum", [total, emit.constant(np.array(0))], [count], {"exclusive": 1})
        ids = self._in_order(ids, order, emit)
        return ids, None if weights is None else self._in_order(weights, order, emit), starts
