"""``onnx`` dialect back to ONNX: whole modules, and the parts that onnxruntime executes on the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TypeProto, ValueInfoProto, helper
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType, UnrankedTensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from cimc.errors import Location, ModelError, PassError
from cimc.frontend.scan_ranks import declare_ranks
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx_ir
from cimc.ir.onnx.attributes import (
    BODIES,
    array_from_dense,
    attribute_to_onnx,
    body_names_of,
    tensor_proto,
)
from cimc.ir.tensor_store import Array, TensorStore
from cimc.ir.types import NoneType, element_to_onnx, shape_of, symbol

MODEL_BYTES = 2**31 - 1
"""What a serialized protobuf message can hold."""

Named = Sequence[tuple[str, SSAValue]]


def export_function(
    inputs: Named,
    ops: Iterable[Operation],
    outputs: Named,
    store: TensorStore,
    opset: Mapping[str, int],
    *,
    dims: Mapping[str, Sequence[str]] | None = None,
    types: Mapping[str, TypeProto] | None = None,
) -> onnx.ModelProto:
    """A model that computes ``outputs`` from ``inputs`` by ``ops``.

    Args:
        inputs: values that ``ops`` use from outside, with their names in the model.
        ops: operations of the ``onnx`` dialect in order; a terminator among them is ignored.
        outputs: values computed by ``ops``, or inputs, with their names in the model.
        store: the arrays that ``onnx.initializer`` names.
        opset: version of each operator domain, ``""`` for the default one.
        dims: for an input, names of its extents that are not known.
        types: ONNX types of inputs that the dialect cannot type.

    Raises:
        PassError: ``export.not-onnx`` for an operation of another dialect, ``export.undefined`` for a
            value that is neither computed nor an input.
        ModelError: ``export.untyped-input`` or ``export.too-large``.
    """
    run = _Exporter(store)
    graph = GraphProto(name="main")
    for name, value in inputs:
        run.names[value] = run.unique(name)
    for name, _ in outputs:
        run.taken.add(name)
    for name, value in inputs:
        known = (dims or {}).get(name, ())
        graph.input.append(_value_info(run.names[value], value.type, known, (types or {}).get(name)))
    run.constants = graph
    run.nodes(ops, graph)
    run.results(outputs, graph)
    used = {node.domain for node in _nodes(graph)}
    imports = [helper.make_opsetid(d, v) for d, v in sorted(opset.items()) if d in used or d == ""]
    model = onnx.ModelProto(producer_name="cimc", graph=graph, opset_import=imports)
    # 8 is the first version of which every detail used here (bfloat16, optional) is part.
    model.ir_version = max(8, helper.find_min_ir_version_for(imports, ignore_unknown=True))
    return model


def export_module(module: ModuleOp, ctx: CompilerContext) -> onnx.ModelProto:
    """The function ``@main`` of a module that is all ``onnx`` dialect, as a model."""
    function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
    block = function.body.block
    end = block.last_op
    assert isinstance(end, ReturnOp)
    names = _strings(function.attributes.get("onnx.inputs"))
    results = _strings(function.attributes.get("onnx.outputs"))
    dims = function.attributes.get("onnx.dims")
    known = {n: _strings(d) for n, d in zip(names, dims, strict=True)} if isinstance(dims, ArrayAttr) else {}
    return export_function(
        list(zip(names, block.args, strict=True)),
        block.ops,
        list(zip(results, end.arguments, strict=True)),
        ctx.store,
        opset_of(module),
        dims=known,
        types=_types(function, names),
    )


def export_host(
    host: rec.HostOp, ctx: CompilerContext, opset: Mapping[str, int] | None = None
) -> onnx.ModelProto:
    """A host segment as a model with inputs ``in0``, ``in1``, ... and outputs ``out0``, ....

    ``opset`` defaults to that of the module around the segment.
    """
    if opset is None:
        top = host.get_toplevel_object()
        assert isinstance(top, ModuleOp)
        opset = opset_of(top)
    block = host.body.block
    end = block.last_op
    assert isinstance(end, rec.YieldOp)
    names = [f"in{i}" for i in range(len(block.args))]
    return export_function(
        list(zip(names, block.args, strict=True)),
        block.ops,
        [(f"out{i}", value) for i, value in enumerate(end.values)],
        ctx.store,
        opset,
        types=_types(host, names),
    )


def opset_of(module: ModuleOp) -> dict[str, int]:
    """The operator set versions that the module was imported with."""
    pairs = (text.rpartition(":") for text in _strings(module.attributes.get("onnx.opset")))
    return {domain: int(version) for domain, _, version in pairs}


def _strings(attr: Attribute | None) -> list[str]:
    if not isinstance(attr, ArrayAttr):
        raise PassError(
            "export.no-names", "the module does not carry the names and operator sets of its ONNX model"
        )
    return [part.data for part in attr if isinstance(part, StringAttr)]


def _types(op: FuncOp | rec.HostOp, names: Sequence[str]) -> dict[str, TypeProto]:
    """Types of inputs outside of the dialects: ``onnx.types`` holds them serialized, in hexadecimal."""
    found = op.attributes.get("onnx.types")
    texts = _strings(found) if found is not None else []
    out = {}
    for name, text in zip(names, texts, strict=False):
        if text:
            out[name] = TypeProto()
            out[name].ParseFromString(bytes.fromhex(text))
    return out


def _value_info(
    name: str, type_: Attribute, dims: Sequence[str] = (), other: TypeProto | None = None
) -> ValueInfoProto:
    """An input's declaration; extents that are not known take their names from ``dims``."""
    if not isinstance(type_, TensorType | UnrankedTensorType):
        if other is None:
            raise ModelError(
                "export.untyped-input",
                f"the type of '{name}' is not known, so onnxruntime cannot be given it",
                location=Location(tensor=name),
            )
        return ValueInfoProto(name=name, type=other)
    shape = shape_of(type_)
    extents: list[int | str | None] | None = None
    if shape is not None:
        labels = [*dims, *[""] * len(shape)]
        extents = [e if e >= 0 else label or None for e, label in zip(shape, labels, strict=False)]
    return helper.make_tensor_value_info(name, element_to_onnx(type_.element_type), extents)


