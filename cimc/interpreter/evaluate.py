"""Executes IR of any level on a batch of requests: the integer and float reference of every pass.

``onnx`` operations run in onnxruntime, ``rec`` operations in float32, ``cim`` operations in the integers
that an ideal array gives.  ``--check-each``, calibration and tests use it; it knows nothing of programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from cimc.errors import Location, PassError, RequestError
from cimc.host.choices import Recorder
from cimc.interpreter import hits, numerics
from cimc.interpreter.bags import Bags, RowScales, averaged, bags_of, check_ids, pooled_integers, pooled_rows
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, Requests
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import DYNAMIC, element_of, element_to_dtype, shape_of, symbol
from cimc.support.io.streaming import release
from cimc.workload.request_rules import OPAQUE

Array = NDArray[Any]
Observer = Callable[[Operation, list[Array]], None]
"""Called with every operation and the arrays of its operands."""


def main_function(module: ModuleOp) -> FuncOp:
    """The function ``@main`` of a module."""
    for op in module.body.block.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main":
            return op
    raise PassError("ir.no-main", "the module has no function @main")


def signature(function: FuncOp) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """ONNX names of the inputs and outputs of ``function`` (invented where the IR does not say)."""

    def names(key: str, count: int, prefix: str) -> tuple[str, ...]:
        attr = function.attributes.get(key)
        if isinstance(attr, ArrayAttr):
            return tuple(a.data for a in attr if isinstance(a, StringAttr))
        return tuple(f"{prefix}{i}" for i in range(count))

    kinds = function.function_type
    return names("onnx.inputs", len(kinds.inputs), "in"), names("onnx.outputs", len(kinds.outputs), "out")


def input_signature(function: FuncOp) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, numpy dtype and shape of the inputs, as :func:`cimc.workload.request_rules.checked_arrays`
    takes them."""
    names, _ = signature(function)
    found = []
    for name, argument in zip(names, function.body.block.args, strict=True):
        element, shape = element_of(argument.type), shape_of(argument.type)
        known = element is not None and shape is not None
        found.append((name, element_to_dtype(element).name if element and known else OPAQUE, shape or ()))
    return found


def evaluate(
    module: ModuleOp,
    ctx: CompilerContext,
    inputs: Requests,
    observe: Observer | None = None,
    choices: Recorder | None = None,
) -> Requests:
    """Outputs of ``@main`` for a batch of requests; ``choices`` records what onnxruntime's nodes choose.

    Raises:
        RequestError: ``request.missing-input``, or ids or offsets that do not fit their table.
    """
    function = main_function(module)
    names, outputs = signature(function)
    if is_onnx_only(function):
        return _run_whole(module, ctx, inputs, outputs, choices)
    values: dict[SSAValue, Array] = {}
    for name, argument in zip(names, function.body.block.args, strict=True):
        if name not in inputs:
            if not argument.uses:
                continue
            raise RequestError("request.missing-input", f"the model's input '{name}' is not among the arrays")
        values[argument] = inputs[name]
    matrices = {matrix.symbol: matrix for matrix in cim.matrices_of(module)}
    run = _Evaluator(ctx, module, matrices, choices)
    for op in function.body.block.ops:
        if isinstance(op, ReturnOp):
            return {n: values[v] for n, v in zip(outputs, op.arguments, strict=True)}
        operands = [values[v] for v in op.operands]
        _check_batch(op, operands)
        if observe is not None:
            observe(op, operands)
        for result, array in zip(op.results, run(op, operands), strict=True):
            values[result] = array
    raise PassError("ir.no-return", "@main does not end in func.return")


def executor(module: ModuleOp, ctx: CompilerContext) -> Callable[[Operation, list[Array]], list[Array]]:
    """A function that executes one operation of ``module`` on its operands.

    It raises what :func:`evaluate` raises.
    """
    matrices = {matrix.symbol: matrix for matrix in cim.matrices_of(module)}
    return _Evaluator(ctx, module, matrices, None)


def _check_batch(op: Operation, args: list[Array]) -> None:
    """Every operand of an operation on several values is of as many requests, or of one for all."""
    if not isinstance(op, rec.BinaryOp | rec.ConcatOp | rec.MatmulOp):
        return
    sizes = {a.shape[0] for a in args if a.ndim} - {1}
    if len(sizes) > 1:
        raise RequestError(
            "request.batch-mismatch",
            f"values of {' and '.join(map(str, sorted(sizes)))} requests meet",
            location=Location(node=onnx.name_of(op)),
            hint="all inputs must hold the same number of requests",
        )


