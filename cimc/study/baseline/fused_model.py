"""The bag-fused reference: a recognised model as numpy steps, all bags of one width in one compiled loop.

Exported bags are ``Loop`` nodes that cost onnxruntime a call or more per bag; this is what the same
arithmetic needs.  Layers are float32 products of the BLAS under numpy; operations without a step of their own
here run as the interpreter runs them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from cimc.errors import RequestError
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import LoadedModel
from cimc.interpreter import numerics
from cimc.interpreter.evaluate import executor, main_function, signature
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.text import new_context
from cimc.ir.types import symbol
from cimc.study.baseline import bag_kernels as kernels
from cimc.support.io.lazy import LazyArray
from cimc.support.shown import some
from cimc.transforms.pipeline import Pipeline

Array = NDArray[Any]
Values = list[Any]
Step = Callable[[Values], None]
"""Reads operands from their places and puts results into theirs."""

RECOGNISED = "frontend"
"""Passes from the exported graph to embedding bags and layers, in float."""


class NotFused(Exception):
    """The model has parts that this reference has no fused form of; the text names them."""


def recognised(loaded: LoadedModel) -> tuple[ModuleOp, CompilerContext]:
    """The model in float, with its bags and layers recognised."""
    ctx = new_context()
    module = import_model(loaded, ctx)
    ctx.model, ctx.model_digest = Path(loaded.path).name, loaded.digest
    Pipeline.parse(RECOGNISED).run(module, ctx)
    return module, ctx


class FusedModel:
    """A model that computes its outputs for a batch of requests; threads may share it.

    Raises:
        NotFused: from the constructor, with the names of what it has no form for.
    """

    def __init__(self, module: ModuleOp, ctx: CompilerContext) -> None:
        function = main_function(module)
        self.inputs, self.outputs = signature(function)
        block = function.body.block
        _require_known(list(block.ops))
        self._places: dict[SSAValue, int] = {arg: n for n, arg in enumerate(block.args)}
        self._steps: list[Step] = []
        execute = executor(module, ctx)
        early: dict[int, list[rec.EmbeddingBagOp]] = defaultdict(list)
        for op in block.ops:
            if isinstance(op, rec.EmbeddingBagOp) and all(isinstance(v, BlockArgument) for v in op.operands):
                early[op.dim.value.data].append(op)
        for ops in early.values():
            self._add(ops, _bags(ops, ctx))
        done = {id(op) for ops in early.values() for op in ops}
        for op in block.ops:
            if isinstance(op, ReturnOp):
                self._results = [self._places[v] for v in op.arguments]
            elif id(op) not in done:
                self._add([op], _function_of(op, ctx, execute))

    def _add(self, ops: Sequence[Operation], compute: Callable[[Values], Sequence[Array]]) -> None:
        operands = [self._places[v] for op in ops for v in op.operands]
        for op in ops:
            for result in op.results:
                self._places[result] = len(self._places)
        results = [self._places[r] for op in ops for r in op.results]

        def step(values: Values) -> None:
            for place, array in zip(results, compute([values[n] for n in operands]), strict=True):
                values[place] = array

        def single(values: Values, place: int = results[0]) -> None:
            values[place] = compute([values[n] for n in operands])[0]

        self._steps.append(single if len(results) == 1 else step)

    def __call__(self, requests: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name.

        Raises:
            RequestError: ``request.id-out-of-range`` for ids or offsets that do not fit their table.
        """
        values: Values = [None] * len(self._places)
        for n, name in enumerate(self.inputs):
            values[n] = requests[name]
        for step in self._steps:
            step(values)
        return {name: values[at] for name, at in zip(self.outputs, self._results, strict=True)}


def _require_known(ops: Sequence[Operation]) -> None:
    wrong = []
    for op in ops:
        name = onnx.name_of(op) or op.name
        if isinstance(op, rec.HostOp):
            wrong.append(f"{name} (left to onnxruntime)")
        elif isinstance(op, rec.LinearOp) and (op.grid is not None or op.weight_scale is not None):
            wrong.append(f"{name} (a quantised layer)")
        elif isinstance(op, rec.EmbeddingBagOp) and (op.scale is not None or op.row_scales is not None):
            wrong.append(f"{name} (a quantised table)")
        elif not isinstance(op, ReturnOp) and not op.name.startswith("rec."):
            wrong.append(f"{name} ({op.name})")
    if wrong:
        raise NotFused(f"no fused form of {some(wrong)}")


