"""A recogniser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.recognise.layout.shared_operands import number
from cimc.transforms.recognise.recogniser import Recogniser, Stage


class Hyperbolic(Recogniser):
    """``Cosh(x)`` and ``Sinh(x)`` are ``(exp(x) + exp(-x)) / 2`` and ``(exp(x) - exp(-x)) / 2``."""

    name = "sample-hyperbolic"
    stage = Stage.OPERATORS
    kinds = frozenset({"Cosh", "Sinh"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        dims = self.graph.activation(x)  # f32, one row per request, or no match
        up = emit.add(rec.UnaryOp("exp", x))
        down = emit.add(rec.UnaryOp("exp", emit.add(rec.UnaryOp("neg", x))))
        both = emit.add(rec.BinaryOp("add" if op.kind == "Cosh" else "sub", up, down))
        return [emit.add(rec.BinaryOp("mul", both, number(emit, np.float32(0.5), len(dims))))]
