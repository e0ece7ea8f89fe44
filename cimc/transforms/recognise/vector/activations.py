"""Activations that are several vector operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.recognise.layout.shared_operands import Terms
from cimc.transforms.recognise.recogniser import Recogniser, Stage
from cimc.transforms.recognise.vector.angles import arctangent, cosine, sine

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)
"""Defaults of ``Selu``, from the ONNX operator specification."""


def _gelu(op: onnx.NodeOp, t: Terms) -> SSAValue:
    approximate = getattr(op.attribute("approximate"), "data", "none") == "tanh"
    if approximate:
        cube = t("mul", t("mul", t.x, t.x), t.x)
        inner = t.unary("tanh", t("mul", t("add", t.x, t("mul", cube, 0.044715)), math.sqrt(2 / math.pi)))
    else:
        inner = t.unary("erf", t("mul", t.x, math.sqrt(0.5)))
    return t("mul", t("mul", t.x, 0.5), t("add", inner, 1.0))


def _hard_sigmoid(op: onnx.NodeOp, t: Terms) -> SSAValue:
    alpha, beta = float_attribute(op, "alpha", 0.2), float_attribute(op, "beta", 0.5)
    return t.unary("clip", t("add", t("mul", t.x, alpha), beta), 0.0, 1.0)


def _hard_swish(op: onnx.NodeOp, t: Terms) -> SSAValue:
    return t("mul", t.x, t.unary("clip", t("add", t("mul", t.x, 1 / 6), 0.5), 0.0, 1.0))


def _selu(op: onnx.NodeOp, t: Terms) -> SSAValue:
    alpha, gamma = float_attribute(op, "alpha", _SELU[0]), float_attribute(op, "gamma", _SELU[1])
    return t.scaled(t.unary("elu", t.x, alpha), gamma)


def _celu(op: onnx.NodeOp, t: Terms) -> SSAValue:
    alpha = float_attribute(op, "alpha", 1.0)
    return t.scaled(t.unary("elu", t.scaled(t.x, 1 / alpha), 1.0), alpha)


def _mish(op: onnx.NodeOp, t: Terms) -> SSAValue:
    return t("mul", t.x, t.unary("tanh", t.unary("softplus", t.x)))


def _swish(op: onnx.NodeOp, t: Terms) -> SSAValue:
    return t("mul", t.x, t.unary("sigmoid", t.scaled(t.x, float_attribute(op, "alpha", 1.0))))


def _softsign(op: onnx.NodeOp, t: Terms) -> SSAValue:
    return t("div", t.x, t("add", t.unary("abs", t.x), 1.0))


def _thresholded(op: onnx.NodeOp, t: Terms) -> SSAValue:
    limit = t.number(float_attribute(op, "alpha", 1.0))
    return t("mask", t.x, t("less", limit, t.x))


def _shrink(op: onnx.NodeOp, t: Terms) -> SSAValue:
    limit, bias = float_attribute(op, "lambd", 0.5), float_attribute(op, "bias", 0.0)
    above = t("mask", t("sub", t.x, bias), t("less", t.number(limit), t.x))
    return t("add", above, t("mask", t("add", t.x, bias), t("less", t.x, -limit)))


_FORMULAS: dict[str, Callable[[onnx.NodeOp, Terms], SSAValue]] = {
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Selu": _selu,
    "Celu": _celu,
    "Mish": _mish,
    "Swish": _swish,
    "Softsign": _softsign,
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
    "Sin": lambda op, t: sine(t),
    "Cos": lambda op, t: cosine(t),
    "Atan": lambda op, t: arctangent(t),
}


class Activation(Recogniser):
    """Activations as ONNX defines them, from vector operations::

    Gelu(x)  = x/2 (1 + erf(x / sqrt 2))         approximate: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    HardSigmoid(x) = clip(alpha x + beta, 0, 1)  HardSwish(x) = x clip(x/6 + 1/2, 0, 1)
    Selu(x)  = gamma elu(x, alpha)               Celu(x) = alpha elu(x / alpha)
    Mish(x)  = x tanh(softplus(x))               Swish(x) = x sigmoid(alpha x)
    Softsign(x) = x / (1 + |x|)                  ThresholdedRelu(x) = x where x > alpha, else 0
    Shrink(x) = x - bias where x > lambd, x + bias where x < -lambd, else 0

    ``Sin``, ``Cos`` and ``Atan`` are polynomials (``angles.py``), to an error of 3e-7 in f32; sine and cosine
    lose digits beyond arguments of 25,000.
    """

    name = "activation"
    stage = Stage.OPERATORS
    kinds = frozenset(_FORMULAS)

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        self.graph.activation(op.inputs[0])
        return [_FORMULAS[op.kind](op, Terms(emit, op.inputs[0]))]
