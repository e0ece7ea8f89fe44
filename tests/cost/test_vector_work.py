"""Lane operations of every vector instruction, and the time that they take."""

from __future__ import annotations

import pytest

from cimc.cost.machine_units import Unit
from cimc.cost.vector_work import lane_operations, vector_work
from cimc.isa.instructions import INSTRUCTIONS, Instr, Ref, instr
from tests.cost.cost_programs import TSINGHUA, quant

R = Ref(0)


def unary(fn: str) -> Instr:
    return instr("unary", dst=R, src=R, n=10, fn=fn, alpha=0.0, beta=0.0)


def binary(fn: str) -> Instr:
    return instr(
        "binary", dst=R, a=R, b=R, fn=fn, type="f32", rows=3, cols=5, arow=5, acol=1, brow=0, bcol=1
    )  # fmt: skip


def reduce(fn: str) -> Instr:
    return instr("reduce", dst=R, src=R, fn=fn, outer=2, n=7, inner=3)


COSTS = [
    (quant(10, 0, 64), 10),
    (instr("dequant", dst=R, src=R, factors=R, bias=R, n=10), 30),
    (instr("iadd", dst=R, a=R, b=R, n=10), 10),
    (instr("merge", dst=R, a=R, b=R, k=10), 30),
    (unary("relu"), 10),
    (unary("clip"), 20),
    (unary("softplus"), 30),
    (binary("add"), 15),
    (binary("prelu"), 30),
    (binary("pow"), 45),
    (reduce("sum"), 2 * 3 * 7),
    (reduce("mean"), 2 * 3 * (7 + 1)),
    (reduce("l2"), 2 * 3 * (2 * 7 + 1)),
    (instr("dots", dst=R, src=R, pairs=R, n=6, features=4, dim=8), 2 * 6 * 8),
    (instr("matmul", dst=R, a=R, b=R, m=2, k=3, n=4), 2 * 2 * 3 * 4),
    (
        instr("copy", dst=R, src=R, n0=2, n1=3, n2=4, d0=12, d1=4, d2=1, s0=12, s1=4, s2=1),
        24,
    ),
    (instr("gather", dst=R, src=R, index=R, n=5, inner=3), 15),
    (instr("fill", dst=R, value=0.0, n=10), 10),
    (instr("cast", dst=R, src=R, n=10, to="i32"), 10),
]


@pytest.mark.parametrize(("item", "operations"), COSTS, ids=[f"{i.name}-{n}" for i, n in COSTS])
def test_operations(item: Instr, operations: int) -> None:
    assert lane_operations(item) == operations


def test_every_vector_instruction_has_a_cost() -> None:
    vector = {name for name, spec in INSTRUCTIONS.items() if spec.unit == "vector"}
    assert {item.name for item, _ in COSTS} == vector


@pytest.mark.parametrize(("n", "times"), [(1, 1), (32, 1), (33, 2), (64, 2)])
def test_a_unit_works_on_all_lanes_at_once(n: int, times: int) -> None:
    work = vector_work(instr("fill", dst=R, value=0.0, n=n), 9, TSINGHUA)
    assert work.ns == times * float(TSINGHUA.tile.vector_op_ns)
    assert work.holds == {Unit("vector", 9): work.ns}
    assert work.events == {"vector.ops": n, "vector.ops.fill": n}


def test_requantisation_is_counted_apart() -> None:
    assert vector_work(quant(10, 0, 64), 9, TSINGHUA).events == {"requantise.ops": 10}
