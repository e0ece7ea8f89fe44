"""The clip-free certificate: which column sums no input can take past the ADC's codes.

A *unit* is one slice of one column of one block: the cells whose sums one converter sees.  With step 1 in
every phase, and cells that even at full drive add up to no more than the last code (and, for signed cells, no
less than the first), the converter changes nothing: the unit's part of the result is an integer product.
This is a property of the programmed cells and the converter alone, so it is computed once, when a matrix is
cut into blocks, and stored in the program as ``NAME.certificate``: one bit per unit, blocks in the order of
the block table, slices of a block least significant first, columns of a slice in order, packed most
significant bit first.  The program verifier computes it anew: a certificate is checked, never believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.target.cell_encoding import encode_weights, max_weight, phase_plan
from cimc.target.spec import Array

Integers = NDArray[np.integer[Any]]
_PACKED = 4  # slices whose sums share an integer of 64 bits
_ROWS = 512  # rows of digits of at most 127 that 16 bits can add up


def certify(
    weights: NDArray[np.int8],
    blocks: Integers,
    ranges: Integers,
    array: Array,
    weight_bits: int,
    input_bits: int,
    signed: bool,
) -> NDArray[np.uint8]:
    """The certificate of a dense matrix, packed.

    ``weights``: ``[K, N]``; ``blocks``: per block ``row0, rows, col0, cols`` (further fields are ignored);
    ``ranges``: ADC steps ``[blocks, slices, phases]``.
    """
    plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
    drive = max((1 << phase.width) - 1 for phase in plan.phases)
    low, high = array.adc_codes
    sums = DigitSums(array, weight_bits)
    units = []
    for (row0, rows, col0, cols), steps in zip(blocks[:, :4].tolist(), ranges, strict=True):
        fine = (steps == 1).all(axis=1)
        unit = np.zeros((len(fine), cols), dtype=bool)
        if fine.any():
            held, positive, negative = sums.of(weights[row0 : row0 + rows, col0 : col0 + cols])
            up, down = plan.reach(positive, negative)
            free = (up * drive <= high) & (down * drive <= -low)
            unit = fine[:, np.newaxis] & held & free
        units.append(unit.reshape(-1))
    return np.packbits(np.concatenate(units))


def unpack(packed: NDArray[np.uint8], blocks: Integers, slices: int) -> list[NDArray[np.bool_]]:
    """A certificate as one array ``[slices, columns]`` per block.

    Raises ``ValueError`` for a certificate of another size.
    """
    widths = blocks[:, 3].tolist()
    total = slices * sum(widths)
    if packed.dtype != np.uint8 or packed.shape != (-(-total // 8),):
        raise ValueError(f"a certificate of {total} bits expected, got {packed.dtype} {list(packed.shape)}")
    bits = np.unpackbits(packed, count=total).astype(bool)
    return list(_split(bits, widths, slices))


def shares(packed: NDArray[np.uint8], blocks: Integers, slices: int) -> tuple[int, int]:
    """Units of a matrix that are certified, and units in all.

    Every phase converts every unit once, so the quotient is the share of conversions too.
    """
    total = slices * int(blocks[:, 3].sum())
    return int(np.unpackbits(packed, count=total).sum()), total


def _split(bits: NDArray[np.bool_], widths: list[int], slices: int) -> Iterator[NDArray[np.bool_]]:
    at = 0
    for width in widths:
        yield bits[at : at + slices * width].reshape(slices, width)
        at += slices * width


class DigitSums:
    """Sums over rows of the positive and of the negative digits of weights, of every slice.

    Four slices at a time: a table gives, for a weight's byte, their digits in 16 bits each of one integer.
    """

    def __init__(self, array: Array, weight_bits: int) -> None:
        self.high = max_weight(array.encoding, array.cell_levels, weight_bits)
        self.low = -(1 << (weight_bits - 1)) if array.encoding == "offset" else -self.high
        values = np.arange(self.low, self.high + 1)
        digits = encode_weights(values, array.encoding, array.cell_levels, weight_bits).digits.astype(
            np.int64
        )
        self.slices = len(digits)
        self.tables = [self._packed(np.maximum(part, 0), values) for part in (digits, -digits)]

    def _packed(self, digits: NDArray[np.int64], values: NDArray[np.int64]) -> list[NDArray[np.uint64]]:
        """``digits [S, values]`` by the bytes of ``values``, four slices a table; none where all are 0."""
        tables = []
        for first in range(0, self.slices if digits.any() else 0, _PACKED):
            table = np.zeros(256, dtype=np.uint64)
            for i, slice_digits in enumerate(digits[first : first + _PACKED]):
                table[values & 255] |= slice_digits.astype(np.uint64) << np.uint64(16 * i)
            tables.append(table)
        return tables

    def of(self, weights: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """For ``weights [R, C]``: whether cells can hold a column; both sums as magnitudes ``[S, C]``."""
        held = np.asarray(((weights >= self.low) & (weights <= self.high)).all(axis=0))
        totals = [np.zeros((self.slices, weights.shape[1]), dtype=np.int64) for _ in self.tables]
        for first in range(0, len(weights), _ROWS):
            places = weights[first : first + _ROWS].view(np.uint8).astype(np.intp)
            for total, tables in zip(totals, self.tables, strict=True):
                for number, table in enumerate(tables):
                    packed = np.take(table, places).sum(axis=0)
                    for s in range(number * _PACKED, min((number + 1) * _PACKED, self.slices)):
                        shift = np.uint64(16 * (s - number * _PACKED))
                        total[s] += ((packed >> shift) & np.uint64(0xFFFF)).astype(np.int64)
        return held, totals[0], totals[1]
