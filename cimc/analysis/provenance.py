"""What the graph inputs of a model mean: ids of tables, boundaries of bags, or plain numbers.

Every place that selects rows of a table is followed back to the inputs it comes from, through casts,
arithmetic and movement of elements.  The limit on an id changes on the way (``x mod 4`` takes any ``x``),
and a selection (``X[:, 3:4]``) narrows what it applies to.  Where an operator is not understood the trace
ends: an input then stays without a meaning, never with a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from cimc.analysis.constants import ConstantReader, ints_attribute
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import DYNAMIC, shape_of

Select = tuple[int, tuple[int, ...]]
"""An axis of an input and the positions along it; ``None`` stands for all elements."""

_KEEP = frozenset({"Cast", "Identity", "Clip", "Abs", "Neg", "Floor", "Relu", "Round"})
_ANY_OPERAND = frozenset({"Where", "Max", "Min", "Sub", "Concat", "Sum"})
_MOVE = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Expand", "Tile", "Pad", "GatherElements"}
)
_TOTALS = frozenset({"CumSum", "ReduceSum"})


@dataclass(frozen=True)
class Source:
    """Where an element comes from: ``limit`` is the exclusive bound there (``None``: none).

    ``summed``: the way led through a sum (that no difference undoes), so the input holds lengths where a
    boundary was looked for.
    """

    name: str
    select: Select | None
    limit: int | None
    summed: bool


@dataclass(frozen=True)
class Jagged:
    """Ids of all bags back to back, and what says where each bag begins.

    ``layout``: ``lengths``, or as in ``rec.embedding_bag``: ``offsets`` or ``offsets_end``.  It is that of
    the bag; where the host cuts the boundary out of an input, the input may be laid out otherwise.
    """

    ids: str
    boundary: Source
    layout: str


@dataclass
class Meaning:
    """What the inputs mean.

    Attributes:
        ids: for inputs (or parts of them) that select rows: where, and the number of rows.
        jagged: inputs without a row per request, and their boundaries.
        weights: per-sample weights, and the ids they go with.
    """

    ids: dict[str, list[Source]] = field(default_factory=dict)
    jagged: list[Jagged] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)


def meaning_of(module: ModuleOp, ctx: CompilerContext) -> Meaning:
    """Read the meaning of all inputs off a module of the ``rec`` dialect."""
    function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
    names = function.attributes["onnx.inputs"]
    assert isinstance(names, ArrayAttr)
    trace = _Trace(function, [str(name.data) for name in names], ConstantReader(ctx.store))
    found = Meaning()
    for op in list(function.body.walk()):
        if isinstance(op, rec.EmbeddingBagOp):
            _bag(op, trace, found)
        elif isinstance(op, onnx.NodeOp) and op.kind == "Gather":
            rows = _extent(op.inputs[0], onnx.int_attribute(op, "axis", 0))
            for source in trace.back(op.inputs[1], rows):
                found.ids.setdefault(source.name, []).append(source)
    for op in list(function.body.walk()):
        if isinstance(op, onnx.NodeOp) and op.kind == "Slice" and len(op.inputs) > 1:
            _cut(op, trace, found)
    return found


def _bag(op: rec.EmbeddingBagOp, trace: _Trace, found: Meaning) -> None:
    sources = list(trace.back(op.ids, op.rows.value.data))
    for source in sources:
        found.ids.setdefault(source.name, []).append(source)
    if op.offsets is not None:
        for boundary in trace.back(op.offsets, None):
            layout = "lengths" if boundary.summed else op.layout.data
            found.jagged += [Jagged(s.name, boundary, layout) for s in sources]
    if op.weights is not None:
        for weight in trace.back(op.weights, None):
            for source in sources:
                found.weights[weight.name] = source.name


def _cut(op: onnx.NodeOp, trace: _Trace, found: Meaning) -> None:
    """A bag that stays on the host: ids sliced at positions that come from another input."""
    known = {(j.ids, j.boundary.name) for j in found.jagged}
    for ids in trace.back(op.inputs[0], None):
        if ids.name in found.ids:
            for boundary in trace.back(op.inputs[1], None):
                if boundary.name != ids.name and (ids.name, boundary.name) not in known:
                    found.jagged.append(
                        Jagged(ids.name, boundary, "lengths" if boundary.summed else "offsets")
                    )


def _extent(value: SSAValue, axis: int) -> int | None:
    shape = shape_of(value.type)
    if shape is None or not -len(shape) <= axis < len(shape) or shape[axis] == DYNAMIC:
        return None
    return shape[axis]


@dataclass
class _Trace:
    function: FuncOp
    names: list[str]
    constants: ConstantReader

    def back(self, value: SSAValue, limit: int | None) -> Iterator[Source]:
        """All inputs that ``value`` takes elements from."""
        seen: set[tuple[SSAValue, Select | None, int | None, bool]] = set()
        work: list[tuple[SSAValue, Select | None, int | None, bool]] = [(value, None, limit, False)]
        while work:
            item = work.pop()
            if item in seen:
                continue
            seen.add(item)
            here, select, bound, summed = item
            if isinstance(here, BlockArgument):
                around = here.owner.parent_op()
                if around is self.function:
                    yield Source(self.names[here.index], select, bound, summed)
                elif isinstance(around, rec.HostOp):
                    work.append((around.inputs[here.index], select, bound, summed))
                continue
            owner = here.owner
            assert isinstance(owner, Operation)
            differs = (
                isinstance(owner, onnx.NodeOp) and owner.kind == "Sub" and len(self.with_constant(owner)) == 2
            )
            work += [
                (v, s, b, sums or (summed and not differs))
                for v, s, b, sums in self.step(owner, here, select, bound)
            ]

    def step(
        self, op: Operation, value: SSAValue, select: Select | None, limit: int | None
    ) -> list[tuple[SSAValue, Select | None, int | None, bool]]:
        """One step back: operands that the elements of ``value`` come from."""
        index = op.results.index(value)
        if isinstance(op, rec.HostOp):
            end = op.body.block.last_op
            assert isinstance(end, rec.YieldOp)
            return [(end.values[index], select, limit, False)]
        if isinstance(op, rec.SliceOp):
            return [
                (op.x, (op.axis.value.data, _span(op.start.value.data, op.stop.value.data)), limit, False)
            ]
        if isinstance(op, rec.TakeOp):
            return [(op.x, (op.axis.value.data, rec.unpack(op.indices)), limit, False)]
        if isinstance(op, rec.CastOp | rec.UnaryOp):
            return [(op.x, select, limit, False)]
        if isinstance(op, rec.ReshapeOp | rec.TransposeOp | rec.ExpandOp | rec.ConcatOp):
            return [(v, None, limit, False) for v in op.operands]
        if isinstance(op, onnx.NodeOp):
            return self.node(op, index, select, limit)
        return []

    def node(
        self, op: onnx.NodeOp, index: int, select: Select | None, limit: int | None
    ) -> list[tuple[SSAValue, Select | None, int | None, bool]]:
        first = op.inputs[0] if op.inputs else None
        if first is None:
            return []
        if op.kind in _KEEP:
            return [(first, select, limit, False)]
        if op.kind in _ANY_OPERAND:
            operands = op.inputs[1:] if op.kind == "Where" else op.inputs
            same = select if op.kind != "Concat" else None
            return [(v, same, limit, False) for v in operands]
        if op.kind in ("Mod", "Div", "Mul", "Add"):
            return [(v, select, _before(op.kind, limit, k), False) for v, k in self.with_constant(op)]
        if op.kind in _MOVE:
            return [(first, None, limit, False)]
        if op.kind in _TOTALS:
            return [(first, None, limit, True)]
        if op.kind == "Gather":
            at = self.constants.read(op.inputs[1])
            axis = onnx.int_attribute(op, "axis", 0)
            chosen = None if at is None else (axis, tuple(int(i) for i in np.ravel(at)))
            return [(first, chosen, limit, False)]
        if op.kind == "Slice":
            return [(first, self.sliced(op), limit, False)]
        if op.kind == "Split":
            return [(first, self.part(op, index), limit, False)]
        return []

    def with_constant(self, op: onnx.NodeOp) -> list[tuple[SSAValue, float | None]]:
        """Operands that are no constants, with the constant on the other side (if it is one number)."""
        arrays = [self.constants.read(v) for v in op.inputs]
        out: list[tuple[SSAValue, float | None]] = []
        for i, value in enumerate(op.inputs):
            if arrays[i] is None:
                other = arrays[1 - i]
                single = other is not None and other.size == 1 and (i == 0 or op.kind in ("Mul", "Add"))
                out.append((value, float(np.ravel(other)[0]) if single and other is not None else None))
        return out

    def sliced(self, op: onnx.NodeOp) -> Select | None:
        numbers = [self.constants.read(v) for v in op.inputs[1:]]
        if len(numbers) < 3 or any(n is None or n.size != 1 for n in numbers):
            return None
        start, stop, axis, *step = (int(np.ravel(n)[0]) for n in numbers if n is not None)
        extent = _extent(op.inputs[0], axis)
        if extent is None or (step and step[0] != 1) or axis < 0:
            return None
        return axis, tuple(range(extent))[start:stop]

    def part(self, op: onnx.NodeOp, index: int) -> Select | None:
        axis, count = onnx.int_attribute(op, "axis", 0), len(op.outputs)
        extent = _extent(op.inputs[0], axis)
        each = ints_attribute(op, "split")  # up to operator set 12; an input later
        if each is None and len(op.inputs) > 1:
            sizes = self.constants.read(op.inputs[1])
            each = None if sizes is None else tuple(int(s) for s in np.ravel(sizes))
        elif each is None and extent is not None and extent % count == 0:
            each = (extent // count,) * count
        if axis < 0 or each is None:
            return None
        return axis, _span(sum(each[:index]), sum(each[: index + 1]))


def _span(start: int, stop: int) -> tuple[int, ...]:
    return tuple(range(start, stop))


def _before(kind: str, limit: int | None, constant: float | None) -> int | None:
    """The bound on the operand so that the result stays below ``limit``; operands are not negative."""
    if limit is None or constant is None:
        return limit
    if kind == "Mod":
        return None if 0 < constant <= limit else limit
    if kind == "Div":
        return int(limit * constant) if constant >= 1 else limit
    if kind == "Mul":
        return max(1, ceil(limit / constant)) if constant >= 1 else limit
    return max(1, limit - int(constant)) if constant >= 0 else limit  # Add
