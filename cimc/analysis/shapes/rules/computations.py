"""Symbolic shapes of computations: elementwise, products, reductions."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import CONTENT_LIMIT, Content, Info, ShapeFacts, entries
from cimc.analysis.shapes.operands import (
    axes_of,
    broadcast,
    broadcast_dim,
    common_element,
    joint_shape,
    keeps_dims,
    normal_axes,
    operand,
    scalar_content,
    vector_content,
)
from cimc.analysis.shapes.rule_registry import rule
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import element_from_onnx, element_of, i1, i64, is_float, shape_of

_INTEGER_RULES: dict[str, Callable[[Dim, Dim], Dim]] = {
    "Add": d.add,
    "Sub": d.sub,
    "Mul": d.mul,
    "Div": d.divide,
}


def _min(x: Dim, y: Dim) -> Dim:
    return min(x, y) if isinstance(x, int) and isinstance(y, int) else x if x == y else None


def _max(x: Dim, y: Dim) -> Dim:
    return max(x, y) if isinstance(x, int) and isinstance(y, int) else x if x == y else None


def _equal(x: Dim, y: Dim) -> Dim:
    if x is None or y is None:
        return None
    return int(x == y) if isinstance(x, int) and isinstance(y, int) else 1 if x == y else None


def _mod(x: Dim, y: Dim) -> Dim:
    if isinstance(x, int) and isinstance(y, int):
        return x % y if x >= 0 and y > 0 else None  # of other signs it depends on the attribute fmod
    return 0 if d.divide(x, y) is not None else None


_INTEGER_RULES |= {"Min": _min, "Max": _max, "Equal": _equal, "Mod": _mod}
_COMPARISONS = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor")


@rule(
    "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Max", "Min", "Sum", "Mean", "PRelu", "BitShift", *_COMPARISONS
)
def _elementwise(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = broadcast([a.shape(v) for v in op.inputs])
    first = a.element(op.inputs[0]) if op.kind == "Pow" else common_element(op, a)  # an exponent has its own
    element = i1 if op.kind in _COMPARISONS else first
    contents = [a.content(v) for v in op.inputs]
    joint = joint_shape(contents) if len(contents) == 2 and op.kind in _INTEGER_RULES else None
    content = None
    if joint is not None and prod(joint) <= CONTENT_LIMIT:
        content = np.empty(joint, object)
        one, other = (c for c in contents if c is not None)
        content[...] = np.frompyfunc(_INTEGER_RULES[op.kind], 2, 1)(one, other)
    return Info(shape, element, content)


@rule("Where")
def _where(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    """Elements of lists of extents are followed: exporters ask for -1 in them (``expand``)."""
    contents = [a.content(v) for v in op.inputs]
    joint = joint_shape(contents)
    content = None
    if joint is not None and prod(joint) <= CONTENT_LIMIT:
        content = np.empty(joint, object)
        condition, x, y = (c for c in contents if c is not None)
        content[...] = np.frompyfunc(_chosen, 3, 1)(condition, x, y)
    elements = (a.element(v) for v in op.inputs[1:])
    element = next((e for e in elements if e is not None), None)
    return Info(broadcast([a.shape(v) for v in op.inputs]), element, content)


def _chosen(condition: Dim, x: Dim, y: Dim) -> Dim:
    if isinstance(condition, int):
        return x if condition else y
    return x if x == y else None


@rule("Cast", "CastLike")
def _cast(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    info = a.info(op.inputs[0])
    element = (
        a.element(op.inputs[1]) if op.kind == "CastLike" else element_from_onnx(int_attribute(op, "to", 0))
    )
    content = a.content(op.inputs[0])
    if content is not None:
        content = None if element is None or is_float(element) else _converted(content, element)
    return Info(info.shape, element, content, _converted_number(info.splat, element))


def _converted(content: Content, element: Attribute) -> Content:
    """Integers cast to bool or to another integer type; what might not fit is not followed."""
    out = np.empty(content.shape, object)
    values = entries(content)
    if element == i1:
        out.reshape(-1)[:] = [int(v != 0) if isinstance(v, int) else None for v in values]
    else:
        limit = 1 << (63 if element == i64 else 31)
        out.reshape(-1)[:] = [None if isinstance(v, int) and abs(v) >= limit else v for v in values]
    return out


def _converted_number(number: float | None, element: Attribute | None) -> float | None:
    if number is None or element is None:
        return None
    if is_float(element):
        return number
    return float(number != 0) if element == i1 else float(int(number)) if np.isfinite(number) else None


@rule("Identity", "Dropout")
def _identity(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    info = a.info(op.inputs[0])
    return [info, Info(info.shape, i1)]


@rule("Neg")
def _neg(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    content = a.content(op.inputs[0])
    negated = None
    if content is not None:
        negated = np.empty(content.shape, object)
        negated[...] = np.frompyfunc(lambda x: d.mul(x, -1), 1, 1)(content)
    return Info(a.shape(op.inputs[0]), a.element(op.inputs[0]), negated)


@rule(
    *("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Reciprocal", "Clip", "Softmax"),
    *("LogSoftmax", "Erf", "Gelu", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "HardSwish", "Celu"),
    *("Mish", "Swish", "ThresholdedRelu", "Floor", "Ceil", "Round", "Sign", "CumSum", "BatchNormalization"),
    *("LayerNormalization", "LpNormalization", "Hardmax", "ScatterND", "ScatterElements", "Trilu"),
    *("RMSNormalization", "Shrink", "Sin", "Cos", "InstanceNormalization", "GroupNormalization", "Tan"),
    *("Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
)
def _same(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info(a.shape(op.inputs[0]), a.element(op.inputs[0]))


@rule("OneHot")
def _one_hot(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, depth = a.shape(op.inputs[0]), a.scalar(op.inputs[1])
    if shape is None:
        return Info(None, a.element(op.inputs[2]))
    axis = int_attribute(op, "axis", -1)
    axis += len(shape) + 1 if axis < 0 else 0
    return Info((*shape[:axis], depth, *shape[axis:]), a.element(op.inputs[2]))


@rule("Constant")
def _untyped_constant(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    """Of texts, or of elements of a few bits: the dialect types neither."""
    return Info(a.constants.untyped_shape(op))


@rule("QuantizeLinear", "DequantizeLinear")
def _quantized(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    declared = element_of(op.outputs[0].type)
    if op.kind == "DequantizeLinear":
        return Info(a.shape(op.inputs[0]), declared or a.element(op.inputs[1]))
    zero = a.element(op.inputs[2]) if operand(op, 2) is not None else None
    return Info(a.shape(op.inputs[0]), declared or zero)


@rule("Not", "IsNaN", "IsInf")
def _bool(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info(a.shape(op.inputs[0]), i1)


@rule("NonZero")
def _non_zero(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    return Info((len(shape) if shape is not None else None, None), i64)


@rule("MatMul")
def _matmul(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    x, y = (a.shape(v) for v in op.inputs)
    element = common_element(op, a)
    if not x or not y:
        return Info(None, element)
    a.equate(x[-1], y[-2] if len(y) > 1 else y[-1])
    lead = broadcast([x[:-2], y[:-2]]) or ()
    return Info((*lead, *x[-2:-1], *(y[-1:] if len(y) > 1 else ())), element)


@rule("Gemm")
def _gemm(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    """Each operand is a matrix, also where nothing is known of it: the other one says what it can."""
    x, y = (_matrix(a.shape(v)) for v in op.inputs[:2])
    x = x[::-1] if int_attribute(op, "transA", 0) else x
    y = y[::-1] if int_attribute(op, "transB", 0) else y
    a.equate(x[1], y[0])
    return Info((x[0], y[1]), common_element(op, a))


def _matrix(shape: tuple[Dim, ...] | None) -> tuple[Dim, Dim]:
    return (None, None) if shape is None or len(shape) != 2 else (shape[0], shape[1])


@rule("Einsum")
def _einsum(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    """Extents by letter; an ellipsis or an implied result is left to the declared type."""
    element, equation = a.element(op.inputs[0]), op.attribute("equation")
    text = equation.data.replace(" ", "") if isinstance(equation, StringAttr) else ""
    left, arrow, out = text.partition("->")
    terms, shapes = left.split(","), [a.shape(v) for v in op.inputs]
    if not arrow or "." in text or len(terms) != len(shapes):
        return Info(None, element)
    extents: dict[str, Dim] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if shape is None or len(shape) != len(term):
            return Info(None, element)
        for letter, extent in zip(term, shape, strict=True):
            extents[letter] = broadcast_dim(extents.get(letter, 1), extent)
    if any(letter not in extents for letter in out):
        return Info(None, element)
    return Info(tuple(extents[letter] for letter in out), element)


@rule("Conv", "com.microsoft.FusedConv")
def _conv(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, weight = a.shape(op.inputs[0]), a.shape(op.inputs[1])
    element = a.element(op.inputs[0])
    if shape is None or weight is None or len(shape) != len(weight) or len(shape) < 3:
        return Info(None, element)
    count = len(shape) - 2
    strides = ints_attribute(op, "strides") or (1,) * count
    dilations = ints_attribute(op, "dilations") or (1,) * count
    pads = ints_attribute(op, "pads") or (0,) * (2 * count)
    mode = op.attribute("auto_pad")
    mode_name = mode.data if isinstance(mode, StringAttr) else "NOTSET"
    out: list[Dim] = []
    for k, (extent, kernel) in enumerate(zip(shape[2:], weight[2:], strict=True)):
        if not isinstance(extent, int) or not isinstance(kernel, int):
            out.append(None)
            continue
        padded = extent + pads[k] + pads[count + k] if mode_name == "NOTSET" else extent
        reach = (kernel - 1) * dilations[k] + 1
        same = mode_name.startswith("SAME")
        out.append(-(-extent // strides[k]) if same else (padded - reach) // strides[k] + 1)
    return Info((shape[0], weight[0], *out), element)


@rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    pooled = None if shape is None else (*shape[:2], *[1] * (len(shape) - 2))
    return Info(pooled, a.element(op.inputs[0]))


@rule("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
@rule("ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def _reduce(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, element = a.shape(op.inputs[0]), a.element(op.inputs[0])
    axes, keep = axes_of(op, a), keeps_dims(op)
    if shape is None:
        declared = shape_of(op.outputs[0].type)
        normal = normal_axes(axes or (), len(declared)) if keep and declared is not None else None
        if normal is None or declared is None:
            return Info(None, element)
        return Info(tuple(1 if k in normal else None for k in range(len(declared))), element)
    if axes is None:
        return Info((None,) * len(shape) if keep else None, element)
    if not axes and int_attribute(op, "noop_with_empty_axes", 0) != 1:
        axes = list(range(len(shape)))
    normal = normal_axes(axes, len(shape))
    if normal is None:
        return Info(None, element)
    out = tuple(1 if k in normal else x for k, x in enumerate(shape) if keep or k not in normal)
    content = a.content(op.inputs[0])
    if op.kind != "ReduceProd" or content is None or out not in ((), (1,)):
        return Info(out, element)
    total = d.product(entries(content))
    return Info(out, element, vector_content([total]) if out else scalar_content(total))


@rule("ArgMax", "ArgMin")
def _arg(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    if shape is None:
        return Info(None, i64)
    axis = int_attribute(op, "axis", 0) % max(len(shape), 1)
    keep = keeps_dims(op)
    return Info(tuple(1 if k == axis else x for k, x in enumerate(shape) if keep or k != axis), i64)
