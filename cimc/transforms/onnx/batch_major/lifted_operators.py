"""How each operator is repeated on lifted values; see ``lift.py``.

A rule returns the twins of the operator's results, or raises NoMatch where the operator mixes requests or the
twin would need more than the operator itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.constants import float_attribute, ints_attribute
from cimc.analysis.shapes.operands import axes_of, keeps_dims, normal_axes, operand
from cimc.analysis.shapes.rules.reshaping import split_sizes, states_its_parts
from cimc.analysis.shapes.rules.selections import slices_of
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import f32, i1
from cimc.support.registry import Registry
from cimc.transforms.matching.batch_norm import batch_norm
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import absent, axis_of
from cimc.transforms.onnx.batch_major.lifter import VIEWS, Lifted, Lifter, Rule, integer, viewed

RULES: Registry[Rule] = Registry("rule of batch lifting", unknown="frontend.unknown-operator")
_COMPARES = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not", "And", "Or", "Xor", "IsNaN")


def _rule(*kinds: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for kind in kinds:
            RULES.register(kind, function)
        return function

    return register


@_rule("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "PRelu", "Where", *_COMPARES)
@_rule("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Neg", "Abs", "Reciprocal", "Clip")
@_rule("Erf", "Gelu", "Elu", "Selu", "Celu", "Softplus", "Softsign", "HardSigmoid", "HardSwish", "Mish")
@_rule("Swish", "ThresholdedRelu", "Shrink", "Sign", "Floor", "Ceil", "Round", "Cast", "Identity", "Dropout")
@_rule("Sin", "Cos", "Atan")
def _elementwise(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    """Operands are aligned at their last dimension, as the originals are."""
    need(all(not lift.graph.users(r) for r in op.outputs[1:]), "a second result is used")
    rank = len(lift.original(op.outputs[0]))
    twins: dict[SSAValue, Lifted] = {}
    for value in op.inputs:
        if absent(value) or lift.graph.constant(value) is not None:
            continue
        filled = lift.analysis.info(value).splat is not None and lift.analysis.element(value) == f32
        if filled and value not in lift.twins:
            continue
        twins[value] = lift.need_twin(value)
    need(all(len(t.dims) <= rank for t in twins.values()), "the extents contradict each other")
    places = {(rank - len(t.dims) + t.axis, t.before, t.dims[t.axis]) for t in twins.values()}
    need(len(places) == 1, "the batch is not in the same place in all operands")
    ((axis, before, extent),) = places
    out = [1] * rank
    inputs: list[SSAValue] = []
    for value in op.inputs:
        found, array = twins.get(value), lift.graph.constant(value)
        if found is not None:
            dims = [1] * (rank - len(found.dims)) + list(found.dims)
            inputs.append(found.value if len(dims) == len(found.dims) else lift.view(found.value, dims))
        elif absent(value):
            inputs.append(value)
            continue
        else:
            if array is None:
                splat = lift.analysis.info(value).splat
                value = lift.emit.constant(np.array(splat, np.float32))
                array = np.zeros(())
            need(array.ndim <= rank, "a constant has more axes than the result")
            dims = [1] * (rank - array.ndim) + list(array.shape)
            need(dims[axis] == 1, "a constant has rows of its own along the batch")
            inputs.append(value)
        out = [b if a == 1 else a for a, b in zip(out, dims, strict=True)]
    need(out[axis] == extent, "the batch is repeated")
    shape = lift.original(op.outputs[0])
    need(all(shape[k] == e for k, e in enumerate(out) if k != axis), "a filled tensor widens the result")
    element = i1 if op.kind in _COMPARES else lift.analysis.element(op.outputs[0])
    return [Lifted(lift.node(op.kind, inputs, out, element, lift.same(op)), tuple(out), axis, before)]


@_rule(*VIEWS)
def _view(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    found = lift.need_twin(op.inputs[0])
    assert lift.graph.batch is not None
    place = viewed(found, lift.original(op.outputs[0]), lift.graph.batch)
    if place is None:
        raise NoMatch("the batch is cut")
    dims, axis, before = place
    return [Lifted(lift.view(found.value, dims), dims, axis, before)]


@_rule("Transpose")
def _transpose(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    found = lift.need_twin(op.inputs[0])
    perm = ints_attribute(op, "perm") or tuple(reversed(range(len(found.dims))))
    dims = [found.dims[p] for p in perm]
    attrs: dict[str, Attribute] = {"perm": rec.ints([0, *(p + 1 for p in perm)])}
    element = lift.analysis.element(op.inputs[0])
    value = lift.node("Transpose", [found.value], dims, element, attrs)
    return [found.like(value, dims, perm.index(found.axis))]


@_rule("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization", "LpNormalization")
def _normalised(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    found = lift.need_twin(op.inputs[0])
    need(all(not lift.graph.users(r) for r in op.outputs[1:]), "a second result is used")
    flat = op.kind.endswith("Softmax") and lift.graph.opset < 13
    axis = axis_of(op, len(found.dims), 1 if flat else -1)
    spread = flat or op.kind in ("LayerNormalization", "RMSNormalization")
    need(axis > found.axis if spread else axis != found.axis, "normalises over the batch")
    need(all(lift.graph.constant(v) is not None for v in op.inputs[1:]), "its parameters are not constant")
    attrs = lift.same(op, axis=integer(axis + 1))
    element = lift.analysis.element(op.inputs[0])
    value = lift.node(op.kind, [found.value, *op.inputs[1:]], found.dims, element, attrs)
    return [found.like(value, found.dims)]


@_rule("BatchNormalization")
def _batch_normalization(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    """As ``x * scale + shift``: the twin's channels are along another axis."""
    found = lift.need_twin(op.inputs[0])
    need(found.axis != 1, "normalises over the batch")
    affine = batch_norm(op, lift.graph)
    wide = (-1, *([1] * (len(found.dims) - 2)))
    value = found.value
    name = onnx.name_of(op) or "normalization"
    for kind, array in (("Mul", affine.scale), ("Add", affine.shift)):
        factor = array.reshape(wide).astype(np.float32)
        stored = lift.stored(lift.graph.ctx.store.add(f"{name}.{kind.lower()}", factor), factor)
        value = lift.node(kind, [value, stored], found.dims, lift.analysis.element(op.inputs[0]))
    return [found.like(value, found.dims)]


