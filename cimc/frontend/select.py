"""A part of a model: what some of its outputs need, such as one tower of a two-tower file."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.errors import ModelError, printable

_PER_INPUT = ("onnx.inputs", "onnx.dims", "onnx.types")


def select_outputs(module: ModuleOp, names: Sequence[str]) -> None:
    """Reduce ``@main`` to the outputs ``names`` (kept in the model's order) and the inputs they need.

    Raises:
        ModelError: ``frontend.unknown-output`` when the model has no output of a given name.
    """
    function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
    block, end = function.body.block, function.body.block.last_op
    assert isinstance(end, ReturnOp)
    have = [a.data for a in function.attributes["onnx.outputs"].data]  # type: ignore[attr-defined]
    for name in names:
        if name not in have:
            raise ModelError(
                "frontend.unknown-output",
                f"the model has no output '{printable(name)}'",
                hint=f"its outputs: {', '.join(printable(n) for n in have)}",
            )
    kept = [(n, v) for n, v in zip(have, end.arguments, strict=True) if n in names]
    Rewriter.insert_op(ReturnOp(*(v for _, v in kept)), InsertPoint.before(end))
    Rewriter.erase_op(end)
    for op in reversed(list(block.ops)):
        if not isinstance(op, ReturnOp) and not _used(op):
            Rewriter.erase_op(op)
    live = [bool(list(argument.uses)) for argument in block.args]
    for key in _PER_INPUT:
        entries = function.attributes.get(key)
        if isinstance(entries, ArrayAttr):
            chosen = [e for e, keep in zip(entries.data, live, strict=True) if keep]
            function.attributes[key] = ArrayAttr(chosen)
    for argument, keep in reversed(list(zip(block.args, live, strict=True))):
        if not keep:
            block.erase_arg(argument)
    function.attributes["onnx.outputs"] = ArrayAttr([StringAttr(n) for n, _ in kept])
    function.properties["function_type"] = FunctionType.from_lists(
        [a.type for a in block.args], [v.type for _, v in kept]
    )


def _used(op: Operation) -> bool:
    return any(list(result.uses) for result in op.results)
