"""Models in bfloat16 that onnxruntime has no kernels for: the same graph in float32.

Weights stay as they are, with a Cast behind each that reads of constants look through; inputs and outputs
keep their types.  Only what is computed in between becomes float32, which holds every bfloat16 number.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

_SUFFIX = "/float32"
NOTE = (
    "onnxruntime has no bfloat16 kernels for this model: it is computed in float32, which holds every "
    "bfloat16 number but does not round in between"
)


def has_bfloat16(model: ModelProto) -> bool:
    """Whether a tensor of the main graph, or a cast in it, is of bfloat16."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    return (
        any(t.data_type == TensorProto.BFLOAT16 for t in graph.initializer)
        or any(_is_narrow(v) for v in values)
        or any(a.i == TensorProto.BFLOAT16 for n in graph.node for a in n.attribute if a.name == "to")
    )


def widen(model: ModelProto) -> None:
    """Make ``model`` compute in float32, in place; bodies of loops and branches too."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    suffix = _SUFFIX
    while any(name.endswith(suffix) for name in taken):
        suffix += "_"
    weights = {t.name for t in graph.initializer}
    casts = [_cast(v.name, v.name + suffix) for v in graph.input if _is_narrow(v) and v.name not in weights]
    casts += _weights(graph, suffix)
    wide = {node.input[0]: node.output[0] for node in casts}
    ends = [v.name for v in graph.output if _is_narrow(v)]
    made = list(graph.node)
    _body(graph, wide, suffix)
    for name in ends:
        # the value under its own name is of bfloat16 again
        inner = wide.get(name, name + suffix)
        if name not in wide:
            _rename(made, name, inner)
            made.append(_cast(inner, name, TensorProto.BFLOAT16))
    del graph.node[:]
    graph.node.extend([*casts, *made])


def _weights(graph: GraphProto, suffix: str) -> list[NodeProto]:
    return [_cast(t.name, t.name + suffix) for t in graph.initializer if t.data_type == TensorProto.BFLOAT16]


def _body(graph: GraphProto, wide: dict[str, str], suffix: str) -> None:
    """Everything of a graph but its signature; ``wide`` are names of outer values in float32."""
    for value in graph.value_info:
        if _is_narrow(value):
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = wide.get(name, name)
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.BFLOAT16:
                attribute.i = TensorProto.FLOAT
            if attribute.type == AttributeProto.TENSOR and attribute.t.data_type == TensorProto.BFLOAT16:
                _float_tensor(attribute.t)
            for body in _graphs(attribute):
                inner = {t.name for t in body.initializer} | {v.name for v in body.input}
                local = {k: v for k, v in wide.items() if k not in inner}
                for value in (*body.input, *body.output):
                    if _is_narrow(value):
                        value.type.tensor_type.elem_type = TensorProto.FLOAT
                for tensor in body.initializer:
                    if tensor.data_type == TensorProto.BFLOAT16:
                        _float_tensor(tensor)
                _body(body, local, suffix)
                for value in body.output:
                    value.name = local.get(value.name, value.name)


def _graphs(attribute: AttributeProto) -> Iterable[GraphProto]:
    if attribute.type == AttributeProto.GRAPH:
        yield attribute.g
    yield from attribute.graphs


def _rename(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
        for attribute in node.attribute:
            for body in _graphs(attribute):
                _rename(body.node, old, new)
                for value in body.output:
                    value.name = new if value.name == old else value.name


def _float_tensor(tensor: TensorProto) -> None:
    from onnx import numpy_helper

    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), name))


def _is_narrow(value: ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.BFLOAT16)


def _cast(source: str, target: str, to: int = TensorProto.FLOAT) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"Cast:{target}", to=to)
