"""Pooling of padded id lists with a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.facts import Shape
from cimc.analysis.shapes.operands import axes_of, operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import element_to_dtype, element_to_onnx, f32, i1, i64, is_float
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.graph import plain
from cimc.transforms.matching.nodes import node_of, show
from cimc.transforms.recognise.embedding_bags.mask import Mask, MaskReader
from cimc.transforms.recognise.embedding_bags.tables import Table, bag, is_table, table_of
from cimc.transforms.recognise.recogniser import Recogniser

LARGE = 1e4
"""What masked rows are lowered by before a maximum is at least this: no embedding comes near."""

_VIEWS = ("Squeeze", "Reshape", "Unsqueeze", "Flatten", "Cast")


@dataclass(frozen=True)
class _Product:
    """``sum_l mask[b, l] * rows[b, l]``: the gathered rows and the mask, whose axes ``B, L`` are known."""

    rows: onnx.NodeOp
    mask: SSAValue
    shape: Shape
    """Extents that the mask must have, before it is broadcast."""
    axis: int
    """The axis of ``shape`` that is 1 beside ``B`` and ``L``."""


class _Pooling(Recogniser):
    """What the recognisers of masked pooling share."""

    def gather(self, value: SSAValue) -> onnx.NodeOp | None:
        """The Gather of table rows ``[B, L, D]`` that makes ``value``."""
        op = node_of(value, "Gather")
        if op is None or int_attribute(op, "axis", 0) != 0 or not is_table(op.inputs[0], self.graph):
            return None
        return op

    def _is_only_here(self, rows: SSAValue) -> bool:
        """Whether one operator reads the rows; others may ask for their shape."""
        users = [u for u in self.graph.users(rows) if not (isinstance(u, onnx.NodeOp) and u.kind == "Shape")]
        return len(users) == 1

    def product(self, op: onnx.NodeOp | None) -> _Product | None:
        """Rows and mask when ``op`` sums masked rows over the ids."""
        if op is None:
            return None
        if op.kind == "MatMul":
            left, right = op.inputs
            if (rows := self.gather(right)) is not None:
                return self._checked(rows, left, 1)
            turned = node_of(left, "Transpose")
            if turned is not None and ints_attribute(turned, "perm") == (0, 2, 1):
                rows = self.gather(turned.inputs[0])
                return self._checked(rows, right, 2) if rows is not None else None
            return None
        product = node_of(op.inputs[0], "Mul", "Where")
        if op.kind != "ReduceSum" or product is None or axes_of(op, self.analysis) not in ([1], [-2]):
            return None
        if product.kind == "Where":
            if self.analysis.info(product.inputs[2]).splat != 0.0:
                return None
            mask, other = product.inputs[0], product.inputs[1]
            rows = self.gather(other)
        else:
            other, mask = product.inputs
            if self.gather(other) is None:
                other, mask = mask, other
            rows = self.gather(other)
        if rows is None:
            return None
        need(len(self.graph.users(product.outputs[0])) == 1, "the masked rows are used elsewhere too")
        return self._checked(rows, mask, 2)

    def _checked(self, rows: onnx.NodeOp, mask: SSAValue, axis: int) -> _Product:
        shape = self.graph.shape(rows.inputs[1])
        need(len(shape) == 2, "ids are not [batch, length]")
        need(self._is_only_here(rows.outputs[0]), "the rows are used elsewhere too")
        want = (shape[0], 1, shape[1]) if axis == 1 else (shape[0], shape[1], 1)
        return _Product(rows, mask, want, axis)

    def read_mask(self, product: _Product, reader: MaskReader) -> Mask | None:
        """The mask, if it says which ids are padding."""
        mask = reader.read(product.mask)
        if mask is None or mask.inverted:
            return None
        shape = self.graph.shape(product.mask)
        where = (0, 2 if product.axis == 1 else 1)
        if len(shape) != 3 or (mask.batch, mask.position) != where:
            return None
        if product.axis == 1 and shape[1] != 1:
            return None
        return mask if mask.exact or self.same_ids(product.rows, mask) else None

    def same_ids(self, rows: onnx.NodeOp, mask: Mask) -> bool:
        """Whether rows are gathered by the ids of the mask; what padding is replaced by does not matter."""
        value = plain(rows.inputs[1], self.graph)
        if value is mask.ids:
            return True
        op = node_of(value, "Max", "Clip", "Where", "Relu")
        if op is None:
            return False
        if op.kind == "Where":
            test = MaskReader(self.graph).read(op.inputs[0])
            if test is None or (test.ids, test.padding) != (mask.ids, mask.padding):
                return False
            return plain(op.inputs[1 if not test.inverted else 2], self.graph) is mask.ids
        if op.kind == "Clip" and operand(op, 2) is not None:
            return False
        least = [0] if op.kind == "Relu" else [self.analysis.scalar(v) for v in op.inputs[1:2]]
        return mask.padding < 0 and least == [0] and plain(op.inputs[0], self.graph) is mask.ids

    def shaped(self, value: SSAValue, like: SSAValue, emit: Emitter) -> SSAValue:
        """The pooled ``[B, D]`` in the shape of ``like``."""
        want = self.graph.fixed(like, self.graph.rows(like))
        need(rec.elements(want) == rec.elements(rec.shape(value)), "the result is broadcast")
        return value if len(want) == 2 else emit.add(rec.ReshapeOp(value, want))

    def padded(self, emit: Emitter, rows: onnx.NodeOp, mask: Mask, mode: str) -> SSAValue:
        """A bag of the ids less those that the mask leaves out.

        Where the mask was made from other numbers than the ids (before these were hashed, say), ids become
        -1 there, on the host.
        """
        self.graph.rows(mask.ids)
        table = table_of(rows.inputs[0], self.graph)
        if self.same_ids(rows, mask):
            return bag(emit, table, mask.ids, mode=mode, padding=mask.padding)
        element, shape = self.analysis.element(mask.ids), self.graph.shape(mask.ids)
        if element is None:
            raise NoMatch("the element type of the ids is not known")
        number = emit.constant(np.array(mask.padding, element_to_dtype(element)))
        return self.left_out(emit, rows, emit.node("Equal", [mask.ids, number], shape, i1), mode)

    def left_out(
        self, emit: Emitter, rows: onnx.NodeOp, out: SSAValue, mode: str, inverted: bool = False
    ) -> SSAValue:
        """A bag of those ids for which ``out [B, L]`` does not hold (or, ``inverted``, does)."""
        ids, shape = plain(rows.inputs[1], self.graph), self.graph.shape(rows.inputs[1])
        element = self.analysis.element(ids)
        need(len(self.graph.rows(ids)) == 2 and shape == self.graph.shape(out), "not one truth value per id")
        if element is None or is_float(element):
            raise NoMatch("the element type of the ids is not known")
        table = table_of(rows.inputs[0], self.graph)
        ids, none = self.from_end(ids, table, emit), emit.constant(np.array(-1, element_to_dtype(element)))
        sides = [ids, none] if inverted else [none, ids]
        return bag(emit, table, emit.node("Where", [out, *sides], shape, element), mode=mode, padding=-1)

    def from_end(self, ids: SSAValue, table: Table, emit: Emitter) -> SSAValue:
        """``ids + rows * (ids < 0)``."""
        shape, element = self.graph.shape(ids), self.analysis.element(ids)
        if element is None or is_float(element):
            raise NoMatch("the element type of the ids is not known")
        dtype = element_to_dtype(element)
        negative = emit.node("Less", [ids, emit.constant(np.array(0, dtype))], shape, i1)
        to = {"to": IntegerAttr(element_to_onnx(element), i64)}
        ones = emit.node("Cast", [negative], shape, element, to)
        shift = emit.node("Mul", [ones, emit.constant(np.array(table.rows, dtype))], shape, element)
        return emit.node("Add", [ids, shift], shape, element)

    def note_empty(self, table: SSAValue, reference: str) -> None:
        self.graph.ctx.notes.append(
            f"{show(table)}: a list of nothing but padding gives zeros, in onnxruntime {reference}"
        )


class MaskedMean(_Pooling):
    """The mean of those rows whose id is not padding ``p``::

        out[b] = sum_l m[b, l] * W[ids[b, l]] / sum_l m[b, l]        m = ids != p, ids > 0, Cast(ids), ...

    The count may be guarded by ``Max`` or ``Clip`` with up to 1, or by a small addend.
    """

    name = "bag-masked-mean"
    kinds = frozenset({"Div"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        reader = MaskReader(self.graph)
        total, value = None, op.inputs[0]
        while total is None:
            total = node_of(value, "MatMul", "ReduceSum")
            view = node_of(value, *_VIEWS)
            if total is None and view is None:
                raise NotMine("what is divided is no sum over ids")
            need(len(self.graph.users(value)) == 1, "the sum is used elsewhere too")
            value = value if view is None else view.inputs[0]
        product = self.product(total)
        if product is None:
            raise NotMine("what is divided is no sum over ids of rows times a mask")
        counted, mask = reader.count(op.inputs[1]), self.read_mask(product, reader)
        need(mask is not None, "the mask is no comparison of the ids with a padding id")
        need(counted is not None, "the divisor is not the number of ids under the mask")
        assert mask is not None
        assert counted is not None
        need(
            (counted[0].ids, counted[0].padding) == (mask.ids, mask.padding),
            "the divisor counts under another mask",
        )
        self._check_divisor(op)
        value = self.shaped(self.padded(emit, product.rows, mask, "mean"), op.outputs[0], emit)
        if not counted[1]:
            self.note_empty(product.rows.inputs[0], "0 / 0")
        return [value]

    def _check_divisor(self, op: onnx.NodeOp) -> None:
        """Row ``b`` is divided by the count of ``b``: the divisor is ``[B, 1]`` or constant along a row."""
        above, below = (self.graph.shape(v) for v in op.inputs)
        need(len(above) == len(below) and below[0] == above[0], "the divisor is not one number per list")


class MaskedMax(_Pooling):
    """The largest of those rows whose id is not padding ``p``; ``c`` is large (1e4 at least)::

    out[b] = max_l (W[ids[b, l]] - (1 - m[b, l]) * c)  =  max_l Where(m[b, l], W[ids[b, l]], -c)
    """

    name = "bag-masked-max"
    kinds = frozenset({"ReduceMax"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        lowered = node_of(op.inputs[0], "Sub", "Add", "Where")
        if lowered is None or axes_of(op, self.analysis) not in ([1], [-2]):
            raise NotMine("not a maximum over the ids of rows under a mask")
        rows, mask, drop = self._parts(lowered)
        if rows is None:
            raise NotMine("no operand is rows of a constant table")
        need(len(self.graph.users(lowered.outputs[0])) == 1, "the masked rows are used elsewhere too")
        need(self._is_only_here(rows.outputs[0]), "the rows are used elsewhere too")
        need(len(self.graph.shape(rows.inputs[1])) == 2, "ids are not [batch, length]")
        if mask is None and lowered.kind == "Where":
            value, drop = self._chosen(lowered, rows, emit)
        elif mask is None or mask.inverted or drop is None:
            raise NoMatch("rows are not lowered by a comparison of the ids with a padding id")
        else:
            need(drop >= LARGE, f"masked rows are lowered by {drop:g} only")
            need((mask.batch, mask.position) == (0, 1), "the mask does not have one number per id")
            need(mask.exact or self.same_ids(rows, mask), "the mask is made from other ids")
            value = self.padded(emit, rows, mask, "max")
        self.note_empty(rows.inputs[0], f"about {-drop:g}")
        return [self.shaped(value, op.outputs[0], emit)]

    def _parts(self, op: onnx.NodeOp) -> tuple[onnx.NodeOp | None, Mask | None, float | None]:
        """Rows, the mask of what is kept, and by how much the rest is lowered."""
        reader = MaskReader(self.graph)
        if op.kind == "Where":
            test = self._wide(reader.read(op.inputs[0]), op.inputs[0])
            kept, other = (2, 1) if test is not None and test.inverted else (1, 2)
            number = self.analysis.info(op.inputs[other]).splat
            if test is not None and test.inverted:
                test = replace(test, inverted=False)
            return self.gather(op.inputs[kept]), test, None if number is None else -number
        sides = [tuple(op.inputs)] if op.kind == "Sub" else [tuple(op.inputs), tuple(op.inputs)[::-1]]
        for left, right in sides:
            rows, product = self.gather(left), node_of(right, "Mul")
            if rows is None:
                continue
            if product is None:
                return rows, None, None
            numbers = [self.analysis.info(v).splat for v in product.inputs]
            index = next((k for k, n in enumerate(numbers) if n is not None), None)
            if index is None:
                return rows, None, None
            number, source = numbers[index], product.inputs[1 - index]
            test = self._wide(reader.read(source), source)
            if test is None or not test.inverted or number is None:
                return rows, None, None
            test = replace(test, inverted=False)
            return rows, test, number if op.kind == "Sub" else -number
        return None, None, None

    def _chosen(self, op: onnx.NodeOp, rows: onnx.NodeOp, emit: Emitter) -> tuple[SSAValue, float]:
        """``Where(c[B, L, 1], rows, -big)``, or the other way round, whatever ``c`` comes from."""
        inverted = self.gather(op.inputs[1]) is not None
        number = self.analysis.info(op.inputs[2 if inverted else 1]).splat
        if number is None or -number < LARGE:
            raise NoMatch("masked rows are not lowered by a large number")
        shape = self.graph.shape(op.inputs[0])
        need(len(shape) == 3 and shape[2] == 1, "the mask does not have one number per id")
        target = emit.constant(np.array([0, -1], np.int64))
        flat = emit.node("Reshape", [op.inputs[0], target], shape[:2], i1)
        return self.left_out(emit, rows, flat, "max", inverted), -number

    def _wide(self, mask: Mask | None, value: SSAValue) -> Mask | None:
        return mask if mask is not None and len(self.graph.shape(value)) == 3 else None


class MaskedBag(_Pooling):
    """A weighted sum over padded ids ``[B, L]``::

        out[b] = sum_l m[b, l] * W[ids[b, l]]
               = MatMul(m[B, 1, L], Gather(W, ids))  or  MatMul(Gather(W, ids)', m[B, L, 1])
               = ReduceSum(Mul(Gather(W, ids), m[B, L, 1]), 1)  or  ReduceSum(Where(m, Gather(W, ids), 0), 1)

    If ``m`` compares the ids with a padding id, that id is left out of the bag and no mask exists.  Any
    other f32 ``m`` becomes per-sample weights and is made on the host.  Exporters pad with -1 and ONNX counts
    such ids from the end of the table; the host does the same before ids go to the chip.
    """

    name = "bag-masked"
    kinds = frozenset({"MatMul", "ReduceSum"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        product = self.product(op)
        if product is None:
            raise NotMine("not a sum over the ids of rows of a constant table times a mask")
        mask = self.read_mask(product, MaskReader(self.graph))
        if mask is not None:
            return [self.shaped(self.padded(emit, product.rows, mask, "sum"), op.outputs[0], emit)]
        table = table_of(product.rows.inputs[0], self.graph)
        ids = plain(product.rows.inputs[1], self.graph)
        need(len(self.graph.rows(ids)) == 2, "ids are not [batch, length]")
        need(self.graph.shape(product.mask) == product.shape, "the mask does not have one number per id")
        element = self.analysis.element(product.mask)
        need(element == f32, "the mask is not f32")
        weights = self._flat(product, emit)
        value = bag(emit, table, self.from_end(ids, table, emit), mode="sum", weights=weights)
        return [self.shaped(value, op.outputs[0], emit)]

    def _flat(self, product: _Product, emit: Emitter) -> SSAValue:
        """The mask as ``[B, L]``."""
        rest = tuple(s for k, s in enumerate(product.shape) if k != product.axis)
        source = node_of(product.mask, "Unsqueeze")
        if source is not None and self.analysis.shape(source.inputs[0]) == rest:
            return source.inputs[0]
        target = emit.constant(np.array([0, -1], np.int64))
        return emit.node("Reshape", [product.mask, target], rest, f32)
