"""Where every node of a model went, and why: read from the marks of the nodes, in the order of the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.dialects.func import FuncOp

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx import marks as m
from cimc.ir.rec import shape
from cimc.ir.types import symbol
from cimc.remarks import HostNode, ModelLayer, ModelTable, NearMiss, RecognitionRemarks, Work
from cimc.transforms.matching.replacements import Replacements
from cimc.transforms.onnx.onnx_functions import NODES
from cimc.transforms.recognise.run_recognisers import BATCH
from cimc.transforms.recognise.shape_work import chip_work, host_work


@dataclass
class ModelNode:
    """A node of the model, and the nodes that tell where it went: itself, or its parts."""

    name: str
    operator: str
    parts: list[onnx.NodeOp] = field(default_factory=list)

    def stand_in(self, found: Replacements) -> onnx.NodeOp:
        """The first part that is on the host, or the last one."""
        return next((p for p in self.parts if p in found.hosted), self.parts[-1])


def model_nodes(function: FuncOp) -> list[ModelNode]:
    """The nodes of the model that are still there, whole or in parts."""
    found: list[ModelNode] = []
    composites: dict[int, ModelNode] = {}
    for op in function.body.block.ops:
        if not isinstance(op, onnx.NodeOp) or m.is_helper(op):
            continue
        number = m.number(op, m.COMPOSITE)
        known = None if number is None else composites.get(number)
        if known is None:
            operator = m.text(op, m.OF) or m.text(op, m.WAS) or op.operator
            known = ModelNode(m.text(op, m.NODE) or onnx.name_of(op) or operator, operator)
            found.append(known)
            if number is not None:
                composites[number] = known
        known.parts.append(op)
    return found


def remarks(found: Replacements, nodes: list[ModelNode], shapes: ShapeAnalysis) -> RecognitionRemarks:
    """Where every node of the model went, in node order."""
    function = found.function
    ops = list(function.body.block.ops)
    bags = [o for o in ops if isinstance(o, rec.EmbeddingBagOp)]
    uses = Counter(symbol(b.table) for b in bags)
    tables = {symbol(b.table): (b.rows.value.data, b.dim.value.data) for b in bags}
    linear = (
        ModelLayer(symbol(o.weight), onnx.name_of(o), shape(o.x)[-1], o.units.value.data)
        for o in ops
        if isinstance(o, rec.LinearOp)
    )
    stand_ins = [(node, node.stand_in(found)) for node in nodes]
    host = tuple(
        HostNode(node.operator, node.name, found.hosted[op]) for node, op in stand_ins if op in found.hosted
    )
    chip = sum(op in found.claimed for _, op in stand_ins)
    count, batch = function.attributes.get(NODES), function.attributes.get(BATCH)
    total = count.value.data if isinstance(count, IntegerAttr) else len(nodes)
    return RecognitionRemarks(
        nodes=total,
        chip=chip,
        folded=total - chip - len(host),
        recognised=dict(sorted(Counter(found.claimed.values()).items())),
        host=host,
        segments=sum(isinstance(o, rec.HostOp) for o in ops),
        batch=batch.data if isinstance(batch, StringAttr) and batch.data else None,
        tables=tuple(ModelTable(n, r, d, uses[n]) for n, (r, d) in tables.items()),
        linear=tuple(linear),
        misses=_near_misses(found, {op for _, op in stand_ins}),
        work=Work(chip_work(function), tuple(host_work(function, shapes))),
    )


def _near_misses(found: Replacements, stand_ins: set[onnx.NodeOp]) -> tuple[NearMiss, ...]:
    """What recognisers nearly took of the nodes on the host."""
    return tuple(
        NearMiss(failure.recogniser, failure.node, failure.reason)
        for op, misses in found.misses.items()
        if op in found.hosted and op in stand_ins
        for failure in misses.values()
        if failure.near
    )
