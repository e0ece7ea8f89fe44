"""Symbolic shapes: what the extents of every value are, in terms of the model's dynamic dimensions.

Exporters compute shapes at run time (``Shape``, ``Gather``, ``Concat``, ``Reshape``).  The analysis follows
that arithmetic symbolically, so that it can be *proved* that dimension 0 of a value is the batch, and
which elements a selection picks.  It runs on demand over the ``onnx`` dialect and changes nothing;
:meth:`ShapeAnalysis.refine_types` writes what was learned into the types.

The rules per operator are under ``rules/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, UnrankedTensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, SSAValue

from cimc.analysis.shapes import rules  # noqa: F401  (registers every rule)
from cimc.analysis.shapes.dims import Known, Poly, symbol
from cimc.analysis.shapes.facts import CONTENT_LIMIT, Info, ShapeFacts
from cimc.analysis.shapes.rule_registry import OUTPUT_DIMS, RULES, apply_rule
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.marks import stand_ins
from cimc.ir.types import DYNAMIC, NoneType, OpaqueType, element_of, is_float, shape_of, tensor


class ShapeAnalysis(ShapeFacts):
    """Symbolic shapes and contents of all values of a function."""

    def __init__(self, function: FuncOp, ctx: CompilerContext) -> None:
        self.function = function
        super().__init__(ctx.store)
        self._dims = function.attributes.get("onnx.dims")
        # Equalities found late may help operators met early.
        for _ in range(4):
            self._equal.changed = False
            self._arguments()
            self._block(function.body.block)
            self._results()
            if not self._equal.changed:
                break
        self.batch = self._find_batch()

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

    def _results(self) -> None:
        """What nothing is known of has the extents that the file states of results, by names of its inputs.

        Behind an operator without a rule this is what says where the requests are.
        """
        given = self.function.attributes.get(OUTPUT_DIMS)
        last = self.function.body.block.last_op
        if not isinstance(given, ArrayAttr) or not isinstance(last, ReturnOp):
            return
        named = self._symbols()
        opened = {extent: value for (value, _), extent in self._fresh.items()}
        for value, stated in zip(last.arguments, given, strict=True):
            names = list(stated) if isinstance(stated, ArrayAttr) else []
            shape = self.shape(value)
            if shape is None or len(shape) != len(names):
                continue
            for extent, name in zip(shape, names, strict=True):
                if not isinstance(name, StringAttr) or name.data not in named or not isinstance(extent, Poly):
                    continue
                if extent in opened and self._is_open(opened[extent]):
                    self.equate(symbol(name.data), extent)

    def _is_open(self, value: SSAValue) -> bool:
        """Whether nothing is known of ``value`` for want of a rule, of its operator or of one in front."""
        op = value.owner
        if isinstance(op, onnx.CompositeOp):
            op = op.node
        if not isinstance(op, onnx.NodeOp):
            return False
        return op.kind not in RULES or any(
            self.shape(v) is None for v in op.inputs if not isinstance(v.type, NoneType)
        )

    def _symbols(self) -> set[str]:
        """The dynamic dimensions of the inputs."""
        shapes = (self.shape(a) or () for a in self.function.body.block.args)
        return {s for shape in shapes for d in shape if isinstance(d, Poly) for s in d.symbols()}

    def _block(self, block: Block) -> None:
        for op in block.ops:
            if isinstance(op, onnx.ConstantOp | onnx.InitializerOp):
                self.set(op.output, self._constant(op))
            elif isinstance(op, onnx.NodeOp):
                apply_rule(op, self)
                self._stand_ins(op)
            elif isinstance(op, onnx.CompositeOp):
                self._composite(op)
            else:
                for result in op.results:
                    self.set(result, Info())

    def walk_body(self, block: Block) -> None:
        self._block(block)

    def _stand_ins(self, op: onnx.NodeOp) -> None:
        """What computes ``op`` on the chip, in front of it, has its shapes."""
        if op.marks is None:
            return
        for old, new in zip(op.results, stand_ins(op), strict=False):
            if new is not None:
                self.alias(new, old)
                self.learn(new)

    def _composite(self, op: onnx.CompositeOp) -> None:
        """The results are what the parts give; what those leave out is what the node gives."""
        self._block(op.whole.block)
        self._block(op.parts.block)
        end = op.parts.block.last_op
        assert isinstance(end, onnx.YieldOp)
        for result, value, whole in zip(op.outputs, end.values, op.node.outputs, strict=True):
            self.set(result, self.info(whole if isinstance(value.type, NoneType) else value))

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
        a single one may hold all bags back to back; a single matrix of so many ids a row does.
        """
        last = self.function.body.block.last_op
        outputs = list(last.arguments) if isinstance(last, ReturnOp) else []
        arguments = list(self.function.body.block.args)
        floats = [a for a in arguments if (e := self.element(a)) is not None and is_float(e)]
        matrices = [a for a in floats if len(self.shape(a) or ()) > 1]
        given = set(self._leading(arguments))
        symbols = self._symbols()
        # one list of ids may hold all bags back to back; a matrix of them has a row per request
        rows = [
            a
            for a in arguments
            if len(s := self.shape(a) or ()) > 1 and all(isinstance(e, int) for e in s[1:])
        ]
        results = self._leading(outputs)
        dynamic = [d for d in results if isinstance(d, Poly) and d.symbols() <= symbols]
        for candidates, least in (
            ([d for d in dynamic if d in given], 1),
            ([d for d in self._leading(matrices) if isinstance(d, Poly)], 1),
            (dynamic, 1),
            ([d for d in results if isinstance(d, int)], 1),
            ([d for d in self._leading(floats) if isinstance(d, int)], 1),
            ([d for d in self._leading(arguments) if isinstance(d, Poly)], 2),
            ([d for d in self._leading(rows) if isinstance(d, Poly)], 1),
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
        """Give inputs and every top-level result of an ``onnx`` node, also of a part of a composite, the type
        that the analysis found."""
        self.refine_inputs()
        self._refine(self.function.body.block)
        self.function.update_function_type()  # type: ignore[no-untyped-call]

    def _refine(self, block: Block) -> None:
        for op in block.ops:
            if isinstance(op, onnx.CompositeOp):
                self._refine(op.parts.block)
                for result, node in zip(op.outputs, op.node.outputs, strict=True):
                    self._give_type(result)
                    node._type = result.type
            elif isinstance(op, onnx.NodeOp):
                for result in op.results:
                    self._give_type(result)

    def _give_type(self, value: SSAValue) -> None:
        refined = self.type_of(value)
        if refined is not None:
            value._type = refined

    def type_of(self, value: SSAValue) -> TensorType[Attribute] | None:
        """The ranked type of ``value`` (-1 where the extent is symbolic), if shape and element are known."""
        shape, element = self.shape(value), self.element(value)
        if shape is None or element is None:
            return None
        if not isinstance(value.type, TensorType | UnrankedTensorType | OpaqueType):
            return None
        return tensor([d if isinstance(d, int) else DYNAMIC for d in shape], element)