@_rule("MatMul")
def _matmul(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    a, b = op.inputs
    left, right = lift.graph.constant(a), lift.graph.constant(b)
    element = lift.analysis.element(op.outputs[0])
    if right is not None:
        found = lift.need_twin(a)
        need(right.ndim == 2 and found.axis < len(found.dims) - 1, "sums over the batch")
        dims = (*found.dims[:-1], right.shape[1])
        return [found.like(lift.node("MatMul", [found.value, b], dims, element), dims)]
    if left is not None:
        found = lift.need_twin(b)
        rank = len(found.dims)
        need(left.ndim == 2 and rank >= 2 and found.axis != rank - 2, "sums over the batch")
        dims = (*found.dims[:-2], left.shape[0], found.dims[-1])
        return [found.like(lift.node("MatMul", [a, found.value], dims, element), dims)]
    one, two = lift.need_twin(a), lift.need_twin(b)
    rank = len(one.dims)
    need(rank == len(two.dims) and rank >= 3, "factors differ in rank")
    need(
        (one.axis, one.before) == (two.axis, two.before), "the batch is not in the same place in both factors"
    )
    need(
        one.axis < rank - 2 and one.dims[one.axis] == two.dims[two.axis],
        "multiplies requests with each other",
    )
    lead = rec.broadcast(one.dims[:-2], two.dims[:-2])
    dims = (*lead, one.dims[-2], two.dims[-1])
    return [one.like(lift.node("MatMul", [one.value, two.value], dims, element), dims)]


@_rule("Gemm")
def _gemm(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    """As a product and an addition: Gemm takes matrices alone."""
    found, weight = lift.need_twin(op.inputs[0]), op.inputs[1]
    array = lift.graph.constant(weight)
    need(not int_attribute(op, "transA", 0) and found.axis == 0, "the activations are transposed")
    if array is None or array.ndim != 2:
        raise NoMatch("the weights are not constant")
    if int_attribute(op, "transB", 0):
        turned = array.T
        weight = lift.stored(lift.graph.derive(weight, ".t", lambda: np.ascontiguousarray(turned)), turned)
        array = turned
    element = lift.analysis.element(op.inputs[0])
    dims = (*found.dims[:-1], array.shape[1])
    value = lift.node("MatMul", [found.value, weight], dims, element)
    alpha, beta = float_attribute(op, "alpha", 1.0), float_attribute(op, "beta", 1.0)
    if alpha != 1.0:
        value = lift.node("Mul", [value, lift.emit.constant(np.array(alpha, np.float32))], dims, element)
    bias = operand(op, 2)
    if bias is not None and beta != 0.0:
        addend = lift.graph.constant(bias)
        need(addend is not None and beta == 1.0, "the addend is computed or scaled")
        need(addend is not None and addend.shape[:-1] in ((), (1,)), "the addend has rows of its own")
        value = lift.node("Add", [value, bias], dims, element)
    return [found.like(value, dims)]


@_rule("Concat")
def _concat(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    parts = [lift.need_twin(v) for v in op.inputs]
    first = parts[0]
    axis = axis_of(op, len(first.dims), 0)
    need(axis != first.axis, "joins requests")
    for part in parts:
        need((part.axis, part.before) == (first.axis, first.before), "the batch is not in the same place")
    dims = list(first.dims)
    dims[axis] = sum(p.dims[axis] for p in parts)
    element = lift.analysis.element(op.inputs[0])
    attrs = lift.same(op, axis=integer(axis + 1))
    return [first.like(lift.node("Concat", [p.value for p in parts], dims, element, attrs), dims)]


@_rule("Split")
def _split(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    """As one slice for each part."""
    found = lift.need_twin(op.inputs[0])
    axis = axis_of(op, len(found.dims), 0)
    need(axis != found.axis, "splits the batch")
    need(states_its_parts(op, lift.graph.opset), "does not say how to divide")
    out, at = [], 0
    for size in split_sizes(op, lift.analysis, found.dims[axis]):
        if not isinstance(size, int):
            raise NoMatch("the sizes are not known at compile time")
        out.append(_sliced(op, lift, found, axis, (at, at + size, 1), size))
        at += size
    need(at == found.dims[axis], "the parts do not add up")
    return out


def _sliced(
    op: onnx.NodeOp, lift: Lifter, found: Lifted, axis: int, cut: tuple[int, int, int], size: int
) -> Lifted:
    start, end, step = cut
    dims = list(found.dims)
    dims[axis] = size
    element = lift.analysis.element(op.inputs[0])
    if lift.graph.opset < 10:
        attrs: dict[str, Attribute] = {
            "starts": rec.ints([start]),
            "ends": rec.ints([end]),
            "axes": rec.ints([axis + 1]),
        }
        return found.like(lift.node("Slice", [found.value], dims, element, attrs), dims)
    bounds = [lift.integers([n]) for n in (start, end, axis + 1, step)]
    return found.like(lift.node("Slice", [found.value, *bounds], dims, element), dims)


@_rule("Slice")
def _slice(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    found = lift.need_twin(op.inputs[0])
    cuts, after = slices_of(op, lift.analysis), lift.original(op.outputs[0])
    if cuts is None:
        raise NoMatch("the bounds are not known at compile time")
    for axis, start, end, step in cuts:
        size = after[axis]
        if not (isinstance(start, int) and isinstance(end, int) and isinstance(step, int)):
            raise NoMatch("the bounds are not known at compile time")
        need(axis != found.axis, "cuts requests out of the batch")
        if not isinstance(size, int):
            raise NoMatch("an extent is not known at compile time")
        found = _sliced(op, lift, found, axis, (start, end, step), size)
    return [found]


@_rule("Gather")
def _gather(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    data, indices = op.inputs
    table, chosen = lift.graph.constant(data), lift.graph.constant(indices)
    element = lift.analysis.element(op.outputs[0])
    if table is not None and chosen is None:
        found = lift.need_twin(indices)
        need(table.ndim == 2 and axis_of(op, 2, 0) == 0, "no rows of a table")
        dims = [*found.dims, table.shape[1]]
        return [found.like(lift.node("Gather", [data, found.value], dims, element), dims)]
    found = lift.need_twin(data)
    if chosen is None:
        raise NoMatch("the indices are computed")
    axis = axis_of(op, len(found.dims), 0)
    need(axis != found.axis, "selects requests")
    dims = [*found.dims[:axis], *chosen.shape, *found.dims[axis + 1 :]]
    attrs = {"axis": integer(axis + 1)}
    place = found.axis + (chosen.ndim - 1 if found.axis > axis else 0)
    return [found.like(lift.node("Gather", [found.value, indices], dims, element, attrs), dims, place)]


@_rule("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")
@_rule("ReduceLogSum", "ReduceLogSumExp")
def _reduce(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    found = lift.need_twin(op.inputs[0])
    axes = sorted(set(normal_axes(axes_of(op, lift.analysis) or (), len(found.dims)) or ()))
    need(axes and found.axis not in axes, "reduces over the batch")
    keep = keeps_dims(op)
    dims = [1 if k in axes else e for k, e in enumerate(found.dims) if keep or k not in axes]
    moved = [a + 1 for a in axes]
    attrs = lift.same(op)
    inputs = [found.value]
    if isinstance(op.attribute("axes"), DenseArrayBase):
        attrs["axes"] = rec.ints(moved)
    else:
        inputs.append(lift.integers(moved))
    place = found.axis if keep else found.axis - sum(a < found.axis for a in axes)
    element = lift.analysis.element(op.inputs[0])
    return [found.like(lift.node(op.kind, inputs, dims, element, attrs), dims, place)]


@_rule("Expand")
def _expand(op: onnx.NodeOp, lift: Lifter) -> Sequence[Lifted]:
    found = lift.need_twin(op.inputs[0])
    assert lift.graph.batch is not None
    after = lift.original(op.outputs[0])
    rank = len(after)
    dims = [1] * (rank - len(found.dims)) + list(found.dims)
    axis = rank - len(found.dims) + found.axis
    out: list[int] = []
    for k, extent in enumerate(after):
        if k == axis:
            out.append(dims[k])
            continue
        if not isinstance(extent, int):
            raise NoMatch("an extent is not known at compile time")
        out.append(extent)
    place = viewed(Lifted(found.value, tuple(out), axis, found.before), after, lift.graph.batch)
    need(place == (tuple(out), axis, found.before), "the batch is repeated")
    value = found.value if rank == len(found.dims) else lift.view(found.value, dims)
    element = lift.analysis.element(op.inputs[0])
    value = lift.node("Expand", [value, lift.integers([1, *out])], out, element)
    return [Lifted(value, tuple(out), axis, found.before)]
