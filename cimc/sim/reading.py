"""Rows of a table as a mode reads them; only the rows that requests ask for are looked at.

Most tables read as written: their array is used as it is, a memory map as a rule.  Where the converters alter
digits, or the table is one that is made when it is read, the rows asked for become a small table of their
own, and the bags name its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError
from cimc.interpreter.bags import Bags, RowScales
from cimc.ir.cim import COL0, COLS
from cimc.ir.residence import Residence
from cimc.isa.directory import RowDirectory
from cimc.isa.program import Matrix, Program
from cimc.sim.kernels.lookups.pooled_rows import adc_levels, weight_bounds
from cimc.support.io.lazy import LazyArray
from cimc.target.spec import Target


class TableReader:
    """Reads one table of a program.

    Args:
        program, matrix: the table; its data may be made on demand (:class:`~cimc.support.io.lazy.LazyArray`).
        target: the machine whose converters ``adc`` models.
        directory: where its rows lie: those in SRAM and DRAM pass no converter.
    """

    def __init__(self, program: Program, matrix: Matrix, target: Target, directory: RowDirectory) -> None:
        data, name = program.data, matrix.name
        self.name, self.directory = name, directory
        self.written: Any = data[f"{name}.data"]
        factors = data.get(f"{name}.row_scales")
        self.scales = None if factors is None else RowScales(factors, data.get(f"{name}.row_biases"))
        self._bounds = weight_bounds(target.array, matrix.bits)
        levels = adc_levels(target.array, matrix.bits, int(data[f"{name}.ranges"][0]))
        low, high = self._bounds
        held = np.arange(low, high + 1)
        self._levels = None if np.array_equal(levels[held & 255], held) else levels

    def read(self, bags: Bags, converted: bool) -> tuple[NDArray[Any], Bags, RowScales | None]:
        """A table that holds the rows of ``bags`` as they read, the same bags of it, and its scales.

        ``converted``: whether the ADC's effect is modelled.

        Raises:
            ProgramError: ``sim.bad-operand`` for values that the cells cannot hold, where they matter.
        """
        levels = self._levels if converted else None
        if levels is None and not isinstance(self.written, LazyArray):
            return self.written, bags, self.scales
        asked, ids = np.unique(bags.ids, return_inverse=True)
        rows: NDArray[Any] = self.written[asked]
        if levels is not None:
            rows = self._convert(rows, asked, levels)
        scales = self.scales
        if scales is not None:
            addends = None if scales.addends is None else scales.addends[asked]
            scales = RowScales(scales.factors[asked], addends)
        return rows, bags._replace(ids=ids.reshape(-1).astype(np.int64)), scales

    def _convert(
        self, rows: NDArray[np.int8], ids: NDArray[np.int64], levels: NDArray[np.int16]
    ) -> NDArray[np.int16]:
        low, high = self._bounds
        if rows.size and (int(rows.min()) < low or int(rows.max()) > high):
            raise ProgramError(
                "sim.bad-operand",
                f"table {self.name} holds values outside {low}..{high}, which its cells cannot",
            )
        seen = levels[np.ascontiguousarray(rows).view(np.uint8)]
        block, wide = self.directory.block(ids), self.directory.wide
        for group in range(wide):
            entry = block * wide + group
            digital = self.directory.residence[entry] != int(Residence.RRAM)
            if digital.any():
                first = int(self.directory.entries[group, COL0])
                columns = slice(first, first + int(self.directory.entries[group, COLS]))
                seen[digital, columns] = rows[digital, columns]
        return seen
