"""Prepares the units of an array group that go through converters, and chooses a kernel for them.

One-bit phases run by table (``lut4.py``), others by integer products with a quantising epilogue
(``dot_products.py``). Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.aligned import aligned
from cimc.sim.kernels.dense import dot_products, lut4
from cimc.sim.kernels.dense.bit_planes import F32_CONVERSION
from cimc.sim.kernels.dense.row_spans import Span, significance
from cimc.target.cell_encoding import PhasePlan

Kernel = Callable[[NDArray[np.uint8], NDArray[np.int32], int, int], None]
"""Called with inputs ``uint8 [B, K]``, a flat ``int32`` array, a place, a pitch: sample ``b``'s result is
written, or added, to ``C`` elements from ``place + b * pitch``."""

SOURCES = {
    "pattern": dot_products.PATTERN,
    "positive": dot_products.POSITIVE,
    "negative": dot_products.NEGATIVE,
    "signbit": dot_products.SIGN,
    "magnitude": dot_products.MAGNITUDE,
}
_TABLE_ROWS = 4 * (65536 // (16 * 8) - 1)  # rows whose table entries 16 bits can number, in eighths


def converters_of(
    spans: list[Span], plan: PhasePlan, codes: tuple[int, int], by_table: bool = True
) -> list[Kernel]:
    """Kernels that add up the uncertified units of ``spans``; ``codes``: smallest and largest ADC code.

    ``by_table``: whether tables may be made, which take 4 bytes or more per cell.
    """
    kinds = [usable(span, plan, codes)[0] if by_table else "products" for span in spans]
    chosen = {
        kind: [s for s, k in zip(spans, kinds, strict=True) if k == kind] for kind in dict.fromkeys(kinds)
    }
    return [
        _Products(part, plan, codes) if kind == "products" else _Tables(part, plan, codes, kind)
        for kind, part in chosen.items()
    ]


def usable(span: Span, plan: PhasePlan, codes: tuple[int, int]) -> list[str]:
    """The kernels that can do a span, best first.

    ``products``, or a table: ``clipped``, or sums in ``bytes`` or 16-bit ``words`` that are converted.
    """
    unsure = ~span.certified
    sums, steps = span.reach(plan)[:, unsure], span.lsb[:, unsure]
    widest = int(sums.max(initial=0))
    rows = span.rows.stop - span.rows.start
    if plan.native or any(phase.width > 1 for phase in plan.phases) or rows > _TABLE_ROWS:
        return ["products"]
    kinds = []
    unsigned = not (span.code.digits < 0).any()
    if unsigned and (steps == 1).all() and codes[0] == 0 and codes[1] <= 255:
        kinds.append("clipped")
    if int((sums + steps // 2).max(initial=0)) < F32_CONVERSION:
        if unsigned and widest <= 255:
            kinds.append("bytes")
        if widest <= 32767:
            kinds.append("words")
    if dot_products.DOT == "vnni" and kinds and kinds[0] == "words":  # as fast, and a sixteenth of the memory
        return ["products", "words"]
    return [*kinds, "products"]


# --------------------------------------------------------------------------------------------------
# Products


class Packer:
    """Weights in panels, as the micro-tile reads them: for each dot product, its rows of 16 columns."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._size = 0

    def add(self, weights: NDArray[np.int8]) -> list[tuple[int, int, int, int]]:
        """Pack ``weights [R, C]``: per panel its beginning, its vectors, its first column and its columns."""
        rows, cols = weights.shape
        height = -(-rows // dot_products.DOT_ROWS) * dot_products.DOT_ROWS
        vectors = -(-cols // dot_products.LANES)
        padded = np.zeros((height, vectors * dot_products.LANES), dot_products.WEIGHT)
        padded[:rows, :cols] = weights
        panels, left = [], 0
        while left < vectors:
            n = next(n for n in dot_products.PANELS if n <= vectors - left)
            part = padded[:, left * dot_products.LANES : (left + n) * dot_products.LANES]
            groups = part.reshape(-1, dot_products.DOT_ROWS, n * dot_products.LANES).transpose(0, 2, 1)
            first = left * dot_products.LANES
            panels.append((self._size, n, first, min(n * dot_products.LANES, cols - first)))
            self._parts.append(groups.reshape(-1))
            self._size += part.size
            left += n
        return panels

    def packed(self) -> NDArray[Any]:
        """All panels, one after another."""
        return np.concatenate(self._parts)


class _Products:
    """Units through :func:`cimc.sim.kernels.dense.dot_products.converted_products`."""

    def __init__(self, spans: list[Span], plan: PhasePlan, codes: tuple[int, int]) -> None:
        self.codes = codes
        self.offset, self.mask = pattern(plan)
        self.phases = np.array([[SOURCES[p.sign], p.low, (1 << p.width) - 1] for p in plan.phases], np.int64)
        packer = Packer()
        panels, columns = [], []
        steps: list[NDArray[Any]] = []
        factors: list[NDArray[Any]] = []
        shifts: list[NDArray[Any]] = []
        raised = (self.phases[:, 2] if plan.native else 0 * self.phases[:, 2]).astype(np.int32)
        at_columns = at_steps = 0
        widest = 0
        for span in spans:
            factor = significance(span, plan)
            rows = span.rows.stop - span.rows.start
            for s, unsure in enumerate(~span.certified):
                units = np.flatnonzero(unsure)
                if not len(units):
                    continue
                widest = max(widest, int((span.reach(plan)[:, s, units] + span.lsb[:, s, units] // 2).max()))
                for at, vectors, left, width in packer.add(span.code.digits[s][:, units]):
                    here = units[left : left + width]
                    lanes = vectors * dot_products.LANES
                    panels.append([
                        at, vectors, span.rows.start, -(-rows // dot_products.DOT_ROWS),
                        at_columns, at_steps, width,
                    ])  # fmt: skip
                    columns.append(span.columns[here])
                    at_columns += width
                    sums = span.code.digits[s][:, here].sum(axis=0, dtype=np.int32)
                    shift = np.zeros((len(self.phases), lanes), np.int32)
                    shift[:, :width] = raised[:, None] * sums
                    shifts.append(shift.reshape(-1))
                    for source, target, fill in ((span.lsb, steps, 1), (factor, factors, 0)):
                        block = np.full((len(self.phases), lanes), fill, np.int32)
                        block[:, :width] = source[:, s, here]
                        target.append(block.reshape(-1))
                    at_steps += len(self.phases) * lanes
        self.weights, self.panels = packer.packed(), np.array(panels, np.int64)
        self.columns = np.concatenate(columns).astype(np.int64)
        self.steps, self.factors = np.concatenate(steps), np.concatenate(factors)
        self.shifts = np.concatenate(shifts)
        self.halves = (self.steps // 2 - self.shifts + 0.5).astype(np.float32)
        self.reciprocals = np.reciprocal(self.steps.astype(np.float32))
        # raised sums and their shifts are up to twice what they differ by
        if widest * (3 if plan.native else 1) < F32_CONVERSION:
            self.steps = np.zeros(0, np.int32)

    def __call__(self, x: NDArray[np.uint8], out: NDArray[np.int32], place: int, pitch: int) -> None:
        dot_products.converted_products(
            x, self.phases, self.offset, self.mask, self.weights, self.panels, self.columns, self.halves,
            self.reciprocals, self.factors, self.steps, self.shifts, *self.codes, out, place, pitch,
        )  # fmt: skip


def pattern(plan: PhasePlan) -> tuple[np.uint8, np.uint8]:
    """What is added to an input before its bits are driven, and the mask of these bits."""
    return np.uint8(plan.input_offset & 255), np.uint8((1 << plan.bits) - 1)


# --------------------------------------------------------------------------------------------------
# Tables


class _Tables:
    """Units through the kernels of :mod:`cimc.sim.kernels.dense.lut4`.

    Columns whose uncertified slices are the same share tables: one has 64, 32, 16 or 8 columns of 1, 2, up
    to 4 or up to 8 slices.
    """

    def __init__(self, spans: list[Span], plan: PhasePlan, codes: tuple[int, int], kind: str) -> None:
        self.codes, self.kind = codes, kind
        self.offset, self.mask = pattern(plan)
        self.chunks, places = _chunks(plan)
        dtype = np.int16 if kind == "words" else np.uint8
        rows, blocks, parts, columns = [], [], [], []
        weights: list[NDArray[Any]] = []
        steps: list[NDArray[Any]] = []
        factors: list[NDArray[Any]] = []
        at = at_columns = groups = 0
        for number, span in enumerate(spans):
            height = span.rows.stop - span.rows.start
            rows.append([span.rows.start, height, groups])
            groups += -(-height // 4)
            factor = significance(span, plan)
            for slices, members in _classes(~span.certified):
                slots = next(n for n in (64, 32, 16, 8) if n * len(slices) <= lut4.LANES)
                for first in range(0, len(members), slots):
                    here = members[first : first + slots]
                    units = np.ix_(slices, here)

                    digits = span.code.digits[slices][:, :, here].transpose(1, 0, 2)
                    parts.append(_table(_lanes(digits, slots), dtype))
                    parameters = len(weights) + len(steps)
                    blocks.append([at, number, at_columns, len(here), slots, parameters * lut4.LANES])
                    at += parts[-1].size
                    columns.append(span.columns[here])
                    at_columns += len(here)
                    if kind == "clipped":
                        weight = np.repeat(span.code.digit_weights[slices, None], len(here), axis=1)
                        weights.append(_lanes(weight, slots))
                        continue
                    for p in places:  # a place left over counts nothing
                        steps.append(_lanes(span.lsb[max(p, 0)][units], slots, 1))
                        factors.append(_lanes(factor[max(p, 0)][units] * (p >= 0), slots))
        self.spans, self.blocks = np.array(rows, np.int64), np.array(blocks, np.int64)
        self.tables = aligned(np.concatenate(parts))
        self.columns = np.concatenate(columns).astype(np.int64)
        self.weights = np.array(weights, np.int32).reshape(-1)
        lsb = np.array(steps, np.int64).reshape(-1)
        self.halves = (lsb // 2 + 0.5).astype(np.float32)
        self.reciprocals = np.reciprocal(lsb.astype(np.float32))
        self.factors = np.array(factors, np.int32).reshape(-1)

    def __call__(self, x: NDArray[np.uint8], out: NDArray[np.int32], place: int, pitch: int) -> None:
        if self.kind == "clipped":
            lut4.clipped_tables(
                x, self.chunks, self.offset, self.mask, self.spans, self.blocks, self.tables, self.columns,
                self.weights, self.codes[1], out, place, pitch,
            )  # fmt: skip
        else:
            lut4.converted_tables(
                x, self.chunks, self.offset, self.mask, self.spans, self.blocks, self.tables, self.columns,
                self.halves, self.reciprocals, self.factors, *self.codes, out, place, pitch,
            )  # fmt: skip


def _chunks(plan: PhasePlan) -> tuple[NDArray[np.int64], list[int]]:
    """One-bit phases as chunks of consecutive bits of a source with doubling weights, and each place's phase.

    A chunk has 8, 4 or 1 places; of 8 or 4, the last may be left over: its phase is -1 and counts nothing.
    The last place may also be a sign bit, whose weight is negative.
    """
    runs: list[list[int]] = []
    for p, phase in enumerate(plan.phases):
        before = plan.phases[runs[-1][-1]] if runs else phase
        doubles = phase.weight == 2 * before.weight
        ends = (
            phase.weight == -2 * before.weight and len(runs[-1]) % 4 == 3
        )  # the last place of a whole chunk
        if phase.sign == before.sign and (doubles or ends):
            runs[-1].append(p)
        else:
            runs.append([p])
    chunks: list[list[int]] = []
    places: list[int] = []
    for run in runs:
        while run:
            chains = next(n for n in lut4.CHAINS if len(run) >= max(n - 1, 1))
            part, run = run[:chains], run[chains:]
            first, last = plan.phases[part[0]], plan.phases[part[-1]]
            top = 0 if len(part) < chains else (1 if last.weight == first.weight << (chains - 1) else -1)
            chunks.append([SOURCES[first.sign], first.low, chains, first.weight, top, len(places)])
            places += part + [-1] * (chains - len(part))
    return np.array(chunks, np.int64), places


def _lanes(values: NDArray[Any], slots: int, fill: int = 0) -> NDArray[Any]:
    """``[..., slices, columns]`` as ``[..., 64]``, ``slots`` columns a slice."""
    wide = np.full((*values.shape[:-2], lut4.LANES // slots, slots), fill, values.dtype)
    wide[..., : values.shape[-2], : values.shape[-1]] = values
    return wide.reshape(*values.shape[:-2], lut4.LANES)


def _classes(unsure: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Columns of ``unsure [S, C]`` by the slices they have in it: pairs of slices and columns."""
    masks, classes = np.unique(unsure, axis=1, return_inverse=True)
    pairs = [
        (np.flatnonzero(mask), np.flatnonzero(classes.reshape(-1) == k)) for k, mask in enumerate(masks.T)
    ]
    return [(slices, columns) for slices, columns in pairs if len(slices)]


def _table(digits: NDArray[np.int8], dtype: Any) -> NDArray[Any]:
    """Sums of every subset of each four rows of ``digits [R, 64]``: ``[groups, 16, 64]``, flat."""
    groups = -(-len(digits) // 4)
    cells = np.zeros((groups * 4, lut4.LANES), dtype)
    cells[: len(digits)] = digits
    cells = cells.reshape(groups, 4, lut4.LANES)
    table = np.zeros((groups, 16, lut4.LANES), dtype)
    for entry in range(1, 16):
        bit = entry.bit_length() - 1
        table[:, entry] = table[:, entry & ~(1 << bit)] + cells[:, bit]
    return table.reshape(-1)
