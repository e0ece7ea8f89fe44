"""Products of dense layers on real devices: static errors in the cells, one noise draw per conversion.

For each row range the cells of all slices are drawn once and stand side by side as two planes: conductances
``M`` (the mean of a read, both devices of a pair subtracted) and variances ``V``, integers both.  Then, for
each phase ``p`` with drive ``x``, slice and column::

    P = sum_r x[r] M[r]          V' = sum_r x[r]**2 V[r]
    code = clip(floor((P + sqrt(V') z + lsb / 2) / lsb))

The two sums are matrix products of integers in float32 or float64, small enough to be exact
(:mod:`cimc.sim.devices.column_tiles`), or the same on the integer units
(:mod:`cimc.sim.devices.kernels.integer_products`), so neither the batch nor the BLAS can change a bit.  One
Gaussian per conversion stands for one per cell: the sum of independent reads has this mean and this
variance.  Codes recombine as in ``docs/simulator.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError
from cimc.ir.cim import COL0, COLS, ROW0, ROWS
from cimc.sim.devices.column_tiles import CHAINS, ColumnTile, ShortTables, make_column_tile, short_tables
from cimc.sim.devices.kernels import plain
from cimc.sim.devices.model import programmed_cells as cells
from cimc.sim.devices.model import wires
from cimc.sim.devices.model.aged_levels import FRACTION, Ints, levels_for, notes
from cimc.sim.devices.model.device import Device
from cimc.sim.kernels.threads import run, shares
from cimc.support.once import Once
from cimc.support.random import quantiles, splitmix
from cimc.target.cell_encoding import Codes, encode_weights, input_phases, phase_plan
from cimc.target.spec import Array

if TYPE_CHECKING:
    from cimc.sim.devices.kernels.integer_products import IntegerPlane

_SUMS = 1 << 19  # column sums of products that are converted at a time
_TABLE_BYTES = 1 << 28  # tables take 16 bytes a cell: products do a larger matrix, to the same bits
_DRIVEN = 1 << 17  # inputs turned into phases at a time
_SAMPLES = 1 << 10  # samples whose results are added up at a time

Floats = NDArray[Any]
Inputs = NDArray[np.int8] | NDArray[np.uint8]


@dataclass(frozen=True)
class Conditions:
    """A device, the seconds since its cells were written, and the seed of everything random."""

    device: Device
    age: float = 0.0
    seed: int = 0

    def notes(self, target: str) -> list[str]:
        """What a run on ``target`` assumes beyond the published figures of the device."""
        return notes(self.device, self.age, target)


def _place(tile: ColumnTile) -> tuple[int, int, int]:
    """What tells a column tile from every other of its matrix."""
    return tile.rows.start, tile.first_col, tile.cols.stop - tile.cols.start


class NoisyDense:
    """One integer matrix in the cells of a device; arguments as for
    :class:`cimc.sim.kernels.dense.mvm.DenseKernel`, and ``name``, which keys its random numbers.

    ``compiled``: use numba (the same bits without); ``instance``: which of several copies of the matrix, each
    in cells of its own.  Raises :class:`~cimc.errors.DeviceError`
    (``device.ir-drop``) when the model of the wires does not hold.
    """

    def __init__(
        self,
        name: str,
        weights: NDArray[np.int8],
        blocks: NDArray[np.integer[Any]],
        ranges: NDArray[np.integer[Any]],
        array: Array,
        weight_bits: int,
        input_bits: int,
        signed: bool,
        conditions: Conditions,
        compiled: bool = True,
        instance: int = 0,
    ) -> None:
        self.name, self.weights, self.blocks, self.ranges = name, weights, blocks, ranges
        self.array, self.weight_bits, self.conditions = array, weight_bits, conditions
        self.plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
        self.levels = levels_for(conditions.device, conditions.age, array, int(ranges.max(initial=1)))
        self.compiled, self.instance = compiled, instance
        self._key = splitmix.name_key(conditions.seed, name)
        self._tiles: dict[tuple[int, int], list[ColumnTile]] = {}
        self._cuts: Once[tuple[int, int, int, int], list[ColumnTile]] = Once()
        self._tables: dict[tuple[int, int, int], ShortTables] = {}
        self._integers: dict[tuple[int, int, int, bool], IntegerPlane | None] = {}

    def columns(self, first: int, count: int) -> tuple[int, int]:
        """First column, and one past the last, that ``count`` blocks from ``first`` contribute to."""
        chosen = self.blocks[first : first + count].astype(np.int64)
        return int(chosen[:, COL0].min()), int((chosen[:, COL0] + chosen[:, COLS]).max())

    def noisy(
        self, x: Inputs, first: int, count: int, request: int, use: int = 0, threads: int = 1, step: int = 1
    ) -> NDArray[np.int32]:
        """Partial product of the blocks ``first .. first + count - 1``, int32 ``[B, C]``.

        ``x [B, K]``: inputs of the requests ``request``, ``request + step``, ... of the run; ``use`` counts
        how often the program has used these blocks for a request before; ``threads`` share the batch, or the
        columns where it is small (products of numpy have the threads of its BLAS).  Raises ``ValueError``
        for inputs out of range and :class:`~cimc.errors.ProgramError` (``sim.accumulator-overflow``) for
        results beyond 32 bits.
        """
        left, right = self.columns(first, count)
        out = np.zeros((len(x), right - left), np.int64)
        parts, blocks = shares(len(x), right - left, threads)
        tasks = []
        for block in blocks:
            tiles = self._within(first, count, block)
            for part in parts:
                for at in range(part.start, part.stop, _SAMPLES):
                    some = slice(at, min(at + _SAMPLES, part.stop))
                    requests = request + step * np.arange(some.start, some.stop)
                    tasks.append(partial(self._add_all, out[some], tiles, x[some], requests, use))
        run(tasks, threads)
        if out.size and max(-int(out.min()), int(out.max())) > np.iinfo(np.int32).max:
            raise ProgramError(
                "sim.accumulator-overflow",
                f"matrix {self.name}: a sum of {np.abs(out).max()} exceeds a 32-bit accumulator",
                hint="use fewer activation or weight bits, or split the layer along its inputs",
            )
        return out.astype(np.int32)

    def _add_all(self, out: Ints, tiles: list[ColumnTile], x: Inputs, requests: Ints, use: int) -> None:
        """Add what ``tiles`` convert for ``x`` to ``out [B, C]``."""
        by_product = []
        for tile in tiles:
            acc, driven = out[:, tile.cols], x[:, tile.rows]
            if self._by_tables(tile):
                acc += self._by_table(tile, driven, self._keys(tile, requests, use))
            else:
                by_product.append(tile)
            acc += tile.constant
            if tile.input_factor:
                acc += tile.input_factor * driven.sum(axis=1, dtype=np.int64)[:, np.newaxis]
        if not by_product:
            return
        low, high = min(s.rows.start for s in by_product), max(s.rows.stop for s in by_product)
        step = max(1, min(_DRIVEN // (high - low), _SUMS // max(s.factor.size for s in by_product)))
        for b in range(0, len(x), step):
            some = slice(b, b + step)
            drive = input_phases(x[some, low:high], self.plan)
            for tile in by_product:
                driven = drive[:, :, tile.rows.start - low : tile.rows.stop - low]
                keys = self._keys(tile, requests[some], use)
                self._by_product(out[some, tile.cols], tile, driven, keys)

    def _keys(self, tile: ColumnTile, requests: Ints, use: int) -> splitmix.Words:
        """Streams of the conversions of ``requests``."""
        if not self.compiled:
            return splitmix.words(splitmix.words(tile.key, requests), use)
        from cimc.sim.devices.kernels import compiled

        return np.asarray(compiled.branches(np.uint64(tile.key), requests, np.uint64(use)))

    def _by_tables(self, tile: ColumnTile) -> bool:
        cells = len(tile.scale) * self.weights.size
        return self.compiled and tile.short and 16 * cells <= _TABLE_BYTES

    def _by_product(self, acc: Ints, tile: ColumnTile, drive: Codes, keys: splitmix.Words) -> None:
        phases, slices, cols = tile.factor.shape
        shape = (phases, len(acc), slices, cols)
        driven: Codes = np.ascontiguousarray(drive).reshape(phases * len(acc), -1)  # type: ignore[assignment]
        sums = self._sums(tile, driven, False).reshape(shape)
        noisy = tile.spreads.size > 0
        spreads = np.zeros((0, 0, 0, 0), sums.dtype)
        if noisy:
            spreads = self._sums(tile, driven, True).reshape(shape).astype(sums.dtype, copy=False)
        low, high = self.array.adc_codes
        total = self.weights.shape[1]
        if self.compiled:
            from cimc.sim.devices.kernels import compiled

            real = sums.dtype.type
            compiled.dense_epilogue(
                acc, sums, spreads, keys, drive.any(axis=2), tile.scale, tile.half, tile.step,
                tile.factor, tile.first_col, total, real(low), real(high), noisy,
            )  # fmt: skip
        else:
            plain.dense_epilogue(
                acc, sums, spreads, keys, quantiles.deviates().astype(sums.dtype), tile.scale, tile.half,
                tile.step, tile.factor, tile.first_col, total, (low, high), noisy,
            )  # fmt: skip

    def _sums(self, tile: ColumnTile, driven: Codes, squared: bool) -> Floats:
        """``driven [n, R]`` times the column tile's means, or its squares times the spreads: ``[n, S*C]``."""
        plane = tile.spreads if squared else tile.means
        several = squared and (self.array.dac_bits > 1 or self.plan.native)
        prepared = self._integers.get((*_place(tile), squared))
        if prepared is not None and self.compiled:  # of unsigned codes
            codes = driven.astype(np.uint8, copy=False)
            return prepared(codes * codes if several else codes)
        inputs = driven.astype(plane.dtype)
        if several:
            inputs *= inputs
        return np.asarray(np.matmul(inputs, plane))

    def _by_table(self, tile: ColumnTile, x: Inputs, keys: splitmix.Words) -> NDArray[np.int32]:
        from cimc.sim.devices.kernels import noisy_lut4

        t = self._tables[_place(tile)]
        slices = tile.factor.shape[1]
        out = np.zeros((len(x), tile.constant.size), np.int32)
        low, high = self.array.adc_codes
        noisy_lut4.multiply(
            out.reshape(-1), out.shape[1], np.ascontiguousarray(x).view(np.uint8), *self._phases, t.sums,
            t.scales, t.halves, t.steps, t.factors, t.divide, keys, tile.first_col, self.weights.shape[1],
            slices, low, high,
        )  # fmt: skip
        return out

    # -- preparation --------------------------------------------------------------------------------

    @cached_property
    def _phases(self) -> tuple[NDArray[np.int64], np.uint8, np.uint8]:
        """Source and bit of every phase, filled up to whole chains; offset and mask of the pattern."""
        from cimc.sim.kernels.dense.unit_selection import SOURCES, pattern

        found = [[SOURCES[phase.sign], phase.low] for phase in self.plan.phases]
        found += [[-1, 0]] * (-len(found) % CHAINS)
        return np.array(found, np.int64), *pattern(self.plan)

    def _within(self, first: int, count: int, block: slice) -> list[ColumnTile]:
        """All that threads read, prepared, for the columns ``block`` of a result."""
        return self._cuts.get((first, count, block.start, block.stop), self._cut)

    def _cut(self, key: tuple[int, int, int, int]) -> list[ColumnTile]:
        """Of the blocks ``first``, ``count`` the columns from, to; one thread at a time is here."""
        first, count, start, stop = key
        if (first, count) not in self._tiles:
            self._tiles[first, count] = self._prepare(first, count)
        pieces = [tile.within(slice(start, stop)) for tile in self._tiles[first, count]]
        found = [piece for piece in pieces if piece is not None]
        for tile in found:
            if not self._by_tables(tile):
                self._integer_planes(tile)
            elif _place(tile) not in self._tables:
                self._tables[_place(tile)] = short_tables(tile)
        return found

    def _integer_planes(self, tile: ColumnTile) -> None:
        if not self.compiled or self.plan.native or (*_place(tile), False) in self._integers:
            return
        from cimc.sim.devices.kernels.integer_products import IntegerPlane

        drive = max((1 << phase.width) - 1 for phase in self.plan.phases)
        for squared, plane in enumerate((tile.means, tile.spreads)):
            found = IntegerPlane.of(plane, drive * drive if squared else drive)
            self._integers[(*_place(tile), bool(squared))] = found

    def _prepare(self, first: int, count: int) -> list[ColumnTile]:
        left, _ = self.columns(first, count)
        chosen = self.blocks[first : first + count, [ROW0, ROWS, COL0, COLS]].astype(np.int64).tolist()
        order = sorted(range(count), key=lambda i: chosen[i])
        tiles = []
        for (r0, rows), group in groupby(order, key=lambda i: tuple(chosen[i][:2])):
            members = list(group)
            while members:  # runs of neighbouring columns
                run = 1
                while run < len(members) and chosen[members[run]][2] == sum(chosen[members[run - 1]][2:]):
                    run += 1
                part, members = members[:run], members[run:]
                tiles.append(self._strip(r0, rows, [(*chosen[i][2:], first + i) for i in part], left))
        return tiles

    def _strip(self, r0: int, rows: int, members: list[tuple[int, int, int]], left: int) -> ColumnTile:
        """Prepare blocks ``(col0, cols, number)`` that stand side by side on rows ``r0 ..``."""
        c0, width = members[0][0], sum(cols for _, cols, _ in members)
        widths = [cols for _, cols, _ in members]
        part = self.weights[r0 : r0 + rows, c0 : c0 + width]
        code = encode_weights(part, self.array.encoding, self.array.cell_levels, self.weight_bits)
        means, variances = self._planes(code.digits, r0, members)
        lsb = self.ranges[[number for _, _, number in members]].astype(np.int64).transpose(2, 1, 0)
        return make_column_tile(
            slice(r0, r0 + rows), slice(c0 - left, c0 - left + width), c0, means, variances,
            np.repeat(lsb, widths, axis=2), part, code, self.plan, self.array, self.levels,
            splitmix.fold(splitmix.fold(self._key, cells.DENSE_READS), r0),
        )  # fmt: skip

    def _planes(
        self, digits: NDArray[np.int8], r0: int, members: list[tuple[int, int, int]]
    ) -> tuple[Ints, Ints]:
        """``M`` and ``V`` of the cells that hold ``digits [S, R, C]``; int64, the same shape."""
        levels, width = self.levels, digits.shape[2]
        rows, cols = np.arange(r0, r0 + digits.shape[1]), members[0][0] + np.arange(width)
        key = splitmix.fold(splitmix.fold(self._key, cells.CELLS), self.instance)
        pair = self.array.encoding == "differential"
        held = [
            cells.draw_devices(levels, key, rows, cols, d, np.maximum(sign * digits, 0))
            for d, sign in enumerate((1, -1) if pair else (1,))
        ]
        moments = [cells.read_moments(levels, m) for m in held]
        if wires.resistive(self.conditions.device.wires):
            moments = self._through_wires(held, moments, members)
        if not pair:
            return moments[0]
        (mean, variance), (below, more) = moments
        return mean - below, variance + more

    def _through_wires(
        self, held: list[Ints], moments: list[tuple[Ints, Ints]], members: list[tuple[int, int, int]]
    ) -> list[tuple[Ints, Ints]]:
        """Moments after IR drop, block by block: slice ``s`` of column ``c`` is cell ``s * cols + c``."""
        levels, line = self.levels, self.conditions.device.wires
        at = 0
        for _, cols, number in members:
            span = slice(at, at + cols)
            shape = (held[0].shape[1], -1)
            unit = levels.unit / 2**FRACTION
            loads = [levels.low + m[:, :, span].transpose(1, 0, 2).reshape(shape) * unit for m in held]
            for (mean, variance), load in zip(moments, loads, strict=True):
                d = wires.drop(line, sum(loads[1:], loads[0]), load)
                wires.check(float(d.max()), f"matrix {self.name}, block {number}")
                d = d.reshape(shape[0], -1, cols).transpose(1, 0, 2)
                mean[:, :, span], variance[:, :, span] = wires.attenuated(
                    levels, mean[:, :, span], variance[:, :, span], d
                )
            at += cols
        return moments
