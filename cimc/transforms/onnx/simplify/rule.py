"""What the simplification rules share: the base class and ways to look at and make constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import TensorType, UnrankedTensorType
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from cimc.ir.onnx.attributes import array_from_dense, dense_from_array
from cimc.ir.onnx.dialect import INLINE_LIMIT, ConstantOp, InitializerOp, NodeOp
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import NoneType, OpaqueType, element_from_dtype, symbol, tensor

Array = NDArray[Any]


@dataclass
class Scope:
    """What rules need beside the IR.

    Attributes:
        store: the arrays behind ``onnx.initializer``.
        opset: version per operator domain.
        counts: how often each rule was applied, by its name.
    """

    store: TensorStore
    opset: Mapping[str, int]
    counts: Counter[str] = field(default_factory=Counter)

    def constant(self, value: SSAValue) -> Array | None:
        """The array of a constant value (not a copy), else ``None``."""
        op = value.owner
        if isinstance(op, InitializerOp):
            return self.store[symbol(op.symbol)]
        return array_from_dense(op.value) if isinstance(op, ConstantOp) else None

    def ints(self, value: SSAValue) -> tuple[int, ...] | None:
        """The elements of a constant of a few integers, else ``None``."""
        array = self.constant(value)
        if array is None or array.size > INLINE_LIMIT or array.dtype.kind not in "iu":
            return None
        return tuple(int(v) for v in array.reshape(-1))

    def make_constant(self, array: Array, like: Operation) -> ConstantOp | InitializerOp:
        """A constant with the location of the operation that it replaces."""
        if array.size <= INLINE_LIMIT:
            return ConstantOp(dense_from_array(array), location=like.location)
        name = self.store.add(like.results[0].name_hint or "folded", array)
        type_ = tensor(array.shape, element_from_dtype(array.dtype))
        return InitializerOp(name, type_, location=like.location)


@dataclass
class Rule(RewritePattern):
    """One rewrite of a node of the default domain; ``apply`` says whether it changed anything."""

    scope: Scope
    name: ClassVar[str]
    ops: ClassVar[frozenset[str]]

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        if isinstance(op, NodeOp) and op.kind in self.ops and self.apply(op, rewriter):
            self.scope.counts[self.name] += 1

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        """Rewrite ``op`` if the rule fits."""
        raise NotImplementedError


def forward(op: NodeOp, rewriter: PatternRewriter, values: Sequence[SSAValue | None]) -> None:
    """Replace the results of ``op`` by values that are known to be the same (``None``: unused).

    A value of which less is known than of the result takes over the result's type.
    """
    for result, value in zip(op.results, values, strict=True):
        vague = isinstance(value, OpResult) and isinstance(value.type, OpaqueType | UnrankedTensorType)
        if value is not None and vague and isinstance(result.type, TensorType):
            value._type = result.type
    rewriter.replace(op, [], values)


def operand(op: NodeOp, index: int) -> SSAValue | None:
    """An optional input of a node; ``None`` when it is left out."""
    if index >= len(op.inputs) or isinstance(op.inputs[index].type, NoneType):
        return None
    return op.inputs[index]


def producer(value: SSAValue, *kinds: str) -> NodeOp | None:
    """The node that computes ``value`` if it is one of ``kinds``."""
    op = value.owner
    return op if isinstance(op, NodeOp) and op.kind in kinds else None


def int64(values: tuple[int, ...] | list[int]) -> Array:
    """A 1-D int64 array."""
    return np.array(values, np.int64)
