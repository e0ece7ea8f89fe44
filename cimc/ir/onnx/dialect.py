"""The ``onnx`` dialect: a model as imported, one operation per node.

Nodes are ``onnx.node "Gemm"(...)``: one operation class for all of ONNX, because the compiler neither
needs nor wants a second copy of the ONNX schema.  Loops, ifs and scans carry their bodies as regions,
whose blocks take the subgraph's inputs and end in ``onnx.yield``; values of the enclosing graph are
used directly.  An operator that stands for several, with its decomposition, is ``onnx.composite``.
Constants are ``onnx.constant`` (few elements, in the text) or ``onnx.initializer``
(a symbol of the tensor store, with its digest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    IntegerAttr,
    LocationAttr,
    NameLoc,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_region_def,
    var_result_def,
)
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.onnx.signatures import SIGNATURES, Signature
from cimc.ir.onnx.verified_once import VerifiedOnce
from cimc.ir.types import NoneType, OpaqueType

INLINE_LIMIT = 64
"""Constants of up to this many elements stand in the IR text; larger ones go to the store."""


@irdl_op_definition
class NodeOp(VerifiedOnce, IRDLOperation):
    """One ONNX node, unchanged: type, domain, attributes and bodies of a loop or an if.

    ``marks`` are what passes tell each other of the node, see :mod:`cimc.ir.onnx.marks`.
    """

    name = "onnx.node"
    op_type = prop_def(StringAttr)
    domain = opt_prop_def(StringAttr)
    attrs = opt_prop_def(DictionaryAttr)
    marks = opt_prop_def(DictionaryAttr)
    inputs = var_operand_def()
    outputs = var_result_def()
    bodies = var_region_def()

    assembly_format = (
        "$op_type (`in` $domain^)? `(` $inputs `)` ($attrs^)? (`marks` $marks^)? attr-dict `:` "
        "functional-type($inputs, $outputs) $bodies"
    )

    def __init__(
        self,
        op_type: str,
        inputs: Sequence[SSAValue | Operation],
        result_types: Sequence[Attribute],
        attrs: Mapping[str, Attribute] | None = None,
        *,
        domain: str = "",
        bodies: Sequence[Region] = (),
        location: LocationAttr | None = None,
    ) -> None:
        super().__init__(
            operands=[list(inputs)],
            result_types=[list(result_types)],
            properties={
                "op_type": StringAttr(op_type),
                "domain": StringAttr(domain) if domain else None,
                "attrs": DictionaryAttr(dict(attrs)) if attrs else None,
            },
            regions=[list(bodies)],
        )
        if location is not None:
            self.location = location

    @property
    def operator(self) -> str:
        """The ONNX operator, qualified by its domain unless that is the default one."""
        return f"{self.domain.data}.{self.op_type.data}" if self.domain else self.op_type.data

    @property
    def kind(self) -> str:
        """What rules know the node as: :attr:`operator`, or a name that no rule looks for if it is strange.

        This is the one place where a node with an attribute or an input that no rule was written for is kept
        from being taken for the operator that it names; see ``signatures.py``.
        """
        name = self.operator
        found = SIGNATURES.get(name)
        return name if found is None or self._strange(found) is None else f"{name}?"

    @property
    def strange(self) -> str | None:
        """What the node has that no rule knows of its operator: ``attribute 'x'``, ``input 5``, ``output 2``;
        ``None`` for a node that rules understand."""
        found = SIGNATURES.get(self.operator)
        return None if found is None else self._strange(found)

    def _strange(self, known: Signature) -> str | None:
        operands = self.operands
        if len(operands) > known.inputs:
            for index in range(known.inputs, len(operands)):
                if not isinstance(operands[index].type, NoneType):
                    return f"input {index}"
        if len(self.results) > known.outputs:
            return f"output {known.outputs}"
        attrs = self.attrs
        if attrs is not None and not attrs.data.keys() <= known.attributes:
            for key, value in attrs.data.items():
                if key not in known.attributes and _text(value) != known.neutral.get(key):
                    return f"attribute '{key}'"
        return None

    def attribute(self, key: str) -> Attribute | None:
        """The ONNX attribute ``key``, if present."""
        return self.attrs.data.get(key) if self.attrs else None

    def verify_(self) -> None:
        if not self.op_type.data:
            raise VerifyException("onnx.node needs an operator name")
        for region in self.bodies:
            if len(region.blocks) != 1 or not isinstance(region.block.last_op, YieldOp):
                raise VerifyException("a body of onnx.node is one block that ends in onnx.yield")


@irdl_op_definition
class CompositeOp(IRDLOperation):
    """An operator that stands for several, in both forms: the node itself, and the nodes that it is made of.

    ``whole`` holds the one node (and what it needs to be written down), ``parts`` its decomposition.  Both
    compute the results; values of the enclosing graph are used directly.  A part yields ``onnx.none`` for a
    result that nothing uses.
    """

    name = "onnx.composite"
    outputs = var_result_def()
    whole = region_def("single_block")
    parts = region_def("single_block")

    assembly_format = "`:` type($outputs) `whole` $whole `parts` $parts attr-dict"

    def __init__(self, result_types: Sequence[Attribute], whole: Region, parts: Region) -> None:
        super().__init__(result_types=[list(result_types)], regions=[whole, parts])

    @property
    def node(self) -> NodeOp:
        """The operator as the model has it."""
        return next(op for op in self.whole.block.ops if isinstance(op, NodeOp))

    def verify_(self) -> None:
        for name, region in (("whole", self.whole), ("parts", self.parts)):
            end = region.block.last_op
            if not isinstance(end, YieldOp) or len(end.values) != len(self.outputs):
                raise VerifyException(f"{name} of onnx.composite must yield {len(self.outputs)} values")
        nodes = [op for op in self.whole.block.ops if isinstance(op, NodeOp)]
        if len(nodes) != 1 or [v.type for v in nodes[0].outputs] != [v.type for v in self.outputs]:
            raise VerifyException("whole of onnx.composite is one node with the results of the composite")
        parts = self.parts.block.last_op
        assert isinstance(parts, YieldOp)
        for value, result in zip(parts.values, self.outputs, strict=True):
            if (
                isinstance(value.type, NoneType)
                and not isinstance(result.type, NoneType)
                and result.first_use
            ):
                raise VerifyException("parts of onnx.composite leave out a result that is used")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a body and gives its results."""

    name = "onnx.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "($values^ `:` type($values))? attr-dict"

    def __init__(self, values: Sequence[SSAValue | Operation]) -> None:
        super().__init__(operands=[list(values)])