def is_onnx_only(function: FuncOp) -> bool:
    """Whether a function has not been through ``outline-host`` yet."""
    return any(isinstance(op, onnx.NodeOp) for op in function.body.block.ops)


def _run_whole(
    module: ModuleOp,
    ctx: CompilerContext,
    inputs: Requests,
    outputs: tuple[str, ...],
    choices: Recorder | None,
) -> Requests:
    from cimc.frontend.export_graph import export_module
    from cimc.host.runtime import run_onnx

    run = run_onnx if choices is None else choices.wrap(run_onnx)
    return run(export_module(module, ctx), dict(inputs), list(outputs))


M = TypeVar("M", bound=cim.MatrixOp)


class _Evaluator:
    def __init__(
        self,
        ctx: CompilerContext,
        module: ModuleOp,
        matrices: dict[str, cim.MatrixOp],
        choices: Recorder | None,
    ) -> None:
        self.ctx, self.module, self.matrices, self.choices = ctx, module, matrices, choices

    def __call__(self, op: Operation, args: list[Array]) -> list[Array]:
        handler = _HANDLERS.get(type(op))
        if handler is None:
            raise PassError(
                "ir.not-executable",
                f"operation {op.name} cannot be executed",
                location=Location(node=onnx.name_of(op)),
            )
        out = handler(self, op, args)
        return out if isinstance(out, list) else [out]

    def matrix(self, name: str, role: type[M]) -> tuple[M, NDArray[np.int8]]:
        found = self.matrices.get(name)
        if not isinstance(found, role):
            raise PassError("ir.no-matrix", f"the IR uses @{name}, which it does not declare as {role.name}")
        return found, self.ctx.store[symbol(found.data)]

    def bag(self, op: rec.EmbeddingBagOp, args: list[Array]) -> Array:
        table = self.ctx.store[symbol(op.table)]
        bags = _bags(op, args, symbol(op.table), table.shape[0])
        scale: RowScales | np.float32 | None = self.row_scales(op)
        if scale is None and op.scale is not None:
            scale = np.float32(op.scale.value.data)
        out = pooled_rows(table, scale, bags, op.mode.data)
        release(table)
        return out.reshape(*bags.shape, table.shape[1])

    def lookup(self, op: cim.LookupOp, args: list[Array]) -> Array:
        name = symbol(op.table)
        matrix, table = self.matrix(name, cim.TableOp)
        bags = _bags(op, args, name, table.shape[0])
        scale, own = np.float32(op.scale.value.data), self.row_scales(matrix)
        if own is not None:
            out = pooled_rows(table, own, bags, op.mode.data)
        elif op.mode.data in ("sum", "mean") and bags.weights is None:
            out = pooled_integers(table, bags).astype(np.float32) * scale
            if op.mode.data == "mean":
                out = averaged(out, np.diff(bags.starts))
        else:
            out = pooled_rows(table, scale, bags, op.mode.data)
        return out.reshape(*bags.shape, table.shape[1])

    def row_scales(self, op: rec.EmbeddingBagOp | cim.TableOp) -> RowScales | None:
        if op.row_scales is None:
            return None
        store = self.ctx.store
        return RowScales(
            store[symbol(op.row_scales)], None if op.row_biases is None else store[symbol(op.row_biases)]
        )

    def linear(self, op: rec.LinearOp, args: list[Array]) -> Array:
        # in float64, so that the order in which a BLAS adds hardly ever shows in the float32 result
        store = self.ctx.store
        x, weight = args[0].astype(np.float64), store[symbol(op.weight)].astype(np.float64)
        if (grid := op.grid) is not None:
            x = np.clip(np.rint(args[0] / np.float32(grid.scale)), grid.low, grid.high) * grid.scale
        if op.weight_scale is not None:
            weight = weight * store[symbol(op.weight_scale)]
        out = x @ weight
        if op.bias is not None:
            out += store[symbol(op.bias)]
        with np.errstate(over="ignore"):  # an infinity is for the caller to judge
            return out.astype(np.float32)

    def mvm(self, op: cim.MvmOp, args: list[Array]) -> Array:
        matrix, weights = self.matrix(symbol(op.matrix), cim.WeightsOp)
        rows, cols = slice(None), slice(None)
        if op.first is not None:
            rows, cols = group_extent(matrix.block_table(self.ctx.store)[op.blocks()])
        # float64 holds every partial product of 8-bit integers exactly, and has a BLAS
        out = args[0][..., rows].astype(np.float64) @ weights[rows, cols].astype(np.float64)
        return out.astype(np.int32)

    def dequantize(self, op: cim.DequantizeOp, args: list[Array]) -> Array:
        store = self.ctx.store
        bias = store[symbol(op.bias)] if op.bias else None
        return numerics.dequantize(args[0], store[symbol(op.factors)], bias)

    def corpus(self, op: rec.SearchOp, args: list[Array]) -> Array:
        store, k, items = self.ctx.store, op.k.value.data, op.items.value.data
        corpus = store[symbol(op.corpus)]
        rows = corpus.T if op.transposed.value.data else corpus
        bias = None if op.bias is None else store[symbol(op.bias)]

        def scores(part: slice) -> Array:
            found = args[0].astype(np.float32) @ np.asarray(rows[part], np.float32).T
            found = found if bias is None else found + bias[part]
            return np.where(np.isnan(found), -np.inf, found)  # what is no number is not among the best

        found = hits.searched(len(args[0]), range(items), k, scores)
        release(corpus)
        return found

    def search(self, op: cim.SearchOp, args: list[Array]) -> Array:
        matrix, corpus = self.matrix(symbol(op.matrix), cim.CorpusOp)
        rows = slice(0, len(corpus))
        if op.first is not None:
            rows, _ = group_extent(matrix.block_table(self.ctx.store)[op.blocks()])
        store, query = self.ctx.store, args[0].astype(np.float64)
        own = [
            None if name is None else store[symbol(name)] for name in (matrix.row_scales, matrix.row_biases)
        ]

        def scores(part: slice) -> Array:
            sums = (query @ corpus[part].astype(np.float64).T).astype(np.int64)
            sums = hits.as_sums(sums, *op.bus)
            return hits.as_scores(sums, *(None if of is None else of[part] for of in own))

        return hits.searched(len(query), range(rows.start, rows.stop), op.k.value.data, scores)

    def host(self, op: rec.HostOp, args: list[Array]) -> list[Array]:
        from cimc.frontend.export_graph import export_host
        from cimc.host.runtime import run_onnx

        model = export_host(op, self.ctx)
        names = [v.name for v in model.graph.output]
        run = run_onnx if self.choices is None else self.choices.wrap(run_onnx)
        got = run(model, dict(zip([v.name for v in model.graph.input], args, strict=True)), names)
        for name, result in zip(names, op.results, strict=True):
            stated, real = shape_of(result.type), np.shape(got[name])
            inside = any(not isinstance(use.operation, ReturnOp) for use in result.uses)
            if (
                inside
                and stated is not None
                and (
                    len(stated) != len(real)
                    or any(w not in (DYNAMIC, h) for w, h in zip(stated, real, strict=True))
                )
            ):
                raise PassError(
                    "ir.stated-shape",
                    f"the model states {list(stated)} (-1: varies) for a value that has {list(real)}",
                    location=Location(node=onnx.name_of(op)),
                    hint="export the model without stale shapes of intermediate values",
                )
        return [got[n] for n in names]


