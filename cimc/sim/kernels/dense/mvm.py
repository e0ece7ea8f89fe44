"""Matrix-vector products of dense layers, exact and through the ADC.

The narrow interface behind which kernels live: an implementation is right if it equals
:func:`cimc.sim.oracle.oracle_mvm` bit for bit.  ``group_plan.py`` prepares blocks for the compiled kernels,
``bit_planes.py`` for the numpy ones; both start from :meth:`DenseKernel.spans`, which gives cell digits, ADC
steps and certificates of any blocks, and is the place to start from for kernels of other devices.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError
from cimc.ir.cim import BLOCK_FIELDS, COL0, COLS, ROW0, ROWS
from cimc.isa.certificate import certify, unpack
from cimc.sim.kernels.availability import backend
from cimc.sim.kernels.dense.bit_planes import ExactPlan, PlanesPlan, prepare
from cimc.sim.kernels.dense.row_spans import Span
from cimc.sim.kernels.threads import shares
from cimc.support.once import Once
from cimc.target.cell_encoding import digit_weights, encode_weights, phase_plan, slices_for, weight_offset
from cimc.target.spec import Array

_INT32_MAX = (1 << 31) - 1
_TABLE_BYTES = 1 << 28  # tables of a larger matrix are not worth their memory: products do it

Inputs = NDArray[np.int8] | NDArray[np.uint8]


class DenseKernel:
    """One integer matrix in crossbar cells.

    ``weights``: int8 ``[K, N]``; ``blocks``: int32 ``[blocks, 7]`` with the columns of
    :data:`cimc.ir.cim.BLOCK_FIELDS`; ``ranges``: int32 ``[blocks, slices, phases]``, the ADC steps, each at
    least 1.  Inputs have ``input_bits`` bits, two's complement if ``signed``.  ``certificate``: as
    :func:`cimc.isa.certificate.certify` packs it, and computed by it if absent; one that certifies less than
    could be costs time and changes nothing.

    Blocks are prepared when a range of them is first used, and kept: with the compiled kernels 1 byte per
    weight for :meth:`exact`; for :meth:`adc` 1 per certified weight, ``slices`` per other one, or 4 times
    that where tables serve it (at most 256 MiB).  Results do not depend on how a batch is split: every
    operation is exact.  Threads may use a kernel at the same time.

    Raises ``ValueError`` for arrays of the wrong shape, a step below 1, or a block outside the matrix.
    """

    def __init__(
        self,
        weights: NDArray[np.int8],
        blocks: NDArray[np.integer[Any]],
        ranges: NDArray[np.integer[Any]],
        array: Array,
        weight_bits: int,
        input_bits: int,
        signed: bool,
        certificate: NDArray[np.uint8] | None = None,
    ) -> None:
        self.array = array
        self.weight_bits = weight_bits
        self.plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
        self.slices = slices_for(array.encoding, array.cell_levels, weight_bits)
        _check_blocks(weights.shape, blocks)
        if ranges.shape != (len(blocks), self.slices, len(self.plan.phases)):
            raise ValueError(
                f"ranges has the shape {ranges.shape}, {len(blocks)} blocks of {self.slices} slices and "
                f"{len(self.plan.phases)} phases need {(len(blocks), self.slices, len(self.plan.phases))}"
            )
        if ranges.size and int(ranges.min()) < 1:
            raise ValueError("an ADC step is at least 1")
        self.weights = weights
        self.blocks = blocks
        self.ranges = ranges
        low, high = self.plan.bounds
        self._x_max = max(-low, high)
        self._exact_bound, self._adc_bound = self._accumulator_bounds()
        self._widths: dict[tuple[int, int], int] = {}
        self._plans: Once[tuple[str, int, int, int, int], Any] = Once()
        if certificate is None:
            certificate = certify(weights, blocks, ranges, array, weight_bits, input_bits, signed)
        self.certified = unpack(certificate, blocks, self.slices)
        self.compiled = backend() == "numba"
        # inputs of this type and full width cannot be out of range
        self._natural = np.dtype(np.int8 if signed else np.uint8) if input_bits == 8 else None

    # -- geometry -----------------------------------------------------------------------------------

    def columns(self, first: int, count: int) -> tuple[int, int]:
        """First column, and one past the last, that ``count`` blocks from ``first`` contribute to."""
        chosen = self._group(first, count)
        return int(chosen[:, COL0].min()), int((chosen[:, COL0] + chosen[:, COLS]).max())

    def conversions(self, first: int, count: int) -> int:
        """ADC conversions of one request: columns x slices x phases, summed over the blocks."""
        return int(self._group(first, count)[:, COLS].sum()) * self.slices * len(self.plan.phases)

    def _group(self, first: int, count: int) -> NDArray[np.int64]:
        if first < 0 or count < 1 or first + count > len(self.blocks):
            raise ValueError(f"blocks {first}..{first + count - 1} of {len(self.blocks)}")
        return self.blocks[first : first + count].astype(np.int64)

    # -- products -----------------------------------------------------------------------------------

    def exact(
        self, x: Inputs, first: int, count: int, threads: int = 1, out: NDArray[np.int32] | None = None
    ) -> NDArray[np.int32]:
        """Partial product of the blocks ``first .. first + count - 1`` in integers, int32 ``[B, C]``.

        ``x``: int8 or uint8 ``[B, K]``, all inputs of the matrix; ``C`` spans :meth:`columns`, and a column
        that a row range does not cover gets nothing from it.  ``threads`` share the batch, or the columns
        where it is small (numpy's kernels have the threads of its BLAS).  The result is written to ``out``,
        if given: rows contiguous, and free to lie over ``x``.

        Raises ``ValueError`` for inputs outside the ``input_bits`` and :class:`~cimc.errors.ProgramError`
        (``sim.accumulator-overflow``) if int32 could not hold every possible result.
        """
        self._check_inputs(x)
        self._check_accumulator(self._exact_bound)
        return self._run("exact", first, count, x, threads, out)

    def adc(
        self, x: Inputs, first: int, count: int, threads: int = 1, out: NDArray[np.int32] | None = None
    ) -> NDArray[np.int32]:
        """The same partial product, every column sum of a slice and phase through its converter.

        Arguments, result and errors as for :meth:`exact`.
        """
        self._check_inputs(x)
        self._check_accumulator(self._adc_bound)
        return self._run("adc", first, count, x, threads, out)

    def _run(
        self, mode: str, first: int, count: int, x: Inputs, threads: int, out: NDArray[np.int32] | None
    ) -> NDArray[np.int32]:
        width = self._width(first, count)
        if not self.compiled:
            result: NDArray[np.int32] = self._plan(mode, first, count, 0, width).run(x)
            if out is None:
                return result
            out[...] = result
            return out
        from cimc.sim.kernels.dense.group_plan import multiply

        own = np.ascontiguousarray(x) if out is None else np.array(x, order="C")
        if out is None:
            out = np.empty((len(x), width), np.int32)
        parts, blocks = shares(len(x), width, threads)
        plans = [self._plan(mode, first, count, block.start, block.stop) for block in blocks]
        multiply(plans, own.view(np.uint8), out, parts, blocks, threads)
        return out

    def _width(self, first: int, count: int) -> int:
        """Columns of a result; kept, as finding them takes as long as a small product."""
        if (first, count) not in self._widths:
            left, right = self.columns(first, count)
            self._widths[first, count] = right - left
        return self._widths[first, count]

    def _plan(self, mode: str, first: int, count: int, low: int, high: int) -> Any:
        """Blocks prepared for the columns ``low .. high`` of their result."""
        make = self._plan_exact if mode == "exact" else self._plan_adc
        return self._plans.get((mode, first, count, low, high), lambda key: make(*key[1:]))

    def _check_inputs(self, x: Inputs) -> None:
        if x.dtype not in (np.int8, np.uint8):
            raise TypeError(f"inputs are int8 or uint8, not {x.dtype}")
        if x.ndim != 2 or x.shape[1] != self.weights.shape[0]:
            raise ValueError(f"inputs [B, {self.weights.shape[0]}] expected, got {list(x.shape)}")
        if x.dtype == self._natural:
            return
        low, high = self.plan.bounds
        if x.size and (int(x.min()) < low or int(x.max()) > high):
            raise ValueError(f"inputs must lie in {low}..{high}, got {x.min()}..{x.max()}")

    def _check_accumulator(self, bound: int) -> None:
        if bound > _INT32_MAX:
            raise ProgramError(
                "sim.accumulator-overflow",
                f"sums of a {self.weights.shape[0]}x{self.weights.shape[1]} matrix can reach {bound}, "
                "a 32-bit accumulator cannot",
                hint="use fewer activation or weight bits, or split the layer along its inputs",
            )

    # -- preparation --------------------------------------------------------------------------------

    def _accumulator_bounds(self) -> tuple[int, int]:
        """Largest magnitude that any column's accumulator can pass through: exact, and with the ADC.

        Over all blocks, so that sums of partial products are covered too.
        """
        array, plan = self.array, self.plan
        significance = digit_weights(array.encoding, array.cell_levels, self.weight_bits)[:, np.newaxis]
        offset = weight_offset(array.encoding, self.weight_bits)
        code_max = max(-array.adc_codes[0], array.adc_codes[1])
        exact = np.zeros(self.weights.shape[1], dtype=np.int64)
        adc = np.zeros_like(exact)
        for (r0, rows, c0, cols), steps in zip(_places(self.blocks), self.ranges, strict=True):
            magnitude = np.abs(self.weights[r0 : r0 + rows, c0 : c0 + cols].astype(np.int16))
            column = magnitude.sum(axis=0, dtype=np.int64)
            reach = np.array([array.partial_sum_bound(rows, phase.width) for phase in plan.phases])
            value = np.minimum(reach + steps.astype(np.int64), code_max * steps.astype(np.int64))
            analog = int((significance * np.abs(plan.weights) * value).sum())
            exact[c0 : c0 + cols] += self._x_max * column
            adc[c0 : c0 + cols] += analog + plan.input_offset * column
            adc[c0 : c0 + cols] += rows * offset * (self._x_max + plan.input_offset)
        return int(exact.max()), int(np.maximum(exact, adc).max())

    def _plan_exact(self, first: int, count: int, low: int, high: int) -> Any:
        left, right = self.columns(first, count)
        places = _places(self._group(first, count))
        if not self.compiled:
            return ExactPlan.of(self.weights, _merge(places), left, right, self._x_max)
        from cimc.sim.kernels.dense.group_plan import IntegerProduct

        top, bottom = min(r0 for r0, _, _, _ in places), max(r0 + rows for r0, rows, _, _ in places)
        weights = np.zeros((bottom - top, right - left), dtype=np.int8)
        for r0, rows, c0, cols in places:
            here = self.weights[r0 : r0 + rows, c0 : c0 + cols]
            weights[r0 - top : r0 - top + rows, c0 - left : c0 - left + cols] = here
        return IntegerProduct(weights[:, low:high], top, self.plan.signed)

    def _plan_adc(self, first: int, count: int, low: int, high: int) -> Any:
        spans = [span.within(low, high) for span in self.spans(first, count)]
        if all(span.certified.all() for span in spans):
            return self._plan_exact(first, count, low, high)  # no converter changes anything
        if not self.compiled:
            groups = [prepare(span, self.plan, self.array.adc_codes) for span in spans]
            return PlanesPlan(groups, self.plan, high - low)
        from cimc.sim.kernels.dense.group_plan import NativePlan

        spans = [span for span in spans if span.columns.size]
        by_table = 4 * self.slices * self.weights.size <= _TABLE_BYTES
        return NativePlan(spans, self.plan, high - low, self.array.adc_codes, self.plan.signed, by_table)

    def spans(self, first: int, count: int) -> list[Span]:
        """Cell digits, steps and certificates of some blocks, those on the same rows together.

        Columns of a span count from the first of :meth:`columns`.  Encoded anew at each call.
        """
        left, _ = self.columns(first, count)
        by_rows: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for i, (r0, rows, c0, cols) in enumerate(_places(self._group(first, count)), first):
            by_rows.setdefault((r0, rows), []).append((c0, cols, i))
        found = []
        for (r0, rows), members in by_rows.items():
            columns = np.concatenate([np.arange(c0, c0 + cols) for c0, cols, _ in members])
            widths = [cols for _, cols, _ in members]
            steps = np.repeat(self.ranges[[i for _, _, i in members]].transpose(2, 1, 0), widths, axis=2)
            part = self.weights[r0 : r0 + rows, columns]
            code = encode_weights(part, self.array.encoding, self.array.cell_levels, self.weight_bits)
            sure = np.concatenate([self.certified[i] for _, _, i in members], axis=1)
            found.append(Span(slice(r0, r0 + rows), columns - left, part, code, steps.astype(np.int64), sure))
        return found


def _check_blocks(shape: tuple[int, ...], blocks: NDArray[np.integer[Any]]) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"a matrix [K, N] with rows and columns expected, got {list(shape)}")
    if blocks.ndim != 2 or blocks.shape[1] != len(BLOCK_FIELDS) or not len(blocks):
        raise ValueError(f"a block table [blocks, {len(BLOCK_FIELDS)}] expected, got {list(blocks.shape)}")
    seen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for r0, rows, c0, cols in _places(blocks):
        if r0 < 0 or c0 < 0 or rows < 1 or cols < 1 or r0 + rows > shape[0] or c0 + cols > shape[1]:
            raise ValueError(
                f"block of rows {r0}+{rows} and columns {c0}+{cols} outside the matrix {list(shape)}"
            )
        seen.setdefault((r0, rows), []).append((c0, c0 + cols))
    for spans in seen.values():
        spans.sort()
        if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
            raise ValueError("two blocks hold the same rows and columns")


def _places(blocks: NDArray[np.integer[Any]]) -> list[tuple[int, int, int, int]]:
    """``row0, rows, col0, cols`` per block."""
    return [(r0, rows, c0, cols) for r0, rows, c0, cols in blocks[:, [ROW0, ROWS, COL0, COLS]].tolist()]


def _merge(places: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """The one rectangle that the blocks tile, where they do; else the blocks."""
    top, left = min(r0 for r0, _, _, _ in places), min(c0 for _, _, c0, _ in places)
    rows = max(r0 + rows for r0, rows, _, _ in places) - top
    cols = max(c0 + cols for _, _, c0, cols in places) - left
    covered = np.zeros((rows, cols), dtype=np.uint8)
    for r0, height, c0, width in places:
        covered[r0 - top : r0 - top + height, c0 - left : c0 - left + width] += 1
    return [(top, rows, left, cols)] if (covered == 1).all() else places
