"""A corpus in crossbar cells: sums of its items with queries, a few thousand items at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.cim import BLOCK_FIELDS, COL0, COLS, ROW0, ROWS
from cimc.isa.program import Matrix, Program
from cimc.sim.kernels.dense.mvm import DenseKernel, Inputs
from cimc.sim.kernels.searches.running_best import Sink
from cimc.support.once import Once
from cimc.target.spec import Target

Floats = NDArray[np.float32]

ITEMS = 4096
"""Items whose sums exist at once, unless a block has more."""


class Corpus:
    """The items of a corpus as layers of a few thousand outputs each, prepared when first needed.

    An item is a column of its array, so that a block's converters see what those of a layer with items as
    units would: word lines of other groups on the same array are not driven.
    """

    def __init__(self, program: Program, matrix: Matrix, target: Target) -> None:
        def of(part: str) -> NDArray[Any] | None:
            return program.data.get(f"{matrix.name}.{part}")

        self.matrix, self.target = matrix, target
        parts = (program.data[f"{matrix.name}.{part}"] for part in ("data", "blocks", "ranges"))
        self.data, self.blocks, self.ranges = parts
        self.factors, self.biases = of("row_scales"), of("row_biases")
        self._layers: Once[tuple[int, int], DenseKernel] = Once()

    def search(
        self, x: Inputs, first: int, count: int, sinks: Sequence[Sink], mode: str, threads: int = 1
    ) -> None:
        """Let ``sinks`` have the sums of queries ``x [B, dim]`` with the items of some blocks, in order.

        Raises:
            ValueError: for queries that the corpus does not take.
        """
        for part in self._parts(first, count):
            layer = self._layers.get(part, lambda key: self._layer(*key))
            product = layer.adc if mode == "adc" else layer.exact
            sums, item = product(x, 0, part[1], threads=threads), int(self.blocks[part[0], ROW0])
            for sink in sinks:
                sink.add(sums, item, *self._own(item, sums.shape[1]))

    def _own(self, first: int, count: int) -> tuple[Floats | None, Floats | None]:
        """Factors and biases of some items, as far as they have any."""
        here = slice(first, first + count)
        return (
            None if self.factors is None else self.factors[here],
            None if self.biases is None else self.biases[here],
        )

    def _parts(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """First block, and number of blocks, of the parts of a range: all numbers of some items."""
        starts = self.blocks[first : first + count, ROW0]
        bounds = [0, *(np.flatnonzero(np.diff(starts // ITEMS)) + 1).tolist(), count]
        for a, b in pairwise(bounds):
            yield first + a, b - a

    def _layer(self, first: int, count: int) -> DenseKernel:
        blocks, matrix = self.blocks[first : first + count].astype(np.int64), self.matrix
        low, high = int(blocks[:, ROW0].min()), int((blocks[:, ROW0] + blocks[:, ROWS]).max())
        across = np.zeros((count, len(BLOCK_FIELDS)), np.int32)
        across[:, ROW0], across[:, ROWS] = blocks[:, COL0], blocks[:, COLS]
        across[:, COL0], across[:, COLS] = blocks[:, ROW0] - low, blocks[:, ROWS]
        return DenseKernel(
            np.ascontiguousarray(self.data[low:high].T), across, self.ranges[first : first + count],
            self.target.array, matrix.bits, matrix.input_bits, matrix.input_signed,
        )  # fmt: skip
