"""What ONNX's shape inference says of operators that the symbolic analysis has no rule for.

A rule under ``rules/`` relates extents to the inputs' dynamic dimensions by itself.  Of other operators
the compiler knows nothing, and behind them it would not know any more what the batch is.  ONNX's inference
hands on names of dimensions (the result of an ``Attention`` has the batch of its queries), so that is asked,
without what the file itself states of inner values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import TensorProto

from cimc.analysis.shapes import rules  # noqa: F401  (registers every rule)
from cimc.analysis.shapes.rule_registry import RULES


def symbolic_extents(proto: onnx.ModelProto) -> Mapping[str, Sequence[str]]:
    """Extents by name of the values that operators without a rule give; "" for one that is not known."""
    dynamic, open_ = _named(proto.graph.input), _open(proto)
    if not dynamic or not open_:
        return {}
    try:
        inferred = onnx.shape_inference.infer_shapes(_bare(proto), data_prop=False)
    except Exception:  # onnx raises several kinds; the importer notes them
        return {}
    found = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        if value.name in open_ and value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            extents = [
                d.dim_param if d.dim_param in dynamic else str(d.dim_value) if d.dim_value > 0 else ""
                for d in dims
            ]
            if any(e in dynamic for e in extents):
                found[value.name] = extents
    return found


def needs_stated_results(proto: onnx.ModelProto) -> bool:
    """Whether what the file states of its results is all that says where the requests are: behind an operator
    without a rule, by the name of a dimension that an input has too."""
    return bool(_open(proto) and _named(proto.graph.output) & _named(proto.graph.input))


def _named(values: Iterable[onnx.ValueInfoProto]) -> set[str]:
    """Names of dimensions."""
    found = {d.dim_param for v in values for d in v.type.tensor_type.shape.dim}
    return {name for name in found if name and not name.isdigit()}


def _open(proto: onnx.ModelProto) -> set[str]:
    """Names of the values that operators without a rule give."""
    return {n for node in proto.graph.node if _kind(node) not in RULES for n in node.output}


def _kind(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _bare(proto: onnx.ModelProto) -> onnx.ModelProto:
    """``proto`` without large weights and without shapes that the file states of anything but its inputs."""
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    del bare.graph.initializer[:]
    del bare.graph.value_info[:]
    known = {v.name for v in proto.graph.input}
    for weight in proto.graph.initializer:
        if weight.data_location != TensorProto.EXTERNAL:
            bare.graph.initializer.append(weight)
        elif weight.name not in known:
            made = onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            bare.graph.input.append(made)
    for output in bare.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    return bare
