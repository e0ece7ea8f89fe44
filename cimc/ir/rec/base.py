"""What all operations of the dialect share: kinds, shape rules, the base class."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, IntegerType, StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.utils.exceptions import VerifyException

from cimc.ir.types import DYNAMIC, element_of, i64, shape_of

Shape = tuple[int, ...]

UNARY = (
    "relu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "exp",
    "log",
    "sqrt",
    "neg",
    "abs",
    "reciprocal",
    "clip",
    "erf",
    "softplus",
    "elu",
    "sign",
    "floor",
    "ceil",
    "round",
)
"""Kinds of ``rec.unary``: ``leaky_relu`` takes a slope ``alpha``, ``clip`` bounds ``alpha, beta``, ``elu`` a
factor ``alpha``; ``round`` goes to the nearest integer, halves to the even one."""
COMPARISONS = ("less", "less_equal", "equal")
"""Kinds of ``rec.binary`` that give truth values (``i1``)."""
BINARY = ("add", "sub", "mul", "div", "max", "min", "pow", "prelu", *COMPARISONS, "mask")
"""Kinds of ``rec.binary``; ``prelu(a, b)`` is ``a`` where ``a >= 0``, else ``a * b``; ``mask(a, b)`` is ``a``
where the truth value ``b`` holds, else 0.  On truth values ``mul`` is *and*, ``max`` is *or*."""
REDUCE = ("sum", "mean", "max", "min", "l2")
"""Kinds of ``rec.reduce``; ``l2`` is the root of the sum of squares."""
BAG_MODES = ("sum", "mean", "max", "none")
"""Pooling of ``rec.embedding_bag``; ``none`` keeps one row per id."""
LAYOUTS = ("fixed", "offsets", "offsets_end")
"""How ids form bags: a row of the ids tensor each; starts of the bags; starts and the final end."""


def ints(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """An ``array<i64: ...>`` attribute."""
    return DenseArrayBase.from_list(i64, [int(v) for v in values])


def unpack(attr: DenseArrayBase[IntegerType]) -> tuple[int, ...]:
    """The integers of an ``array<i64: ...>`` attribute."""
    return tuple(int(v) for v in attr.get_values())


def shape(value: SSAValue) -> Shape:
    """Extents of a ranked value (``-1`` dynamic)."""
    found = shape_of(value.type)
    if found is None:
        raise VerifyException(f"needs a ranked tensor, got {value.type}")
    return found


def element(value: SSAValue) -> Attribute:
    """Element type of a tensor value."""
    found = element_of(value.type)
    if found is None:
        raise VerifyException(f"needs a tensor, got {value.type}")
    return found


def join(a: int, b: int) -> int | None:
    """The extent two equal dimensions share (a known one wins), or ``None`` if they differ."""
    if a == b or b == DYNAMIC:
        return a
    return b if a == DYNAMIC else None


def broadcast(a: Shape, b: Shape) -> Shape:
    """Numpy broadcasting; dimension 0 of the longer shape is the batch."""
    rank = max(len(a), len(b))
    wide_a, wide_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    out = []
    for x, y in zip(wide_a, wide_b, strict=True):
        both = y if x == 1 else x if y == 1 else join(x, y)
        if both is None:
            raise VerifyException(f"shapes {list(a)} and {list(b)} do not broadcast")
        out.append(both)
    return tuple(out)


def elements(dims: Shape) -> int:
    """Elements of one request: the product of all extents but the batch."""
    total = 1
    for extent in dims[1:]:
        total *= extent
    return total


class RecOp(IRDLOperation):
    """Base of request-wise operations with one result whose type follows from the operands."""

    def infer(self) -> TensorType[Attribute]:
        """The result type that the operands and properties imply; VerifyException if they conflict."""
        raise NotImplementedError

    def verify_(self) -> None:
        expected, actual = self.infer(), self.results[0].type
        want, have = shape_of(expected), shape_of(actual)
        if (
            have is None
            or want is None
            or len(want) != len(have)
            or element_of(actual) != element_of(expected)
        ):
            raise VerifyException(f"result should be {expected}, is {actual}")
        if any(join(x, y) is None for x, y in zip(want, have, strict=True)):
            raise VerifyException(f"result should be {expected}, is {actual}")


def checked_axis(axis: int, dims: Shape, what: str) -> int:
    if not 1 <= axis < len(dims):
        raise VerifyException(
            f"{what} along axis {axis} of {list(dims)} would mix requests or is out of range"
        )
    return axis


def checked_kind(kind: StringAttr, allowed: Sequence[str]) -> str:
    if kind.data not in allowed:
        raise VerifyException(f"unknown kind '{kind.data}'; known: {', '.join(allowed)}")
    return kind.data