def group_extent(blocks: NDArray[np.int32]) -> tuple[slice, slice]:
    """Rows and columns of the matrix that a range of the block table covers."""
    ends_row, ends_col = blocks[:, cim.ROW0] + blocks[:, cim.ROWS], blocks[:, cim.COL0] + blocks[:, cim.COLS]
    return (
        slice(int(blocks[:, cim.ROW0].min()), int(ends_row.max())),
        slice(int(blocks[:, cim.COL0].min()), int(ends_col.max())),
    )


def _bags(op: rec.EmbeddingBagOp | cim.LookupOp, args: list[Array], name: str, rows: int) -> Bags:
    rest = iter(args[1:])
    offsets = next(rest) if op.offsets is not None else None
    weights = next(rest) if op.weights is not None else None
    padding = op.padding.value.data if op.padding is not None else None
    bags = bags_of(args[0], offsets, weights, op.layout.data, op.mode.data, name, padding)
    check_ids(bags, rows, name)
    return bags


def _unary(run: _Evaluator, op: rec.UnaryOp, args: list[Array]) -> Array:
    alpha = op.alpha.value.data if op.alpha else 0.0
    return numerics.unary(op.kind.data, args[0], alpha, op.beta.value.data if op.beta else 0.0)


def _reduce(run: _Evaluator, op: rec.ReduceOp, args: list[Array]) -> Array:
    x, axes = args[0], rec.unpack(op.axes)
    kept = [d for d in range(x.ndim) if d not in axes]
    moved = np.transpose(x, [*kept, *axes])
    shape = moved.shape[: len(kept)]
    length = int(np.prod(moved.shape[len(kept) :], dtype=np.int64))  # no -1: there may be no requests
    flat = moved.reshape(int(np.prod(shape, dtype=np.int64)), length, 1)
    out = numerics.reduce(op.kind.data, flat).reshape(shape)
    return np.expand_dims(out, axes) if op.keepdims.value.data else out


