"""The ADC path of the blocks that share one range of rows: slices x phases through a quantising epilogue.

The digits of all slices of all columns stand side by side (the *planes*), the phases of all samples below
each other, so that one float matrix product yields every column sum of a batch; the converters then act
on it in place, while it is in cache.

Conversion without division
    ``code = floor((P + lsb // 2) / lsb)`` of integers is computed as ``floor((n + 1/2) * (1 / lsb))`` with
    ``n = P + lsb // 2``.  The true value of ``(n + 1/2) / lsb`` lies at least ``1 / (2 lsb)`` away from every
    integer and has the same floor as ``n / lsb``.  Rounding the reciprocal and the product changes it by
    less than ``|n + 1/2| / lsb * 2**-23 * (1 + 2**-25)`` in float32, which is below ``1 / (2 lsb)`` while
    ``|n| + 1/2 < 2**22 * (1 - 2**-25)``.  So the code is right to the bit while ``|P| + lsb // 2`` is below
    ``2**22 - 1``; a group whose cells and inputs could exceed that uses float64, where the same argument
    reaches ``2**51``.

Columns that cannot change
    Where every step of a column is 1 and its cells cannot sum past the codes, the converter is the identity
    and the shift-added result is the integer product: such columns skip the planes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.dense.gemm import F32_EXACT, integer_matmul
from cimc.sim.kernels.dense.row_spans import Span, significance
from cimc.target.cell_encoding import Codes, PhasePlan, input_phases

F32_CONVERSION = (1 << 22) - 1
_F64_EXACT = 1 << 51
_TILE_ELEMENTS = 1 << 20  # column sums converted at a time: 4 MiB of float32; best of 2**16..2**21 measured
_DRIVE_ELEMENTS = 1 << 17  # inputs turned into phases at a time: their 32-bit temporaries stay in cache

Floats = NDArray[np.floating[Any]]
Columns = slice | NDArray[np.intp]


@dataclass(frozen=True)
class RowGroup:
    """Blocks on one range of ``rows``, prepared; column indices count from the first column of the result.

    ``sure``: columns that no converter changes, with their weights ``sure_weights [R, n]``.
    ``unsure``: the others, with ``planes [R, S*C]`` (slice-major), and per phase, slice and column,
    ``[P, S, C]``, ``half`` = ``lsb // 2 + 1/2``, ``reciprocal`` = ``1 / lsb``, ``factor`` = ``lsb`` x phase
    weight x slice weight.  ``identity``: all steps are 1, so conversion only clips.  ``constant [C]`` and
    ``input_factor`` are the digital corrections ``-xo sum_r w - R xo wo`` and ``-wo``.
    """

    rows: slice
    sure: Columns
    sure_weights: NDArray[np.float32]
    unsure: Columns
    planes: Floats
    half: Floats
    reciprocal: Floats
    factor: Floats
    identity: bool
    constant: NDArray[np.int32]
    input_factor: int
    codes: tuple[int, int]
    x_max: int
    w_max: int

    @property
    def size(self) -> int:
        """Column sums per sample that are converted."""
        return self.factor.size

    def add_to(
        self,
        out: NDArray[np.int32],
        x: NDArray[np.integer[Any]],
        drive: Codes,
        scratch: NDArray[np.float64],
    ) -> None:
        """Add this group's partial product of ``x [B, K]`` to ``out [B, C]``.

        ``drive [P, B, K]``: the phases of ``x``; ``scratch``: room for ``B * size`` elements.
        """
        part = x[:, self.rows]
        if self.sure_weights.size:
            out[:, self.sure] += integer_matmul(part, self.sure_weights, self.x_max, self.w_max)
        if not self.size:
            return
        acc = self._convert(drive[:, :, self.rows], scratch)
        if self.constant.any():
            acc += self.constant
        if self.input_factor:
            acc += np.int32(self.input_factor) * part.sum(axis=1, dtype=np.int32)[:, np.newaxis]
        out[:, self.unsure] += acc

    def _convert(self, drive: Codes, scratch: NDArray[np.float64]) -> NDArray[np.int32]:
        """Shift-added codes, int32 ``[B, C]``, of phase digits ``[P, B, R]``."""
        _, slices, cols = self.factor.shape
        busy = np.flatnonzero(drive.any(axis=(1, 2)))  # an idle phase converts to 0: (lsb // 2) // lsb
        live = slice(None) if len(busy) == len(drive) else busy
        inputs = drive[live].astype(self.planes.dtype)
        phases, batch, rows = inputs.shape
        t: Floats = scratch.view(inputs.dtype)[: phases * batch * slices * cols]
        np.matmul(inputs.reshape(-1, rows), self.planes, out=t.reshape(-1, slices * cols))
        t = t.reshape(phases, batch, slices, cols)
        if not self.identity:
            t += self.half[live, np.newaxis]
            t *= self.reciprocal[live, np.newaxis]
            np.floor(t, out=t)
        np.clip(t, *self.codes, out=t)
        return np.asarray(np.einsum("pbsc,psc->bc", t, self.factor[live]), dtype=np.int32)


@dataclass(frozen=True)
class PlanesPlan:
    """The ADC path of an array group: its row ranges, and the columns of its result."""

    groups: list[RowGroup]
    plan: PhasePlan
    cols: int

    def run(self, x: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Partial products of ``x [B, K]``, int32 ``[B, cols]``; threads are the BLAS's."""
        return multiply(self.groups, x, self.plan, self.cols)


