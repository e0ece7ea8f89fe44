"""``group``: which rows of a table share an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from cimc.ir import cim
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.mapping.grouping import BY_BAGS, GROUPINGS, group
from cimc.remarks import GroupingRemarks
from cimc.support.io.streaming import blocks
from cimc.transforms.chosen_options import Choice, ChoosingPass
from cimc.transforms.place.shard_list import tables_of


@dataclass(frozen=True)
class Group(ChoosingPass):
    """Give the rows of tables their storage order, by a named policy of :mod:`cimc.mapping.grouping`.

    The accesses come from a trace, or else from calibration requests that the user gave: invented ones say
    nothing about popularity.  A table of which neither reads a row keeps its order, and a note says so.
    ``NAME.data`` stays in the order of the ids, so no result changes; ids become slots by ``NAME.slots``.

    Precondition: quantised matrices, not placed.  Postcondition: tables whose order changed have a
    ``cim.row_order``.
    """

    name = "group"
    choices = (Choice("policy", GROUPINGS),)
    policy: str = "frequency"
    seed: int = 0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        height = target_of(data, self.name).array.rows
        tables = tables_of(cim.matrices_of(op))
        for matrix in tables:
            matrix.refuse(cim.RowOrderOp, cim.ResidenceOp, cim.ReplicasOp, cim.PlacementOp)
        unread = [m.sym_name.data for m in tables if not self._order(m, data, height)]
        if unread and self.policy != "in_order":
            data.notes.append(
                f"group: no accesses are known of {_some(unread)}, whose rows keep their order; "
                "give a trace or calibration requests"
            )
        alone = [
            m.symbol
            for m in tables
            if m.symbol not in unread and data.access[m.symbol].bags is None and m.rows.value.data > height
        ]
        if alone and self.policy in BY_BAGS:
            data.notes.append(
                f"group: which rows of {_some(alone)} are read together is not known; {self.policy} puts "
                "those read most first; give a trace with bags (cimc trace)"
            )
        data.remark(GroupingRemarks(self.policy, self.seed, tuple(unread)))

    def _order(self, matrix: cim.TableOp, data: CompilerContext, height: int) -> bool:
        """Set the slots of a table; whether any access of it is known."""
        name, rows = matrix.symbol, matrix.rows.value.data
        access = data.access.get(name)
        if access is None or not len(access.ids):
            return False
        if data.calibration_synthetic and not any(access is traced for traced in data.trace.values()):
            return False
        inside = (access.ids >= 0) & (access.ids < rows)  # padding ids are no rows
        counts = (access.ids[inside], access.counts[inside])
        slots = group(
            self.policy, rows, counts, access.bags,
            block_rows=height, seed=self.seed, **self.chosen_options("policy"),
        )  # fmt: skip
        if (slots != np.arange(rows, dtype=np.int32)).any():
            numbers = cim.NumbersAttr.of(
                slots, data.store, f"{name}.slots", lambda found: _moved(found, height)
            )
            matrix.decide(cim.RowOrderOp(name, numbers))
        return True


def _moved(slots: NDArray[np.int32], height: int) -> cim.Histogram:
    """How many rows keep their place, move within their array, and go to another."""
    kept = inside = 0
    for first, part in blocks(slots):  # in parts: a table may have tens of millions of rows
        rows = np.arange(first, first + len(part), dtype=np.int32)
        kept += int(np.count_nonzero(part == rows))
        inside += int(np.count_nonzero(part // height == rows // height))
    return (
        ("kept", kept),
        ("moved within an array", inside - kept),
        ("moved to another", len(slots) - inside),
    )


def _some(names: list[str], shown: int = 3) -> str:
    more = len(names) - shown
    listed = ", ".join(names[:shown])
    return f"{listed} and {more} more tables" if more > 0 else listed
