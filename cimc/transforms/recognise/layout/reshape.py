"""Operators that move no data between requests and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.operands import axes_of, keeps_dims, normal_axes, operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import element_from_onnx, element_to_dtype, f32, i1, is_float
from cimc.transforms.recognise.recogniser import Emitter, NoMatch, Recogniser, is_integer, need, node_of
from cimc.transforms.recognise.vector.logic import as_truth


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
            need(-len(before) <= onnx.int_attribute(op, "axis", 1) <= len(before), "the axis does not exist")
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
        need(sorted(perm) == list(range(len(dims))), "the axes are no permutation")
        need(perm[0] == 0, "the batch does not stay dimension 0")
        if list(perm) == list(range(len(dims))):
            return [op.inputs[0]]
        moved = [p for p in perm if p == 0 or dims[p] != 1]
        if moved == sorted(moved):  # only axes of a single element change places
            return [emit.add(rec.ReshapeOp(op.inputs[0], [dims[p] for p in perm]))]
        return [emit.add(rec.TransposeOp(op.inputs[0], perm))]


class Cast(Plumbing):
    """A conversion between f32, integers and truth values; one that changes nothing vanishes.

    The f32 form of a count, ``Cast(ReduceSum(Cast(truth, int)))``, is counted in f32, which holds integers
    up to 2^24.
    """

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
        if is_float(source) and is_float(target):
            # on the chip every float is f32; another type is what the value has outside
            need(f32 in (source, target), f"converts {source} to {target}, the chip only from or to f32")
            self.graph.fixed(x, self.graph.rows(x))
            return [emit.add(rec.CastOp(x, target))]
        need(
            f32 in (source, target) or i1 in (source, target),
            f"converts {source} to {target}, the chip only from or to f32",
        )
        for element in (source, target):
            need(element in (f32, i1) or is_integer(element), f"converts {source} to {target}")
        self.graph.fixed(x, self.graph.rows(x))
        if target != f32:
            self.for_chip(op)
        if target == i1:
            return [as_truth(emit, x, element_to_dtype(source))]
        counted = self._count(x) if target == f32 else None
        if counted is not None:
            truth, axes, keep = counted
            return [emit.add(rec.ReduceOp("sum", emit.add(rec.CastOp(truth, f32)), axes, keep))]
        return [emit.add(rec.CastOp(x, target))]

    def _count(self, x: SSAValue) -> tuple[SSAValue, list[int], bool] | None:
        """The truth values that ``x`` counts as integers, along neighbouring axes other than the batch."""
        total = node_of(x, "ReduceSum")
        inner = node_of(total.inputs[0], "Cast") if total is not None else None
        if total is None or inner is None or self.analysis.element(inner.inputs[0]) != i1:
            return None
        dims = self.graph.fixed(inner.inputs[0], self.graph.rows(inner.inputs[0]))
        axes = sorted({a % len(dims) for a in axes_of(total, self.analysis) or ()})
        if not axes or axes != list(range(axes[0], axes[-1] + 1)) or axes[0] == 0:
            return None
        return inner.inputs[0], axes, keeps_dims(total)


class Tile(Plumbing):
    """Repetition along axes other than the batch: a new axis of extent 1 is expanded and merged."""

    name = "tile"
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
