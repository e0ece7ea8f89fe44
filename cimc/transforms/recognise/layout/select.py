"""Constant selections along axes other than the batch, concatenation and padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute
from cimc.analysis.shapes.operands import operand
from cimc.analysis.shapes.rules.reshaping import split_sizes, states_its_parts
from cimc.analysis.shapes.rules.selections import pads_of, slice_positions, slices_of
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import f32
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.nodes import axis_of
from cimc.transforms.recognise.layout.reshape import Plumbing
from cimc.transforms.recognise.recogniser import Stage


def select(emit: Emitter, x: SSAValue, axis: int, positions: Sequence[int]) -> SSAValue:
    """``x`` at constant ``positions`` of an axis: nothing, a ``rec.slice`` or a ``rec.take``."""
    extent = rec.shape(x)[axis]
    if list(positions) == list(range(extent)):
        return x
    if positions and list(positions) == list(range(positions[0], positions[0] + len(positions))):
        return emit.add(rec.SliceOp(x, axis, positions[0], positions[-1] + 1))
    return emit.add(rec.TakeOp(x, axis, positions))


class Slice(Plumbing):
    """``x[:, a:b:s, ...]`` with constant bounds; the batch is taken whole."""

    name = "slice"
    stage = Stage.OPERATORS
    kinds = frozenset({"Slice"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        dims = self.carried(op)
        cuts = slices_of(op, self.analysis)
        if cuts is None:
            raise NoMatch("the bounds are not known at compile time")
        before, after = self.graph.shape(op.inputs[0]), self.graph.shape(op.results[0])
        value = op.inputs[0]
        for axis, start, end, step in cuts:
            if axis == 0:
                need(before[0] == after[0] and step == 1, "cuts requests out of the batch")
                continue
            if not (isinstance(start, int) and isinstance(end, int) and isinstance(step, int)):
                raise NoMatch("the bounds are not known at compile time")
            need(step != 0, "the step is 0")
            value = select(emit, value, axis, slice_positions(dims[axis], start, end, step))
        return [value]


class Split(Plumbing):
    """Parts of constant size along an axis other than the batch."""

    name = "split"
    stage = Stage.OPERATORS
    kinds = frozenset({"Split"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        dims = self.carried(op)
        axis = axis_of(op, len(dims), 0)
        need(axis >= 1, "splits the batch")
        need(states_its_parts(op, self.graph.opset), "does not say how to divide")
        values: list[SSAValue | None] = []
        start = 0
        for size in split_sizes(op, self.analysis, dims[axis]):
            if not isinstance(size, int):
                raise NoMatch("the sizes are not known at compile time")
            values.append(select(emit, op.inputs[0], axis, list(range(start, start + size))))
            start += size
        need(start == dims[axis], "the parts do not add up")
        return values


class Gather(Plumbing):
    """``x[:, indices, ...]`` with constant indices."""

    name = "take"
    stage = Stage.OPERATORS
    kinds = frozenset({"Gather"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        shape = self.graph.shape(op.inputs[0])
        axis = axis_of(op, len(shape), 0)
        if axis == 0:
            raise NotMine("selects along axis 0, the batch")
        if self.graph.constant(op.inputs[0]) is not None:
            raise NotMine("selects from a constant")
        dims = self.carried(op)
        indices = self.analysis.integers(op.inputs[1])
        if indices is None:
            raise NoMatch("the indices are not known at compile time")
        need(all(-dims[axis] <= i < dims[axis] for i in indices), "an index is out of range")
        value = select(emit, op.inputs[0], axis, [i % dims[axis] for i in indices])
        after = self.graph.rows(op.results[0])
        return [value if rec.shape(value) == after else emit.add(rec.ReshapeOp(value, after))]


class Pad(Plumbing):
    """Constant padding along axes other than the batch."""

    name = "pad"
    stage = Stage.OPERATORS
    kinds = frozenset({"Pad"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        self.graph.activation(op.inputs[0])
        mode = op.attribute("mode")
        need(mode is None or getattr(mode, "data", "") == "constant", "the padding is not constant")
        pads = pads_of(op, self.analysis)
        if pads is None:
            raise NoMatch("the widths are not known at compile time")
        need(pads[0] == (0, 0), "pads the batch")
        number = float_attribute(op, "value", 0.0)
        if (given := operand(op, 2)) is not None:
            array = self.graph.constant(given)
            if array is None or array.size != 1:
                raise NoMatch("the value is not constant")
            number = float(array.reshape(-1)[0])
        value = op.inputs[0]
        for axis, (before, after) in enumerate(pads):
            if (before, after) != (0, 0):
                value = emit.add(rec.PadOp(value, axis, before, after, number))
        return [value]


class Concat(Plumbing):
    """Concatenation along an axis other than the batch; a part filled with one number is padding."""

    name = "concat"
    stage = Stage.OPERATORS
    kinds = frozenset({"Concat"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        axis = axis_of(op, len(self.graph.rows(op.results[0])), 0)
        need(axis >= 1, "joins requests along axis 0")
        runs: list[tuple[SSAValue, int, int, float]] = []  # part, padding before, after, number
        waiting: list[tuple[int, float]] = []
        for part in op.inputs:
            splat = self.analysis.info(part).splat
            width = self.graph.shape(part)[axis]
            if splat is None or self.analysis.element(part) != f32 or not isinstance(width, int):
                self.carried(op, part)
                runs.append((part, 0, 0, 0.0))
                for extent, number in reversed(waiting):
                    runs[-1] = self._pad(emit, runs[-1], axis, extent, 0, number)
                waiting = []
            elif runs:
                runs[-1] = self._pad(emit, runs[-1], axis, 0, width, splat)
            else:
                waiting.append((width, splat))
        need(runs, "all parts are constant")
        parts = [self._padded(emit, run, axis) for run in runs]
        return [parts[0] if len(parts) == 1 else emit.add(rec.ConcatOp(parts, axis))]

    def _pad(
        self,
        emit: Emitter,
        run: tuple[SSAValue, int, int, float],
        axis: int,
        before: int,
        after: int,
        number: float,
    ) -> tuple[SSAValue, int, int, float]:
        """Widen the padding of a part; another number starts a new padding around the old one."""
        part, left, right, old = run
        if (left or right) and np.float32(old) != np.float32(number):
            part, left, right = self._padded(emit, run, axis), 0, 0
        return part, left + before, right + after, number

    def _padded(self, emit: Emitter, run: tuple[SSAValue, int, int, float], axis: int) -> SSAValue:
        part, before, after, number = run
        return emit.add(rec.PadOp(part, axis, before, after, number)) if before or after else part
