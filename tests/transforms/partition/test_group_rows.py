"""The order of rows in the IR: what the text of a large table says of it."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.ir import cim
from cimc.ir.context import Access
from cimc.ir.text import new_context, parse_ir
from cimc.support.row_bags import RowBags
from cimc.target.load_target import load_target
from cimc.transforms.partition.group_rows import Group

ROWS = 600_000  # more than one part of a megabyte


@pytest.mark.parametrize("policy", ["frequency", "in_order"])
def test_a_large_table_says_how_many_rows_moved(policy: str) -> None:
    ctx = new_context()
    ctx.target = load_target("tsinghua28")
    module = parse_ir(
        f'cim.table "t" rows {ROWS} cols 4 bits 8 data @t.int scales @t.scales\n'
        "func.func @main() {\n func.return\n}\n",
        ctx,
    )
    ctx.access["t"] = Access(np.array([1, ROWS - 1]), np.array([1, 5]), 4)
    Group(policy=policy).apply(ctx, module)
    (table,) = cim.matrices_of(module)
    order = table.find(cim.RowOrderOp)
    if policy == "in_order":
        assert order is None
        return
    assert order is not None
    slots = order.slots.array(ctx.store, np.int32)
    assert slots[ROWS - 1] == 0
    height, rows = ctx.target.array.rows, np.arange(ROWS)
    kept, inside = (slots == rows).sum(), (slots // height == rows // height).sum()
    assert order.slots.data.histogram == (
        ("kept", kept),
        ("moved within an array", inside - kept),
        ("moved to another", ROWS - inside),
    )


@pytest.mark.parametrize(
    ("policy", "bags", "noted"),
    [
        ("co_occurrence", None, True),
        ("shp", None, True),
        ("frequency", None, False),
        ("co_occurrence", RowBags.none(), False),  # known: no request reads two rows
    ],
)
def test_a_policy_says_where_it_does_not_know_what_is_read_together(
    policy: str, bags: RowBags | None, noted: bool
) -> None:
    orders = []
    for chosen in (policy, "frequency"):
        ctx = new_context()
        ctx.target = load_target("tsinghua28")
        module = parse_ir(
            'cim.table "t" rows 5000 cols 4 bits 8 data @t.int scales @t.scales\n'
            "func.func @main() {\n func.return\n}\n",
            ctx,
        )
        ctx.access["t"] = Access(np.array([1, 4999]), np.array([1, 5]), 4, bags)
        Group(policy=chosen).apply(ctx, module)
        (table,) = cim.matrices_of(module)
        order = table.find(cim.RowOrderOp)
        assert order is not None
        orders.append(order.slots.array(ctx.store, np.int32).tolist())
        if chosen == policy:
            assert any("read together is not known" in note for note in ctx.notes) == noted
    assert orders[0] == orders[1]