@irdl_op_definition
class ConstantOp(VerifiedOnce, IRDLOperation):
    """A constant of at most 64 elements, spelled out."""

    name = "onnx.constant"
    value = prop_def(DenseIntOrFPElementsAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$value attr-dict `:` type($output)"

    def __init__(
        self,
        value: DenseIntOrFPElementsAttr,
        result_type: Attribute | None = None,
        location: LocationAttr | None = None,
    ) -> None:
        super().__init__(
            properties={"value": value},
            result_types=[result_type if result_type is not None else value.type],
        )
        if location is not None:
            self.location = location

    def verify_(self) -> None:
        if self.value.type != self.output.type:
            raise VerifyException(f"constant of type {self.value.type} declared as {self.output.type}")


@irdl_op_definition
class InitializerOp(VerifiedOnce, IRDLOperation):
    """A constant of the tensor store."""

    name = "onnx.initializer"
    symbol = prop_def(SymbolRefAttr)
    digest = opt_prop_def(StringAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$symbol (`digest` $digest^)? attr-dict `:` type($output)"

    def __init__(
        self,
        symbol: str,
        result_type: Attribute,
        digest: str | None = None,
        location: LocationAttr | None = None,
    ) -> None:
        super().__init__(
            properties={
                "symbol": SymbolRefAttr(symbol),
                "digest": StringAttr(digest) if digest else None,
            },
            result_types=[result_type],
        )
        if location is not None:
            self.location = location


@irdl_op_definition
class NoneOp(IRDLOperation):
    """Stands for an optional input that is left out."""

    name = "onnx.none"
    output = result_def(NoneType)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($output)"

    def __init__(self) -> None:
        super().__init__(result_types=[NoneType()])


def _text(value: Attribute) -> str:
    """An attribute's value as ``signatures.py`` writes it; "" for what it does not write."""
    if isinstance(value, IntegerAttr):
        return str(value.value.data)
    return value.data if isinstance(value, StringAttr) else ""


def name_of(op: Operation) -> str | None:
    """The ONNX node that ``op`` stems from, as its location says."""
    return op.location.desc.data if isinstance(op.location, NameLoc) else None


def int_attribute(op: NodeOp, key: str, default: int) -> int:
    """An integer ONNX attribute with its default."""
    value = op.attribute(key)
    return value.value.data if isinstance(value, IntegerAttr) else default


ONNX = Dialect(
    "onnx", [NodeOp, CompositeOp, YieldOp, ConstantOp, InitializerOp, NoneOp], [NoneType, OpaqueType]
)
