"""Instructions of arrays, links and the integers around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.errors import PassError
from cimc.ir import cim, rec
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import f32, i32, i64, tensor
from cimc.isa.instructions import Instr, Ref
from cimc.target import load_target
from cimc.transforms.codegen.chip_segment import Segment, Shared
from cimc.transforms.codegen.emit_cim import EMITTERS

TARGET = load_target("tsinghua28")


def value(*dims: int, at: int = 0, element: Attribute = f32) -> SSAValue:
    op = rec.ReshapeOp(rec.ConstantOp("x", tensor((1, *dims), element)).result, (1, *dims))
    op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(at, 64)
    return op.results[0]


def emit(op: Operation, stages: dict[Operation, int] | None = None) -> tuple[list[Instr], Segment]:
    op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(4096, 64)
    store = TensorStore()
    store.put("f", np.array([0.5, 2, 1], np.float32))
    store.put("b", np.array([1, 2, 3], np.float32))
    seg = Segment(Shared(store, {"w": 3, "t": 4}, {"w": 4, "t": 9}, stages or {}, {}, TARGET), 0, [])
    return EMITTERS[type(op)](seg, op), seg


def names(code: list[Instr]) -> list[str]:
    return [item.name for item in code]


def integers(x: SSAValue) -> SSAValue:
    op = cim.QuantizeOp(x, 0.5, 8, True)
    op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(128, 64)
    return op.result


def test_a_product_of_one_vector_is_one_instruction() -> None:
    (item,), _ = emit(cim.MvmOp(integers(value(4)), "w", 3, 2, 5))
    assert (item.name, item.index("matrix").base) == ("mvm", 3)
    assert (item.number("first"), item.number("count")) == (2, 5)
    assert (item.ref("src"), item.ref("dst")) == (Ref(128), Ref(4096))


def test_a_product_of_many_vectors_is_a_loop_with_strides() -> None:
    code, _ = emit(cim.MvmOp(integers(value(5, 4)), "w", 3, 0, 1))
    assert names(code) == ["loop", "mvm", "end"]
    assert code[0].number("count") == 5
    assert (code[1].ref("src").stride, code[1].ref("dst").stride) == (4, 12)  # a byte in, a word out


@pytest.mark.parametrize("bias", [None, "b"])
def test_a_bias_that_is_not_there_is_zero(bias: str | None) -> None:
    acc = value(3, element=i32)
    (item,), seg = emit(cim.DequantizeOp(acc, "f", bias))
    constants = seg.shared.constants.array().view(np.float32)
    at = item.ref("bias").base // 4
    np.testing.assert_array_equal(constants[at : at + 3], [1, 2, 3] if bias else [0, 0, 0])
    at = item.ref("factors").base // 4
    np.testing.assert_array_equal(constants[at : at + 3], [0.5, 2, 1])


@pytest.mark.parametrize(("signed", "sign"), [(True, "signed"), (False, "unsigned")])
def test_quantisation_says_its_format(signed: bool, sign: str) -> None:
    (item,), _ = emit(cim.QuantizeOp(value(5, 4), 0.25, 6, signed))
    assert (item.number("n"), item.number("bits"), item.word("sign")) == (20, 6, sign)


def test_a_sum_adds_one_part_after_the_other_in_place() -> None:
    parts = [value(3, at=16 * k, element=i32) for k in range(4)]
    code, _ = emit(cim.AddOp(parts))
    assert [(i.ref("a"), i.ref("b")) for i in code] == [
        (Ref(0), Ref(16)), (Ref(4096), Ref(32)), (Ref(4096), Ref(48)),
    ]  # fmt: skip


def lookup(ids: SSAValue, mode: str = "sum", **more: Any) -> cim.LookupOp:
    return cim.LookupOp("t", ids, None, None, mode=mode, layout="fixed", scale=0.5, dim=8, **more)


def test_ids_in_the_scratchpad_are_looked_up_bag_by_bag() -> None:
    ids = value(5, 3, element=i32)
    stages = {ids.owner: 0}
    code, _ = emit(lookup(ids), stages)  # type: ignore[arg-type]
    assert names(code) == ["loop", "lookup", "end"]
    assert (code[0].number("count"), code[1].number("n")) == (5, 3)
    assert (code[1].ref("ids").stride, code[1].ref("dst").stride) == (12, 32)
    assert code[1].word("drop") == "none"


def test_rows_one_by_one_need_no_loop() -> None:
    ids = value(5, 3, element=i32)
    code, _ = emit(lookup(ids, "none"), {ids.owner: 0})  # type: ignore[dict-item]
    assert names(code) == ["lookup"]
    assert code[0].number("n") == 15


def test_ids_from_outside_stream_in_by_a_port() -> None:
    ids = rec.ConstantOp("ids", tensor((-1, 3), i64)).result
    block = lookup(ids)
    seg_names = {ids: "ids"}
    block.attributes[cim.ADDRESS_ATTR] = IntegerAttr(4096, 64)
    seg = Segment(Shared(TensorStore(), {"t": 4}, {"t": 9}, {}, seg_names, TARGET), 0, [])
    (item,) = EMITTERS[cim.LookupOp](seg, block)
    assert item.name == "bag"
    (port,) = seg.inputs
    assert (port.value, port.kind, port.layout) == ("ids", "bag", "fixed")


def test_a_padding_id_of_more_than_32_bits_is_refused() -> None:
    ids = value(5, 3, element=i32)
    with pytest.raises(PassError) as caught:
        emit(lookup(ids, padding=1 << 40), {ids.owner: 0})  # type: ignore[dict-item]
    assert caught.value.code == "lower.unsupported"


def test_a_transfer_sends_at_once_and_receives_at_first_use() -> None:
    op = cim.TransferOp(value(3, 4, at=64), 2, 9)
    code, seg = emit(op)
    assert code == []
    (send,) = seg.streams[2]
    assert (send.name, send.number("tile"), send.number("bytes")) == ("send", 9, 48)
    assert 9 not in seg.streams
    seg.receive(op.result, 9)
    (recv,) = seg.streams[9]
    assert (recv.name, recv.number("tile"), recv.number("tag")) == ("recv", 2, send.number("tag"))
    seg.receive(op.result, 9)
    assert len(seg.streams[9]) == 1
