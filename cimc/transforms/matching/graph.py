"""A function on its way from ``onnx`` to ``rec``: what is known of it, what was replaced, and why the rest
was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from xdsl.dialects.builtin import IntegerType, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter

from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.facts import Shape
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array, digest_of
from cimc.ir.types import DYNAMIC, f32, shape_of, symbol, tensor
from cimc.transforms.matching.failure import Miss, NoMatch
from cimc.transforms.matching.nodes import is_integer, node_of, show

ANCHORS = (rec.EmbeddingBagOp, rec.LinearOp, rec.DotInteractionOp, rec.MatmulOp)
"""Operations worth a trip to the chip; everything else is there only to keep them company."""


@dataclass
class Graph:
    """A function on its way from ``onnx`` to ``rec``.

    Attributes:
        opsets: version of each operator domain, "" for the default one.
        misses: the last miss per node and recogniser's name.
        claimed: which recogniser replaced a node.
        hosted: why a node stays on the host; filled by ``outline_host.py``.
        pinned: nodes that a recogniser wants on the host, whatever others could make of them.
        twins: which node stands for one of the model that was rewritten before recognition started.
        matrices: name in the store of what a layer uses in place of a constant, by that constant's name.
    """

    function: FuncOp
    ctx: CompilerContext
    analysis: ShapeAnalysis
    opsets: dict[str, int]
    misses: dict[onnx.NodeOp, dict[str, Miss]] = field(default_factory=dict)
    claimed: dict[onnx.NodeOp, str] = field(default_factory=dict)
    hosted: dict[onnx.NodeOp, str] = field(default_factory=dict)
    pinned: set[onnx.NodeOp] = field(default_factory=set)
    twins: dict[onnx.NodeOp, onnx.NodeOp] = field(default_factory=dict)
    matrices: dict[str, str] = field(default_factory=dict)
    _made: dict[onnx.NodeOp, tuple[list[Operation], list[SSAValue | None]]] = field(default_factory=dict)
    _derived: dict[tuple[str, str, bytes], str] = field(default_factory=dict)

    @property
    def batch(self) -> Known | None:
        """The extent of dimension 0 of every request-wise value."""
        return self.analysis.batch

    @property
    def opset(self) -> int:
        """Version of ONNX's default domain."""
        return self.opsets.get("", 1)

    # -- queries ------------------------------------------------------------------------------------

    def constant(self, value: SSAValue | None) -> Array | None:
        """The array behind a constant value."""
        return None if value is None else self.analysis.constants.read(value)

    def shape(self, value: SSAValue) -> Shape:
        """Extents of ``value``; NoMatch when its rank is unknown."""
        found = self.analysis.shape(value)
        if found is None:
            raise NoMatch(f"the shape of {show(value)} is not known at compile time")
        return found

    def rows(self, value: SSAValue) -> rec.Shape:
        """Extents of a request-wise value as the ``rec`` dialect writes them.

        NoMatch unless dimension 0 is provably the batch.
        """
        if self.analysis.constants.is_constant(value):
            raise NoMatch(f"{show(value)} is constant, not one row per request")
        dims = self.shape(value)
        if not dims or self.batch is None or dims[0] != self.batch:
            have = dims[0] if dims else "missing"
            want = "not known" if self.batch is None else f"{self.batch}"
            raise NoMatch(f"dimension 0 of {show(value)} is {have}, not the batch ({want})")
        return tuple(d if isinstance(d, int) else DYNAMIC for d in dims)

    def activation(self, value: SSAValue) -> rec.Shape:
        """Like :meth:`rows`, for f32 values whose extents beside the batch are all known."""
        dims = self.rows(value)
        if self.analysis.element(value) != f32:
            raise NoMatch(f"{show(value)} holds {self.analysis.element(value)}, the chip computes in f32")
        return self.fixed(value, dims)

    def fixed(self, value: SSAValue, dims: rec.Shape) -> rec.Shape:
        """``dims`` if all but the batch are known numbers, else NoMatch."""
        for axis, extent in enumerate(dims[1:], 1):
            if extent == DYNAMIC:
                raise NoMatch(f"extent {axis} of {show(value)} is not known at compile time")
        return dims

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

    # -- constants ----------------------------------------------------------------------------------

    def symbol_of(self, value: SSAValue) -> str:
        """The name in the store of a constant; a small one is put there under its ONNX name."""
        if isinstance(value.owner, onnx.InitializerOp):
            return symbol(value.owner.symbol)
        array = self.constant(value)
        assert array is not None
        return self.derive(value, "", lambda: array)

    def derive(self, value: SSAValue, suffix: str, make: Callable[[], Array]) -> str:
        """The name of an array computed from a constant: its name plus ``suffix``, made once.

        ``suffix`` says what is done to the constant: two arrays that differ have different ones.
        """
        array = self.constant(value)
        assert array is not None
        owner = value.owner
        assert isinstance(owner, Operation)
        if isinstance(owner, onnx.InitializerOp):
            name, key = symbol(owner.symbol), b""
        else:
            name, key = onnx.name_of(owner) or "constant", digest_of(array).encode()
            base = owner.inputs[0].owner if isinstance(owner, onnx.NodeOp) and owner.inputs else None
            if isinstance(base, onnx.InitializerOp):
                name = symbol(base.symbol)
        found = self._derived.get((name, suffix, key))
        if found is None:
            found = self.ctx.store.add(name + suffix, make())
            self._derived[name, suffix, key] = found
        return found

    def keep(self, source: SSAValue, suffix: str, array: Array) -> str:
        """The name of an array that belongs to a constant: the constant's name plus ``suffix``, kept once."""
        owner = source.owner
        if isinstance(owner, onnx.InitializerOp):
            name = symbol(owner.symbol)
        else:
            name = (isinstance(owner, Operation) and onnx.name_of(owner)) or "table"
        key = (name, suffix, digest_of(array).encode())
        if key not in self._derived:
            self._derived[key] = self.ctx.store.add(name + suffix, array)
        return self._derived[key]

    # -- bookkeeping --------------------------------------------------------------------------------

    def replace(
        self, op: onnx.NodeOp, made: list[Operation], values: list[SSAValue | None], rewriter: PatternRewriter
    ) -> None:
        """Let ``values`` stand for the results of ``op``; the node itself stays until :meth:`sweep`."""
        if made:
            rewriter.insert(made)
        self._made[op] = (made, values)
        for old, new in zip(op.results, values, strict=True):
            if new is None:
                continue
            if new.owner in made:
                self.analysis.alias(new, old)
                _join_types(new, old)
                self.analysis.learn(new)
            old.replace_all_uses_with(new)
        rewriter.has_done_action = True

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
        self.misses.setdefault(op, {})[recogniser] = Miss(
            recogniser, onnx.name_of(op) or op.operator, reason, near
        )

    def reason(self, op: onnx.NodeOp) -> str | None:
        """Why ``op`` is not on the chip: the last recogniser that nearly took it knows best."""
        found = list(self.misses.get(op, {}).values())
        near = [m for m in found if m.near]
        return (near or found)[-1].reason if found else None


