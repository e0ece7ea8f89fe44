"""Symbolic shapes of ``ai.onnx.ml``, what feature pipelines and trees are exported to, and of packed weights.

ONNX's inference leaves most of them open, and with them every layer behind.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, f32

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import Info, ShapeFacts
from cimc.analysis.shapes.rule_registry import rule
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import i64

ML = "ai.onnx.ml."


def _listed(op: onnx.NodeOp, *names: str) -> int | None:
    """Entries of the first of these attributes that is given."""
    for name in names:
        given = op.attribute(name)
        if isinstance(given, ArrayAttr):
            return len(given.data)
        numbers = ints_attribute(op, name)
        if numbers is not None:
            return len(numbers)
    return None


def _rows(op: onnx.NodeOp, a: ShapeFacts) -> Dim:
    """Rows of the input: a list of features is one."""
    shape = a.shape(op.inputs[0])
    return None if not shape else 1 if len(shape) == 1 else shape[0]


@rule(f"{ML}Scaler", f"{ML}Normalizer")
def _scaled(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info(a.shape(op.inputs[0]), f32)


@rule(f"{ML}Imputer", f"{ML}Binarizer")
def _replaced(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info(a.shape(op.inputs[0]), a.element(op.inputs[0]))


@rule(f"{ML}OneHotEncoder")
def _one_hot(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    return Info(None if shape is None else (*shape, _listed(op, "cats_int64s", "cats_strings")), f32)


@rule(f"{ML}LabelEncoder")
def _labels(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info(a.shape(op.inputs[0]))


@rule(f"{ML}TreeEnsembleRegressor", f"{ML}SVMRegressor")
def _regressor(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info((_rows(op, a), int_attribute(op, "n_targets", 1)), f32)


@rule(f"{ML}LinearRegressor")
def _linear(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info((_rows(op, a), int_attribute(op, "targets", 1)), f32)


@rule(f"{ML}TreeEnsemble")
def _trees(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info((_rows(op, a), int_attribute(op, "n_targets", 0) or None), a.element(op.inputs[0]))


@rule(f"{ML}TreeEnsembleClassifier", f"{ML}LinearClassifier", f"{ML}SVMClassifier")
def _classifier(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    """Labels, and the scores of all classes."""
    numbers = _listed(op, "classlabels_int64s", "classlabels_ints")
    texts = _listed(op, "classlabels_strings")
    rows = _rows(op, a)
    return [Info((rows,), i64 if numbers else None), Info((rows, numbers or texts), f32)]


@rule(f"{ML}FeatureVectorizer")
def _joined(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    widths = ints_attribute(op, "inputdimensions")
    return Info((_rows(op, a), None if widths is None else sum(widths)), f32)


@rule("com.microsoft.MatMulNBits")
def _packed(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, units = a.shape(op.inputs[0]), int_attribute(op, "N", 0)
    return Info((*shape[:-1], units) if shape and units else None, a.element(op.inputs[0]))