@dataclass(frozen=True)
class _BagGroup:
    """Bags of one width, as the kernel takes them.

    Attributes:
        rows, bags: as the kernel takes them.
        numbers: which operands are ids (of each table), then which are offsets.
        flat: whether all of those have one axis.
        counted: for each table: the part whose size counts its bags, and how many entries of it are none.
        pooled_axis: whether the last axis of the ids is pooled.
        weights: which operands are weights.
        names: of the tables.
    """

    rows: NDArray[np.float32]
    bags: NDArray[np.int64]
    numbers: tuple[int, ...]
    flat: bool
    counted: tuple[tuple[int, int], ...]
    pooled_axis: tuple[bool, ...]
    weights: tuple[int, ...]
    names: tuple[str, ...]

    def __call__(self, args: Values) -> list[Array]:
        parts = [args[n] for n in self.numbers]
        sizes = [part.size for part in parts]
        shapes: list[tuple[int, ...]] = [(sizes[n] - less,) for n, less in self.counted]
        if not self.flat:
            for t, pooled in enumerate(self.pooled_axis):
                if parts[t].ndim > 1:
                    shapes[t] = parts[t].shape[:-1] if pooled else parts[t].shape
            parts = [part.reshape(-1) for part in parts]
        counts = [prod(shape) for shape in shapes]
        numbers = np.concatenate(parts, dtype=np.int64, casting="unsafe")
        weights = _NONE
        if self.weights:
            weights = np.concatenate([args[n].reshape(-1) for n in self.weights], dtype=np.float32)
        out = np.empty((sum(counts), self.rows.shape[1]), np.float32)
        sized = np.array(sizes, np.int64)
        bad = kernels.pooled(self.rows, self.bags, np.array(counts, np.int64), numbers, sized, weights, out)
        if bad >= 0:
            raise RequestError(
                "request.id-out-of-range", f"table {self.names[bad]}: ids or offsets that do not fit it"
            )
        found, at = [], 0
        for shape, count in zip(shapes, counts, strict=True):
            part = out[at : at + count]
            found.append(part if len(shape) == 1 else part.reshape(*shape, -1))
            at += count
        return found


_NONE = np.empty(0, np.float32)


_MODES = {"none": kernels.SUM, "sum": kernels.SUM, "mean": kernels.MEAN, "max": kernels.MAX}
_LAYOUTS = {"fixed": kernels.FIXED, "offsets": kernels.OFFSETS, "offsets_end": kernels.OFFSETS_END}


def _bags(ops: Sequence[rec.EmbeddingBagOp], ctx: CompilerContext) -> _BagGroup:
    first: dict[str, int] = {}
    arrays, lines, at = [], [], 0
    ids: list[int] = []
    offsets: list[int] = []
    weights: list[int] = []
    counted: list[tuple[int, int]] = []
    operand = 0
    for t, op in enumerate(ops):
        name = symbol(op.table)
        table = ctx.store[name]
        if name not in first:
            if isinstance(table, LazyArray):
                raise NotFused(f"no fused form of table {name}, whose weights are generated")
            arrays.append(np.asarray(table, np.float32))
            first[name] = at
            at += len(table)
        ids.append(operand)
        starts = len(ops) + len(offsets)
        if op.offsets is not None:
            offsets.append(operand + 1)
        if op.weights is not None:
            weights.append(operand + len(op.operands) - 1)
        operand += len(op.operands)
        layout, padding = op.layout.data, op.padding
        counted.append((t if op.offsets is None else starts, int(layout == "offsets_end")))
        left_out = (padding is not None, 0 if padding is None else padding.value.data)
        line = (first[name], len(table), _MODES[op.mode.data], _LAYOUTS[layout], starts if op.offsets else 0)
        lines.append((*line, *left_out, op.weights is not None))
    return _BagGroup(
        np.ascontiguousarray(arrays[0] if len(arrays) == 1 else np.concatenate(arrays)),
        np.array(lines, np.int64),
        (*ids, *offsets),
        all(len(rec.shape(op.ids)) == 1 for op in ops),
        tuple(counted),
        tuple(op.mode.data != "none" for op in ops),
        tuple(weights),
        tuple(symbol(op.table) for op in ops),
    )


Compute = Callable[[Values], Sequence[Array]]


def _function_of(
    op: Operation, ctx: CompilerContext, execute: Callable[[Operation, list[Array]], list[Array]]
) -> Compute:
    """How the results of ``op`` follow from its operands."""
    make = _FORMS.get(type(op))
    form = None if make is None else make(op, ctx)
    return form if form is not None else lambda args: execute(op, args)


