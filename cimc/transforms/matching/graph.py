"""A function on its way from ``onnx`` to ``rec``: what is known of it, and what becomes of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdsl.dialects.builtin import IntegerType, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter

from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.facts import Shape
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array, digest_of
from cimc.ir.types import DYNAMIC, f32, shape_of, symbol, tensor
from cimc.transforms.matching.failure import NoMatch
from cimc.transforms.matching.nodes import is_integer, node_of, show
from cimc.transforms.matching.replacements import Replacements


@dataclass
class Graph(Replacements):
    """A function on its way from ``onnx`` to ``rec``.

    Attributes:
        opsets: version of each operator domain, "" for the default one.
        pinned: nodes that a recogniser wants on the host, whatever others could make of them.
        matrices: name in the store of what a layer uses in place of a constant, by that constant's name.
    """

    analysis: ShapeAnalysis = field(kw_only=True)
    opsets: dict[str, int] = field(kw_only=True)
    pinned: set[onnx.NodeOp] = field(default_factory=set)
    matrices: dict[str, str] = field(default_factory=dict)
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

    # -- what becomes of a node -----------------------------------------------------------------------

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