def _reshape(run: _Evaluator, op: rec.ReshapeOp, args: list[Array]) -> Array:
    dims = rec.shape(op.result)[1:]
    return args[0].reshape(args[0].shape[0], *dims)


def _expand(run: _Evaluator, op: rec.ExpandOp, args: list[Array]) -> Array:
    dims = [
        have if want < 0 else want
        for want, have in zip(
            rec.shape(op.result),
            (1,) * (len(rec.shape(op.result)) - args[0].ndim) + args[0].shape,
            strict=True,
        )
    ]
    return np.broadcast_to(args[0], dims)


def _slice(run: _Evaluator, op: rec.SliceOp, args: list[Array]) -> Array:
    index = [slice(None)] * args[0].ndim
    index[op.axis.value.data] = slice(op.start.value.data, op.stop.value.data)
    return args[0][tuple(index)]


def _pad(run: _Evaluator, op: rec.PadOp, args: list[Array]) -> Array:
    widths = [(0, 0)] * args[0].ndim
    widths[op.axis.value.data] = (op.before.value.data, op.after.value.data)
    return np.pad(args[0], widths, constant_values=op.value.value.data)


def _constant(run: _Evaluator, op: rec.ConstantOp, args: list[Array]) -> Array:
    return run.ctx.store[symbol(op.symbol)].reshape(rec.shape(op.result))


def _concat(run: _Evaluator, op: rec.ConcatOp, args: list[Array]) -> Array:
    batch = max(a.shape[0] for a in args)
    wide = [np.broadcast_to(a, (batch, *a.shape[1:])) for a in args]
    return np.concatenate(wide, axis=op.axis.value.data)


def _merge(run: _Evaluator, op: cim.MergeOp, args: list[Array]) -> Array:
    return functools.reduce(hits.merged, args)


def _hits(run: _Evaluator, op: rec.HitsOp, args: list[Array]) -> Array:
    if op.kind.data == "scores":
        return hits.scores_of(args[0])
    return hits.ids_of(args[0]).astype(np.int64)


def _add(run: _Evaluator, op: cim.AddOp, args: list[Array]) -> Array:
    total = args[0]
    for part in args[1:]:
        total = total + part
    return total


_HANDLERS: dict[type[Operation], Callable[..., Any]] = {
    rec.EmbeddingBagOp: _Evaluator.bag,
    rec.LinearOp: _Evaluator.linear,
    rec.UnaryOp: _unary,
    rec.BinaryOp: lambda run, op, args: numerics.binary(op.kind.data, *args),
    rec.ConstantOp: _constant,
    rec.ConcatOp: _concat,
    rec.ReshapeOp: _reshape,
    rec.TransposeOp: lambda run, op, args: np.transpose(args[0], rec.unpack(op.perm)),
    rec.SliceOp: _slice,
    rec.TakeOp: lambda run, op, args: np.take(args[0], rec.unpack(op.indices), axis=op.axis.value.data),
    rec.ReduceOp: _reduce,
    rec.DotInteractionOp: lambda run, op, args: numerics.pair_dots(
        args[0], np.array(rec.unpack(op.lhs)), np.array(rec.unpack(op.rhs))
    ),
    rec.MatmulOp: lambda run, op, args: numerics.matmul(*args),
    rec.ExpandOp: _expand,
    rec.PadOp: _pad,
    rec.CastOp: lambda run, op, args: numerics.cast(args[0], element_to_dtype(op.result.type.element_type)),
    rec.HostOp: _Evaluator.host,
    rec.SearchOp: _Evaluator.corpus,
    rec.HitsOp: _hits,
    cim.SearchOp: _Evaluator.search,
    cim.MergeOp: _merge,
    cim.LookupOp: _Evaluator.lookup,
    cim.QuantizeOp: lambda run, op, args: numerics.quantize(
        args[0], op.scale.value.data, op.bits.value.data, op.signed
    ),
    cim.LoadQuantizedOp: lambda run, op, args: numerics.quantize(
        args[0], op.scale.value.data, op.bits.value.data, op.signed
    ),
    cim.MvmOp: _Evaluator.mvm,
    cim.AddOp: _add,
    cim.DequantizeOp: _Evaluator.dequantize,
    cim.TransferOp: lambda run, op, args: args[0],
    cim.LoadOp: lambda run, op, args: args[0],
}
