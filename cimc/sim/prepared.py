"""What all runs of one program share: made from it when first needed, never changed afterwards."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from cimc.isa.directory import RowDirectory
from cimc.isa.program import ChipSegment, Matrix, Program
from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.devices.noisy_mode import Noise
from cimc.sim.instruction_streams import Streams
from cimc.sim.kernels.dense.mvm import DenseKernel
from cimc.sim.kernels.searches.corpus_sums import Corpus
from cimc.sim.reading import TableReader
from cimc.support.once import Once
from cimc.target.spec import Target


class Prepared:
    """Kernels, tables and streams of ``program``; threads may use it at the same time."""

    def __init__(self, program: Program, target: Target) -> None:
        self.program, self.target = program, target
        self.constants: NDArray[np.uint8] = program.constants.reshape(1, -1)
        self._kernels: Once[Matrix, DenseKernel] = Once()
        self._corpora: Once[Matrix, Corpus] = Once()
        self._directories: Once[Matrix, RowDirectory] = Once()
        self._readers: Once[Matrix, TableReader] = Once()
        self._streams: Once[int, Streams] = Once()
        self._latest: Noise | None = None
        self._noises: weakref.WeakValueDictionary[Conditions, Noise] = weakref.WeakValueDictionary()

    def kernel(self, matrix: Matrix) -> DenseKernel:
        """The kernel of a dense matrix."""
        return self._kernels.get(matrix, self._make_kernel)

    def corpus(self, matrix: Matrix) -> Corpus:
        """The kernels of a corpus."""
        return self._corpora.get(matrix, lambda each: Corpus(self.program, each, self.target))

    def reader(self, matrix: Matrix) -> TableReader:
        """What reads the rows of a table."""
        return self._readers.get(
            matrix, lambda table: TableReader(self.program, table, self.target, self.directory(table))
        )

    def directory(self, matrix: Matrix) -> RowDirectory:
        """The row directory of a table."""
        return self._directories.get(matrix, lambda table: RowDirectory(self.program, table))

    def streams(self, segment: int) -> Streams:
        """The streams of the chip segment with this number."""
        return self._streams.get(segment, self._make_streams)

    def noise(self, conditions: Conditions) -> Noise:
        """The cells of a device: shared by runs that overlap, and kept until others are asked for."""
        noise = self._noises.get(conditions)
        if noise is None:
            noise = Noise(self.program, self.target, conditions, self.directory)
            self._noises[conditions] = noise  # two threads at once: two of them, with the same cells
        self._latest = noise
        return noise

    def _make_kernel(self, matrix: Matrix) -> DenseKernel:
        data, name = self.program.data, matrix.name
        return DenseKernel(
            data[f"{name}.data"], data[f"{name}.blocks"], data[f"{name}.ranges"], self.target.array,
            matrix.bits, matrix.input_bits, matrix.input_signed, data.get(f"{name}.certificate"),
        )  # fmt: skip

    def _make_streams(self, number: int) -> Streams:
        segment = self.program.segments[number]
        assert isinstance(segment, ChipSegment)
        return Streams(segment, self.program)
