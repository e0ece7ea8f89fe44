"""Normalisation of activations, request by request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute
from cimc.analysis.shapes.operands import operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import f32
from cimc.transforms.matching.batch_norm import batch_norm
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import need
from cimc.transforms.matching.nodes import axis_of, show
from cimc.transforms.recognise.layout.shared_operands import name_of, number, place
from cimc.transforms.recognise.recogniser import Recogniser, Stage
from cimc.transforms.recognise.vector.reduce import reduced


class BatchNormalization(Recogniser):
    """Inference-time batch normalisation along axis 1, ``y = x * scale + shift``.

    Right behind a linear layer it is part of that layer (``linear.py``).  In front of one it stays apart: it
    brings features of different magnitude into the one range that a layer's input is quantised to.
    """

    name = "batch-normalization"
    stage = Stage.OPERATORS
    kinds = frozenset({"BatchNormalization"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        rank = len(self.graph.activation(x))
        found = batch_norm(op, self.graph)
        wide = (1, -1, *([1] * (rank - 2)))
        name = onnx.name_of(op) or "normalization"
        scale = emit.shared(found.scale.reshape(wide).astype(np.float32), f"{name}.scale", rank)
        shift = emit.shared(found.shift.reshape(wide).astype(np.float32), f"{name}.shift", rank)
        value = emit.add(rec.BinaryOp("add", emit.add(rec.BinaryOp("mul", x, scale)), shift))
        return [value, *[None] * (len(op.results) - 1)]


class LayerNormalization(Recogniser):
    """``y = (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * gamma + beta`` over all axes from ``axis`` on.

    ``RMSNormalization`` neither subtracts the mean nor adds ``beta``.
    """

    name = "layer-normalization"
    stage = Stage.OPERATORS
    kinds = frozenset({"LayerNormalization", "RMSNormalization"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        rank = len(self.graph.activation(x))
        axis = axis_of(op, rank, -1)
        need(axis >= 1, "normalises over the batch")
        need(all(not self.graph.users(r) for r in op.results[1:]), "its statistics are used")
        axes = list(range(axis, rank))
        if op.kind == "LayerNormalization":
            x = emit.add(rec.BinaryOp("sub", x, reduced(emit, "mean", x, axes, True)))
        variance = reduced(emit, "mean", emit.add(rec.BinaryOp("mul", x, x)), axes, True)
        epsilon = number(emit, float_attribute(op, "epsilon", 1e-5), rank)
        root = emit.add(rec.UnaryOp("sqrt", emit.add(rec.BinaryOp("add", variance, epsilon))))
        value = emit.add(rec.BinaryOp("div", x, root))
        for index, kind in ((1, "mul"), (2, "add")):
            if (given := operand(op, index)) is not None:
                value = emit.add(rec.BinaryOp(kind, value, self._parameter(given, rank, emit)))
        return [value, *[None] * (len(op.results) - 1)]

    def _parameter(self, value: SSAValue, rank: int, emit: Emitter) -> SSAValue:
        array = self.graph.constant(value)
        if array is None:
            need(len(self.graph.activation(value)) == rank, f"{show(value)} does not have the operand's rank")
            return value
        need(self.analysis.element(value) == f32, f"{show(value)} is not f32")
        return place(emit, array, name_of(value, rank), rank)


class LpNormalization(Recogniser):
    """``y = x / |x|`` along an axis >= 1, ``|x|`` the sum of magnitudes (p = 1) or the root of squares."""

    name = "lp-normalization"
    stage = Stage.OPERATORS
    kinds = frozenset({"LpNormalization"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        rank = len(self.graph.activation(x))
        axis = axis_of(op, rank, -1)
        need(axis >= 1, "normalises over the batch")
        if int_attribute(op, "p", 2) == 1:
            norm = reduced(emit, "sum", emit.add(rec.UnaryOp("abs", x)), [axis], True)
        else:
            norm = reduced(emit, "l2", x, [axis], True)
        # ONNX gives 0 for a vector of zeros
        zero = emit.add(rec.BinaryOp("equal", norm, number(emit, 0.0, rank)))
        safe = emit.add(rec.BinaryOp("add", norm, emit.add(rec.CastOp(zero, f32))))
        return [emit.add(rec.BinaryOp("div", x, safe))]
