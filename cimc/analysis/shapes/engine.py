"""Symbolic shapes: what the extents of every value are, in terms of the model's dynamic dimensions.

Exporters compute shapes at run time (``Shape``, ``Gather``, ``Concat``, ``Reshape``).  The analysis follows
that arithmetic symbolically, so that it can be *proved* that dimension 0 of a value is the batch, and
which elements a selection picks.  It runs on demand over the ``onnx`` dialect and changes nothing;
:meth:`ShapeAnalysis.refine_types` writes what was learned into the types.

The rules per operator are in ``shape_rules.py`` and its siblings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, UnrankedTensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, SSAValue

from cimc.analysis.constants import ConstantReader
from cimc.analysis.shapes.dims import Dim, Equalities, Known, Poly, symbol
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import DYNAMIC, OpaqueType, element_of, is_float, shape_of, tensor

Shape = tuple[Known, ...]
Content = NDArray[np.object_]

CONTENT_LIMIT = 4096
"""Integer tensors of up to this many elements are followed element by element."""


@dataclass(frozen=True)
class Info:
    """What is known of a value.

    Attributes:
        shape: extents; ``None`` when not even the rank is known.
        element: element type; ``None`` when unknown or no tensor.
        content: elements of a small integer or bool tensor (``None`` where an element is unknown).
        splat: the number that all elements equal.
        sequence: for a sequence: how many tensors, and the shape that each has.
    """

    shape: tuple[Dim, ...] | None = None
    element: Attribute | None = None
    content: Content | None = None
    splat: float | None = None
    sequence: tuple[Dim, tuple[Dim, ...] | None] | None = None


class ShapeAnalysis:
    """Symbolic shapes and contents of all values of a function."""

    def __init__(self, function: FuncOp, ctx: CompilerContext) -> None:
        self.function = function
        self.constants = ConstantReader(ctx.store)
        self._infos: dict[SSAValue, Info] = {}
        self._equal = Equalities()
        self._fresh: dict[tuple[SSAValue, int], Poly] = {}
        self._dims = function.attributes.get("onnx.dims")
        # Equalities found late may help operators met early.
        for _ in range(4):
            self._equal.changed = False
            self._arguments()
            self._block(function.body.block)
            if not self._equal.changed:
                break
        self.batch = self._find_batch()

    # -- what is known ------------------------------------------------------------------------------

    def info(self, value: SSAValue) -> Info:
        """Everything known of ``value``."""
        return self._infos.get(value) or Info()

    def shape(self, value: SSAValue) -> Shape | None:
        """Extents of ``value`` in the free symbols; ``None`` when its rank is unknown."""
        found = self.info(value).shape
        if found is None:
            return None
        return tuple(_known(self._equal.resolve(d)) for d in found)

    def content(self, value: SSAValue) -> Content | None:
        """Elements of a small integer tensor in the free symbols."""
        found = self.info(value).content
        if found is None:
            return None
        out = np.empty(found.shape, object)
        out.reshape(-1)[:] = [self._equal.resolve(entry) for entry in entries(found)]
        return out

    def integers(self, value: SSAValue) -> list[int] | None:
        """The elements of ``value``, flattened, when they are known numbers."""
        found = self.content(value)
        values = [] if found is None else [e for e in entries(found) if isinstance(e, int)]
        return values if found is not None and len(values) == found.size else None

    def scalar(self, value: SSAValue) -> Dim:
        """The only element of an integer tensor."""
        found = self.content(value)
        return entries(found)[0] if found is not None and found.size == 1 else None

    def element(self, value: SSAValue) -> Attribute | None:
        """Element type of ``value``."""
        return self.info(value).element

    def alias(self, new: SSAValue, old: SSAValue) -> None:
        """``new`` replaces ``old``: all that is known of one is known of the other."""
        self._infos[new] = self.info(old)

    def record(self, value: SSAValue, shape: Sequence[Known], element: Attribute | None) -> None:
        """Note shape and element type of a value made by a rewrite."""
        self._infos[value] = Info(tuple(shape), element)

    def learn(self, value: SSAValue) -> None:
        """Take over the extents that the type of ``value`` states."""
        info, stated = self.info(value), shape_of(value.type)
        if stated is None:
            return
        known = info.shape if info.shape is not None and len(info.shape) == len(stated) else None
        shape = tuple(
            s if s != DYNAMIC else known[k] if known is not None else self.fresh(value, k)
            for k, s in enumerate(stated)
        )
        self._infos[value] = replace(info, shape=shape, element=element_of(value.type))

    # -- for the rules ------------------------------------------------------------------------------

    def equate(self, a: Dim, b: Dim) -> None:
        """An operator demands that these extents are equal."""
        self._equal.equate(a, b)

    def set(self, value: SSAValue, info: Info) -> None:
        """Note ``info``; what it leaves open comes from the declared type, or becomes a new symbol."""
        declared = shape_of(value.type)
        element = info.element if info.element is not None else element_of(value.type)
        shape = info.shape
        if shape is None and declared is not None:
            shape = tuple(None if d == DYNAMIC else d for d in declared)
        if shape is not None and declared is not None and len(shape) != len(declared):
            shape = None  # the file contradicts itself: nothing is known
        if shape is not None:
            stated = (
                declared if declared is not None and len(declared) == len(shape) else (DYNAMIC,) * len(shape)
            )
            shape = tuple(
                self._extent(value, axis, d, s) for axis, (d, s) in enumerate(zip(shape, stated, strict=True))
            )
        self._infos[value] = replace(info, shape=shape, element=element)

    def fresh(self, value: SSAValue, axis: int) -> Poly:
        """A symbol for an extent (or, with axis -1, an element) of which nothing is known."""
        key = (value, axis)
        if key not in self._fresh:
            self._fresh[key] = symbol(f"?{len(self._fresh)}")
        return self._fresh[key]

    def _extent(self, value: SSAValue, axis: int, found: Dim, stated: int) -> Dim:
        found = self._equal.resolve(found)
        if isinstance(found, int) and stated not in (DYNAMIC, found):
            return self.fresh(value, axis)  # the file contradicts itself
        if found is not None and (isinstance(found, int) or stated == DYNAMIC):
            return found
        if isinstance(found, Poly) and not any(name.startswith("?") for name in found.symbols()):
            return found  # it follows from the inputs alone, whatever the file states
        # A stated extent of an inner value is ONNX shape inference's, and that of an input a contract.
        return stated if stated != DYNAMIC else self.fresh(value, axis)

    # -- the walk -----------------------------------------------------------------------------------

    def _arguments(self) -> None:
        names = self._dims.data if isinstance(self._dims, ArrayAttr) else ()
        for index, argument in enumerate(self.function.body.block.args):
            given = names[index] if index < len(names) else None
            dims = (
                [d.data for d in given if isinstance(d, StringAttr)] if isinstance(given, ArrayAttr) else []
            )
            shape = shape_of(argument.type)
            if shape is None:
                self.set(argument, Info())
                continue
            self.set(
                argument,
                Info(
                    tuple(
                        extent
                        if extent != DYNAMIC
                        else symbol(dims[axis])
                        if axis < len(dims) and dims[axis]
                        else None
                        for axis, extent in enumerate(shape)
                    )
                ),
            )

    def _block(self, block: Block) -> None:
        # The rules are written in terms of this class, hence imported late; these modules register theirs.
        from cimc.analysis.shapes.rules import (
            computations,  # noqa: F401
        )
        from cimc.analysis.shapes.rules.reshaping import apply_rule

        for op in block.ops:
            if isinstance(op, onnx.ConstantOp | onnx.InitializerOp):
                self.set(op.output, self._constant(op))
            elif isinstance(op, onnx.NodeOp):
                apply_rule(op, self)
            else:
                for result in op.results:
                    self.set(result, Info())

    def walk_body(self, block: Block) -> None:
        """Analyse the body of a loop or branch, whose arguments have been set."""
        self._block(block)

    def _constant(self, op: onnx.ConstantOp | onnx.InitializerOp) -> Info:
        shape = shape_of(op.output.type)
        element = element_of(op.output.type)
        array = self.constants.read(op.output)
        if shape is None or element is None or array is None:
            return Info()
        content = None
        if not is_float(element) and array.size <= CONTENT_LIMIT:
            content = np.empty(array.shape, object)
            content.reshape(-1)[:] = [int(v) for v in array.reshape(-1).tolist()]
        splat = None
        if 0 < array.size <= CONTENT_LIMIT and (array == array.reshape(-1)[0]).all():
            splat = float(array.reshape(-1)[0])
        return Info(shape, element, content, splat)

    def _find_batch(self) -> Known | None:
        """What dimension 0 of a request-wise value is: the vote of the outputs or, failing that, of inputs.

        An extent that is also dimension 0 of an input goes first: outputs may hold several rows per request
        (``2 * B``) or be reduced over all.  Without float inputs, two lists of ids at least must agree, as
        a single one may hold all bags back to back.
        """
        last = self.function.body.block.last_op
        outputs = list(last.arguments) if isinstance(last, ReturnOp) else []
        arguments = list(self.function.body.block.args)
        floats = [a for a in arguments if (e := self.element(a)) is not None and is_float(e)]
        matrices = [a for a in floats if len(self.shape(a) or ()) > 1]
        given = set(self._leading(arguments))
        symbols = {
            s for a in arguments for d in self.shape(a) or () if isinstance(d, Poly) for s in d.symbols()
        }
        results = self._leading(outputs)
        dynamic = [d for d in results if isinstance(d, Poly) and d.symbols() <= symbols]
        for candidates, least in (
            ([d for d in dynamic if d in given], 1),
            ([d for d in self._leading(matrices) if isinstance(d, Poly)], 1),
            (dynamic, 1),
            ([d for d in results if isinstance(d, int)], 1),
            ([d for d in self._leading(floats) if isinstance(d, int)], 1),
            ([d for d in self._leading(arguments) if isinstance(d, Poly)], 2),
        ):
            votes: Counter[Known] = Counter(candidates)
            if votes and votes.most_common(1)[0][1] >= least:
                return votes.most_common(1)[0][0]
        return None

    def _leading(self, values: Sequence[SSAValue]) -> list[Known]:
        """Dimension 0 of those values that have one."""
        return [shape[0] for v in values if (shape := self.shape(v))]

    def refine_inputs(self) -> None:
        """Give inputs the extents that the whole model forces on them.

        A model that joins its requests with a constant of 8 rows takes 8 requests, whatever it declares.
        """
        for argument in self.function.body.block.args:
            refined = self.type_of(argument)
            if refined is not None and isinstance(argument.type, TensorType):
                argument._type = refined
        self.function.update_function_type()  # type: ignore[no-untyped-call]

    def refine_types(self) -> None:
        """Give inputs and every top-level result of an ``onnx`` node the type that the analysis found."""
        self.refine_inputs()
        for op in self.function.body.block.ops:
            if isinstance(op, onnx.NodeOp):
                for result in op.results:
                    refined = self.type_of(result)
                    if refined is not None:
                        result._type = refined

    def type_of(self, value: SSAValue) -> TensorType[Attribute] | None:
        """The ranked type of ``value`` (-1 where the extent is symbolic), if shape and element are known."""
        shape, element = self.shape(value), self.element(value)
        if shape is None or element is None:
            return None
        if not isinstance(value.type, TensorType | UnrankedTensorType | OpaqueType):
            return None
        return tensor([d if isinstance(d, int) else DYNAMIC for d in shape], element)


def entries(content: Content) -> list[Dim]:
    """The elements of a content in order."""
    found: list[Dim] = content.reshape(-1).tolist()
    return found


def _known(value: Dim) -> Known:
    assert value is not None
    return value
