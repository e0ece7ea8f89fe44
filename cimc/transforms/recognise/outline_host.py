"""``outline-host``: what stays ``onnx`` is grouped into few ``rec.host`` operations.

Host and chip take turns.  The level of an operation counts how often the data it needs changed from chip to
host: a host operation stands one level above the chip operations that it reads, a chip operation on the
level of the host operations that it reads.  All host operations of a level form one segment, so segments are
convex and the order ``host 0, chip 0, host 1, chip 1, ...`` respects every dependency.  On level 0, what
prepares ids and offsets from inputs alone is a segment of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, LocationAttr, ModuleOp, StringAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from cimc.analysis.shapes.cached import shapes_of
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.ir import rec
from cimc.ir.context import CompilerContext, compiler_context
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.marks import WHOLE, helper, set_marks, text
from cimc.ir.types import OpaqueType, element_of
from cimc.transforms.matching.nodes import is_integer
from cimc.transforms.matching.replacements import Replacements
from cimc.transforms.onnx.onnx_functions import NODES, OFFLOAD, functions, need_no_composites, update_type
from cimc.transforms.recognise.frontend_remarks import model_nodes, remarks
from cimc.transforms.recognise.run_recognisers import BATCH

INDEX_PREPARATION = "index preparation"
NO_COUNTERPART = "no counterpart on the chip"

_SOURCES = ("SequenceEmpty", "Constant", "Optional")


@dataclass(frozen=True)
class OutlineHost(ModulePass):
    """Groups the nodes that stay on the host into ``rec.host``, and removes those that do not.

    In: functions as ``recognise`` and ``demote`` leave them, or of the ``onnx`` dialect alone, which then
    stay on the host whole.  Out: functions of ``rec`` operations alone, ``onnx`` operations inside
    ``rec.host``; all marks and attributes by which passes speak to each other are gone.

    Leaves :class:`~cimc.remarks.RecognitionRemarks`: where every node went, what nearly matched, and the work
    of the chip and of each node on the host.

    Raises:
        PassError: ``pass.needs-plan-offload``.
    """

    name = "outline-host"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in functions(op):
            need_no_composites(function, self.name)
            found = Replacements.read(function, compiler)
            shapes = shapes_of(function, compiler)
            nodes = model_nodes(function)
            for node in [o for o in function.body.block.ops if isinstance(o, onnx.NodeOp)]:
                if (reason := text(node, WHOLE)) is not None:
                    found.note(node, "compound", reason)
            found.sweep()
            make_segments(found, shapes)
            compiler.remark(remarks(found, nodes, shapes))
            for key in (OFFLOAD, NODES, BATCH):
                function.attributes.pop(key, None)
            update_type(function)
        compiler.shapes = None


def executable(module: ModuleOp, ctx: CompilerContext) -> tuple[ModuleOp, CompilerContext]:
    """``module``, or a copy in which ``onnx`` operations beside those of ``rec`` stand in host segments."""
    mixed = any(o.name.startswith("rec.") for f in functions(module) for o in f.body.block.ops)
    if not mixed:
        return module, ctx
    copy, scratch = module.clone(), ctx.clone()
    OutlineHost().apply(scratch, copy)
    return copy, scratch


def make_segments(graph: Replacements, shapes: ShapeAnalysis) -> list[rec.HostOp]:
    """Group the remaining ``onnx`` operations of the function and put the block into execution order.

    Notes the reason of every host node in ``graph.hosted``.
    """
    block = graph.function.body.block
    end = block.last_op
    assert isinstance(end, ReturnOp)
    _own_returned_constants(block, end)
    levels = _levels(block)
    _sink(block, levels)
    prepared = _index_preparation(block, levels)
    order = list(block.ops)
    segments: list[rec.HostOp] = []
    placed: list[Operation] = []
    for level in range(max(levels.values(), default=0) + 1):
        here = [o for o in order if levels.get(o) == level]
        hosts = [o for o in here if isinstance(o, onnx.NodeOp)]
        for group, reason in (
            ([o for o in hosts if o in prepared], INDEX_PREPARATION),
            ([o for o in hosts if o not in prepared], None),
        ):
            if group:
                segments.append(_segment(graph, shapes, group, reason))
                placed.append(segments[-1])
        placed += [o for o in here if not isinstance(o, onnx.NodeOp)]
    for op in list(block.ops):
        op.detach()  # type: ignore[no-untyped-call]
    for op in (*placed, end):
        block.add_op(op)
    return segments


def is_copied(value: SSAValue) -> bool:
    """Whether a segment makes ``value`` itself instead of taking it in: constants, empty sequences, and
    whatever onnxruntime cannot be handed from outside."""
    op = value.owner
    if isinstance(op, onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp):
        return True
    return isinstance(op, onnx.NodeOp) and (_is_source(op) or isinstance(value.type, OpaqueType))


def _is_source(op: Operation) -> bool:
    return isinstance(op, onnx.NodeOp) and op.kind in _SOURCES and not op.inputs


def _is_real(op: Operation) -> bool:
    """Whether ``op`` is executed somewhere, not just copied to where it is used."""
    return not isinstance(
        op, onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp | ReturnOp
    ) and not _is_source(op)


def _own_returned_constants(block: Block, end: ReturnOp) -> None:
    """A constant that the function returns is made by a host node."""
    for index, value in enumerate(end.arguments):
        if isinstance(value.owner, Operation) and not _is_real(value.owner):
            node = helper(onnx.NodeOp("Identity", [value], [value.type], location=_location(value.owner)))
            block.insert_op_before(node, end)
            end.operands[index] = node.outputs[0]


def _location(op: Operation) -> LocationAttr:
    return op.location


def _reads(op: Operation) -> Iterator[SSAValue]:
    """Values from outside that ``op`` or a body inside it uses."""
    inside = {block for inner in op.walk() for region in inner.regions for block in region.blocks}
    for inner in op.walk():
        for value in inner.operands:
            block = value.owner if isinstance(value.owner, Block) else value.owner.parent
            if block not in inside:
                yield value


def _levels(block: Block) -> dict[Operation, int]:
    levels: dict[Operation, int] = {}
    for op in block.ops:
        if not _is_real(op):
            continue
        host = isinstance(op, onnx.NodeOp)
        level = 0
        for value in _reads(op):
            before = value.owner
            if isinstance(before, Operation) and before in levels:
                crossing = host and not isinstance(before, onnx.NodeOp)
                level = max(level, levels[before] + int(crossing))
        levels[op] = level
    return levels


def _sink(block: Block, levels: dict[Operation, int]) -> None:
    """Move host operations that only later segments need into the first of those."""
    last = max((n for o, n in levels.items() if isinstance(o, onnx.NodeOp)), default=0)
    for op in reversed(list(block.ops)):
        if op not in levels or not isinstance(op, onnx.NodeOp):
            continue
        tops = [_top(use.operation, block) for result in op.results for use in result.uses]
        users = [user for user in tops if user is not None]
        if users and all(isinstance(u, onnx.NodeOp | ReturnOp) for u in users):
            levels[op] = max(levels[op], min((levels[u] for u in users if u in levels), default=last))


def _top(op: Operation, block: Block) -> Operation | None:
    """The operation of ``block`` that is, or holds, ``op``; None for one that was never inserted."""
    while op.parent is not block:
        parent = op.parent_op()
        if parent is None:
            return None
        op = parent
    return op


def _index_preparation(block: Block, levels: dict[Operation, int]) -> set[Operation]:
    """Host operations of level 0 that integers of chip operations are computed from."""
    found: set[Operation] = set()
    stack = [
        value.owner
        for op in block.ops
        if op.name.startswith("rec.")
        for value in op.operands
        if is_integer(element_of(value.type))
    ]
    while stack:
        op = stack.pop()
        if isinstance(op, onnx.NodeOp) and levels.get(op) == 0 and op not in found:
            found.add(op)
            stack += [v.owner for v in _reads(op)]
    return found


def _segment(
    graph: Replacements, shapes: ShapeAnalysis, group: Sequence[onnx.NodeOp], reason: str | None
) -> rec.HostOp:
    """One ``rec.host`` in place of ``group``, not yet in the block; ``shapes`` then knows its values."""
    reasons: dict[str, None] = {}
    for op in group:
        why = reason or graph.reason(op) or _unknown_part(op) or NO_COUNTERPART
        graph.hosted[op] = why
        reasons[f"{op.operator}: {why}"] = None
    location = group[0].location
    members: set[Operation] = set(group)
    outputs = [
        result
        for op in group
        for result in op.results
        if any(_top(u.operation, graph.function.body.block) not in members for u in result.uses)
    ]
    outside = _outside(group, members)
    body = Block(arg_types=[v.type for v in outside])
    for value, argument in zip(outside, body.args, strict=True):
        argument.name_hint = value.name_hint
        shapes.alias(argument, value)
    local: dict[SSAValue, SSAValue] = dict(zip(outside, body.args, strict=True))
    copies: list[Operation] = []
    for op in group:
        for value in list(_reads(op)):
            _copy(value, local, copies, members)
    for copy in copies:
        body.add_op(copy)
    for op in group:
        set_marks(op, {})
        op.detach()  # type: ignore[no-untyped-call]
        body.add_op(op)
        for inner in op.walk():
            for index, value in enumerate(inner.operands):
                if value in local:
                    inner.operands[index] = local[value]
    host = rec.HostOp(outside, [v.type for v in outputs], Region(body), sorted(reasons))
    host.location = location
    types = _input_types(graph, outside)
    if any(types):
        host.attributes["onnx.types"] = ArrayAttr([StringAttr(t) for t in types])
    for value, result in zip(outputs, host.outputs, strict=True):
        shapes.alias(result, value)
        result.name_hint = value.name_hint
        value.replace_uses_with_if(result, lambda use: not _within(use.operation, body))
    body.add_op(rec.YieldOp(outputs))
    return host


def _unknown_part(op: onnx.NodeOp) -> str | None:
    strange = op.strange
    return None if strange is None else f"{strange} of {op.operator} is not known here"


def _input_types(graph: Replacements, values: Sequence[SSAValue]) -> list[str]:
    """The serialized ONNX types of function arguments that the dialect cannot type, "" for other values."""
    types = graph.function.attributes.get("onnx.types")
    known = [t.data for t in types if isinstance(t, StringAttr)] if isinstance(types, ArrayAttr) else []
    arguments = dict(zip(graph.function.body.block.args, known, strict=False))
    return [arguments.get(v, "") if isinstance(v, BlockArgument) else "" for v in values]


def _within(op: Operation, body: Block) -> bool:
    block = op.parent
    while block is not None and block is not body:
        block = block.parent_block()
    return block is body


def _outside(group: Sequence[Operation], members: set[Operation]) -> list[SSAValue]:
    """What a segment takes in: values of others that it cannot make itself."""
    found: dict[SSAValue, None] = {}
    stack = [value for op in group for value in _reads(op)]
    seen: set[SSAValue] = set()
    for value in stack:
        if value in seen or value.owner in members:
            continue
        seen.add(value)
        if is_copied(value):
            assert isinstance(value.owner, Operation)
            stack += _reads(value.owner)
        else:
            found[value] = None
    return list(found)


def _copy(
    value: SSAValue, local: dict[SSAValue, SSAValue], copies: list[Operation], members: set[Operation]
) -> None:
    """Copy what makes ``value``, if the segment has to make it itself."""
    op = value.owner
    if value in local or not isinstance(op, Operation) or op in members or not is_copied(value):
        return
    for needed in _reads(op):
        _copy(needed, local, copies, members)
    copy = op.clone(value_mapper=dict(local))
    copies.append(copy)
    for old, new in zip(op.results, copy.results, strict=True):
        local[old] = new
