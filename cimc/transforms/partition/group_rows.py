"""``group``: which rows of a table share an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, SymbolRefAttr

from cimc.errors import PassError
from cimc.ir import cim
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.mapping.grouping import GROUPINGS, group
from cimc.transforms.chosen_options import Choice, ChoosingPass


@dataclass(frozen=True)
class Group(ChoosingPass):
    """Give the rows of tables their storage order, by a named policy of :mod:`cimc.mapping.grouping`.

    The accesses come from a trace, or else from calibration requests that the user gave: invented ones say
    nothing about popularity.  A table of which neither reads a row keeps its order, and a note says so.
    ``NAME.data`` stays in the order of the ids, so no result changes; ids become slots by ``NAME.slots``.

    Precondition: quantised matrices.  Postcondition: tables whose order changed have ``slots``.
    """

    name = "group"
    choices = (Choice("policy", GROUPINGS),)
    policy: str = "frequency"
    seed: int = 0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        height = target_of(data, self.name).array.rows
        tables = [o for o in op.body.block.ops if isinstance(o, cim.MatrixOp) and o.kind.data == "table"]
        unread = [m.sym_name.data for m in tables if not self._order(m, data, height)]
        if unread and self.policy != "in_order":
            data.notes.append(
                f"group: no accesses are known of {_some(unread)}, whose rows keep their order; "
                "give a trace or calibration requests"
            )
        data.facts["grouping"] = {"policy": self.policy, "seed": self.seed, "unread": unread}

    def _order(self, matrix: cim.MatrixOp, data: CompilerContext, height: int) -> bool:
        """Set the slots of a table; whether any access of it is known."""
        name, rows = matrix.sym_name.data, matrix.rows.value.data
        if matrix.replicas is not None or (matrix.blocks is not None and _placed(data, name)):
            raise PassError(
                "pass.precondition", f"table {name} is placed already", hint="put 'group' earlier"
            )
        access = data.access.get(name)
        if access is None or not len(access.ids):
            return False
        if data.calibration_synthetic and not any(access is traced for traced in data.trace.values()):
            return False
        inside = (access.ids >= 0) & (access.ids < rows)  # padding ids are no rows
        counts = (access.ids[inside], access.counts[inside])
        slots = group(
            self.policy, rows, counts, access.pairs, access.pair_counts,
            block_rows=height, seed=self.seed, **self.chosen_options("policy"),
        )  # fmt: skip
        if (slots != np.arange(rows, dtype=np.int32)).any():
            data.store.put(f"{name}.slots", slots)
            matrix.properties["slots"] = SymbolRefAttr(f"{name}.slots")
        return True


def _placed(data: CompilerContext, name: str) -> bool:
    return bool((data.store[f"{name}.blocks"][:, cim.TILE] != -1).any())


def _some(names: list[str], shown: int = 3) -> str:
    more = len(names) - shown
    listed = ", ".join(names[:shown])
    return f"{listed} and {more} more tables" if more > 0 else listed
