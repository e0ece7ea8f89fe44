"""Lifted twins of values, and what the rules of operators make them with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.facts import Info, Shape
from cimc.analysis.shapes.operands import vector_content
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.tensor_store import Array
from cimc.ir.types import f32, i1, i32, i64, tensor
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch
from cimc.transforms.matching.graph import Graph

VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Lifted:
    """The twin of a value.

    Attributes:
        value: the twin, ``[batch, *dims]``.
        dims: extents of the original, without the batch.
        axis: the original's dimension that holds the batch.
        before: factor of that dimension outside of the batch; ``dims[axis] / before`` is inside.
    """

    value: SSAValue
    dims: tuple[int, ...]
    axis: int
    before: int = 1

    @property
    def outer(self) -> int:
        """Elements of one request outside of the batch."""
        return int(np.prod(self.dims[: self.axis], dtype=np.int64)) * self.before

    @property
    def in_front(self) -> bool:
        """Whether the batch is dimension 0 and that dimension holds nothing else."""
        return self.axis == 0 and self.dims[0] == 1

    def like(self, value: SSAValue, dims: Sequence[int], axis: int | None = None) -> Lifted:
        """Another twin with the batch in the same place."""
        return Lifted(value, tuple(dims), self.axis if axis is None else axis, self.before)


class Lifter:
    """Builds the twins of one operator's results; the rules of ``lifted_operators.py`` use it."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.analysis = graph, graph.analysis
        self.twins: dict[SSAValue, Lifted] = {}
        self.emit: Emitter

    def twin(self, value: SSAValue) -> Lifted | None:
        """The twin of ``value``, made if its dimension 0 is the batch; ``None`` for anything else."""
        if value in self.twins:
            return self.twins[value]
        if self.graph.constant(value) is not None or not _held(self.analysis.element(value)):
            return None
        shape = self.analysis.shape(value)
        if not shape or shape[0] != self.graph.batch:
            return None
        rest = [e for e in shape[1:] if isinstance(e, int)]
        if len(rest) != len(shape) - 1:
            return None
        dims = (1, *rest)
        found = self.twins[value] = Lifted(self.view(value, dims), dims, 0)
        return found

    def need_twin(self, value: SSAValue) -> Lifted:
        """The twin of ``value`` or NoMatch."""
        found = self.twin(value)
        if found is None:
            raise NoMatch("an operand has no batch")
        return found

    def view(self, value: SSAValue, dims: Sequence[int]) -> SSAValue:
        """``value``, whose dimension 0 is the batch, as ``[batch, *dims]``."""
        target = self.integers([0, *dims])
        return self.node("Reshape", [value, target], dims, self.analysis.element(value))

    def node(
        self,
        kind: str,
        inputs: Sequence[SSAValue],
        dims: Sequence[int],
        element: Attribute | None,
        attrs: dict[str, Attribute] | None = None,
    ) -> SSAValue:
        """A node whose result is ``[batch, *dims]``."""
        if element is None or self.graph.batch is None:
            raise NoMatch("the element type is not known")
        return self.emit.node(kind, inputs, (self.graph.batch, *dims), element, attrs)

    def integers(self, numbers: Sequence[int]) -> SSAValue:
        """A constant list of integers."""
        array = np.array(numbers, np.int64)
        op = onnx.ConstantOp(dense_from_array(array), location=self.emit.root.location)
        self.emit.ops.append(op)
        self.analysis.set(op.output, Info((len(numbers),), i64, vector_content([int(n) for n in numbers])))
        return op.output

    def stored(self, name: str, array: Array) -> SSAValue:
        """A constant of the store, which already has ``array`` under ``name``."""
        op = onnx.InitializerOp(name, tensor(array.shape, f32), location=self.emit.root.location)
        self.emit.ops.append(op)
        self.analysis.record(op.output, array.shape, f32)
        return op.output

    def original(self, value: SSAValue) -> Shape:
        """Extents of a value as the model has it; NoMatch when its rank is unknown."""
        return self.graph.shape(value)

    def same(self, op: onnx.NodeOp, **changed: Attribute) -> dict[str, Attribute]:
        """The attributes of ``op`` with some of them changed."""
        return {**(op.attrs.data if op.attrs else {}), **changed}


Rule = Callable[[onnx.NodeOp, Lifter], Sequence[Lifted]]


def viewed(found: Lifted, shape: Sequence[Known], batch: Known) -> tuple[tuple[int, ...], int, int] | None:
    """Where the batch is when elements are arranged as ``shape``: extents without it, axis, factor before.

    A view keeps the order of elements, so what was outside of the batch must still be.
    """
    front = 1
    for axis, extent in enumerate(shape):
        rest = d.divide(extent, batch)
        exact = isinstance(rest, int) and d.mul(rest, batch) == extent
        others = [e for k, e in enumerate(shape) if k != axis and isinstance(e, int)]
        if exact and isinstance(rest, int) and len(others) == len(shape) - 1 and found.outer % front == 0:
            before = found.outer // front
            if before and rest % before == 0:
                return (*others[:axis], rest, *others[axis:]), axis, before
        if not isinstance(extent, int) or extent == 0:
            return None
        front *= extent
    return None


def integer(value: int) -> Attribute:
    """An integer attribute."""
    return IntegerAttr(value, 64)


def _held(element: Attribute | None) -> bool:
    return element in (f32, i1, i32, i64)
