"""The mean embedding bag as the ``torch.export``-based exporter writes it: a sequence built by a ``Loop``."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.onnx_forms import GraphWriter


def _untyped(*names: str) -> list[onnx.ValueInfoProto]:
    """Interface values of a subgraph without types, as this exporter leaves them."""
    return [helper.make_empty_tensor_value_info(name) for name in names]


def sequence_mean_bag(g: GraphWriter, weight: str, dim: int, ids: str, offsets: str, *, scope: str) -> str:
    """``weight [R, dim]``, ``ids [nnz]`` int64, ``offsets [B]`` int64 → means ``[B, dim]``; opset 18.

    The rows are gathered once and multiplied by ones (per-sample weights that nobody gave); a loop without
    trip count slices bag after bag, an ``If`` gives zeros for an empty one, and a nested ``If`` treats the
    last bag apart, dividing a sum by its length.
    """
    minus_one, one_1d = (
        g.weight(f"{scope}/minus_one", np.array([-1])),
        g.weight(f"{scope}/one_1d", np.array([1])),
    )
    zero, one, two = (g.weight(f"{scope}/int_{v}", np.array(v, np.int64)) for v in range(3))
    axis = g.weight(f"{scope}/axis", np.array([0]))

    nnz = g.op("Shape", [ids], scope=scope, start=0)
    ones = g.op("Expand", [g.weight(f"{scope}/ones", np.ones(1, np.float32)), nnz], scope=scope)
    flat = g.op("Reshape", [ids, minus_one], scope=scope)
    rows = g.op("Gather", [weight, flat], scope=scope)
    ones = g.op("Unsqueeze", [ones, one_1d], scope=scope)
    rows = g.op("Mul", [rows, ones], scope=scope)
    total = g.op("Shape", [flat], scope=scope)
    bags = g.op("Size", [offsets], scope=scope)
    bounds = g.op("Concat", [offsets, total], scope=scope, axis=0)
    bags_copy = g.op("Identity", [bags], scope=scope)
    rows_copy = g.op("Identity", [rows], scope=scope)
    empty = g.op("SequenceEmpty", [], scope=scope)
    going = g.op("Less", [zero, bags_copy], scope=scope)

    b = g.body()
    step, carried = f"{scope}/step", f"{scope}/carried"
    b.input(f"{scope}/trip", TensorProto.INT64, [])
    b.input(f"{scope}/going_in", TensorProto.BOOL, [])
    b.inputs += _untyped(step, carried)
    index = b.op("Reshape", [step, minus_one], scope=scope)
    nexts = []
    for distance in (one, one, two):
        cast = b.op("CastLike", [distance, index], scope=scope)
        nexts.append(b.op("Add", [index, cast], scope=scope))
    start = b.op("Slice", [bounds, index, nexts[0]], scope=scope)
    end = b.op("Slice", [bounds, nexts[1], nexts[2]], scope=scope)
    is_empty = b.op("Equal", [start, end], scope=scope)
    nothing = b.body()
    nothing.outputs.append(
        helper.make_tensor_value_info(
            nothing.weight(f"{scope}/zeros", np.zeros((1, dim), np.float32)), TensorProto.FLOAT, [1, dim]
        )
    )
    filled = _mean_of_bag(b, rows_copy, ids, start, end, step, bags_copy, (zero, one, axis), scope)
    row = b.op(
        "If",
        [is_empty],
        scope=scope,
        then_branch=nothing.graph(f"{scope}/empty"),
        else_branch=filled.graph(f"{scope}/filled"),
    )
    grown = b.op("SequenceInsert", [carried, row], scope=scope)
    cast = b.op("CastLike", [one, step], scope=scope)
    following = b.op("Add", [step, cast], scope=scope)
    b.outputs += _untyped(b.op("Less", [following, bags_copy], scope=scope), following, grown)

    last, sequence = f"{scope}/last", f"{scope}/sequence"
    g.nodes.append(
        helper.make_node(
            "Loop",
            ["", going, zero, empty],
            [last, sequence],
            name=f"{scope}/Loop",
            body=b.graph(f"{scope}/bags"),
        )
    )
    joined = g.op("ConcatFromSequence", [sequence], scope=scope, axis=0)
    return g.op("Cast", [joined], scope=scope, to=TensorProto.FLOAT)


def _mean_of_bag(
    b: GraphWriter,
    rows: str,
    ids: str,
    start: str,
    end: str,
    step: str,
    bags: str,
    constants: tuple[str, str, str],
    scope: str,
) -> GraphWriter:
    """The branch for a bag that holds something."""
    zero, one, axis = constants
    filled = b.body()
    bag = filled.op("Slice", [rows, start, end], scope=scope)
    is_last = filled.op("Equal", [step, filled.op("Sub", [bags, one], scope=scope)], scope=scope)

    last = filled.body()
    summed = last.op("ReduceSum", [bag, axis], scope=scope)
    length = last.op("Sub", [last.op("Shape", [ids], scope=scope, start=0, end=1), start], scope=scope)
    positive = last.op("Greater", [length, last.op("CastLike", [zero, length], scope=scope)], scope=scope)
    divide, keep = last.body(), last.body()
    denominator = divide.op("Cast", [length], scope=scope, to=TensorProto.FLOAT)
    divide.outputs += _untyped(divide.op("Div", [summed, denominator], scope=scope))
    keep.outputs += _untyped(keep.op("Identity", [summed], scope=scope))
    last.outputs += _untyped(
        last.op(
            "If",
            [positive],
            scope=scope,
            then_branch=divide.graph(f"{scope}/divide"),
            else_branch=keep.graph(f"{scope}/keep"),
        )
    )
    other = filled.body()
    other.outputs += _untyped(other.op("ReduceMean", [bag, axis], scope=scope))
    filled.outputs += _untyped(
        filled.op(
            "If",
            [is_last],
            scope=scope,
            then_branch=last.graph(f"{scope}/last_bag"),
            else_branch=other.graph(f"{scope}/other_bag"),
        )
    )
    return filled