@dataclass(frozen=True)
class ExactPlan:
    """Products of rectangles of weights in integers."""

    parts: list[tuple[slice, slice, NDArray[np.float32], int]]
    cols: int
    x_max: int

    @classmethod
    def of(
        cls,
        weights: NDArray[np.int8],
        places: list[tuple[int, int, int, int]],
        left: int,
        right: int,
        x_max: int,
    ) -> ExactPlan:
        """For rectangles ``row0, rows, col0, cols``; the result has the columns ``left .. right``."""
        parts = []
        for r0, rows, c0, cols in places:
            part = weights[r0 : r0 + rows, c0 : c0 + cols]
            w_max = max(-int(part.min()), int(part.max()))
            here = slice(c0 - left, c0 + cols - left)
            parts.append((slice(r0, r0 + rows), here, part.astype(np.float32), w_max))
        return cls(parts, right - left, x_max)

    def run(self, x: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Partial products of ``x [B, K]``, int32 ``[B, cols]``; threads are the BLAS's."""
        result = np.zeros((len(x), self.cols), dtype=np.int32)
        for rows, here, weights, w_max in self.parts:
            result[:, here] += integer_matmul(x[:, rows], weights, self.x_max, w_max)
        return result


def multiply(
    groups: list[RowGroup], x: NDArray[np.integer[Any]], plan: PhasePlan, cols: int
) -> NDArray[np.int32]:
    """Sum of the groups' partial products of ``x [B, K]``, int32 ``[B, cols]``."""
    out = np.zeros((len(x), cols), dtype=np.int32)
    size = max(group.size for group in groups)
    step = max(1, min(len(x), _TILE_ELEMENTS // max(1, size), _DRIVE_ELEMENTS // x.shape[1]))
    widest = max(group.size * group.planes.itemsize for group in groups)
    scratch = np.empty(step * widest // 8 + 1, dtype=np.float64)
    for b in range(0, len(x), step):
        part = x[b : b + step]
        drive = input_phases(part, plan)
        for group in groups:
            group.add_to(out[b : b + step], part, drive, scratch)
    return out


def prepare(span: Span, plan: PhasePlan, codes: tuple[int, int]) -> RowGroup:
    """Prepare the blocks on one range of rows; ``codes`` are the smallest and largest ADC code."""
    low, high = codes
    lsb, code, columns, weights = span.lsb, span.code, span.columns, span.weights
    digits = code.digits
    sure = span.certified.all(axis=0)
    unsure = ~sure

    step = np.ascontiguousarray(lsb[:, :, unsure])  # the epilogue is several times slower on strided factors
    factor = significance(span, plan)[:, :, unsure]
    sum_max = span.reach(plan)[:, :, unsure]
    value_max = np.minimum(sum_max + step, max(high, -low) * step)
    acc_max = (np.abs(factor) // step * value_max).sum(axis=(0, 1)).max(initial=0)
    widest = int((sum_max + step // 2).max(initial=0))
    single = widest < F32_CONVERSION and acc_max <= F32_EXACT
    if widest >= _F64_EXACT or acc_max >= _F64_EXACT:
        raise OverflowError("a column sum exceeds what float64 holds exactly")
    dtype = np.float32 if single else np.float64

    x_low, x_high = plan.bounds
    planes = digits[:, :, unsure].transpose(1, 0, 2).reshape(digits.shape[1], -1)
    column_sums = weights[:, unsure].sum(axis=0, dtype=np.int64)
    return RowGroup(
        rows=span.rows,
        sure=_compact(columns[sure]),
        sure_weights=np.ascontiguousarray(weights[:, sure], dtype=np.float32),
        unsure=_compact(columns[unsure]),
        planes=np.ascontiguousarray(planes, dtype=dtype),
        half=(step // 2 + 0.5).astype(dtype),
        reciprocal=np.reciprocal(step.astype(dtype)),
        factor=factor.astype(dtype),
        identity=bool((step == 1).all()),
        constant=(-plan.input_offset * (column_sums + weights.shape[0] * code.weight_offset)).astype(
            np.int32
        ),
        input_factor=-code.weight_offset,
        codes=codes,
        x_max=max(-x_low, x_high),
        w_max=int(np.abs(weights[:, sure].astype(np.int64)).max(initial=0)),
    )


def _compact(columns: NDArray[np.intp]) -> Columns:
    """Ascending neighbours as a slice, whose in-place addition needs no copy."""
    if len(columns) and np.array_equal(columns, np.arange(columns[0], columns[0] + len(columns))):
        return slice(int(columns[0]), int(columns[0]) + len(columns))
    return columns
