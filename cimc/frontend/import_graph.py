"""ONNX graph to ``onnx`` dialect, one operation per node; nothing is simplified here.

Types are those that ONNX shape inference finds (run without data propagation and without the weights); a
value it says nothing about is ``!onnx.opaque`` until ``engine.py`` knows better.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, TensorProto
from xdsl.dialects.builtin import (
    ArrayAttr,
    ModuleOp,
    NameLoc,
    NoneAttr,
    StringAttr,
    UnrankedTensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from cimc.analysis.shapes.inferred_by_onnx import needs_stated_results, symbolic_extents
from cimc.analysis.shapes.rule_registry import EXTENTS, OUTPUT_DIMS
from cimc.errors import Location, ModelError, printable
from cimc.frontend.read.load_model import LoadedModel
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx_ir
from cimc.ir.onnx.attributes import (
    BODIES,
    attribute_from_onnx,
    body_names,
    dense_from_array,
    opaque_constant,
)
from cimc.ir.onnx.graphs import all_nodes
from cimc.ir.tensor_store import Array
from cimc.ir.types import DYNAMIC, NoneType, OpaqueType, element_from_onnx, tensor

_NO_HINT = re.compile(r"[^A-Za-z0-9_.]+")
_COUNTER = re.compile(r"(_\d+)+$")  # the printer numbers equal names itself


def import_model(loaded: LoadedModel, ctx: CompilerContext) -> ModuleOp:
    """The model as a module with one function ``@main``; weights go to ``ctx.store``.

    Graph inputs that are also initialisers count as constants.  ``ctx.notes`` tells when shape inference
    failed.

    Raises:
        ModelError: ``frontend.bad-tensor``, or ``frontend.undefined`` for a name that nothing defines.
    """
    proto = loaded.proto
    ctx.imported = True
    module = ModuleOp([])
    module.attributes["onnx.opset"] = _strings(f"{o.domain}:{o.version}" for o in proto.opset_import)
    graph = _with_inferred_types(proto, ctx).graph
    symbolic = symbolic_extents(proto)
    weights = {t.name for t in proto.graph.initializer}
    inputs = [v for v in graph.input if v.name not in weights]
    block = Block(arg_types=[type_from_onnx(v.type, zero_is_dynamic=True) for v in inputs])
    run = _Importer(loaded, ctx, proto, symbolic)
    for value, argument in zip(inputs, block.args, strict=True):
        run.define(value.name, argument)
    results = run.graph(graph, block, [v.name for v in graph.output], proto.graph.initializer)
    block.add_op(ReturnOp(*results))
    function = FuncOp(
        "main", ([a.type for a in block.args], [v.type for v in results]), Region(block), visibility="public"
    )
    function.attributes["onnx.inputs"] = _strings(v.name for v in inputs)
    function.attributes["onnx.outputs"] = _strings(v.name for v in graph.output)
    function.attributes["onnx.dims"] = ArrayAttr([_dims(v) for v in inputs])
    if needs_stated_results(proto):
        function.attributes[OUTPUT_DIMS] = ArrayAttr([_dims(v) for v in proto.graph.output])
    if any(isinstance(a.type, OpaqueType) for a in block.args):
        function.attributes["onnx.types"] = _strings(
            v.type.SerializeToString(deterministic=True).hex() if isinstance(a.type, OpaqueType) else ""
            for v, a in zip(inputs, block.args, strict=True)
        )
    module.body.block.add_op(function)
    return module


def location_of(node: onnx.NodeProto) -> NameLoc:
    """The node's name, or its operator and first output where it has none, as a location."""
    name = node.name or f"{node.op_type}:{next((o for o in node.output if o), '')}"
    return NameLoc(StringAttr(name), NoneAttr())


