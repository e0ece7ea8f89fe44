"""A corpus of item vectors behind a tower: the best items of the vector that a model gives.

The search is appended to the imported graph as nodes of ONNX, in the form in which exporters write it: all
that follows sees one model.  The vectors stay in their file: what is stored is a memory map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, NameLoc, NoneAttr, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import VerifyException

from cimc.errors import Location, RequestError
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.types import element_from_dtype, element_of, i64, is_float, shape_of, tensor
from cimc.support.io.npz import mapped_array
from cimc.support.io.streaming import blocks

METRICS = {
    "ip": "ip",
    "dot": "ip",
    "inner_product": "ip",
    "cosine": "cosine",
    "l2": "l2",
    "l2sq": "l2",
}
"""Names of metrics, as users of search libraries know them."""
_LONGEST = 1e30
"""The largest half of a squared length, as of whatever is quantised."""
SCORES, IDS = "scores", "ids"
"""Outputs of a model with a search."""


@dataclass(frozen=True)
class CorpusFile:
    """What is searched behind a model.

    Attributes:
        vectors: float ``[items, dim]``, a memory map say.
        k: how many of the best leave.
        metric: one of :data:`METRICS`.
        ids: int64 ``[items]``: what items are called; by their position if absent.
    """

    vectors: NDArray[Any]
    k: int
    metric: str = "ip"
    ids: NDArray[np.int64] | None = None

    @classmethod
    def load(cls, path: Path, k: int, metric: str = "ip", ids: Path | None = None) -> CorpusFile:
        """The corpus of ``.npy`` files, which stay where they are.

        Raises:
            RequestError: ``corpus.unreadable`` or ``corpus.bad``.
        """
        names = None if ids is None else mapped_array(ids)
        made = cls(mapped_array(path), k, metric, names)
        made.check(Location(file=str(path)))
        return made

    def check(self, where: Location | None = None) -> None:
        """Refuse what cannot be searched.

        Raises:
            RequestError: ``corpus.bad``.
        """
        for what, given in (("items", self.vectors), ("ids", self.ids)):
            if given is not None and type(given) not in (np.ndarray, np.memmap):
                raise _bad(f"{what} are a numpy array, not {type(given).__name__}", where)
        items = self.vectors.shape[0] if self.vectors.ndim else 0
        if self.vectors.ndim != 2 or self.vectors.dtype.kind != "f" or not self.vectors.size:
            raise _bad(
                f"items are float [items, dim], not {self.vectors.dtype} {list(self.vectors.shape)}", where
            )
        if self.metric not in list(METRICS):
            raise _bad(f"metric '{self.metric}' is none of {', '.join(METRICS)}", where)
        if not isinstance(self.k, (int, np.integer)):
            raise _bad(f"k={self.k!r} is no whole number", where)
        if not 1 <= self.k <= items:
            raise _bad(f"the best {self.k} of {items} items: k is 1 to their number", where)
        if self.ids is not None and (self.ids.dtype.kind not in "iu" or self.ids.shape != (items,)):
            raise _bad(f"ids are {items} integers, not {self.ids.dtype} {list(self.ids.shape)}", where)
        if self.ids is not None and self.ids.max() > np.iinfo(np.int64).max:
            raise _bad(f"ids are int64, and {self.ids.max()} is too large for that", where)


def _bad(why: str, where: Location | None) -> RequestError:
    return RequestError("corpus.bad", why, location=where)


def append_search(module: ModuleOp, corpus: CorpusFile, ctx: CompilerContext) -> None:
    """Let ``@main``, which returns one vector a request, return scores and ids of the best items instead.

    ``ip`` and ``cosine`` fall, ``l2`` (squared) rises.

    Raises:
        RequestError: ``corpus.bad`` for a corpus that does not fit the vector.
    """
    if not isinstance(corpus, CorpusFile):
        raise _bad(f"a corpus is a CorpusFile, not {type(corpus).__name__}", None)
    corpus.check()
    function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    dims = shape_of(end.arguments[0].type) if len(end.arguments) == 1 else None
    dim = corpus.vectors.shape[1]
    element = element_of(end.arguments[0].type) if len(end.arguments) == 1 else None
    if element is not None and not is_float(element):
        raise RequestError("corpus.bad", "the output that is searched with holds no floats")
    if dims is None or len(dims) != 2 or dims[1] not in (dim, -1):
        raise RequestError(
            "corpus.bad",
            f"vectors of {dim} numbers are searched with one such vector a request; the model gives "
            f"{len(end.arguments)} outputs"
            + ("" if dims is None else f" of shape {list(dims)} (-1: varies)"),
            hint="choose the output that holds the query: --select NAME",
        )
    tool = _Builder(end, ctx)
    results = tool.search(end.arguments[0], corpus, METRICS[corpus.metric])
    Rewriter.insert_op(ReturnOp(*results), InsertPoint.before(end))
    Rewriter.erase_op(end)
    function.attributes["onnx.outputs"] = ArrayAttr([StringAttr(SCORES), StringAttr(IDS)])
    function.update_function_type()  # type: ignore[no-untyped-call]


class _Builder:
    def __init__(self, end: ReturnOp, ctx: CompilerContext) -> None:
        self.end, self.ctx = end, ctx

    def add(self, op: Operation, name: str) -> Operation:
        op.location = NameLoc(StringAttr(f"search.{name}"), NoneAttr())
        Rewriter.insert_op(op, InsertPoint.before(self.end))
        return op

    def node(
        self, kind: str, inputs: list[SSAValue], types: list[Attribute], **attrs: int
    ) -> tuple[SSAValue, ...]:
        numbers = {key: IntegerAttr(value, i64) for key, value in attrs.items()}
        return tuple(self.add(onnx.NodeOp(kind, inputs, types, numbers), kind).results)

    def stored(self, name: str, array: NDArray[Any]) -> SSAValue:
        symbol = self.ctx.store.add(f"search.{name}", array)
        kind = tensor(array.shape, element_from_dtype(array.dtype))
        return self.add(onnx.InitializerOp(symbol, kind), name).results[0]

    def small(self, name: str, array: NDArray[Any]) -> SSAValue:
        return self.add(onnx.ConstantOp(dense_from_array(array)), name).results[0]

    def search(self, x: SSAValue, corpus: CorpusFile, metric: str) -> list[SSAValue]:
        """Scores and ids."""
        batch, row = _batch(x), tensor((_batch(x), corpus.vectors.shape[1]))
        vectors = floats(corpus.vectors)
        if metric == "cosine":
            x, vectors = self.node("LpNormalization", [x], [row], axis=1, p=2)[0], normalised(vectors)
        items, count = self.stored("items", vectors), len(vectors)
        operands = [x, items]
        if metric == "l2":  # |x - c|^2 = |x|^2 - 2 (x c - |c|^2 / 2)
            operands.append(self.stored("bias", _bias(vectors)))
        (scores,) = self.node("Gemm", operands, [tensor((batch, count))], transB=1)
        k = self.small("k", np.array([corpus.k], np.int64))
        kinds: list[Attribute] = [tensor((batch, corpus.k)), tensor((batch, corpus.k), i64)]
        best, ids = self.node("TopK", [scores, k], kinds, axis=1)
        if metric == "l2":
            axes = self.small("axes", np.array([1], np.int64))
            (square,) = self.node("Mul", [x, x], [row])
            (own,) = self.node("ReduceSum", [square, axes], [tensor((batch, 1))], keepdims=1)
            (twice,) = self.node("Mul", [best, self.small("two", np.array([-2], np.float32))], [kinds[0]])
            (best,) = self.node("Add", [twice, own], [kinds[0]])
        if corpus.ids is not None:
            names = self.stored("ids", np.asarray(corpus.ids, np.int64))
            (ids,) = self.node("Gather", [names, ids], [kinds[1]], axis=0)
        return [best, ids]


def _batch(value: SSAValue) -> int:
    dims = shape_of(value.type)
    if dims is None:
        raise VerifyException("a query has a known rank")
    return dims[0]


def floats(vectors: NDArray[Any]) -> NDArray[Any]:
    """As float32; what is that already stays a memory map.

    Raises:
        RequestError: ``corpus.bad`` for numbers that float32 lacks.
    """
    if vectors.dtype == np.float32:
        return vectors
    with np.errstate(over="ignore"):
        found = vectors.astype(np.float32)
    if not np.isfinite(found).all():
        raise _bad("items hold NaN, infinity, or numbers that are too large for float32", None)
    return found


def _bias(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """What a score of ``l2`` lacks beside the product, float32 ``[items]``.

    Raises:
        RequestError: ``corpus.bad`` for an item whose squared length float32 does not hold.
    """
    found = 0.5 * squares(vectors)
    worst = int(np.argmax(found))
    if found[worst] > _LONGEST:
        raise _bad(f"item {worst} is too long for squared distances in float32", None)
    return (-found).astype(np.float32)


def squares(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Squared length of each vector, float64 ``[items]``."""
    found = np.empty(len(vectors))
    for start, part in blocks(vectors):
        found[start : start + len(part)] = np.square(part, dtype=np.float64).sum(axis=1)
    return found


def normalised(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Vectors of length 1; those of length 0 stay."""
    found = np.empty(vectors.shape, np.float32)
    lengths = np.sqrt(squares(vectors))
    for start, part in blocks(vectors):
        here = lengths[start : start + len(part), None]
        found[start : start + len(part)] = part / np.where(here > 0, here, 1.0)
    return found
