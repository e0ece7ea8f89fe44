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

from cimc.sim.kernels.gemm import F32_EXACT, integer_matmul
from cimc.target.cells import EncodedWeights, PhasePlan, input_phases

_F32_CONVERSION = (1 << 22) - 1
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
        drive: NDArray[np.uint8],
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

    def _convert(self, drive: NDArray[np.uint8], scratch: NDArray[np.float64]) -> NDArray[np.int32]:
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


def prepare(
    rows: slice,
    columns: NDArray[np.intp],
    weights: NDArray[np.integer[Any]],
    code: EncodedWeights,
    lsb: NDArray[np.integer[Any]],
    plan: PhasePlan,
    codes: tuple[int, int],
) -> RowGroup:
    """Prepare the blocks on ``rows``: ``weights [R, C]`` with their ``code``, ``lsb [P, S, C]``.

    ``columns [C]`` are their places in the result, ``codes`` the smallest and largest ADC code.
    """
    low, high = codes
    lsb = lsb.astype(np.int64)
    digits = code.digits
    drive_max = np.array([(1 << phase.width) - 1 for phase in plan.phases], dtype=np.int64)
    highest = drive_max[:, None, None] * np.maximum(digits, 0).sum(axis=1, dtype=np.int64)
    lowest = drive_max[:, None, None] * np.minimum(digits, 0).sum(axis=1, dtype=np.int64)
    sure = ((lsb == 1) & (highest <= high) & (lowest >= low)).all(axis=(0, 1))
    unsure = ~sure

    step = np.ascontiguousarray(lsb[:, :, unsure])  # the epilogue is several times slower on strided factors
    significance = plan.weights[:, None] * code.digit_weights
    factor = step * significance[:, :, None]
    sum_max = np.maximum(highest, -lowest)[:, :, unsure]
    value_max = np.minimum(sum_max + step, max(high, -low) * step)
    acc_max = (np.abs(significance)[:, :, None] * value_max).sum(axis=(0, 1)).max(initial=0)
    widest = int((sum_max + step // 2).max(initial=0))
    single = widest < _F32_CONVERSION and acc_max <= F32_EXACT
    if widest >= _F64_EXACT or acc_max >= _F64_EXACT:
        raise OverflowError("a column sum exceeds what float64 holds exactly")
    dtype = np.float32 if single else np.float64

    x_low, x_high = plan.bounds
    planes = digits[:, :, unsure].transpose(1, 0, 2).reshape(digits.shape[1], -1)
    column_sums = weights[:, unsure].sum(axis=0, dtype=np.int64)
    return RowGroup(
        rows=rows,
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
