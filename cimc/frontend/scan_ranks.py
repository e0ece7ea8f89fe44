"""Ranks that the body of an exported ``Scan`` declares.

onnxruntime runs a Scan only where it knows the shape of all that its body gives.  It infers that from what
goes in, or takes what the file states; a part of a model has lost what was stated around it.
"""

from __future__ import annotations

from onnx import GraphProto, ValueInfoProto
from xdsl.ir import Block, SSAValue

from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import element_of, element_to_onnx, shape_of


def declare_ranks(op: onnx.NodeOp, block: Block, graph: GraphProto) -> None:
    """Give inputs and outputs of the body ``graph``, exported from ``block``, the rank that is known.

    Extents are left out: those of the batch may differ from what a file states for it.
    """
    end = block.last_op
    assert isinstance(end, onnx.YieldOp)
    states = len(block.args) - onnx.int_attribute(op, "num_scan_inputs", 0)
    regular = len(op.inputs) == len(block.args)  # the first version had sequence lengths, and an axis more
    given, got = (list(op.inputs), list(op.outputs)) if regular else ([], [])
    for infos, inner, outer in ((graph.input, block.args, given), (graph.output, end.values, got)):
        for k, (info, value) in enumerate(zip(infos, inner, strict=True)):
            _declare(info, value, 0)
            if k < len(outer):
                _declare(info, outer[k], int(k >= states))
            if k < min(states, len(given)):
                _declare(info, given[k], 0)  # what is carried keeps its shape


def _declare(info: ValueInfoProto, value: SSAValue, scanned: int) -> None:
    """Declare the rank of ``value`` less the axes ``scanned``, unless one is declared or this one unknown."""
    kind, shape, element = info.type.tensor_type, shape_of(value.type), element_of(value.type)
    if shape is None or element is None or len(shape) < scanned or kind.HasField("shape"):
        return
    kind.elem_type = element_to_onnx(element)
    kind.shape.SetInParent()
    for _ in shape[scanned:]:
        kind.shape.dim.add()
