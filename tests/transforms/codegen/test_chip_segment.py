"""A segment while it is emitted: names, ports, where values lie."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue

from cimc.errors import PassError
from cimc.ir import cim, rec
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import f32, i1, i32, i64, tensor
from cimc.isa.instructions import Ref
from cimc.target import load_target
from cimc.transforms.codegen.chip_segment import Segment, Shared, link_type

TARGET = load_target("tsinghua28")


def outside(*dims: int) -> SSAValue:
    """A value that the chip does not make."""
    return rec.UnaryOp("relu", rec.ConstantOp("x", tensor((1, *dims))).result).results[0]


def segment(names: dict[SSAValue, str] | None = None) -> Segment:
    store = TensorStore()
    store.put("c", np.array([[True, False]]))
    store.put("d", np.array([[1.5, 2.5]], np.float32))
    return Segment(Shared(store, {}, {}, {}, names or {}, TARGET), 0, [])


def test_values_that_cross_the_border_get_a_name_once() -> None:
    x, y = outside(3), outside(3)
    shared = segment({x: "x"}).shared
    assert shared.name(x) == "x"
    assert shared.name(y) == shared.name(y) != "x"
    with pytest.raises(PassError) as caught:
        shared.name(rec.ConstantOp("c", tensor((1, 2))).result)
    assert caught.value.code == "lower.constant-output"


def test_equal_descriptions_share_a_port() -> None:
    x = outside(3)
    seg = segment({x: "x"})
    bag = {"layout": "fixed", "offsets": None, "weights": None, "padding": None}
    assert seg.port(x) == seg.port(x) == 0
    assert seg.port(x, **bag) == seg.port(x, **bag) == 1
    assert seg.port(x, **{**bag, "padding": 0}) == 2
    assert [p.kind for p in seg.inputs] == ["dense", "bag", "bag"]


def test_constants_lie_in_constant_memory_truth_values_as_numbers() -> None:
    seg = segment()
    truth = seg.ref(rec.ConstantOp("c", tensor((1, 2), i1)).result)
    numbers = seg.ref(rec.ConstantOp("d", tensor((1, 2))).result)
    assert truth.constant
    assert numbers.constant
    memory = seg.shared.constants.array().view(np.float32)
    assert memory.tolist() == [1.0, 0.0, 1.5, 2.5]


def test_other_values_lie_where_schedule_put_them() -> None:
    x = outside(3)
    x.owner.attributes[cim.ADDRESS_ATTR] = IntegerAttr(96, 64)  # type: ignore[union-attr]
    assert segment().ref(x) == Ref(96)


def test_a_view_waits_for_what_it_is_a_view_of() -> None:
    transfer = cim.TransferOp(outside(4, 2), 1, 5)
    view = rec.SliceOp(rec.ReshapeOp(transfer.result, (1, 8)).result, 1, 2, 4)
    seg = segment()
    item = object()
    seg.waiting[transfer.result, 5] = item  # type: ignore[assignment]
    seg.receive(view.result, 4)
    assert seg.streams == {}
    seg.receive(view.result, 5)
    assert seg.streams == {5: [item]}
    assert seg.waiting == {}


def test_what_leaves_is_stored_through_a_port_of_its_own() -> None:
    x = outside(3, 2)
    x.owner.attributes[cim.ADDRESS_ATTR] = IntegerAttr(32, 64)  # type: ignore[union-attr]
    seg = segment({x: "y"})
    seg.store(x, 7)
    seg.store(x, 7)
    assert [i.number("n") for i in seg.streams[7]] == [6, 6]
    assert [i.index("port").base for i in seg.streams[7]] == [0, 1]
    assert [p.value for p in seg.outputs] == ["y", "y"]


@pytest.mark.parametrize(("element", "form"), [(f32, "f32"), (i1, "f32"), (i32, "i32"), (i64, "i32")])
def test_the_form_of_elements_on_the_chip(element: object, form: str) -> None:
    assert link_type(rec.ConstantOp("c", tensor((1, 2), element)).result) == form  # type: ignore[arg-type]


def test_an_operation_without_an_instruction_is_refused() -> None:
    x = outside(3)
    op = x.owner
    op.attributes[cim.TILE_ATTR] = IntegerAttr(0, 64)  # type: ignore[union-attr]
    seg = Segment(segment().shared, 0, [op])  # type: ignore[list-item]
    with pytest.raises(PassError, match=r"no instruction for rec\.unary") as caught:
        seg.build({})
    assert caught.value.code == "lower.unsupported"