def _linear(op: rec.LinearOp, ctx: CompilerContext) -> Compute:
    weight = np.ascontiguousarray(ctx.store[symbol(op.weight)], np.float32)
    bias = None if op.bias is None else np.asarray(ctx.store[symbol(op.bias)], np.float32)

    def compute(args: Values) -> Sequence[Array]:
        out = args[0] @ weight
        if bias is not None:
            out += bias
        return (out,)

    return compute


def _unary(op: rec.UnaryOp, ctx: CompilerContext) -> Compute:
    kind, zero = op.kind.data, np.float32(0)
    if kind == "relu":
        return lambda args: (np.maximum(args[0], zero),)
    alpha = op.alpha.value.data if op.alpha else 0.0
    beta = op.beta.value.data if op.beta else 0.0
    return lambda args: (numerics.unary(kind, args[0], alpha, beta),)


def _binary(op: rec.BinaryOp, ctx: CompilerContext) -> Compute:
    kind = op.kind.data
    return lambda args: (numerics.binary(kind, *args),)


def _concat(op: rec.ConcatOp, ctx: CompilerContext) -> Compute:
    axis = op.axis.value.data

    def compute(args: Values) -> Sequence[Array]:
        batch = max(len(a) for a in args)
        if any(len(a) != batch for a in args):
            args = [np.broadcast_to(a, (batch, *a.shape[1:])) for a in args]
        return (np.concatenate(args, axis),)

    return compute


def _reshape(op: rec.ReshapeOp, ctx: CompilerContext) -> Compute:
    dims = rec.shape(op.result)[1:]
    return lambda args: (args[0].reshape(len(args[0]), *dims),)


def _transpose(op: rec.TransposeOp, ctx: CompilerContext) -> Compute:
    perm = rec.unpack(op.perm)
    return lambda args: (args[0].transpose(perm),)


def _slice(op: rec.SliceOp, ctx: CompilerContext) -> Compute:
    axis, part = op.axis.value.data, slice(op.start.value.data, op.stop.value.data)
    return lambda args: (args[0][(*((slice(None),) * axis), part)],)


def _take(op: rec.TakeOp, ctx: CompilerContext) -> Compute:
    indices, axis = np.array(rec.unpack(op.indices)), op.axis.value.data
    return lambda args: (np.take(args[0], indices, axis),)


def _constant(op: rec.ConstantOp, ctx: CompilerContext) -> Compute:
    array = np.asarray(ctx.store[symbol(op.symbol)]).reshape(rec.shape(op.result))
    return lambda args: (array,)


def _dots(op: rec.DotInteractionOp, ctx: CompilerContext) -> Compute:
    features = rec.shape(op.x)[1]
    pairs = np.array(rec.unpack(op.lhs)) * features + np.array(rec.unpack(op.rhs))

    def compute(args: Values) -> Sequence[Array]:
        gram = np.matmul(args[0], args[0].transpose(0, 2, 1))
        return (np.take(gram.reshape(len(gram), features * features), pairs, 1),)

    return compute


def _matmul(op: rec.MatmulOp, ctx: CompilerContext) -> Compute:
    return lambda args: (np.matmul(*args),)


def _reduce(op: rec.ReduceOp, ctx: CompilerContext) -> Compute | None:
    axes, keep, kind = rec.unpack(op.axes), bool(op.keepdims.value.data), op.kind.data
    if kind == "l2":
        return lambda args: (np.sqrt(np.square(args[0]).sum(axes, keepdims=keep)),)
    if kind not in ("sum", "mean", "max", "min"):
        return None
    # a sum of integers would become int64, which the interpreter's does not
    return lambda args: (np.asarray(getattr(args[0], kind)(axes, keepdims=keep), args[0].dtype),)


_FORMS: dict[type[Operation], Callable[[Any, CompilerContext], Compute | None]] = {
    rec.EmbeddingBagOp: lambda op, ctx: _bags([op], ctx),
    rec.LinearOp: _linear,
    rec.UnaryOp: _unary,
    rec.BinaryOp: _binary,
    rec.ConcatOp: _concat,
    rec.ReshapeOp: _reshape,
    rec.TransposeOp: _transpose,
    rec.SliceOp: _slice,
    rec.TakeOp: _take,
    rec.ConstantOp: _constant,
    rec.DotInteractionOp: _dots,
    rec.MatmulOp: _matmul,
    rec.ReduceOp: _reduce,
}
"""Operations that have a form of their own; all others run as the interpreter runs them."""