def _nodes(graph: GraphProto) -> Iterable[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


@dataclass
class _Exporter:
    store: TensorStore
    names: dict[SSAValue, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    node_names: dict[str, int] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    constants: GraphProto = field(default_factory=GraphProto)
    size: int = 0

    def unique(self, wish: str) -> str:
        """A name that no other value of the model, at any level, has."""
        name, count = wish, 1
        while name in self.taken:
            name, count = f"{wish}_{count}", count + 1
        self.taken.add(name)
        return name

    def name(self, value: SSAValue, user: Operation) -> str:
        """The name of an operand: empty when it is absent."""
        if isinstance(value.type, NoneType):
            return ""
        if value not in self.names:
            raise PassError(
                "export.undefined",
                "a value is used that is neither computed in the exported part nor one of its inputs",
                location=Location(node=onnx_ir.name_of(user)),
            )
        return self.names[value]

    def define(self, value: SSAValue) -> str:
        self.names[value] = self.unique(value.name_hint or f"v{len(self.taken)}")
        return self.names[value]

    def nodes(self, ops: Iterable[Operation], graph: GraphProto) -> None:
        """Append operations as nodes of ``graph``; constants go to the outermost graph."""
        for op in ops:
            if isinstance(op, onnx_ir.NodeOp):
                graph.node.append(self.node(op))
            elif isinstance(op, onnx_ir.ConstantOp):
                self.initializer(op.output, array_from_dense(op.value))
            elif isinstance(op, onnx_ir.InitializerOp):
                key = symbol(op.symbol)
                if key in self.symbols:
                    self.names[op.output] = self.symbols[key]
                else:
                    self.symbols[key] = self.initializer(op.output, self.store[key])
            elif isinstance(op, onnx_ir.CompositeOp):
                self.nodes(op.whole.block.ops, graph)
                for result, value in zip(op.outputs, op.node.outputs, strict=True):
                    self.names[result] = self.name(value, op)
            elif not isinstance(op, onnx_ir.NoneOp | onnx_ir.YieldOp | rec.YieldOp | ReturnOp):
                raise PassError(
                    "export.not-onnx",
                    f"{op.name} has no ONNX form",
                    location=Location(node=onnx_ir.name_of(op)),
                )

    def initializer(self, value: SSAValue, array: Array) -> str:
        self.size += array.nbytes
        if self.size > MODEL_BYTES:
            raise ModelError(
                "export.too-large", f"the constants of this part exceed the {MODEL_BYTES} bytes of a model"
            )
        name = self.define(value)
        self.constants.initializer.append(tensor_proto(array, name))
        return name

    def node(self, op: onnx_ir.NodeOp) -> NodeProto:
        wish = onnx_ir.name_of(op) or op.op_type.data
        count = self.node_names.get(wish, 0)
        self.node_names[wish] = count + 1
        proto = NodeProto(
            name=f"{wish}/{count}" if count else wish,
            op_type=op.op_type.data,
            domain=op.domain.data if op.domain else "",
            input=[self.name(value, op) for value in op.inputs],
        )
        for key, attr in sorted(op.attrs.data.items() if op.attrs else ()):
            if key != BODIES or not op.bodies:
                proto.attribute.append(attribute_to_onnx(key, attr, self.store))
        if op.bodies:
            for key, region in zip(body_names_of(op), op.bodies, strict=True):
                graph = self.body(op.op_type.data, key, region)
                if op.kind == "Scan":
                    declare_ranks(op, region.block, graph)
                proto.attribute.append(AttributeProto(name=key, type=AttributeProto.GRAPH, g=graph))
        proto.output.extend("" if isinstance(v.type, NoneType) else self.define(v) for v in op.outputs)
        return proto

    def body(self, op_type: str, name: str, region: Region) -> GraphProto:
        graph = GraphProto(name=name)
        block: Block = region.block
        scalars = 2 if op_type == "Loop" else 0  # onnxruntime wants the shape of iteration and condition
        for index, argument in enumerate(block.args):
            # Others go without: what a loop carries may change its shape from one iteration to the next.
            info = ValueInfoProto(name=self.define(argument))
            if isinstance(argument.type, TensorType | UnrankedTensorType):
                info.type.tensor_type.elem_type = element_to_onnx(argument.type.element_type)
                extents = shape_of(argument.type) or ()
                if index < scalars and all(extent >= 0 for extent in extents):
                    info.type.tensor_type.shape.SetInParent()
                    for extent in extents:
                        info.type.tensor_type.shape.dim.add(dim_value=extent)
            graph.input.append(info)
        self.nodes(block.ops, graph)
        end = block.last_op
        assert isinstance(end, onnx_ir.YieldOp)
        self.results([("", value) for value in end.values], graph)
        if op_type == "Loop":  # after no iteration, the declared rank is all there is to make an output of
            scans = len(block.args) - 1
            for info, value in zip(graph.output[scans:], end.values[scans:], strict=True):
                if isinstance(value.type, TensorType):
                    info.type.tensor_type.elem_type = element_to_onnx(value.type.element_type)
                    info.type.tensor_type.shape.SetInParent()
                    while len(info.type.tensor_type.shape.dim) < len(value.type.get_shape()):
                        info.type.tensor_type.shape.dim.add()
        return graph

    def results(self, outputs: Named, graph: GraphProto) -> None:
        """Declare outputs; one that is not a node's, or that stands twice, is passed through Identity."""
        produced = {name for node in graph.node for name in node.output}
        given = {value.name for value in graph.input}
        renamed: dict[str, str] = {}
        for wish, value in outputs:
            name = self.name(value, value.owner if isinstance(value.owner, Operation) else _USER)
            if name in produced and name not in renamed:
                renamed[name] = wish or name
                out = renamed[name]
            elif wish and (renamed.get(name) == wish or (wish == name and name in given)):
                out = wish  # the model gives one value twice, or an input as it is
            else:
                out = wish or self.unique("result")
                graph.node.append(NodeProto(op_type="Identity", input=[name], output=[out]))
            info = ValueInfoProto(name=out)
            if wish and isinstance(value.type, TensorType | UnrankedTensorType):
                info.type.tensor_type.elem_type = element_to_onnx(value.type.element_type)
            graph.output.append(info)
        _rename(graph, {old: new for old, new in renamed.items() if old != new})


_USER = onnx_ir.NoneOp()


def _rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Give values of ``graph`` other names, also where inner graphs use them."""
    if not names:
        return
    for node in _nodes(graph):
        for part in (node.input, node.output):
            for index, name in enumerate(part):
                if name in names:
                    part[index] = names[name]
