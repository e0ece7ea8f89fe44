"""What of a function was given to the chip, and why the rest was not: kept while ``recognise`` and ``demote``
work, and written into the IR between them.

A node that is replaced stays in its block, unused, right behind the operations that compute it on the chip.
So those that turn out not to be worth the trip can be taken back, also after the text was read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, StringAttr, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx import marks as m
from cimc.transforms.matching.failure import MatchFailure

ANCHORS = (rec.EmbeddingBagOp, rec.LinearOp, rec.DotInteractionOp, rec.MatmulOp, rec.SearchOp)
"""Operations worth a trip to the chip; everything else is there only to keep them company."""


@dataclass
class Replacements:
    """The nodes of a function that have been replaced, and what stands in their place.

    Attributes:
        misses: the last miss per node and recogniser's name.
        claimed: which recogniser replaced a node.
        hosted: why a node stays on the host; filled by ``outline-host``.
    """

    function: FuncOp
    ctx: CompilerContext
    misses: dict[onnx.NodeOp, dict[str, MatchFailure]] = field(default_factory=dict)
    claimed: dict[onnx.NodeOp, str] = field(default_factory=dict)
    hosted: dict[onnx.NodeOp, str] = field(default_factory=dict)
    _made: dict[onnx.NodeOp, tuple[list[Operation], list[SSAValue | None]]] = field(default_factory=dict)

    # -- queries ------------------------------------------------------------------------------------

    def users(self, value: SSAValue) -> list[Operation]:
        """Operations that use ``value`` and have not been replaced."""
        return [u.operation for u in value.uses if not self._is_replaced(u.operation)]

    def stays(self, op: onnx.NodeOp) -> bool:
        """Whether no recogniser has replaced ``op``, and something needs it."""
        return op.parent is not None and not self._is_replaced(op) and not self.is_dead(op)

    def is_dead(self, op: onnx.NodeOp) -> bool:
        """Whether nothing needs ``op`` (any more)."""
        return all(not self.users(result) for result in op.results)

    def _is_replaced(self, op: Operation | None) -> bool:
        return isinstance(op, onnx.NodeOp) and op in self._made

    # -- bookkeeping --------------------------------------------------------------------------------

    def drop(self, op: onnx.NodeOp) -> None:
        """``op`` is not needed any more."""
        self._made[op] = ([], [None] * len(op.results))

    def demote_islands(self) -> None:
        """Take back chip operations that no table, layer or interaction is connected to."""
        group: dict[Operation, int] = {}
        for number, start in enumerate(self.function.body.block.ops):
            stack: list[Operation] = [start] if start.name.startswith("rec.") else []
            while stack:
                op = stack.pop()
                if op in group:
                    continue
                group[op] = number
                near = [v.owner for v in op.operands]
                near += [u.operation for r in op.results for u in r.uses]
                stack += [o for o in near if isinstance(o, Operation) and o.name.startswith("rec.")]
        anchored = {number for op, number in group.items() if isinstance(op, ANCHORS)}
        for node, (made, _) in reversed(list(self._made.items())):
            if not made or any(group.get(op) in anchored for op in made):
                continue
            self._take_back(node, "placement", "nothing beside it needs the chip's arrays")

    def exchange(self, op: Operation, new: list[Operation]) -> None:
        """Put ``new`` in place of a chip operation; the last of them gives its result."""
        block = op.parent
        assert block is not None
        result = new[-1].results[0]
        for each in new:
            each.location = op.location
        block.insert_ops_before(new, op)
        result.name_hint = op.results[0].name_hint
        op.results[0].replace_all_uses_with(result)
        for made, values in self._made.values():
            if op in made:
                made[made.index(op) :] = [*new, *made[made.index(op) + 1 :]]
                values[:] = [result if v is op.results[0] else v for v in values]
        _remove(op)

    def demote(self, unwanted: Mapping[Operation, str], recogniser: str) -> bool:
        """Take back the nodes that chip operations were made from, for the reasons given; whether any was."""
        found = False
        for node, (made, _) in reversed(list(self._made.items())):
            reason = next((unwanted[op] for op in made if op in unwanted), None)
            if reason is not None:
                self._take_back(node, recogniser, reason)
                found = True
        return found

    def _take_back(self, node: onnx.NodeOp, recogniser: str, reason: str) -> None:
        """Undo :meth:`replace`: ``node``, and what it had absorbed, computes its results again."""
        made, values = self._made.pop(node)
        for old, new in zip(node.results, values, strict=True):
            if new is not None and new.owner in made:
                new.replace_all_uses_with(old)
        for op in reversed(made):
            _remove(op)
        self.claimed.pop(node, None)
        self.note(node, recogniser, reason)
        for operand in node.operands:
            before = operand.owner
            if isinstance(before, onnx.NodeOp) and before in self._made and not self._made[before][0]:
                self._take_back(before, recogniser, reason)

    def sweep(self) -> None:
        """Remove replaced and unused operations."""
        for op in reversed(list(self.function.body.block.ops)):
            constant = isinstance(op, onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp)
            pure = constant or isinstance(op, onnx.NodeOp) or op.name.startswith("rec.")
            if pure and not any(True for r in op.results for _ in r.uses):
                _remove(op)

    def note(self, op: onnx.NodeOp, recogniser: str, reason: str, *, near: bool = True) -> None:
        """Remember why ``op`` was left alone."""
        self.misses.setdefault(op, {})[recogniser] = MatchFailure(
            recogniser, onnx.name_of(op) or op.operator, reason, near
        )

    def reason(self, op: onnx.NodeOp) -> str | None:
        """Why ``op`` is not on the chip: the last recogniser that nearly took it knows best."""
        found = list(self.misses.get(op, {}).values())
        near = [m for m in found if m.near]
        return (near or found)[-1].reason if found else None

    # -- in the IR ----------------------------------------------------------------------------------

    @classmethod
    def read(cls, function: FuncOp, ctx: CompilerContext) -> Replacements:
        """What the marks of the nodes of ``function`` say."""
        found = cls(function, ctx)
        noted: list[tuple[int, onnx.NodeOp]] = []
        for op in reversed(list(function.body.block.ops)):  # users first, as they were replaced
            if not isinstance(op, onnx.NodeOp):
                continue
            if (by := m.text(op, m.BY)) is not None:
                found.claimed[op] = by
            if m.number(op, m.OPERATIONS) is not None:
                found._made[op] = (m.made_for(op), m.stand_ins(op))
            if (order := m.number(op, m.NOTED)) is not None:
                noted.append((order, op))
        for _, op in sorted(noted, key=lambda pair: pair[0]):
            found.misses[op] = {failure.recogniser: failure for failure in _failures(op)}
        return found

    def write(self) -> None:
        """Mark the nodes, so that :meth:`read` gives what stands here."""
        order = {op: number for number, op in enumerate(self.misses)}
        for op in self.function.body.block.ops:
            if not isinstance(op, onnx.NodeOp):
                continue
            made, misses = self._made.get(op), list(self.misses.get(op, {}).values())
            told = [x for x in misses if x.near] or misses[-1:]
            if made is None and not told and op.marks is None:
                continue
            m.mark(
                op,
                by=self.claimed.get(op),
                operations=None if made is None else len(made[0]),
                values=None if made is None else _places(*made),
                misses=ArrayAttr(_written(x) for x in told) if told else None,
                noted=order[op] if told else None,
            )


def _places(made: list[Operation], values: list[SSAValue | None]) -> Attribute:
    results: dict[SSAValue, int] = {
        value: place for place, value in enumerate(r for op in made for r in op.results)
    }
    return DenseArrayBase.from_list(i64, [-1 if v is None else results.get(v, -1) for v in values])


def _failures(op: onnx.NodeOp) -> list[MatchFailure]:
    found = op.marks.data.get(m.MISSES) if op.marks is not None else None
    texts = [[str(t.data) for t in entry] for entry in found] if isinstance(found, ArrayAttr) else []
    return [MatchFailure(t[0], onnx.name_of(op) or op.operator, t[1], near=len(t) == 2) for t in texts]


def _written(failure: MatchFailure) -> Attribute:
    parts = [failure.recogniser, failure.reason, *([] if failure.near else ["far"])]
    return ArrayAttr([StringAttr(t) for t in parts])


def _remove(op: Operation) -> None:
    op.detach()  # type: ignore[no-untyped-call]
    op.erase()
