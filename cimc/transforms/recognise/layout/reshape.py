"""Operators that move no data between requests and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.operands import axes_of, normal_axes, operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import f32, i1
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import is_integer
from cimc.transforms.recognise.recogniser import Recogniser, Stage


class Plumbing(Recogniser):
    """Base of recognisers that also carry ids and truth values, as long as only the chip reads the result.

    Integers that the host needs as well stay with the host: it is there that ids are prepared.
    """

    def carried(self, op: onnx.NodeOp, value: SSAValue | None = None) -> rec.Shape:
        """Extents of the (given) operand if it is f32, or integers on their way to the chip."""
        value = op.inputs[0] if value is None else value
        if self.analysis.element(value) == f32:
            return self.graph.activation(value)
        dims = self.graph.fixed(value, self.graph.rows(value))
        held = self.analysis.element(value)
        need(is_integer(held) or held == i1, f"holds {held}")
        self.for_chip(op)
        return dims

    def for_chip(self, op: onnx.NodeOp) -> None:
        """NoMatch unless only chip operations use the results."""
        users = [u for result in op.results for u in self.graph.users(result)]
        need(all(u.name.startswith("rec.") for u in users), "prepares integers for the host")


class Reshape(Plumbing):
    """A new shape that keeps the batch as dimension 0: ``[B, ...] -> [B, ...]``."""

    name = "reshape"
    stage = Stage.OPERATORS
    kinds = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Expand"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        need(all(not self.graph.users(r) for r in op.results[1:]), "a second result is used")
        if op.kind == "Dropout" and (training := operand(op, 2)) is not None:
            flag = self.graph.constant(training)
            need(flag is not None and not flag.any(), "drops elements at random")
        before, after = self.carried(op), self.graph.fixed(op.results[0], self.graph.rows(op.results[0]))
        if op.kind in ("Squeeze", "Unsqueeze"):
            rank = max(len(before), len(after))
            need(normal_axes(axes_of(op, self.analysis) or (), rank) is not None, "an axis does not exist")
        elif op.kind == "Flatten":
            axis = onnx.int_attribute(op, "axis", 1)
            need(-len(before) <= axis <= len(before), "the axis does not exist")
            need(axis >= 0 or self.graph.opset >= 11, "counts axes from the end before operator set 11")
        rest: list[SSAValue | None] = [None] * (len(op.results) - 1)
        if before == after:
            return [x, *rest]
        if op.kind == "Expand":
            need(len(before) == len(after), "new axes come before the batch")
            return [emit.add(rec.ExpandOp(x, after))]
        return [emit.add(rec.ReshapeOp(x, after)), *rest]


class Transpose(Plumbing):
    """A permutation of axes that keeps the batch first."""

    name = "transpose"
    stage = Stage.OPERATORS
    kinds = frozenset({"Transpose"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        dims = self.carried(op)
        perm = ints_attribute(op, "perm") or tuple(reversed(range(len(dims))))
        need(sorted(perm) == list(range(len(dims))), "the axes are no permutation")
        need(perm[0] == 0, "the batch does not stay dimension 0")
        if list(perm) == list(range(len(dims))):
            return [op.inputs[0]]
        moved = [p for p in perm if p == 0 or dims[p] != 1]
        if moved == sorted(moved):  # only axes of a single element change places
            return [emit.add(rec.ReshapeOp(op.inputs[0], [dims[p] for p in perm]))]
        return [emit.add(rec.TransposeOp(op.inputs[0], perm))]


class Tile(Plumbing):
    """Repetition along axes other than the batch: a new axis of extent 1 is expanded and merged."""

    name = "tile"
    stage = Stage.OPERATORS
    kinds = frozenset({"Tile"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        dims, repeats = list(self.carried(op)), self.analysis.integers(op.inputs[1])
        after = self.graph.rows(op.results[0])
        if repeats is None:
            raise NoMatch("the repeats are not known at compile time")
        need(len(repeats) == len(dims) and min(repeats) >= 0, "the repeats are not one per axis")
        need(repeats[0] == 1, "repeats the batch")
        value = op.inputs[0]
        for axis, count in enumerate(repeats):
            if count == 1:
                continue
            wide = [*dims[:axis], 1, *dims[axis:]]
            value = emit.add(rec.ReshapeOp(value, wide))
            wide[axis] = count
            value = emit.add(rec.ExpandOp(value, wide))
            dims[axis] *= count
            value = emit.add(rec.ReshapeOp(value, dims))
        need(tuple(dims) == after, "the result's extents are not known")
        return [value]
