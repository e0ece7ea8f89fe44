"""What compilation decided about tables, for reports: JSON-able."""

from __future__ import annotations

from typing import Any

import numpy as np

from cimc.ir import cim
from cimc.ir.context import CompilerContext
from cimc.ir.residence import Residence
from cimc.transforms.place.shard_list import Places, expected_touched, tables_of


def residency(matrices: list[cim.MatrixOp], places: Places, data: CompilerContext) -> list[dict[str, Any]]:
    """One entry per table.

    ``rows`` and ``bytes`` by residence (rows of the first group of columns; bytes of all, one copy each),
    ``reads`` per request by residence, ``copies`` (further ones, of blocks), ``grouping`` (policy, or
    ``in_order`` where the rows keep their order), ``blocks_touched``: row blocks that a request is expected
    to read; ``known``: whether accesses of the table were known.
    """
    grouping = data.facts.get("grouping", {}).get("policy", "in_order")
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

        def split(values: np.ndarray[Any, Any], kinds: np.ndarray[Any, Any] = kinds) -> dict[str, Any]:
            return {k.name.lower(): values[kinds == int(k)].sum().item() for k in Residence}

        access = data.access.get(name)
        out.append(
            {
                "name": name,
                "rows": split(blocks[:, cim.ROWS] * first),
                "bytes": split(places.nbytes[primary]),
                "reads": split(uses * first),
                "copies": len(mine) - len(blocks),
                "grouping": grouping if matrix.find(cim.RowOrderOp) else "in_order",
                "blocks_touched": expected_touched(per_row_block),
                "known": access is not None and len(access.ids) > 0,
            }
        )
    return out
