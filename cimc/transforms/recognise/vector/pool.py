"""Pooling windows, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.rules.windows import Windows, windows_of
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.recognise.layout.select import select
from cimc.transforms.recognise.layout.shared_operands import number
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_LIMIT = 1 << 16
"""Positions that the windows along one axis may have together."""


class Pool(Recogniser):
    """``MaxPool``, ``AveragePool`` and ``LpPool`` over ``x [B, C, ...]``.

    A window is a box, so its maximum or sum is that along one axis after the other: positions are taken
    window by window, and reduced over the window.  A maximum reads a position of its own window again in the
    place of padding, a sum reads zeros.  The divisor of an average is the product of one per axis: positions
    of the input or, with ``count_include_pad``, those that the padding of the model adds as well.
    """

    name = "pool"
    stage = Stage.OPERATORS
    kinds = frozenset({"MaxPool", "AveragePool", "LpPool"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        need(all(not self.graph.users(r) for r in op.results[1:]), "the positions of the maxima are used")
        dims, x = self.graph.activation(op.inputs[0]), op.inputs[0]
        kernel = ints_attribute(op, "kernel_shape")
        if kernel is None or len(dims) != len(kernel) + 2:
            raise NoMatch("the kernel does not fit the activations")
        windows = windows_of(op, dims[2:], kernel)
        if windows is None:
            raise NoMatch("the windows do not fit the activations, or are dilated and padded by auto_pad")
        for w in windows:
            need(w.count * w.kernel <= _LIMIT, f"the windows have {w.count * w.kernel} positions")
        if op.kind == "MaxPool":
            for axis, w in enumerate(windows, 2):
                x = self._along(emit, "max", x, axis, w)
            return [x, *[None] * (len(op.results) - 1)]
        power = int_attribute(op, "p", 2)
        if op.kind == "LpPool":
            need(power >= 1, f"p is {power}")
            x = self._power(emit, x, power)
        for axis, w in enumerate(windows, 2):
            x = self._along(emit, "sum", x, axis, w)
        if op.kind == "AveragePool":
            x = self._divided(emit, x, windows, int_attribute(op, "count_include_pad", 0) == 1)
        elif op.kind == "LpPool" and power == 2:
            x = emit.add(rec.UnaryOp("sqrt", x))
        elif op.kind == "LpPool" and power > 2:
            x = emit.add(rec.BinaryOp("pow", x, number(emit, 1 / power, len(dims))))
        return [x]

    def _power(self, emit: Emitter, x: SSAValue, power: int) -> SSAValue:
        if power == 2:
            return emit.add(rec.BinaryOp("mul", x, x))
        size = emit.add(rec.UnaryOp("abs", x))
        if power == 1:
            return size
        return emit.add(rec.BinaryOp("pow", size, number(emit, power, len(rec.shape(x)))))

    def _along(self, emit: Emitter, kind: str, x: SSAValue, axis: int, w: Windows) -> SSAValue:
        """Each window's maximum or sum along one axis."""
        at = w.positions
        if kind == "max":
            inside = [[k for k in window if 0 <= k < w.extent] for window in at]
            need(all(inside), "a window has padding alone")
            at = [
                [k if 0 <= k < w.extent else own[0] for k in window]
                for window, own in zip(at, inside, strict=True)
            ]
        else:
            before = max(0, -min(window[0] for window in at))
            behind = max(0, max(window[-1] for window in at) - w.extent + 1)
            if before or behind:
                x = emit.add(rec.PadOp(x, axis, before, behind))
            at = [[k + before for k in window] for window in at]
        x = select(emit, x, axis, [k for window in at for k in window])
        if w.kernel == 1:
            return x
        dims = rec.shape(x)
        x = emit.add(rec.ReshapeOp(x, (*dims[:axis], w.count, w.kernel, *dims[axis + 1 :])))
        return emit.add(rec.ReduceOp(kind, x, [axis + 1], keepdims=False))

    def _divided(self, emit: Emitter, x: SSAValue, windows: Sequence[Windows], padded: bool) -> SSAValue:
        counts: NDArray[np.int64] = np.ones((), np.int64)
        for w in windows:
            low, high = (-w.before, w.extent + w.behind) if padded else (0, w.extent)
            found = [sum(low <= k < high for k in window) for window in w.positions]
            need(all(found), "a window has padding alone")
            counts = np.multiply.outer(counts, np.array(found, np.int64))
        rank = len(windows) + 2
        if (counts == counts.flat[0]).all():
            return emit.add(rec.BinaryOp("div", x, number(emit, float(counts.flat[0]), rank)))
        name = f"{onnx.name_of(emit.root) or 'pool'}.counts"
        return emit.add(rec.BinaryOp("div", x, emit.shared(counts.astype(np.float32), name, rank)))
