"""A part of a model: what some of its outputs need, such as one tower of a two-tower file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from xdsl.dialects.builtin import ArrayAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.shapes.dims import Equalities, Poly, divide, product
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.extent_nodes import stated_sizes
from cimc.analysis.shapes.rule_registry import OUTPUT_DIMS
from cimc.errors import ModelError, printable
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx

_MEET = frozenset(("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "Where", "PRelu"))
_PER_INPUT = ("onnx.inputs", "onnx.dims", "onnx.types")


def select_outputs(module: ModuleOp, names: Sequence[str], ctx: CompilerContext) -> None:
    """Reduce ``@main`` to the outputs ``names`` (kept in the model's order) and the inputs they need.

    Exporters take the batch from any input at hand, in a tower for items from the users say.  What is asked
    of an input is then its shape alone; where another input that is needed has the same extents, they are
    taken from that one.  Extents are the same by the name of their dimension, or since the whole model adds,
    multiplies or reshapes values of them (a note says which inputs that concerns).

    Raises:
        ModelError: ``frontend.unknown-output`` when the model has no output of a given name.
    """
    function = _main(module)
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
    analysis = ShapeAnalysis(function, ctx)
    same = _made_equal(function, analysis)
    kept = [(n, v) for n, v in zip(have, end.arguments, strict=True) if n in names]
    Rewriter.insert_op(ReturnOp(*(v for _, v in kept)), InsertPoint.before(end))
    Rewriter.erase_op(end)
    inputs = [a.data for a in function.attributes["onnx.inputs"].data]  # type: ignore[attr-defined]
    asked = _needed(_results(function), ())
    _take_shapes_elsewhere(function, analysis, same)
    needed = _needed(_results(function), ())
    gone = [n for n, a in zip(inputs, block.args, strict=True) if a in asked and a not in needed]
    if gone:
        shown = ", ".join(f"'{printable(n)}'" for n in gone)
        ctx.notes.append(f"the batch, and any other extent, of {shown} is taken from inputs that are needed")
    function.attributes["onnx.outputs"] = ArrayAttr([StringAttr(n) for n, _ in kept])
    stated = function.attributes.get(OUTPUT_DIMS)
    if isinstance(stated, ArrayAttr):
        by_name = dict(zip(have, stated.data, strict=True))
        function.attributes[OUTPUT_DIMS] = ArrayAttr([by_name[n] for n, _ in kept])
    _forget_unneeded(function)


def drop_unneeded_inputs(module: ModuleOp, ctx: CompilerContext) -> tuple[str, ...]:
    """Take inputs that no output depends on off ``@main``; their names.

    An output does not depend on an input of which it takes only extents that a needed input has too.
    """
    function = _main(module)
    names = [a.data for a in function.attributes["onnx.inputs"].data]  # type: ignore[attr-defined]
    shapes = [op for op in function.body.block.ops if isinstance(op, onnx.NodeOp) and op.kind == "Shape"]
    if _needed(_results(function), shapes).issuperset(function.body.block.args):
        return ()
    _take_shapes_elsewhere(function, ShapeAnalysis(function, ctx), Equalities())
    needed = _needed(_results(function), ())
    unneeded = [n for n, a in zip(names, function.body.block.args, strict=True) if a not in needed]
    if unneeded:
        _forget_unneeded(function)
    return tuple(unneeded)


def _main(module: ModuleOp) -> FuncOp:
    return next(op for op in module.body.block.ops if isinstance(op, FuncOp))


def _results(function: FuncOp) -> Sequence[SSAValue]:
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    return list(end.arguments)


def _forget_unneeded(function: FuncOp) -> None:
    """Erase the operations and inputs that no output needs."""
    block = function.body.block
    for op in reversed(list(block.ops)):
        if not isinstance(op, ReturnOp) and not any(r.first_use is not None for r in op.results):
            Rewriter.erase_op(op)
    live = [argument.first_use is not None for argument in block.args]
    for key in _PER_INPUT:
        entries = function.attributes.get(key)
        if isinstance(entries, ArrayAttr):
            chosen = [e for e, keep in zip(entries.data, live, strict=True) if keep]
            function.attributes[key] = ArrayAttr(chosen)
    for argument, keep in reversed(list(zip(block.args, live, strict=True))):
        if not keep:
            block.erase_arg(argument)
    function.properties["function_type"] = FunctionType.from_lists(
        [a.type for a in block.args], [v.type for v in _results(function)]
    )


def _read(op: Operation) -> Iterator[SSAValue]:
    """Values that an operation reads, those that its bodies take from outside too."""
    for inner in op.walk():
        yield from inner.operands


def _needed(roots: Collection[SSAValue], without: Collection[Operation]) -> set[SSAValue]:
    """All values that ``roots`` depend on, but not by the operations in ``without``."""
    found: set[SSAValue] = set()
    stack = list(roots)
    while stack:
        value = stack.pop()
        if value in found:
            continue
        found.add(value)
        owner = value.owner
        if isinstance(owner, Operation) and owner not in without:
            stack.extend(_read(owner))
    return found


def _take_shapes_elsewhere(function: FuncOp, analysis: ShapeAnalysis, same: Equalities) -> None:
    """Let ``Shape`` nodes read inputs that are needed for their values, where all extents are found there."""
    asked = {
        op: found
        for op in function.body.block.ops
        if isinstance(op, onnx.NodeOp)
        and op.kind == "Shape"
        and (found := analysis.content(op.outputs[0])) is not None
    }
    while asked:
        needed = _needed(_results(function), asked)
        inputs = [a for a in function.body.block.args if a in needed]
        made = {}
        for op, extents in asked.items():
            others = {v for v in _needed([op.inputs[0]], ()) if isinstance(v, BlockArgument)}
            if op.outputs[0] in needed and not others <= set(inputs):
                made[op] = stated_sizes(extents.reshape(-1).tolist(), inputs, analysis, same, op)
        hopeless = [op for op, value in made.items() if value is None]
        if hopeless:  # its operand is needed after all, and the inputs behind it
            for op in hopeless:
                del asked[op]
            continue
        for op, parts in made.items():
            assert parts is not None
            for part in parts:
                Rewriter.insert_op(part, InsertPoint.before(op))
            op.outputs[0].replace_all_uses_with(parts[-1].results[0])
        return


def _made_equal(function: FuncOp, analysis: ShapeAnalysis) -> Equalities:
    """Extents that a model treats as equal, beyond those that must be.

    Values of ``[B, n]`` and ``[C, n]`` can be added where ``B`` is ``C``, or one of them is 1: of requests by
    the row it is the same.  A reshape of ``[B, n]`` to ``[C, n]`` asks for it outright.
    """
    same = Equalities()
    for op in function.body.block.ops:
        if not isinstance(op, onnx.NodeOp):
            continue
        if op.kind in _MEET:
            shapes = [s for v in op.inputs if (s := analysis.shape(v)) is not None]
            for axis in range(1, 1 + max((len(s) for s in shapes), default=0)):
                met = [s[-axis] for s in shapes if len(s) >= axis and isinstance(s[-axis], Poly)]
                for other in met[1:]:
                    same.equate(met[0], other)
        elif op.kind == "Reshape":
            before, after = analysis.shape(op.inputs[0]), analysis.shape(op.outputs[0])
            if before and after and before[1:] == after[1:]:
                rest = product(before[1:])
                same.equate(divide(product(before), rest), divide(product(after), rest))
    return same
