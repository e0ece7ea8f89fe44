"""From what items are chosen by back to the query and the corpus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute, ints_attribute
from cimc.analysis.shapes.operands import operand
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import f32
from cimc.transforms.matching.failure import NotMine, need
from cimc.transforms.matching.graph import Graph
from cimc.transforms.matching.nodes import axis_of, node_of

_RISING = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp"}
"""Functions that keep the order of scores, and can be computed of the best alone."""
_SHARES = ("Softmax", "LogSoftmax")
"""Functions that keep the order; the value of one item takes all items."""
_PLAIN = ("Add", "Sub", "Mul", "Div", "Neg", "Reshape", "Squeeze")
_PRODUCTS = ("MatMul", "Gemm", "Einsum")


@dataclass
class Scores:
    """Scores ``f(scale (x . corpus[n]) + bias[n])``.

    Attributes:
        x: the queries.
        corpus: the constant.
        transposed: whether an item is a column of it; else it is a row.
        items: how many.
        scale: other than 0.
        bias: float64 ``[items]``, or None.
        after: functions whose composition is ``f``, the last one first: those of the vector unit, and
            ``softmax`` and ``logsoftmax``.
    """

    x: SSAValue
    corpus: SSAValue
    transposed: bool
    items: int
    scale: float = 1.0
    bias: NDArray[np.float64] | None = None
    after: tuple[str, ...] = ()

    def scaled(self, factor: float) -> None:
        """Scores times ``factor``."""
        need(factor != 0 and np.isfinite(factor), "scores are scaled by 0, or by no number")
        self.scale *= factor
        self.bias = None if self.bias is None else self.bias * factor

    def raised(self, by: NDArray[np.float64]) -> None:
        """Scores plus a constant for each item, ``[items]`` or one for all."""
        need(by.size in (1, self.items), "what is added is not one number an item")
        wide = np.broadcast_to(by.reshape(-1), (self.items,))
        self.bias = np.array(wide) if self.bias is None else self.bias + wide


def scores_of(value: SSAValue, graph: Graph, user: onnx.NodeOp, order_only: bool) -> Scores:
    """What ``value``, which ``user`` chooses by, is as :class:`Scores`.

    ``order_only``: the values of the best are not needed.  NoMatch where it is no product with a constant.
    """
    users = graph.users(value)
    op = node_of(value, *_PRODUCTS, *_RISING, *_SHARES, *_PLAIN)
    if op is None:
        raise NotMine("what is chosen by is no product with a corpus")
    if op.kind in _PRODUCTS:
        found = _product(op, graph)
    elif op.kind in ("Reshape", "Squeeze"):
        found = scores_of(op.inputs[0], graph, op, order_only)
        shape = graph.shape(value)
        need(shape[-1] == found.items, "another axis than that of the items is last")
    elif op.kind in _RISING:
        found = scores_of(op.inputs[0], graph, op, order_only)
        found.after = (_RISING[op.kind], *found.after)
    elif op.kind in _SHARES:
        rank = len(graph.shape(value))
        need(axis_of(op, rank, -1 if graph.opset >= 13 else 1) == rank - 1, "shares of another axis")
        found = scores_of(op.inputs[0], graph, op, order_only)
        need(order_only, f"the value of a {op.kind} takes the scores of all items")
        found.after = (op.kind.lower(), *found.after)
    else:
        found = _shifted(op, graph, order_only)
    need(all(u is user for u in users), "the scores are used elsewhere too")
    return found


def _shifted(op: onnx.NodeOp, graph: Graph, order_only: bool) -> Scores:
    if op.kind == "Neg":
        found = scores_of(op.inputs[0], graph, op, order_only)
        need(not found.after, "a function of scores is negated")
        found.scaled(-1.0)
        return found
    first, second = op.inputs
    if op.kind != "Div" and graph.constant(first) is not None:
        first, second = second, first
    array = graph.constant(second)
    if array is None or graph.analysis.element(second) != f32:
        raise NotMine("no operand is constant")
    found = scores_of(first, graph, op, order_only)
    need(not found.after, "a function of scores is scaled or shifted")
    need(array.ndim <= len(graph.shape(first)), "the constant adds an axis")
    flat = array.reshape(-1).astype(np.float64)
    if op.kind in ("Add", "Sub"):
        need(array.size == 1 or array.shape[-1] == found.items, "what is added is not one number an item")
        negated = op.kind == "Sub" and second is op.inputs[0]
        if negated:
            found.scaled(-1.0)
        found.raised(-flat if op.kind == "Sub" and not negated else flat)
        return found
    need(flat.size == 1, "items have scales of their own beside the corpus")
    need(bool(flat[0]), "divides by zero")
    found.scaled(float(flat[0]) if op.kind == "Mul" else 1.0 / float(flat[0]))
    return found


def _product(op: onnx.NodeOp, graph: Graph) -> Scores:
    x, given = op.inputs[0], op.inputs[1]
    transposed = True  # items are columns
    if op.kind == "Einsum":
        transposed, swapped = _letters(op)
        x, given = (given, x) if swapped else (x, given)
    turned = node_of(given, "Transpose")
    if turned is not None and graph.constant(turned.inputs[0]) is not None:
        perm = ints_attribute(turned, "perm")
        need(perm is None or tuple(perm) == (1, 0), "the corpus is turned otherwise")
        given, transposed = turned.inputs[0], not transposed
    array = graph.constant(given)
    if array is None:
        raise NotMine("the right factor is not constant")
    need(array.ndim == 2, f"the corpus has {array.ndim} axes")
    need(graph.analysis.element(given) == f32, "the corpus is not f32")
    scale, bias = 1.0, None
    if op.kind == "Gemm":
        need(not int_attribute(op, "transA", 0), "the queries are transposed")
        transposed ^= bool(int_attribute(op, "transB", 0))
        scale = float_attribute(op, "alpha", 1.0)
        bias = operand(op, 2)
    dims = graph.activation(x)
    width, items = array.shape if transposed else array.shape[::-1]
    need(dims[-1] == width, "queries and items differ in length")
    found = Scores(x, given, transposed, items)
    found.scaled(scale)
    if bias is not None:
        added = graph.constant(bias)
        if added is None:
            raise NotMine("what is added to the scores is computed")
        found.raised(added.reshape(-1).astype(np.float64) * float_attribute(op, "beta", 1.0))
    return found


def _letters(op: onnx.NodeOp) -> tuple[bool, bool]:
    """Whether the items are columns of the corpus of an ``Einsum``, and whether it is the first operand."""
    equation = op.attribute("equation")
    assert isinstance(equation, StringAttr)
    left, arrow, out = equation.data.replace(" ", "").partition("->")
    terms = left.split(",")
    need(
        bool(arrow) and len(terms) == 2 and all(len(t) == 2 for t in (*terms, out)), "no product of matrices"
    )
    for swapped, (query, corpus) in enumerate((terms, terms[::-1])):
        batch, inner = query[0], query[1]
        if out[0] == batch and inner in corpus and set(corpus) == {inner, out[1]} and batch not in corpus:
            return corpus[0] == inner, bool(swapped)
    raise NotMine("no product of queries and items")
