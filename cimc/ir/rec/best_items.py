"""Search of a corpus: the best items of a request, as a list of hits.

A *list of hits* is ``i32 [B, 2 k]``: ``k`` scores (the bits of their f32), then ``k`` ids, best first.
Scores fall; of equal ones the lower id comes first.  Places that no item fills hold -inf and -1.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    f64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.rec.base import RecOp, checked_kind, element, shape
from cimc.ir.types import f32, i32, i64, tensor

HITS = ("scores", "ids")
"""What ``rec.hits`` takes out of a list."""


def list_type(x: SSAValue, k: int) -> TensorType[Attribute]:
    """Type of the list of the ``k`` best hits of each row of ``x``; VerifyException for a senseless one."""
    if len(shape(x)) != 2:
        raise VerifyException("a query is one vector a request")
    if k < 1:
        raise VerifyException("a list holds at least one hit")
    return tensor((shape(x)[0], 2 * k), i32)


@irdl_op_definition
class SearchOp(RecOp):
    """The ``k`` items of a corpus with the largest scores ``x . corpus[n] + bias[n]``.

    ``x``: f32 ``[B, dim]``; ``corpus``: a tensor ``[items, dim]``, or ``[dim, items]`` where it is
    ``transposed``; ``bias``: f32 ``[items]``, added to every score.  The result is a list of hits.
    """

    name = "rec.search"
    x = operand_def(TensorType)
    corpus = prop_def(SymbolRefAttr)
    k = prop_def(IntegerAttr[I64])
    items = prop_def(IntegerAttr[I64])
    transposed = prop_def(IntegerAttr[I64])
    bias = opt_prop_def(SymbolRefAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$corpus $x `k` $k `items` $items `transposed` $transposed (`bias` $bias^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: SSAValue,
        corpus: str,
        k: int,
        items: int,
        *,
        transposed: bool = False,
        bias: str | None = None,
    ) -> None:
        super().__init__(
            operands=[x],
            properties={
                "corpus": SymbolRefAttr(corpus),
                "k": IntegerAttr(k, 64),
                "items": IntegerAttr(items, 64),
                "transposed": IntegerAttr(int(transposed), 64),
                "bias": None if bias is None else SymbolRefAttr(bias),
            },
            result_types=[list_type(x, k)],
        )

    def infer(self) -> TensorType[Attribute]:
        if element(self.x) != f32:
            raise VerifyException("a query is f32")
        if not 1 <= self.k.value.data <= self.items.value.data:
            raise VerifyException(
                f"the best {self.k.value.data} of {self.items.value.data} items: k is 1 to their number"
            )
        return list_type(self.x, self.k.value.data)


@irdl_op_definition
class HitsOp(RecOp):
    """The scores (f32) or the ids (i64) of a list of hits, ``[B, k]``: another name for its memory.

    ``choice`` is the operator of the model that chooses so (``TopK``, ``ArgMax``, ``ArgMin``), if any; what
    it chooses by is ``scale`` times the score in the list, then the functions ``after``, the first one first.
    """

    name = "rec.hits"
    x = operand_def(TensorType)
    kind = prop_def(StringAttr)
    choice = opt_prop_def(StringAttr)
    scale = opt_prop_def(FloatAttr)
    after = opt_prop_def(ArrayAttr[StringAttr])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$kind $x (`choice` $choice^)? (`scale` $scale^)? (`after` $after^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        kind: str,
        x: SSAValue,
        *,
        choice: str | None = None,
        scale: float | None = None,
        after: Sequence[str] = (),
    ) -> None:
        super().__init__(
            operands=[x],
            properties={
                "kind": StringAttr(kind),
                "choice": None if choice is None else StringAttr(choice),
                "scale": None if scale is None else FloatAttr(scale, f64),
                "after": ArrayAttr(map(StringAttr, after)) if after else None,
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def rescale(self, factor: float) -> None:
        """Scores in the list are smaller by ``factor`` than they were."""
        if self.scale is not None:
            self.properties["scale"] = FloatAttr(self.scale.value.data * factor, f64)

    def infer(self) -> TensorType[Attribute]:
        kind, dims = checked_kind(self.kind, HITS), shape(self.x)
        if element(self.x) != i32 or len(dims) != 2 or dims[1] < 2 or dims[1] % 2:
            raise VerifyException("a list of hits is i32, scores and as many ids a request")
        if (self.choice is None) != (self.scale is None):
            raise VerifyException("choice and scale are set together")
        return tensor((dims[0], dims[1] // 2), f32 if kind == "scores" else i64)
