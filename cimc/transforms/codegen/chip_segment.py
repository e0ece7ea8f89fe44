"""One chip segment while it is emitted: its ports, its streams, and where values lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import element_bytes, request_bytes, request_shape
from cimc.errors import Location, PassError
from cimc.ir import cim, rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import element_of, element_to_dtype, i1, is_float, symbol
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.program import ChipSegment, CopyGroup, Port
from cimc.target.spec import Target
from cimc.transforms.codegen.constant_pool import ConstantPool
from cimc.transforms.schedule.chip_operations import is_chip


@dataclass(frozen=True)
class Shared:
    """What all segments of a program have in common.

    Attributes:
        store: arrays of the compilation.
        numbers: number of each matrix in the program.
        rows: rows of each matrix.
        stages: stage of each scheduled operation.
        names: names of the values that cross a segment's border, those of the inputs from the start.
        target: the machine.
        instances: tiles of each instance, ``[R, n]``; ``None`` where nothing is copied.
        constants: constant memory.
    """

    store: TensorStore
    numbers: Mapping[str, int]
    rows: Mapping[str, int]
    stages: dict[Operation, int]
    names: dict[SSAValue, str]
    target: Target
    instances: NDArray[np.int64] | None = None
    constants: ConstantPool = field(default_factory=ConstantPool)

    def name(self, value: SSAValue) -> str:
        """Name of a value that crosses a segment's border."""
        if value not in self.names:
            if isinstance(value.owner, rec.ConstantOp):
                raise PassError(
                    "lower.constant-output", "an output of the model does not depend on its inputs"
                )
            self.names[value] = f"%{len(self.names)}"
        return self.names[value]


class Segment:
    """One chip segment: ports and streams.

    ``waiting``: the ``recv`` of each value at each tile that nothing has used there yet.
    """

    def __init__(self, shared: Shared, stage: int, ops: list[Operation]) -> None:
        self.shared, self.stage, self.ops = shared, stage, ops
        self.streams: dict[int, list[Instr]] = {}
        self.inputs: dict[Port, int] = {}
        self.outputs: list[Port] = []
        self.waiting: dict[tuple[SSAValue, int], Instr] = {}
        self.tag = 0

    def build(self, emitters: Mapping[type[Operation], Emitter]) -> ChipSegment:
        """Emit all operations, each by the function for its kind, and store what leaves the segment."""
        for op in self.ops:
            tile = self.tile(op)
            for operand in op.operands:
                self.receive(operand, tile)
            handler = emitters.get(type(op))
            if handler is None:
                raise unsupported(op, f"the chip has no instruction for {op.name}")
            self.streams.setdefault(tile, []).extend(handler(self, op))
        for op in self.ops:
            result = op.results[0]
            if any(self.leaves(use.operation) for use in result.uses):
                self.store(result, self.tile(op))
        streams = {t: tuple(s) for t, s in sorted(self.streams.items()) if s}
        made = ChipSegment(tuple(self.inputs), tuple(self.outputs), streams, self._copies(streams))
        return replace(made, host_ports=made.nearest_ports(self.shared.target))

    def _copies(self, streams: Mapping[int, object]) -> tuple[CopyGroup, ...]:
        """The tiles of this segment that have instances."""
        instances = self.shared.instances
        used = [] if instances is None else [i for i, tile in enumerate(instances[0]) if tile in streams]
        if instances is None or not used:
            return ()
        return (CopyGroup(tuple(tuple(row) for row in instances[:, used].tolist())),)

    def leaves(self, user: Operation) -> bool:
        """Whether ``user`` is outside of this segment."""
        return not is_chip(user) or self.shared.stages[user] != self.stage

    def tile(self, op: Operation) -> int:
        """The tile that ``op`` runs on."""
        attr = op.attributes[cim.TILE_ATTR]
        assert isinstance(attr, IntegerAttr)
        return attr.value.data

    # -- operands -----------------------------------------------------------------------------------

    def ref(self, value: SSAValue) -> Ref:
        """Where a value lies: its tile's scratchpad, or constant memory."""
        op = value.owner
        if isinstance(op, rec.ConstantOp):
            array = self.shared.store[symbol(op.symbol)]
            return self.shared.constants.add(array.astype(np.float32) if array.dtype == np.bool_ else array)
        assert isinstance(op, Operation)
        attr = op.attributes[cim.ADDRESS_ATTR]
        assert isinstance(attr, IntegerAttr)
        return Ref(attr.value.data)

    def receive(self, value: SSAValue, tile: int) -> None:
        """Emit the pending ``recv`` of a value right before its first use."""
        op = value.owner
        while isinstance(op, rec.ReshapeOp | rec.SliceOp | rec.HitsOp) and (value, tile) not in self.waiting:
            value = op.x
            op = value.owner
        pending = self.waiting.pop((value, tile), None)
        if pending is not None:
            self.streams.setdefault(tile, []).append(pending)

    def port(self, value: SSAValue, **bag: Any) -> int:
        """Number of the input port that brings ``value`` in.

        One id tensor may come in by several: as rows of numbers, and as bags of each kind that it feeds.  Two
        uses share a port only where the whole descriptions are equal.
        """
        name = self.shared.name
        if bag:
            wanted = Port(
                name(value), "bag", "i32", _dtype(value), (), bag["layout"],
                name(bag["offsets"]) if bag["offsets"] is not None else "",
                name(bag["weights"]) if bag["weights"] is not None else "", bag["padding"],
                _longest(value) if bag["layout"] == "fixed" else None,
            )  # fmt: skip
        else:
            wanted = Port(name(value), "dense", link_type(value), _dtype(value), request_shape(value))
        return self.inputs.setdefault(wanted, len(self.inputs))

    def store(self, value: SSAValue, tile: int) -> None:
        """Emit the ``store`` that takes ``value`` out of the segment."""
        self.receive(value, tile)
        shape = request_shape(value)
        port = Port(self.shared.name(value), "dense", link_type(value), _dtype(value), shape)
        self.streams.setdefault(tile, []).append(
            instr("store", port=len(self.outputs), src=self.ref(value), n=port.elements)
        )
        self.outputs.append(port)

    def size(self, value: SSAValue) -> int:
        """Elements of one request's part of a value."""
        return request_bytes(value) // element_bytes(value)


Emitter: TypeAlias = Callable[[Segment, Any], list[Instr]]
"""The instructions of one operation, on its own tile; ports and other tiles' parts go to the segment."""


def unsupported(op: Operation, why: str) -> PassError:
    """``lower.unsupported``, at the node that ``op`` comes from."""
    return PassError("lower.unsupported", why, location=Location(node=onnx.name_of(op)))


def _longest(ids: SSAValue) -> int | None:
    """Ids of each row of a tensor ``[batch]`` or ``[batch, L]``; ``None`` where ``L`` varies."""
    dims = rec.shape(ids)[1:]
    length = dims[-1] if dims else 1
    return length if length >= 0 else None


def _dtype(value: SSAValue) -> str:
    element = element_of(value.type)
    if element is None:
        raise PassError("lower.opaque", f"a value of type {value.type} cannot cross the chip's border")
    return element_to_dtype(element).name


def link_type(value: SSAValue) -> str:
    """``f32`` or ``i32``: the form of a value's elements on the chip."""
    element = element_of(value.type)
    assert element is not None
    # truth values are 1.0 and 0.0 on the chip
    return "f32" if is_float(element) or element == i1 else "i32"
