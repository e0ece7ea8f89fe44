"""A copy keeps the text, the locations and the order of users."""

from __future__ import annotations

import random

from xdsl.dialects import test
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region

from cimc.ir.exact_copy import exact_copy
from cimc.ir.types import i64


def test_users_are_listed_in_the_same_order() -> None:
    value = test.TestOp(result_types=[i64])
    users = [test.TestOp(operands=[value.results[0]] * (1 + n % 2)) for n in range(9)]
    nested = test.TestOp(regions=[Region(Block([test.TestOp(operands=[value.results[0]])]))])
    body = ModuleOp([value, *users, nested])
    uses = list(value.results[0].uses)
    random.Random(3).shuffle(uses)
    for use in uses:
        value.results[0].remove_use(use)
        value.results[0].add_use(use)
    copy = exact_copy(body.body)
    places = {op: n for n, op in enumerate(body.body.walk())}
    copied = {op: n for n, op in enumerate(copy.walk())}
    listed = [(places[u.operation], u.index) for u in value.results[0].uses]
    first = copy.block.first_op
    assert first is not None
    assert listed != sorted(listed)
    assert listed != sorted(listed, reverse=True)
    assert [(copied[u.operation], u.index) for u in first.results[0].uses] == listed
    assert str(ModuleOp(copy)) == str(body)
    assert not set(copied) & set(places)
