"""Collects the operations that replace a node; nothing enters the IR before the match is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from cimc.analysis.shapes.dims import Known
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.onnx.marks import helper
from cimc.ir.tensor_store import Array
from cimc.ir.types import DYNAMIC, f32, tensor
from cimc.transforms.matching.failure import NoMatch
from cimc.transforms.matching.graph import Graph


class Emitter:
    """Collects the operations that replace a root; nothing enters the IR before the match is complete."""

    def __init__(self, graph: Graph, root: onnx.NodeOp) -> None:
        self.graph, self.root = graph, root
        self.ops: list[Operation] = []

    def add(self, op: Operation) -> SSAValue:
        """Append ``op`` (first checked) and return its first result."""
        op.location = self.root.location
        try:
            op.verify_()
        except VerifyException as error:
            op.drop_all_references()  # or it would stay a user of its operands
            raise NoMatch(str(error)) from None
        self.ops.append(op)
        return op.results[0]

    def forget(self) -> None:
        """Drop the operations of a match that failed: they would stay users of their operands."""
        for op in self.ops:
            op.drop_all_references()
        self.ops.clear()

    def node(
        self,
        kind: str,
        inputs: Sequence[SSAValue],
        dims: Sequence[Known],
        element: Attribute,
        attrs: Mapping[str, Attribute] | None = None,
    ) -> SSAValue:
        """An ``onnx`` node that prepares ids or weights on the host."""
        return self.nodes(kind, inputs, dims, (element,), attrs)[0]

    def nodes(
        self,
        kind: str,
        inputs: Sequence[SSAValue],
        dims: Sequence[Known],
        elements: Sequence[Attribute],
        attrs: Mapping[str, Attribute] | None = None,
    ) -> Sequence[SSAValue]:
        """As :meth:`node`, with several results of the same extents."""
        types = [tensor([d if isinstance(d, int) else DYNAMIC for d in dims], e) for e in elements]
        op = helper(onnx.NodeOp(kind, inputs, types, attrs, location=self.root.location))
        self.ops.append(op)
        for result, element in zip(op.outputs, elements, strict=True):
            self.graph.analysis.record(result, dims, element)
        return list(op.outputs)

    def constant(self, array: Array) -> SSAValue:
        """A small ``onnx`` constant, for host nodes."""
        op = onnx.ConstantOp(dense_from_array(array), location=self.root.location)
        self.ops.append(op)
        self.graph.analysis.record(op.output, array.shape, op.value.get_element_type())
        return op.output

    def shared(self, array: Array, name: str, rank: int) -> SSAValue:
        """A ``rec.constant`` of ``array`` (f32), with leading ones up to ``rank``."""
        dims = (1,) * (rank - array.ndim) + array.shape
        if dims[:1] != (1,):
            raise NoMatch(f"constant {name} has {dims[0]} rows of its own along the batch")
        wide = np.ascontiguousarray(array, np.float32).reshape(dims)
        key = (name, f"{dims}", wide.tobytes())
        found = self.graph._derived.get(key)
        if found is None:
            found = self.graph._derived[key] = self.graph.ctx.store.add(name, wide)
        return self.add(rec.ConstantOp(found, tensor(dims, f32)))
