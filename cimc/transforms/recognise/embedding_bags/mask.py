"""Reading masks and counts of padded id lists: which ids a tensor of zeros and ones stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.operands import axes_of, normal_axes, operand
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import i1, is_float
from cimc.transforms.matching.graph import Graph, plain
from cimc.transforms.matching.nodes import is_integer, node_of

LARGEST_EPSILON = 1e-6
"""Up to here, what exporters add to a count of at least 1 against division by zero is float noise."""

_VIEWS = ("Unsqueeze", "Squeeze", "Reshape", "Flatten", "Expand", "Tile", "Transpose")


@dataclass(frozen=True)
class Mask:
    """A tensor that is 1 (or true) where an id is a row, 0 where it is ``padding``.

    Attributes:
        ids: the ids ``[B, L]`` that it was made from.
        padding: the id that stands for no row.
        batch, position: axes of the mask that run over ``B`` and ``L``; it is constant along all others.
        inverted: 1 and 0 are the other way round.
        exact: whether this holds of any numbers, not only of ids that count from 0.
    """

    ids: SSAValue
    padding: int
    batch: int
    position: int
    inverted: bool = False
    exact: bool = True


class MaskReader:
    """Follows masks back to the comparison of ids that they come from."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.analysis = graph, graph.analysis

    # -- masks --------------------------------------------------------------------------------------

    def read(self, value: SSAValue) -> Mask | None:
        """The mask that ``value`` is; ``None`` when it is none, or is not understood."""
        op = node_of(value, "Cast", "Not", "Sub", "Where", *_VIEWS, *_COMPARISONS)
        if op is None:
            return None
        if op.kind == "Cast":
            found = self.read(op.inputs[0])
            return found if found is not None else self._from_bool_cast(op)
        if op.kind == "Not":
            return _flipped(self.read(op.inputs[0]))
        if op.kind == "Sub":
            one = self.analysis.info(op.inputs[0]).splat == 1.0
            return _flipped(self.read(op.inputs[1])) if one and self._same_shape(op, 1) else None
        if op.kind == "Where":
            numbers = [self.analysis.info(v).splat for v in op.inputs[1:]]
            found = self.read(op.inputs[0]) if self._same_shape(op, 0) else None
            return found if numbers == [1.0, 0.0] else _flipped(found) if numbers == [0.0, 1.0] else None
        if op.kind in _COMPARISONS:
            return self._comparison(op)
        return self._view(op)

    def _same_shape(self, op: onnx.NodeOp, index: int) -> bool:
        shape = self.analysis.shape(op.outputs[0])
        return shape is not None and shape == self.analysis.shape(op.inputs[index])

    def _ids(self, value: SSAValue) -> SSAValue | None:
        value = plain(value, self.graph)
        shape = self.analysis.shape(value)
        if shape is None or len(shape) != 2 or not is_integer(self.analysis.element(value)):
            return None
        return value

    def _from_bool_cast(self, op: onnx.NodeOp) -> Mask | None:
        """``Cast(ids)`` to bool is ``ids != 0``."""
        ids = self._ids(op.inputs[0])
        return Mask(ids, 0, 0, 1) if ids is not None and self.analysis.element(op.outputs[0]) == i1 else None

    def _comparison(self, op: onnx.NodeOp) -> Mask | None:
        kind, (left, right) = op.kind, op.inputs
        if self.analysis.scalar(left) is not None:
            kind, left, right = _COMPARISONS[kind], right, left
        ids, number = self._ids(left), self.analysis.scalar(right)
        if ids is None or not isinstance(number, int):
            return None
        if kind == "Equal":
            return Mask(ids, number, 0, 1, inverted=True)
        # ids count from 0, so what lies below the first row (or at row 0) can only be padding
        first = {"Greater": number + 1, "GreaterOrEqual": number, "Less": number, "LessOrEqual": number + 1}
        if first[kind] not in (0, 1):
            return None
        return Mask(ids, first[kind] - 1, 0, 1, inverted=kind.startswith("Less"), exact=False)

    def _view(self, op: onnx.NodeOp) -> Mask | None:
        found = self.read(op.inputs[0])
        before, after = self.analysis.shape(op.inputs[0]), self.analysis.shape(op.outputs[0])
        if found is None or before is None or after is None:
            return None
        axes: list[int | None] = []
        if op.kind == "Transpose":
            perm = list(ints_attribute(op, "perm") or reversed(range(len(before))))
            axes = [perm.index(a) for a in (found.batch, found.position)]
        elif op.kind in ("Expand", "Tile"):
            axes = [a + len(after) - len(before) for a in (found.batch, found.position)]
        elif op.kind in ("Unsqueeze", "Squeeze"):
            given = normal_axes(axes_of(op, self.analysis) or (), max(len(before), len(after)))
            if not given or abs(len(after) - len(before)) != len(given):
                return None
            kept = [k for k in range(max(len(before), len(after))) if k not in given]
            where = kept if op.kind == "Unsqueeze" else {a: k for k, a in enumerate(kept)}
            for axis in (found.batch, found.position):
                inside = axis in where if isinstance(where, dict) else axis < len(where)
                axes.append(where[axis] if inside else None)
        else:
            axes = self._reshaped(found, before, after)
        batch, position = axes
        if batch is None or position is None:
            return None
        extents = (before[found.batch], before[found.position])
        if (after[batch], after[position]) != extents:
            return None
        return replace(found, batch=batch, position=position)

    def _reshaped(
        self, found: Mask, before: tuple[object, ...], after: tuple[object, ...]
    ) -> list[int | None]:
        """New axes of a reshape that only adds or removes extents of 1."""
        if [x for k, x in enumerate(before) if k not in (found.batch, found.position) and x != 1]:
            return [None, None]
        extents = (before[found.batch], before[found.position])
        if found.batch > found.position:
            return [None, None]
        choices = [
            (p, q)
            for p in range(len(after))
            for q in range(p + 1, len(after))
            if (after[p], after[q]) == extents and all(x == 1 for k, x in enumerate(after) if k not in (p, q))
        ]
        return list(choices[0]) if len(choices) == 1 else [None, None]

    # -- counts -------------------------------------------------------------------------------------

    def count(self, value: SSAValue) -> tuple[Mask, bool] | None:
        """``(mask, guarded)`` when ``value`` is the number of ids in each list that are rows.

        ``guarded``: an empty list does not divide by zero.
        """
        guarded = False
        while True:
            op = node_of(value, "Add", "Max", "Clip", "Cast", "ReduceSum", *_VIEWS)
            if op is None:
                return None
            if op.kind == "ReduceSum":
                break
            if op.kind in ("Add", "Max"):
                if len(op.inputs) != 2:
                    return None
                numbers = [self.analysis.info(v).splat for v in op.inputs]
                index = next((k for k, n in enumerate(numbers) if n is not None), None)
                if index is None or not 0 < (numbers[index] or 0.0) <= (
                    LARGEST_EPSILON if op.kind == "Add" else 1.0
                ):
                    return None
                guarded, value = True, op.inputs[1 - index]
                continue
            if op.kind == "Clip":
                low = operand(op, 1)
                least = self.analysis.info(low).splat if low is not None else onnx_float(op, "min")
                if operand(op, 2) is not None or op.attribute("max") is not None:
                    return None
                if least is None or not 0 < least <= 1.0:
                    return None
                guarded = True
            if op.kind == "Cast":
                element = self.analysis.element(op.outputs[0])
                if element is None or not (is_float(element) or is_integer(element)):
                    return None
            if op.kind == "Transpose":
                return None
            value = op.inputs[0]
        mask = self.read(op.inputs[0])
        shape = self.analysis.shape(op.inputs[0])
        axes = axes_of(op, self.analysis)
        if mask is None or mask.inverted or shape is None or not axes:
            return None
        reduced = normal_axes(axes, len(shape))
        if reduced is None or mask.position not in reduced or mask.batch in reduced:
            return None
        if any(shape[k] != 1 for k in reduced if k != mask.position):
            return None
        return mask, guarded


_COMPARISONS = {
    "Equal": "Equal",
    "Greater": "Less",
    "Less": "Greater",
    "GreaterOrEqual": "LessOrEqual",
    "LessOrEqual": "GreaterOrEqual",
}
"""Comparisons, and what they are with their operands exchanged."""


def onnx_float(op: onnx.NodeOp, key: str) -> float | None:
    """A float attribute of a node, if present."""
    from cimc.analysis.constants import float_attribute

    return float_attribute(op, key, 0.0) if op.attribute(key) is not None else None


def _flipped(mask: Mask | None) -> Mask | None:
    return None if mask is None else replace(mask, inverted=not mask.inverted)
