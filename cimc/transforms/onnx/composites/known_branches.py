"""``If`` whose branch the shapes decide: exporters ask there whether an extent is 1 before they drop it."""

from __future__ import annotations

from xdsl.ir import Block, SSAValue

from cimc.analysis.shapes.rules.control_flow import branch_of, yielded
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.onnx.expansion import Expansion


def branch_taken(w: Expansion) -> list[SSAValue | None]:
    """What the branch gives that is always taken, those inside of it too."""
    block = branch_of(w.op, w.analysis)
    w.need(block is not None)
    assert block is not None
    return list(_inlined(w, block, {}))


def _inlined(w: Expansion, block: Block, values: dict[SSAValue, SSAValue]) -> list[SSAValue]:
    for inner in block.ops:
        if isinstance(inner, onnx.YieldOp):
            continue
        taken = (
            branch_of(inner, w.analysis) if isinstance(inner, onnx.NodeOp) and inner.kind == "If" else None
        )
        if taken is not None:
            values.update(zip(inner.results, _inlined(w, taken, values), strict=True))
            continue
        copy = inner.clone(value_mapper=values)
        assert isinstance(copy, onnx.NodeOp | onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp)
        w.ops.append(copy)
        values.update(zip(inner.results, copy.results, strict=True))
    return [values.get(v, v) for v in yielded(block)]