def type_from_onnx(proto: onnx.TypeProto, *, zero_is_dynamic: bool = False) -> Attribute:
    """The dialect's type for an ONNX type; ``!onnx.opaque`` where the dialect has none.

    ``zero_is_dynamic``: for inputs and outputs, where some exporters write the batch as 0.
    """
    if not proto.HasField("tensor_type"):
        return OpaqueType()
    element = element_from_onnx(proto.tensor_type.elem_type)
    if element is None:
        return OpaqueType()
    if not proto.tensor_type.HasField("shape"):
        return UnrankedTensorType(element)
    least = 1 if zero_is_dynamic else 0
    dims = [
        d.dim_value if d.HasField("dim_value") and d.dim_value >= least else DYNAMIC
        for d in proto.tensor_type.shape.dim
    ]
    return tensor(dims, element)


def _dims(value: onnx.ValueInfoProto) -> ArrayAttr[StringAttr]:
    dims = value.type.tensor_type.shape.dim
    return _strings(d.dim_param or (str(d.dim_value) if d.dim_value > 0 else "") for d in dims)


def _strings(values: Iterable[str]) -> ArrayAttr[StringAttr]:
    return ArrayAttr([StringAttr(v) for v in values])


def _with_inferred_types(proto: onnx.ModelProto, ctx: CompilerContext) -> onnx.ModelProto:
    """``proto`` with more ``value_info``; tensors whose data lies elsewhere become inputs for this."""
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    del bare.graph.initializer[:]
    known = {v.name for v in proto.graph.input}
    for weight in proto.graph.initializer:
        if weight.data_location != TensorProto.EXTERNAL:
            bare.graph.initializer.append(weight)
        elif weight.name not in known:
            bare.graph.input.append(
                onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            )
    _leave_out_empty_axes(bare)
    try:
        return onnx.shape_inference.infer_shapes(bare, data_prop=False)
    except Exception as error:  # onnx raises several kinds
        ctx.notes.append(f"onnx shape inference failed, going on without: {printable(str(error))}")
        return proto


def _leave_out_empty_axes(model: onnx.ModelProto) -> None:
    """An empty list of axes makes a Squeeze remove every axis of extent 1, as none does.

    So onnxruntime reads it; ONNX's shape inference takes it for "remove nothing".
    """
    empty = {t.name for t in model.graph.initializer if 0 in t.dims}
    for node, _ in all_nodes(model.graph.node):
        if node.op_type == "Squeeze" and len(node.input) == 2 and node.input[1] in empty:
            del node.input[1]


