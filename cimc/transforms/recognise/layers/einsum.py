"""``Einsum`` of one or two operands, request by request."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue

from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array
from cimc.ir.types import f32
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import show
from cimc.transforms.recognise.layers.weights import linear
from cimc.transforms.recognise.recogniser import Recogniser, Stage
from cimc.transforms.recognise.vector.reduce import reduced


class Einsum(Recogniser):
    """``Einsum`` whose first letter everywhere is the batch, as transpositions, a product and a reshape.

    Letters of two operands ``a`` and ``b`` that end in the result are *kept* by both, or *rows* of ``a``, or
    *columns* of ``b``; a letter of both that does not is summed by the product, one of a single operand
    before it::

        out = matmul(a [B, kept, rows, summed], b [B, kept, summed, columns])

    With a constant ``b`` the product is a linear layer, or one for each index of the kept letters.
    """

    name = "einsum"
    stage = Stage.OPERATORS
    kinds = frozenset({"Einsum"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        terms, out = self._equation(op)
        values = list(op.inputs)
        arrays = [self.graph.constant(v) for v in values]
        need(len(values) <= 2, "more than two operands")
        need(any(a is None for a in arrays), "all operands are constant")
        if len(values) == 2 and arrays[0] is not None:
            values, arrays, terms = values[::-1], arrays[::-1], terms[::-1]
        batch = terms[0][:1]
        need(out[:1] == batch, "the batch does not stay dimension 0")
        for value, array, term in zip(values, arrays, terms, strict=True):
            need(len(set(term)) == len(term), "takes a diagonal")
            need(self.analysis.element(value) == f32, f"{show(value)} is not f32")
            if array is None:
                need(len(self.graph.activation(value)) == len(term), "the equation does not fit the operand")
                need(term[:1] == batch, f"the batch is not dimension 0 of {show(value)}")
            else:
                need(batch not in term, "a constant has a row per request")
        if len(values) == 1:
            return [self._ordered(emit, *self._summed(emit, values[0], terms[0], out), out)]
        other = set(terms[1]) | set(out)
        x, term = self._summed(emit, values[0], terms[0], "".join(c for c in terms[0] if c in other))
        if arrays[1] is not None:
            name = self.graph.symbol_of(values[1])
            return [self._layer(emit, x, term, np.asarray(arrays[1]), terms[1], out, name)]
        other = set(term) | set(out)
        y, second = self._summed(emit, values[1], terms[1], "".join(c for c in terms[1] if c in other))
        return [self._product(emit, x, term, y, second, out)]

    def _equation(self, op: onnx.NodeOp) -> tuple[list[str], str]:
        """The terms and the result's letters; ``...`` becomes capital letters, unused ones."""
        attr = op.attribute("equation")
        assert isinstance(attr, StringAttr)
        left, arrow, out = attr.data.replace(" ", "").partition("->")
        terms = left.split(",")
        need(len(terms) == len(op.inputs), "the equation does not fit the operands")
        if not arrow:
            once = sorted(c for c in set(left) - {",", "."} if left.count(c) == 1)
            out = ("..." if "..." in left else "") + "".join(once)
        free = [c for c in string.ascii_letters if c not in left]
        widths = [
            len(self.graph.shape(v)) - len(t.replace("...", ""))
            for v, t in zip(op.inputs, terms, strict=True)
            if "..." in t
        ]
        letters = "".join(free[: max(widths, default=0)])
        for k, (value, term) in enumerate(zip(op.inputs, terms, strict=True)):
            width = len(self.graph.shape(value)) - len(term.replace("...", ""))
            need(width >= 0, "the equation does not fit the operands")
            terms[k] = term.replace("...", letters[len(letters) - width :] if width else "")
        return terms, out.replace("...", letters)

    def _summed(self, emit: Emitter, x: SSAValue, term: str, keep: str) -> tuple[SSAValue, str]:
        """``x`` summed over the letters that are not in ``keep``."""
        axes = [k for k, c in enumerate(term) if c not in keep]
        need(0 not in axes, "sums over the batch")
        value = reduced(emit, "sum", x, axes, False) if axes else x
        return value, "".join(c for c in term if c in keep)

    def _ordered(self, emit: Emitter, x: SSAValue, term: str, out: str) -> SSAValue:
        """``x`` with its axes ``term`` in the order ``out``."""
        need(set(term) == set(out), "repeats elements along a new axis")
        perm = [term.index(c) for c in out]
        return x if perm == list(range(len(perm))) else emit.add(rec.TransposeOp(x, perm))

    def _grouped(
        self, emit: Emitter, x: SSAValue, term: str, *groups: str
    ) -> tuple[SSAValue, list[list[int]]]:
        """``x`` with axes in the order of ``groups`` (behind the batch), and the extents of each group."""
        value = self._ordered(emit, x, term, term[0] + "".join(groups))
        dims = iter(rec.shape(value)[1:])
        return value, [[next(dims) for _ in group] for group in groups]

    def _product(self, emit: Emitter, x: SSAValue, term: str, y: SSAValue, second: str, out: str) -> SSAValue:
        batch = term[0]
        kept = "".join(c for c in out[1:] if c in term and c in second)
        rows = "".join(c for c in term[1:] if c not in second)
        columns = "".join(c for c in second[1:] if c not in term)
        summed = "".join(c for c in term[1:] if c in second and c not in out)
        a, (lead, m, k) = self._grouped(emit, x, term, kept, rows, summed)
        b, (other, k2, n) = self._grouped(emit, y, second, kept, summed, columns)
        need(lead == other and k == k2, "operands are broadcast along a letter")
        first = rec.shape(x)[0]
        a = _reshape(emit, a, (first, *lead, _count(m), _count(k)))
        b = _reshape(emit, b, (first, *lead, _count(k), _count(n)))
        value = _reshape(emit, emit.add(rec.MatmulOp(a, b)), (first, *lead, *m, *n))
        return self._ordered(emit, value, batch + kept + rows + columns, out)

    def _layer(
        self, emit: Emitter, x: SSAValue, term: str, array: Array, second: str, out: str, name: str
    ) -> SSAValue:
        single = tuple(k for k, c in enumerate(second) if c not in term and c not in out)
        if single:
            array = array.sum(axis=single, dtype=np.float64).astype(np.float32)
            second = "".join(c for c in second if c in term or c in out)
        batch = term[0]
        kept = "".join(c for c in out[1:] if c in term and c in second)
        rows = "".join(c for c in term[1:] if c not in second)
        columns = "".join(c for c in second if c not in term)
        summed = "".join(c for c in term[1:] if c in second and c not in out)
        need(summed, "no letter is summed: a product with a constant, element by element")
        a, (lead, m, k) = self._grouped(emit, x, term, kept, rows, summed)
        weights = np.transpose(array, [second.index(c) for c in kept + summed + columns])
        n = list(weights.shape[len(kept) + len(summed) :])
        need(
            list(weights.shape[: len(kept) + len(summed)]) == lead + k,
            "operands are broadcast along a letter",
        )
        first = rec.shape(x)[0]
        groups, depth = _count(lead), _count(k)
        weights = weights.reshape(groups, depth, -1)
        if not kept:
            value = linear(emit, _reshape(emit, a, (first, *m, depth)), weights[0], f"{name}.2d")
        else:
            flat = _reshape(emit, a, (first, groups, *m, depth))
            parts = [
                linear(emit, emit.add(rec.SliceOp(flat, 1, g, g + 1)), weights[g], f"{name}.{g}")
                for g in range(groups)
            ]
            value = parts[0] if groups == 1 else emit.add(rec.ConcatOp(parts, 1))
        value = _reshape(emit, value, (first, *lead, *m, *n))
        return self._ordered(emit, value, batch + kept + rows + columns, out)


def _reshape(emit: Emitter, x: SSAValue, dims: Sequence[int]) -> SSAValue:
    if rec.shape(x) == tuple(dims):
        return x
    if not dims:
        raise NoMatch("the result has no batch")
    return emit.add(rec.ReshapeOp(x, dims))


def _count(extents: Sequence[int]) -> int:
    return int(np.prod(extents, dtype=np.int64))
