"""What is noted of values: files that contradict themselves, symbols of their own, aliases."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Block

from cimc.analysis.shapes.dims import add, symbol
from cimc.analysis.shapes.facts import Info, ShapeFacts, entries
from cimc.analysis.shapes.operands import vector_content
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import f32, i64, tensor


class Facts(ShapeFacts):
    """Of values without a function around them."""

    def walk_body(self, block: Block) -> None:
        raise AssertionError("there are no bodies here")


def facts() -> Facts:
    return Facts(TensorStore())


B = symbol("B")


def test_of_a_value_never_seen_nothing_is_known() -> None:
    a, (x,) = facts(), Block(arg_types=[tensor((2,), f32)]).args
    assert a.info(x) == Info()
    assert (a.shape(x), a.content(x), a.integers(x), a.scalar(x), a.element(x)) == (None,) * 5


def test_what_a_rule_leaves_open_comes_from_the_type() -> None:
    a, (x, y) = facts(), Block(arg_types=[tensor((-1, 4), f32)] * 2).args
    a.set(x, Info((B, None)))
    assert a.shape(x) == (B, 4)
    assert a.element(x) == f32
    a.set(y, Info())
    shape = a.shape(y)
    assert shape is not None
    assert shape[1] == 4
    assert shape[0] not in (B, 4)  # a symbol of its own
    assert a.fresh(y, 0) == shape[0]


def test_a_type_that_contradicts_the_rule_leaves_nothing_known() -> None:
    a, (x, y) = facts(), Block(arg_types=[tensor((3, 4), f32)] * 2).args
    a.set(x, Info((5, 4)))
    shape = a.shape(x)
    assert shape is not None
    assert shape[1] == 4
    assert shape[0] not in (3, 5)
    a.set(y, Info((3, 4, 1)))
    assert a.shape(y) is None


def test_what_follows_from_the_inputs_goes_before_what_the_file_states() -> None:
    a, (x, y) = facts(), Block(arg_types=[tensor((3,), f32)] * 2).args
    a.set(x, Info((add(B, 1),)))
    assert a.shape(x) == (add(B, 1),)
    a.set(y, Info((symbol("?7"),)))
    assert a.shape(y) == (3,)


def test_equalities_are_seen_everywhere() -> None:
    a, (x, s) = facts(), Block(arg_types=[tensor((-1,), f32), tensor((2,), i64)]).args
    a.set(x, Info((B,)))
    a.set(s, Info((2,), content=vector_content([B, None])))
    assert a.integers(s) is None
    a.equate(B, 7)
    assert a.shape(x) == (7,)
    content = a.content(s)
    assert content is not None
    assert entries(content) == [7, None]
    a.set(s, Info((2,), content=vector_content([B, 1])))
    assert a.integers(s) == [7, 1]


def test_a_scalar_is_the_only_element() -> None:
    a, (x, y) = facts(), Block(arg_types=[tensor((1,), i64), tensor((0,), i64)]).args
    a.set(x, Info((1,), content=vector_content([B])))
    a.set(y, Info((0,), content=np.empty(0, object)))
    assert a.scalar(x) == B
    assert a.scalar(y) is None
    assert a.integers(y) == []


def test_values_of_rewrites() -> None:
    a, (old, new, made) = facts(), Block(arg_types=[tensor((-1, 2), f32)] * 3).args
    a.set(old, Info((B, 2)))
    a.alias(new, old)
    assert a.info(new) == a.info(old)
    a.record(made, (B, 3), i64)
    assert (a.shape(made), a.element(made)) == ((B, 3), i64)


def test_a_type_may_tell_more_later() -> None:
    a, (x, bare) = facts(), Block(arg_types=[tensor((-1, 2), f32)] * 2).args
    a.set(x, Info((B, None)))
    x._type = tensor((-1, 2), i64)
    a.learn(x)
    assert (a.shape(x), a.element(x)) == ((B, 2), i64)
    a.learn(bare)
    shape = a.shape(bare)
    assert shape is not None
    assert shape[1] == 2