class _Importer:
    def __init__(
        self,
        loaded: LoadedModel,
        ctx: CompilerContext,
        proto: onnx.ModelProto,
        symbolic: Mapping[str, Sequence[str]],
    ) -> None:
        self.loaded, self.ctx, self.proto, self.symbolic = loaded, ctx, proto, symbolic
        self.scopes: list[dict[str, SSAValue]] = [{}]

    def define(self, name: str, value: SSAValue) -> None:
        self.scopes[-1][name] = value
        hint = _COUNTER.sub("", _NO_HINT.sub("_", name).strip("_.")[:60])
        if hint and not hint[0].isdigit():
            value.name_hint = hint

    def lookup(self, name: str) -> SSAValue:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        raise ModelError(
            "frontend.undefined",
            "a node uses a value that nothing defines",
            location=Location(file=str(self.loaded.path), tensor=printable(name)),
        )

    def graph(
        self, graph: GraphProto, block: Block, outputs: Sequence[str], weights: Iterable[TensorProto]
    ) -> list[SSAValue]:
        """Append the nodes of ``graph`` to ``block``; the values of ``outputs``."""
        types = {v.name: type_from_onnx(v.type) for v in graph.value_info}
        types |= {v.name: type_from_onnx(v.type, zero_is_dynamic=True) for v in graph.output}
        used = set(_used_names(graph))
        for weight in weights:
            if weight.name in used:
                location = NameLoc(StringAttr(weight.name), NoneAttr())
                array = self.loaded.to_array(weight)
                self.define(weight.name, self.constant(weight, array, weight.name, location, block))
        for node in graph.node:
            self.node(node, types, block)
        return [self.lookup(name) for name in outputs]

    def node(self, node: onnx.NodeProto, types: dict[str, Attribute], block: Block) -> None:
        location = location_of(node)
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            value = self.constant_node(node, location, block)
            self.define(node.output[0], value)
            return
        operands = [self.lookup(n) if n else self.absent(block) for n in node.input]
        attrs = {
            a.name: attribute_from_onnx(a, self.ctx.store, self.loaded.to_array)
            for a in sorted(node.attribute, key=lambda a: a.name)
            if a.type != AttributeProto.GRAPH
        }
        graphs = {a.name: a.g for a in node.attribute if a.type == AttributeProto.GRAPH}
        domain = "" if node.domain == "ai.onnx" else node.domain
        names, unusual = body_names(node.op_type, domain, list(graphs))
        if unusual and names:
            attrs[BODIES] = _strings(names)
        op = onnx_ir.NodeOp(
            node.op_type,
            operands,
            [types.get(n, OpaqueType()) if n else NoneType() for n in node.output],
            attrs,
            domain=domain,
            bodies=[self.body(graphs[n]) for n in names],
            location=location,
        )
        if len(self.scopes) == 1 and any(n in self.symbolic for n in node.output):
            op.attributes[EXTENTS] = ArrayAttr([_strings(self.symbolic.get(n, ())) for n in node.output])
        block.add_op(op)
        for name, result in zip(node.output, op.outputs, strict=True):
            if name:
                self.define(name, result)

    def body(self, graph: GraphProto) -> Region:
        block = Block(arg_types=[type_from_onnx(v.type) for v in graph.input])
        self.scopes.append({})
        for value, argument in zip(graph.input, block.args, strict=True):
            self.define(value.name, argument)
        results = self.graph(graph, block, [v.name for v in graph.output], graph.initializer)
        self.scopes.pop()
        block.add_op(onnx_ir.YieldOp(results))
        return Region(block)

    def absent(self, block: Block) -> SSAValue:
        none = onnx_ir.NoneOp()
        block.add_op(none)
        return none.output

    def constant_node(self, node: onnx.NodeProto, location: NameLoc, block: Block) -> SSAValue:
        attribute = node.attribute[0]
        if attribute.name == "value":
            tensor_proto = attribute.t
        else:
            value = onnx.helper.get_attribute_value(attribute)
            dtype = {
                "value_int": np.int64, "value_ints": np.int64,
                "value_float": np.float32, "value_floats": np.float32,
            }.get(attribute.name)  # fmt: skip
            array = np.array(value, dtype or object)
            tensor_proto = onnx.numpy_helper.from_array(array)
        return self.constant(
            tensor_proto, self.loaded.to_array(tensor_proto), node.output[0], location, block
        )

    def constant(
        self, proto: TensorProto, array: Array, name: str, location: NameLoc, block: Block
    ) -> SSAValue:
        """An ``onnx.constant`` if it is small, else an ``onnx.initializer`` whose array is stored."""
        element = element_from_onnx(proto.data_type)
        op: Operation
        if element is None:
            op = opaque_constant(proto, self.ctx.store, name, location)
        elif array.size <= onnx_ir.INLINE_LIMIT and _has_text(array):
            op = onnx_ir.ConstantOp(dense_from_array(array), location=location)
        else:
            symbol = self.ctx.store.add(name or "constant", array)
            op = onnx_ir.InitializerOp(symbol, tensor(array.shape, element), location=location)
        block.add_op(op)
        return op.results[0]


def _has_text(array: Array) -> bool:
    """Whether the IR's text form can hold the numbers: infinities and NaN do not survive parsing."""
    return array.dtype.kind in "iub" or bool(np.isfinite(array.astype(np.float64)).all())


def _used_names(graph: GraphProto) -> Iterator[str]:
    """Names that ``graph`` or a graph inside it refers to."""
    yield from (v.name for v in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _used_names(attribute.g)
