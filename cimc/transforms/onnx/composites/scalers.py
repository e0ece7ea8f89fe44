"""``ai.onnx.ml``: scaling of features, and linear models."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import SSAValue

from cimc.ir.tensor_store import Array
from cimc.ir.types import f32
from cimc.transforms.onnx.expansion import Expansion

_LEAST = float(np.finfo(np.float32).tiny)
"""A norm is at least this: a row of zeros stays one."""


def _numbers(w: Expansion, name: str) -> Array:
    """The floats of an attribute; none where it is absent."""
    found = w.op.attribute(name)
    return np.array(found.get_values() if isinstance(found, DenseArrayBase) else (), np.float32)


def _floats(w: Expansion) -> SSAValue:
    """The input, which is float32."""
    x = w.input(0)
    w.need(w.analysis.element(x) == f32, "its input is not float32")
    return x


def scaler(w: Expansion) -> list[SSAValue | None]:
    """Scaler: ``(x - offset) * scale``, of one number or one a feature."""
    x = _floats(w)
    wide = w.dims(x)
    offset, scale = _numbers(w, "offset"), _numbers(w, "scale")
    sizes = {offset.size, scale.size}
    w.need(sizes == {1} or (len(wide) == 2 and sizes == {wide[1]}), "it has not one number a feature")
    return [w.make("Mul", w.make("Sub", x, w.constant(offset)), w.constant(scale))]


def normalizer(w: Expansion) -> list[SSAValue | None]:
    """Normalizer of rows by the sum of magnitudes or the Euclidean norm."""
    kind = {"L1": "ReduceL1", "L2": "ReduceL2"}.get(w.text_of("norm", "MAX"))
    w.need(kind is not None, "it divides by a maximum")
    assert kind is not None
    x = _floats(w)
    w.need(len(w.dims(x)) == 2)
    norm = w.reduced_last(kind, x)
    return [w.make("Div", x, w.make("Max", norm, w.number(_LEAST)))]


def linear_regressor(w: Expansion) -> list[SSAValue | None]:
    """LinearRegressor: ``x W' + intercepts``."""
    w.need(w.text_of("post_transform", "NONE") == "NONE", "it transforms its result")
    x, targets = _floats(w), w.number_of("targets", 1)
    wide = w.dims(x)[-1]
    weight, bias = _numbers(w, "coefficients"), _numbers(w, "intercepts")
    w.need(len(w.dims(x)) == 2 and weight.size == targets * wide, "it has not one coefficient a feature")
    w.need(bias.size in (0, targets), "it has not one intercept a target")
    value = w.make("MatMul", x, w.constant(np.ascontiguousarray(weight.reshape(targets, wide).T), "weight"))
    return [value if not bias.size else w.make("Add", value, w.constant(bias))]
