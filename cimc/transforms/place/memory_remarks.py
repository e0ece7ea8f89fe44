"""What compilation decided about tables, for reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir import cim
from cimc.ir.context import CompilerContext
from cimc.ir.residence import Residence
from cimc.remarks import CountsByMemory, ReadsByMemory, TableMemories
from cimc.transforms.place.shard_list import Places, expected_touched, tables_of


def residency(
    matrices: list[cim.MatrixOp], places: Places, data: CompilerContext
) -> tuple[TableMemories, ...]:
    """One entry per table."""
    grouped = data.remarks.grouping
    out = []
    for number, matrix in enumerate(tables_of(matrices)):
        name = matrix.sym_name.data
        blocks = matrix.block_table(data.store).astype(np.int64)
        mine = np.flatnonzero(places.matrix == number)
        primary = mine[: len(blocks)]
        first = blocks[:, cim.COL0] == 0
        row_block = blocks[:, cim.ROW0] // int(blocks[0, cim.ROWS])
        kinds = places.residence[primary]
        uses = np.bincount(places.block[mine], places.uses[mine])[places.block[primary]]
        per_row_block = np.zeros(int(row_block.max()) + 1)
        np.maximum.at(per_row_block, row_block, uses)

        def split(values: NDArray[Any], kinds: NDArray[Any] = kinds) -> list[Any]:
            order = (Residence.RRAM, Residence.SRAM, Residence.DRAM)
            return [values[kinds == int(kind)].sum().item() for kind in order]

        access = data.access.get(name)
        out.append(
            TableMemories(
                name=name,
                rows=CountsByMemory(*split(blocks[:, cim.ROWS] * first)),
                bytes=CountsByMemory(*split(places.nbytes[primary])),
                reads=ReadsByMemory(*split(uses * first)),
                copies=len(mine) - len(blocks),
                grouping=grouped.policy if grouped and matrix.find(cim.RowOrderOp) else "in_order",
                blocks_touched=expected_touched(per_row_block),
                known=access is not None and len(access.ids) > 0,
            )
        )
    return tuple(out)
