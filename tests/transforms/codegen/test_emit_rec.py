"""Every vector operation, emitted and executed: the numbers of the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.errors import PassError
from cimc.interpreter.evaluate import _HANDLERS
from cimc.ir import cim, rec
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import element_of, f32, i1, i32, tensor
from cimc.sim.instruction_streams import unrolled
from cimc.sim.memory import Memory
from cimc.sim.vector_unit import VECTOR
from cimc.target import load_target
from cimc.transforms.codegen.chip_segment import Segment, Shared
from cimc.transforms.codegen.emit_rec import EMITTERS

OUT = 8192
TARGET = load_target("tsinghua28")


def value(*dims: int, at: int = 0, element: Attribute = f32) -> SSAValue:
    """A value of one request at a byte address of its tile."""
    op = rec.ReshapeOp(rec.ConstantOp("x", tensor((1, *dims), element)).result, (1, *dims))
    op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(at, 64)
    return op.results[0]


def emitted(op: Operation, out: int = OUT) -> tuple[list[object], Segment]:
    op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(out, 64)
    seg = Segment(Shared(TensorStore(), {}, {}, {}, {}, TARGET), 0, [])
    return EMITTERS[type(op)](seg, op), seg  # type: ignore[return-value]


def checked(op: Operation, arrays: list[np.ndarray]) -> None:
    """What the instructions of ``op`` leave at :data:`OUT` is what the interpreter gives."""
    code, seg = emitted(op)
    memory = Memory(np.zeros((1, 1 << 14), np.uint8), seg.shared.constants.array()[np.newaxis])
    for operand, array in zip(op.operands, arrays, strict=True):
        at = operand.owner.attributes[cim.ADDRESS_ATTR].value.data  # type: ignore[union-attr]
        stored = array.astype(np.float32) if array.dtype == np.bool_ else array
        memory.scratchpad[0, at : at + stored.nbytes] = (
            np.ascontiguousarray(stored).reshape(-1).view(np.uint8)
        )
    for _, item, i in unrolled(tuple(code)):  # type: ignore[arg-type]
        VECTOR[item.name](memory, item, i)
    expected = _HANDLERS[type(op)](None, op, arrays)
    dtype = np.int32 if element_of(op.results[0].type) == i32 else np.float32
    found = memory.scratchpad[0, OUT : OUT + 4 * expected.size].view(dtype).reshape(expected.shape)
    np.testing.assert_allclose(found, expected.astype(dtype), rtol=1e-6)


OPS = {
    "unary": lambda: rec.UnaryOp("tanh", value(3, 4)),
    "unary with numbers": lambda: rec.UnaryOp("clip", value(3, 4), -0.5, 0.5),
    "binary": lambda: rec.BinaryOp("add", value(3, 1, 4), value(1, 5, 4, at=512)),
    "comparison": lambda: rec.BinaryOp("less", value(3, 4), value(3, 4, at=512)),
    "reduce": lambda: rec.ReduceOp("sum", value(3, 4, 5), [2], False),
    "reduce, axes kept": lambda: rec.ReduceOp("max", value(3, 4, 5), [1, 2], True),
    "mean": lambda: rec.ReduceOp("mean", value(3, 4), [2], False),
    "matmul": lambda: rec.MatmulOp(value(2, 3, 4), value(2, 4, 5, at=512)),
    "matmul alone": lambda: rec.MatmulOp(value(3, 4), value(4, 5, at=512)),
    "transpose": lambda: rec.TransposeOp(value(2, 3, 4), [0, 3, 1, 2]),
    "slice": lambda: rec.SliceOp(value(6, 4), 1, 1, 5),
    "slice of columns": lambda: rec.SliceOp(value(6, 4), 2, 1, 3),
    "take": lambda: rec.TakeOp(value(3, 6), 2, [5, 0, 0, 3, 2]),
    "take rows": lambda: rec.TakeOp(value(3, 6), 1, [2, 2, 0]),
    "concat": lambda: rec.ConcatOp([value(2, 3), value(1, 3, at=512), value(3, 3, at=1024)], 1),
    "concat columns": lambda: rec.ConcatOp([value(2, 3), value(2, 1, at=512)], 2),
    "expand": lambda: rec.ExpandOp(value(1, 4), (1, 5, 4)),
    "pad": lambda: rec.PadOp(value(3, 4), 2, 2, 3, 0.5),
    "dots": lambda: rec.DotInteractionOp(value(4, 3), [1, 2, 3, 0, 1], [0, 0, 1, 3, 2]),
    "reshape": lambda: rec.ReshapeOp(value(6, 8), (1, 6, 2, 4)),
    "truth to numbers": lambda: rec.CastOp(value(3, 4, element=i1), f32),
    "integers to numbers": lambda: rec.CastOp(value(3, 4, element=i32), f32),
    "numbers to integers": lambda: rec.CastOp(value(3, 4), i32),
}


@pytest.mark.parametrize("name", OPS)
def test_operations(name: str) -> None:
    op = OPS[name]()
    rng = np.random.default_rng(0)
    arrays = []
    for operand in op.operands:
        x = (rng.normal(size=rec.shape(operand)) * 3).astype(np.float32)
        element = element_of(operand.type)
        arrays.append(x > 0 if element == i1 else x.astype(np.int32) if element == i32 else x)
    checked(op, arrays)


def test_every_vector_operation_is_here() -> None:
    assert {type(make()) for make in OPS.values()} | {rec.HitsOp} == set(EMITTERS)


def test_parts_of_a_list_of_hits_are_where_it_is() -> None:
    best = value(6, element=i32)
    assert emitted(rec.HitsOp("ids", best))[0] == []


def test_what_lies_in_its_place_already_is_not_copied() -> None:
    """Views, and parts of a concatenation that were made where they belong."""
    assert emitted(rec.ReshapeOp(value(6, 8, at=64), (1, 48)), 64)[0] == []
    assert emitted(rec.SliceOp(value(6, 4, at=64), 1, 2, 5), 64 + 2 * 16)[0] == []
    joined = rec.ConcatOp([value(2, 3, at=64), value(1, 3, at=64 + 24)], 1)
    assert emitted(joined, 64)[0] == []


def test_nothing_taken_is_no_code() -> None:
    assert emitted(rec.TakeOp(value(3, 0), 1, [2, 1]))[0] == []


def test_a_reduction_over_axes_apart_is_refused() -> None:
    op = rec.ReduceOp("sum", value(3, 4, 5), [1, 2], False)
    op.properties["axes"] = rec.ints([1, 3])
    with pytest.raises(PassError) as caught:
        emitted(op)
    assert caught.value.code == "lower.unsupported"
