"""A group of blocks prepared for the compiled kernels.

Certified units (:mod:`cimc.isa.certificate`) are folded: per column, the sum of their digits times their
significance is one integer again, small enough for a byte, and all of them make one integer product.  Since
``w = sum_s dw_s d_s - wo``, the product's weights are ``sum over certified s of dw_s d_s - wo``: the
correction for ``wo`` comes with it.  Only the other units go through converters (``unit_selection.py``).
Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from cimc.sim.kernels import threads
from cimc.sim.kernels.dense import dot_products
from cimc.sim.kernels.dense.row_spans import Span
from cimc.sim.kernels.dense.unit_selection import Kernel, Packer, converters_of
from cimc.support.jit import jit
from cimc.target.cell_encoding import PhasePlan

Bytes = NDArray[np.uint8]
Out = NDArray[np.int32]


class IntegerProduct:
    """``x[:, row0 : row0 + R] @ weights + constants`` in integers, for bytes ``x``, ``signed`` or not.

    ``weights [R, C]``, integers that fit :data:`cimc.sim.kernels.dense.dot_products.WEIGHT`; ``constants
    int64 [C]``.
    """

    def __init__(
        self, weights: NDArray[np.int8], row0: int, signed: bool, constants: NDArray[np.int64] | None = None
    ) -> None:
        self.row0, self.rows = row0, weights.shape[0]
        self.cols = weights.shape[1]
        self.flip = np.uint8(
            128 if signed else 0
        )  # signed inputs are moved up by 128, and their products back
        total = -int(self.flip) * weights.sum(axis=0, dtype=np.int64)
        if constants is not None:
            total = total + constants
        lanes = dot_products.LANES
        self.constants = np.resize(total, -(-self.cols // lanes) * lanes).astype(np.int32)  # whole vectors
        packer = Packer()
        self.panels = np.array(packer.add(weights), np.int64)
        self.weights = packer.packed()

    def __call__(self, x: Bytes, out: Out, place: int, pitch: int) -> None:
        """Write the product; arguments of a :data:`~cimc.sim.kernels.dense.unit_selection.Kernel`."""
        dot_products.product(
            x, self.row0, self.rows, self.flip, self.weights, self.panels, self.constants, out, place, pitch
        )


class NativePlan:
    """The ADC path of an array group; equals the oracle to the bit.

    ``cols``: columns of the result; ``signed``: whether inputs are; ``codes``: smallest and largest ADC code;
    ``by_table``: whether tables may be made.
    """

    def __init__(
        self, spans: list[Span], plan: PhasePlan, cols: int, codes: tuple[int, int], signed: bool,
        by_table: bool = True,
    ) -> None:  # fmt: skip
        self.cols = cols
        spans = [_that_fold(span) for span in spans]
        constants = np.zeros(cols, dtype=np.int64)
        for span in spans:
            constants[span.columns] -= plan.input_offset * span.recombined(~span.certified).sum(axis=0)
        if any(span.certified.any() for span in spans):
            low, high = min(s.rows.start for s in spans), max(s.rows.stop for s in spans)
            folded = np.zeros((high - low, cols), dtype=np.int8)
            for span in spans:
                part = span.recombined(span.certified) - span.code.weight_offset
                folded[span.rows.start - low : span.rows.stop - low, span.columns] = part
            self.first: Kernel = IntegerProduct(folded, low, signed, constants)
        else:
            self.first = _Offsets(spans, constants, signed)
        self.others = converters_of([s for s in spans if not s.certified.all()], plan, codes, by_table)

    def __call__(self, x: Bytes, out: Out, place: int, pitch: int) -> None:
        """Write the partial product; arguments of a :data:`~cimc.sim.kernels.dense.unit_selection.Kernel`."""
        self.first(x, out, place, pitch)
        for kernel in self.others:
            kernel(x, out, place, pitch)


def multiply(
    kernels: Sequence[Kernel], x: Bytes, out: Out, parts: list[slice], blocks: list[slice], count: int
) -> None:
    """Write to ``out int32 [B, C]``, whose rows are contiguous, what ``kernels`` make of ``x``.

    Each of them makes the columns of one of ``blocks``, and each of ``parts`` of the batch by itself, shared
    by ``count`` threads.
    """
    if not out.size:
        return
    size, pitch = out.shape[1], out.strides[0] // 4
    contiguous = out.flags.c_contiguous
    flat = out.reshape(-1) if contiguous else as_strided(out, ((len(x) - 1) * pitch + size,), (4,))
    if len(parts) == len(blocks) == 1:
        kernels[0](x, flat, 0, pitch)
        return
    threads.run(
        [
            partial(kernel, x[part], flat, part.start * pitch + block.start, pitch)
            for part in parts
            for kernel, block in zip(kernels, blocks, strict=True)
        ],
        count,
    )


def _that_fold(span: Span) -> Span:
    """``span`` without the certificates of columns whose folded weights would not fit a byte.

    That takes balanced digits of which only some are certified: their sum may exceed every weight.
    """
    part = span.recombined(span.certified) - span.code.weight_offset
    wrong = ((part < -128) | (part > 127)).any(axis=0)
    return span.with_certified(span.certified & ~wrong) if wrong.any() else span


class _Offsets:
    """``constants - wo * sum of the inputs`` of each span: all of the product where none is certified."""

    def __init__(self, spans: list[Span], constants: NDArray[np.int64], signed: bool) -> None:
        used = [span for span in spans if span.code.weight_offset]
        self.spans = np.array([[s.rows.start, s.rows.stop] for s in used], np.int64).reshape(-1, 2)
        self.factors = np.zeros((len(used), len(constants)), np.int32)
        for factors, span in zip(self.factors, used, strict=True):
            factors[span.columns] = -span.code.weight_offset
        self.constants = constants.astype(np.int32)
        self.signed = signed

    def __call__(self, x: Bytes, out: Out, place: int, pitch: int) -> None:
        _offsets(x, self.signed, self.spans, self.factors, self.constants, out, place, pitch)


@jit
def _offsets(x, signed, spans, factors, constants, out, place, pitch):  # type: ignore[no-untyped-def]
    cols = len(constants)
    for b in range(x.shape[0]):
        target = out[place + b * pitch : place + b * pitch + cols]
        target[:] = constants
        for n in range(spans.shape[0]):
            total = np.int32(0)
            for k in range(spans[n, 0], spans[n, 1]):
                total += np.int32(np.int8(x[b, k])) if signed else np.int32(x[b, k])
            for c in range(cols):
                target[c] += total * factors[n, c]
