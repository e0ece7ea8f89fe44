"""The best items of a corpus: ``TopK`` or ``ArgMax`` over products with a constant matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from cimc.analysis.shapes.operands import keeps_dims, operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import f32
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NotMine, need
from cimc.transforms.matching.nodes import axis_of
from cimc.transforms.recognise.corpora.item_scores import Scores, scores_of
from cimc.transforms.recognise.embedding_bags.tables import is_table
from cimc.transforms.recognise.recogniser import Recogniser, Stage

FEWEST = 64
"""Products with fewer items are layers, whose scores the host sorts: gates of experts, classes."""
LONGEST = 1024
"""A list of more hits does not stay in a scratchpad with those that it is merged with."""
_SAME = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten")
"""Operators that keep the numbers of ids."""


class TopItems(Recogniser):
    """The best ``k`` items of a corpus, ``TopK(a (x C) + b, k)``: ``C`` constant, ``b`` one number an item.

    :mod:`cimc.transforms.recognise.corpora.item_scores` says what may stand between them.  What is
    smallest is what is largest of the negated query: with ``s = +-(x C + b / a)`` the values are ``+-a s``.
    An ``ArgMax`` keeps the best one.
    """

    name = "top-items"
    stage = Stage.PATTERNS
    kinds = frozenset({"TopK", "ArgMax", "ArgMin"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        top = op.kind == "TopK"
        values = op.results[0] if top else None
        order_only = values is None or not self.graph.users(values)
        found = scores_of(op.inputs[0], self.graph, op, order_only)
        dims = self.graph.shape(op.inputs[0])
        need(
            axis_of(op, len(dims), -1 if top else 0) == len(dims) - 1, "chooses along another axis than items"
        )
        need(prod(d if isinstance(d, int) else 0 for d in dims[1:-1]) == 1, "a request has several queries")
        k = self._k(op) if top else 1
        need(found.items >= FEWEST, f"a product with fewer than {FEWEST} items is a layer")
        need(1 <= k <= found.items, f"the best {k} of {found.items} items")
        need(k <= LONGEST, f"more than the best {LONGEST}")
        need(top or not int_attribute(op, "select_last_index", 0), "the last of equal items is chosen")
        largest = bool(int_attribute(op, "largest", 1)) if top else op.kind == "ArgMax"
        need(self._seen(op.results[1 if top else 0]), "what it chooses is looked up where nobody sees it")
        hits = self._search(found, largest, k, emit)
        shape = (self.graph.rows(op.inputs[0])[0], *(1,) * (len(dims) - 2), k)
        if not top and not keeps_dims(op):
            shape = shape[:-1]
        chosen = self._shaped(
            emit.add(
                rec.HitsOp(
                    "ids", hits, choice=op.kind, scale=_factor(found, largest), after=found.after[::-1]
                )
            ),
            shape,
            emit,
        )
        if not top:
            return [chosen]
        return [None if order_only else self._values(found, largest, hits, shape, emit), chosen]

    def _seen(self, ids: SSAValue) -> bool:
        """Whether ids leave the chip, so that what was chosen can be judged: not those of rows alone."""
        for use in ids.uses:
            user = use.operation
            if isinstance(user, onnx.NodeOp) and user.kind in _SAME:
                if self._seen(user.outputs[0]):
                    return True
            elif not (
                isinstance(user, onnx.NodeOp)
                and user.kind in ("Gather", "GatherND")
                and self.graph.analysis.element(user.inputs[0]) == f32
                and is_table(user.inputs[0], self.graph)
            ):
                return True
        return False

    def _k(self, op: onnx.NodeOp) -> int:
        given = operand(op, 1)
        if given is None:
            return int_attribute(op, "k", 0)
        array = self.graph.constant(given)
        if array is None:
            raise NotMine("how many items are kept is not known at compile time")
        return int(array.reshape(-1)[0])

    def _search(self, found: Scores, largest: bool, k: int, emit: Emitter) -> SSAValue:
        """The list of hits."""
        sign = 1.0 if (found.scale > 0) == largest else -1.0
        x = found.x
        dims = rec.shape(x)
        if len(dims) > 2:
            x = emit.add(rec.ReshapeOp(x, (dims[0], dims[-1])))
        if sign < 0:
            x = emit.add(rec.UnaryOp("neg", x))
        bias = None
        if found.bias is not None:
            wanted: NDArray[np.float32] = (found.bias * (sign / found.scale)).astype(np.float32)
            bias = self.graph.keep(found.corpus, ".bias", wanted)
        corpus = self.graph.symbol_of(found.corpus)
        return emit.add(rec.SearchOp(x, corpus, k, found.items, transposed=found.transposed, bias=bias))

    def _values(
        self, found: Scores, largest: bool, hits: SSAValue, shape: Sequence[int], emit: Emitter
    ) -> SSAValue:
        value = emit.add(rec.HitsOp("scores", hits))
        factor = _factor(found, largest)
        if factor != 1.0:
            constant = emit.shared(np.array([[factor]], np.float32), "hits.scale", 2)
            value = emit.add(rec.BinaryOp("mul", value, constant))
        for function in reversed(found.after):
            value = emit.add(rec.UnaryOp(function, value))
        return self._shaped(value, shape, emit)

    @staticmethod
    def _shaped(value: SSAValue, shape: Sequence[int], emit: Emitter) -> SSAValue:
        return value if len(shape) == 2 else emit.add(rec.ReshapeOp(value, tuple(shape)))


def _factor(found: Scores, largest: bool) -> float:
    """What scores of the search are multiplied with: those of the negated query where smaller is better."""
    return abs(found.scale) * (1.0 if largest else -1.0)
