"""Comparisons, truth values and selections on the vector unit.

Truth values are ``i1`` in ``rec`` and 1.0 or 0.0 on the chip.  Only what the chip itself reads is computed
there: a comparison that decides which ids are looked up stays with the ids on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from cimc.analysis.shapes.operands import operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array
from cimc.ir.types import DYNAMIC, f32, i1, i32, i64
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import node_of, show
from cimc.transforms.recognise.layout.shared_operands import aligned, number, place, shared_array
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_COMPARES = {
    "Equal": ("equal", False),
    "Less": ("less", False),
    "LessOrEqual": ("less_equal", False),
    "Greater": ("less", True),
    "GreaterOrEqual": ("less_equal", True),
}
"""ONNX operator -> kind of ``rec.binary``, whether the operands change places."""


def negated(emit: Emitter, truth: SSAValue) -> SSAValue:
    """*not* ``truth``, as ``truth == false``."""
    rank = len(rec.shape(truth))
    return emit.add(rec.BinaryOp("equal", truth, place(emit, np.zeros((1,) * rank, bool), "false", rank)))


class Logic(Recogniser):
    """Base of recognisers of operators that give truth values."""

    def for_chip(self, op: onnx.NodeOp) -> None:
        """NoMatch unless chip operations or the model's outputs take the result."""
        users = [u for result in op.results for u in self.graph.users(result)]
        need(
            all(u.name.startswith("rec.") or isinstance(u, ReturnOp) for u in users),
            "the host decides by the result",
        )

    def operands(self, op: onnx.NodeOp, emit: Emitter) -> list[SSAValue]:
        """The operands, constants placed; NoMatch unless they are of one rank and a type the chip holds."""
        values = list(op.inputs)
        arrays: list[Array | None] = [shared_array(v, self.graph) for v in values]
        moving = [v for v, a in zip(values, arrays, strict=True) if a is None]
        need(moving, "all operands are constant")
        for value in moving:
            held = self.analysis.element(value)
            need(held in (f32, i1, i32, i64), f"{show(value)} holds {held}")
        dims = [self.graph.fixed(v, self.graph.rows(v)) for v in moving]
        need(len({len(d) for d in dims}) == 1, "operands differ in rank: the batch would meet another axis")
        return aligned(emit, values, arrays, len(dims[0]))


class Compare(Logic):
    """``a = b``, ``a < b``, ``a <= b`` and their mirror images, of f32 or of integers up to 32 bits."""

    name = "compare"
    stage = Stage.OPERATORS
    kinds = frozenset(_COMPARES)

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        self.for_chip(op)
        a, b = self.operands(op, emit)
        kind, swapped = _COMPARES[op.kind]
        return [emit.add(rec.BinaryOp(kind, *((b, a) if swapped else (a, b))))]


class Truth(Logic):
    """``Not``, ``And``, ``Or``, ``Xor`` of truth values; ``IsNaN(x)`` is ``not x = x``."""

    name = "truth"
    stage = Stage.OPERATORS
    kinds = frozenset({"Not", "And", "Or", "Xor", "IsNaN", "IsInf"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        self.for_chip(op)
        values = self.operands(op, emit)
        if op.kind == "Not":
            return [negated(emit, values[0])]
        if op.kind == "IsNaN":
            return [negated(emit, emit.add(rec.BinaryOp("equal", values[0], values[0])))]
        if op.kind == "IsInf":
            both = onnx.int_attribute(op, "detect_negative", 1) == onnx.int_attribute(
                op, "detect_positive", 1
            )
            need(both and onnx.int_attribute(op, "detect_positive", 1), "tells the infinities apart")
            size = emit.add(rec.UnaryOp("abs", values[0]))
            return [emit.add(rec.BinaryOp("equal", size, number(emit, np.inf, len(rec.shape(size)))))]
        if op.kind == "Xor":
            return [negated(emit, emit.add(rec.BinaryOp("equal", *values)))]
        return [emit.add(rec.BinaryOp("mul" if op.kind == "And" else "max", *values))]


class Where(Recogniser):
    """``Where(m, a, b) = mask(a, m) + mask(b, not m)`` of f32, exact: one summand is 0 everywhere.

    A summand that is the constant 0 is left out.
    """

    name = "where"
    stage = Stage.OPERATORS
    kinds = frozenset({"Where"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        truth, yes, no = op.inputs
        turned = node_of(truth, "Not")
        if turned is not None:
            truth, yes, no = turned.inputs[0], no, yes
        dims = self.graph.activation(op.results[0])
        values = [truth, yes, no]
        arrays = [shared_array(v, self.graph) for v in values]
        for value, array in zip(values, arrays, strict=True):
            if array is None:
                rank = len(self.graph.fixed(value, self.graph.rows(value)))
                need(rank == len(dims), "operands differ in rank: the batch would meet another axis")
        need(any(a is None for a in arrays), "all operands are constant")
        zero = [a is not None and not a.any() for a in arrays[1:]]
        need(not all(zero), "both choices are 0")
        truth, yes, no = aligned(emit, values, arrays, len(dims))
        parts = []
        if not zero[0]:
            parts.append(emit.add(rec.BinaryOp("mask", yes, truth)))
        if not zero[1]:
            parts.append(emit.add(rec.BinaryOp("mask", no, negated(emit, truth))))
        value = parts[0] if len(parts) == 1 else emit.add(rec.BinaryOp("add", *parts))
        found = rec.shape(value)
        if found[1:] != dims[1:] or found[0] == 1 != dims[0]:
            need(found[0] in (DYNAMIC, 1, dims[0]), "the batch would be repeated")
            value = emit.add(rec.ExpandOp(value, dims))
        return [value]


class Triangle(Recogniser):
    """``Trilu``: the upper or lower triangle of the last two axes, the rest 0; ``mask`` by a constant."""

    name = "triangle"
    stage = Stage.OPERATORS
    kinds = frozenset({"Trilu"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x, k = op.inputs[0], 0
        dims = self.graph.activation(x)
        need(len(dims) > 2, "the batch is an axis of the triangle")
        if (given := operand(op, 1)) is not None:
            array = self.graph.constant(given)
            if array is None or array.size != 1:
                raise NoMatch("the diagonal is not constant")
            k = int(array.reshape(-1)[0])
        upper = onnx.int_attribute(op, "upper", 1) != 0
        rows, columns = np.ogrid[: dims[-2], : dims[-1]]
        kept = columns - rows >= k if upper else columns - rows <= k
        wide = kept.reshape((1,) * (len(dims) - 2) + kept.shape)
        name = f"triangle.{'upper' if upper else 'lower'}.{k}.{dims[-2]}x{dims[-1]}.r{len(dims)}"
        return [emit.add(rec.BinaryOp("mask", x, place(emit, wide, name, len(dims))))]


def as_truth(emit: Emitter, x: SSAValue, dtype: np.dtype[Any]) -> SSAValue:
    """``x != 0``."""
    rank = len(rec.shape(x))
    zero = place(emit, np.zeros((1,) * rank, dtype), "zero", rank)
    return negated(emit, emit.add(rec.BinaryOp("equal", x, zero)))