def _remove(op: Operation) -> None:
    op.detach()  # type: ignore[no-untyped-call]
    op.erase()


def _join_types(new: SSAValue, old: SSAValue) -> None:
    """Give ``new`` the extents that only the type of ``old`` knows."""
    have, want = shape_of(new.type), shape_of(old.type)
    if have is None or want is None or len(have) != len(want) or not isinstance(new.type, TensorType):
        return
    joined = [rec.join(x, y) for x, y in zip(have, want, strict=True)]
    if None not in joined:
        new._type = tensor([j for j in joined if j is not None], new.type.element_type)


def plain(value: SSAValue, graph: Graph) -> SSAValue:
    """``value`` before operators that change neither its numbers nor its shape: Identity, widening
    integer casts, reshapes to the same shape."""
    while True:
        op = node_of(value, "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten")
        if op is None:
            return value
        before = op.inputs[0]
        if op.kind == "Cast":
            one, two = graph.analysis.element(before), graph.analysis.element(op.outputs[0])
            same = one == two and one is not None
            if not same and not (is_integer(one) and is_integer(two) and _width(one) <= _width(two)):
                return value
        elif op.kind != "Identity":
            shape = graph.analysis.shape(before)
            if shape is None or shape != graph.analysis.shape(op.outputs[0]):
                return value
        value = before


def _width(element: Attribute | None) -> int:
    assert isinstance(element, IntegerType)
    width: int = element.width.data
    return width
