"""Work of the vector unit: how many lane operations an instruction is."""

from __future__ import annotations

import math

from cimc.cost.machine_units import Unit
from cimc.cost.work import Work
from cimc.isa.instructions import Instr
from cimc.target.spec import Target

_REDUCE_EXTRA = {"mean": 1, "l2": 1}  # the division, the root
_REDUCE_EACH = {"l2": 2}  # square and add
_BINARY = {"prelu": 2, "pow": 3}  # compare, multiply; logarithm, multiply, exponential
_UNARY = {
    "leaky_relu": 2,  # compare, multiply
    "clip": 2,  # two comparisons
    "elu": 3,  # exponential, subtract, multiply
    "softplus": 3,  # exponential, add, logarithm
}


def lane_operations(item: Instr) -> int:
    """Operations of one lane that a vector instruction takes.

    One per element for every addition, multiplication, comparison, conversion or move; functions such as
    ``sigmoid``, ``exp``, ``sqrt`` and a division count as one, as on a unit that looks them up.  ``quant``
    (scale, round, clip) is one pass, ``dequant`` is convert, multiply, add.
    """
    name, number = item.name, item.number
    if name in ("quant", "iadd", "fill", "cast"):
        return number("n")
    if name == "dequant":
        return 3 * number("n")
    if name == "unary":
        return _UNARY.get(item.word("fn"), 1) * number("n")
    if name == "binary":
        return _BINARY.get(item.word("fn"), 1) * number("rows") * number("cols")
    if name == "reduce":
        fn = item.word("fn")
        per_result = number("n") * _REDUCE_EACH.get(fn, 1) + _REDUCE_EXTRA.get(fn, 0)
        return number("outer") * number("inner") * per_result
    if name == "dots":
        return 2 * number("n") * number("dim")
    if name == "matmul":
        return 2 * number("m") * number("k") * number("n")
    if name == "merge":  # for each hit one comparison, and two words moved
        return 3 * number("k")
    if name == "copy":
        return number("n0") * number("n1") * number("n2")
    assert name == "gather", name
    return number("n") * number("inner")


def vector_work(item: Instr, tile: int, target: Target) -> Work:
    """Work of one vector instruction: ``ceil(operations / lanes)`` operation times."""
    work = Work()
    operations = lane_operations(item)
    if item.name == "quant":
        work.count("requantise.ops", operations)
    else:
        work.count("vector.ops", operations)
        work.count(f"vector.ops.{item.name}", operations)
    work.ns = math.ceil(operations / target.tile.vector_lanes) * float(target.tile.vector_op_ns)
    work.hold(Unit("vector", tile), work.ns)
    return work
