"""Operators that move no data between requests and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue

from cimc.frontend.constants import ints_attribute
from cimc.frontend.match import Emitter, NoMatch, Recogniser, is_integer, need
from cimc.frontend.shape_rules import operand
from cimc.ir import onnx, rec
from cimc.ir.types import element_from_onnx, f32


class Plumbing(Recogniser):
    """Base of recognisers that also carry integer ids, as long as only the chip reads the result.

    Integers that the host needs as well stay with the host: it is there that ids are prepared.
    """

    def carried(self, op: onnx.NodeOp, value: SSAValue | None = None) -> rec.Shape:
        """Extents of the (given) operand if it is f32, or integers on their way to the chip."""
        value = op.inputs[0] if value is None else value
        if self.analysis.element(value) == f32:
            return self.graph.activation(value)
        dims = self.graph.fixed(value, self.graph.rows(value))
        need(is_integer(self.analysis.element(value)), f"holds {self.analysis.element(value)}")
        self.for_chip(op)
        return dims

    def for_chip(self, op: onnx.NodeOp) -> None:
        """NoMatch unless only chip operations use the results."""
        users = [u for result in op.results for u in self.graph.users(result)]
        need(all(u.name.startswith("rec.") for u in users), "prepares integers for the host")


class Reshape(Plumbing):
    """A new shape that keeps the batch as dimension 0: ``[B, ...] -> [B, ...]``."""

    name = "reshape"
    kinds = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Expand"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        need(all(not self.graph.users(r) for r in op.results[1:]), "a second result is used")
        if op.kind == "Dropout" and (training := operand(op, 2)) is not None:
            flag = self.graph.constant(training)
            need(flag is not None and not flag.any(), "drops elements at random")
        before, after = self.carried(op), self.graph.fixed(op.results[0], self.graph.rows(op.results[0]))
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
    kinds = frozenset({"Transpose"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        dims = self.carried(op)
        perm = ints_attribute(op, "perm") or tuple(reversed(range(len(dims))))
        need(perm[0] == 0, "the batch does not stay dimension 0")
        if list(perm) == list(range(len(dims))):
            return [op.inputs[0]]
        return [emit.add(rec.TransposeOp(op.inputs[0], perm))]


class Cast(Plumbing):
    """A conversion between f32 and integers; one that changes nothing vanishes."""

    name = "cast"
    kinds = frozenset({"Cast", "CastLike"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        source = self.analysis.element(x)
        target = self.analysis.element(op.inputs[1]) if op.kind == "CastLike" else None
        target = target or element_from_onnx(onnx.int_attribute(op, "to", 0))
        if target is None or source is None:
            raise NoMatch("the element type is not known")
        if source == target:
            self.carried(op)
            return [x]
        need(f32 in (source, target), f"converts {source} to {target}, the chip only from or to f32")
        other = target if source == f32 else source
        need(isinstance(other, IntegerType) and is_integer(other), f"converts {source} to {target}")
        self.graph.fixed(x, self.graph.rows(x))
        if target != f32:
            self.for_chip(op)
        return [emit.add(rec.CastOp(x, target))]
