"""Where the windows of a pooling stand, and the shapes of what steps through a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import StringAttr

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import Info, ShapeFacts
from cimc.analysis.shapes.rule_registry import rule
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute


@dataclass(frozen=True)
class Windows:
    """Windows along one axis: window ``p`` has the positions ``p * stride - before + k * dilation``.

    Attributes:
        extent: positions of the axis; others are padding.
        kernel: positions of a window.
        before, behind: padding, as the model gives it.
        count: windows; with ``ceil_mode`` the last may reach beyond the padding.
    """

    extent: int
    kernel: int
    stride: int
    dilation: int
    before: int
    behind: int
    count: int

    @property
    def positions(self) -> list[list[int]]:
        """Positions per window; padding is below 0, or the extent and above."""
        starts = [p * self.stride - self.before for p in range(self.count)]
        return [[start + k * self.dilation for k in range(self.kernel)] for start in starts]


def windows_of(op: onnx.NodeOp, extents: Sequence[int], kernel: Sequence[int]) -> list[Windows] | None:
    """The windows along each axis from the third on; None if the attributes do not fit one another.

    Also of dilated windows with ``auto_pad``, which onnxruntime pads as if they were not dilated.
    """
    rank = len(kernel)
    strides = ints_attribute(op, "strides") or (1,) * rank
    dilations = ints_attribute(op, "dilations") or (1,) * rank
    pads = ints_attribute(op, "pads") or (0,) * (2 * rank)
    attr = op.attribute("auto_pad")
    mode = attr.data if isinstance(attr, StringAttr) else "NOTSET"
    ceil = int_attribute(op, "ceil_mode", 0) == 1
    if not len(extents) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        return None
    if min((*kernel, *strides, *dilations), default=1) < 1 or min(pads, default=0) < 0:
        return None
    if mode.startswith("SAME") and max(dilations, default=1) > 1:
        return None
    found = []
    for k, (extent, size, stride, dilation) in enumerate(
        zip(extents, kernel, strides, dilations, strict=True)
    ):
        reach = (size - 1) * dilation + 1
        before, behind = (pads[k], pads[rank + k]) if mode == "NOTSET" else (0, 0)
        if mode.startswith("SAME"):
            count = -(-extent // stride)
            whole = max(0, (count - 1) * stride + reach - extent)
            before = whole // 2 if mode == "SAME_UPPER" else whole - whole // 2
            behind = whole - before
        else:
            room = extent + before + behind - reach
            count = (-(-room // stride) if ceil else room // stride) + 1
            if ceil and (count - 1) * stride >= extent + before:
                count -= 1  # it would start in the padding behind
        if count < 1:
            return None
        found.append(Windows(extent, size, stride, dilation, before, behind, count))
    return found


@rule("MaxPool", "AveragePool", "LpPool")
def _pool(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    shape, element = a.shape(op.inputs[0]), a.element(op.inputs[0])
    kernel = ints_attribute(op, "kernel_shape")
    if shape is None or kernel is None or len(shape) != len(kernel) + 2:
        return [Info(None, element)]
    extents = [e for e in shape[2:] if isinstance(e, int)]
    found = windows_of(op, extents, kernel) if len(extents) == len(kernel) else None
    sizes: list[Dim] = [None] * len(kernel) if found is None else [w.count for w in found]
    return [Info((*shape[:2], *sizes), element)]


@rule("RNN", "GRU", "LSTM")
def _recurrent(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    """``Y [L, directions, B, H]``, states ``[directions, B, H]``; layout 1: the batch in front."""
    shape, recurrence, element = a.shape(op.inputs[0]), a.shape(op.inputs[2]), a.element(op.inputs[0])
    if shape is None or recurrence is None or len(shape) != 3 or len(recurrence) != 3:
        return [Info(None, element)] * len(op.outputs)
    directions, hidden = recurrence[0], recurrence[2]
    if int_attribute(op, "layout", 0) == 1:
        batch, steps = shape[:2]
        every, last = (batch, steps, directions, hidden), (batch, directions, hidden)
    else:
        steps, batch = shape[:2]
        every, last = (steps, directions, batch, hidden), (directions, batch, hidden)
    return [Info(every, element), *[Info(last, element)] * (len(op.outputs) - 1)]
