"""Pooling of padded id lists with a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue

from cimc.frontend.match import Emitter, NotMine, Recogniser, need, node_of, plain
from cimc.frontend.recognise.tables import bag, table_of
from cimc.frontend.shape_rules import axes_of
from cimc.ir import onnx, rec
from cimc.ir.onnx import int_attribute
from cimc.ir.types import element_to_dtype, element_to_onnx, f32, i1, i64


class MaskedBag(Recogniser):
    """A weighted sum over padded ids ``[B, L]``; the mask (any f32 ``m``) becomes per-sample weights::

        out[b] = sum_l m[b, l] * W[ids[b, l]]
               = MatMul(m[B, 1, L], Gather(W, ids))  or  ReduceSum(Mul(Gather(W, ids), m[B, L, 1]), 1)

    The mask itself and its count are made on the host.  Exporters pad with -1 and ONNX counts such
    ids from the end of the table; the host does the same before ids go to the chip.
    """

    name = "bag-masked"
    kinds = frozenset({"MatMul", "ReduceSum"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        if op.kind == "MatMul":
            mask, rows, keep, mask_axis = op.inputs[0], op.inputs[1], True, 1
        else:
            product = node_of(op.inputs[0], "Mul")
            if product is None or axes_of(op, self.analysis) not in ([1], [-2]):
                raise NotMine("not a sum over the ids of rows times a mask")
            need(len(self.graph.users(product.outputs[0])) == 1, "the masked rows are used elsewhere too")
            rows, mask = product.inputs
            if self._gather(rows) is None:
                rows, mask = mask, rows
            keep, mask_axis = bool(int_attribute(op, "keepdims", 1)), 2
        gather = self._gather(rows)
        if gather is None:
            raise NotMine("no factor is rows of a constant table")
        need(len(self.graph.users(rows)) == 1, "the rows are used elsewhere too")
        table = table_of(gather.inputs[0], self.graph)
        ids = plain(gather.inputs[1], self.graph)
        shape = self.graph.shape(ids)
        need(len(self.graph.rows(ids)) == 2, "ids are not [batch, length]")
        want = (shape[0], 1, shape[1]) if mask_axis == 1 else (shape[0], shape[1], 1)
        need(self.graph.shape(mask) == want, "the mask does not have one number per id")
        need(self.analysis.element(mask) == f32, "the mask is not f32")
        weights = self._flat(mask, mask_axis, emit)
        if self._may_be_negative(mask, ids):
            ids = self._from_end(ids, table.rows, emit)
        value = bag(emit, table, ids, mode="sum", weights=weights)
        if keep:
            dims = rec.shape(value)
            value = emit.add(rec.ReshapeOp(value, (dims[0], 1, dims[1])))
        return [value]

    def _gather(self, value: SSAValue) -> onnx.NodeOp | None:
        op = node_of(value, "Gather")
        if op is None or int_attribute(op, "axis", 0) != 0 or self.graph.constant(op.inputs[0]) is None:
            return None
        return op

    def _flat(self, mask: SSAValue, axis: int, emit: Emitter) -> SSAValue:
        """The mask as ``[B, L]``."""
        shape = self.graph.shape(mask)
        source = node_of(mask, "Unsqueeze")
        rest = tuple(s for k, s in enumerate(shape) if k != axis)
        if source is not None and self.analysis.shape(source.inputs[0]) == rest:
            return source.inputs[0]
        target = emit.constant(np.array([0, -1], np.int64))
        return emit.node("Reshape", [mask, target], rest, f32)

    def _may_be_negative(self, mask: SSAValue, ids: SSAValue) -> bool:
        """Whether padding may have an id below 0: not if the mask compares ids with 0 or more."""
        test = node_of(mask, "Unsqueeze", "Reshape", "Cast", "Not", "Equal")
        while test is not None and test.kind != "Equal":
            test = node_of(test.inputs[0], "Unsqueeze", "Reshape", "Cast", "Not", "Equal")
        if test is None or plain(test.inputs[0], self.graph) is not ids:
            return True
        padding = self.analysis.scalar(test.inputs[1])
        return not isinstance(padding, int) or padding < 0

    def _from_end(self, ids: SSAValue, rows: int, emit: Emitter) -> SSAValue:
        """``ids + rows * (ids < 0)``."""
        shape, element = self.graph.shape(ids), self.analysis.element(ids)
        assert element is not None
        dtype = element_to_dtype(element)
        negative = emit.node("Less", [ids, emit.constant(np.array(0, dtype))], shape, i1)
        to = {"to": IntegerAttr(element_to_onnx(element), i64)}
        ones = emit.node("Cast", [negative], shape, element, to)
        shift = emit.node("Mul", [ones, emit.constant(np.array(rows, dtype))], shape, element)
        return emit.node("Add", [ids, shift], shape, element)
