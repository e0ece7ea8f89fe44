"""Search of a corpus in cells: lists of hits of shards, and their merging."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, IntegerAttr, SymbolRefAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.errors import PassError
from cimc.ir.cim.activation_types import u8
from cimc.ir.rec import RecOp, element, list_type, shape
from cimc.ir.types import i8, i32, symbol

WIDTHS = (16, 32)
"""Bits in which sums may cross the bus of a tile."""


@irdl_op_definition
class SearchOp(RecOp):
    """The ``k`` items of a corpus whose scores are largest: ``[B, dim]`` integers to a list of hits.

    A score is the sum of an item as integer, times its factor plus its bias where the corpus has these.
    Before ``shard`` all items; after it those of the ``count`` blocks from ``first``, all on one tile.  Sums
    cross the bus in ``width`` bits, the lowest ``shift`` bits of them rounded off.
    """

    name = "cim.search"
    x = operand_def(TensorType)
    matrix = prop_def(SymbolRefAttr)
    k = prop_def(IntegerAttr[I64])
    first = opt_prop_def(IntegerAttr[I64])
    count = opt_prop_def(IntegerAttr[I64])
    width = opt_prop_def(IntegerAttr[I64])
    shift = opt_prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$matrix $x `k` $k (`first` $first^)? (`count` $count^)? (`width` $width^)? (`shift` $shift^)? "
        "attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: SSAValue,
        matrix: str,
        k: int,
        blocks: tuple[int, int] | None = None,
        bus: tuple[int, int] | None = None,
    ) -> None:
        """``blocks``: first and count; ``bus``: width and shift."""

        def given(pair: tuple[int, int] | None, at: int) -> IntegerAttr[I64] | None:
            return None if pair is None else IntegerAttr(pair[at], 64)

        super().__init__(
            operands=[x],
            properties={
                "matrix": SymbolRefAttr(matrix),
                "k": IntegerAttr(k, 64),
                "first": given(blocks, 0),
                "count": given(blocks, 1),
                "width": given(bus, 0),
                "shift": given(bus, 1),
            },
            result_types=[list_type(x, k)],
        )

    def blocks(self) -> slice:
        """Its blocks in the block table of the corpus.

        Raises:
            PassError: ``pass.needs-shard`` when the corpus is whole.
        """
        if self.first is None or self.count is None:
            raise PassError(
                "pass.needs-shard",
                f"this search is of all of @{symbol(self.matrix)}, which pass 'shard' cuts into blocks",
                hint="run 'shard' before",
            )
        return slice(self.first.value.data, self.first.value.data + self.count.value.data)

    @property
    def bus(self) -> tuple[int, int]:
        """Bits in which a sum crosses the bus, and how many of its lowest are rounded off before."""
        if self.width is None or self.shift is None:
            return WIDTHS[-1], 0
        return self.width.value.data, self.shift.value.data

    def infer(self) -> TensorType[Attribute]:
        if element(self.x) not in (i8, u8):
            raise VerifyException("arrays are driven by quantised activations (i8 or ui8)")
        if (self.first is None) != (self.count is None) or (self.width is None) != (self.shift is None):
            raise VerifyException("first and count are set together, and width and shift")
        if self.width is not None and (self.bus[0] not in WIDTHS or not 0 <= self.bus[1] < 32):
            raise VerifyException(f"sums cross the bus in {' or '.join(map(str, WIDTHS))} bits")
        return list_type(self.x, self.k.value.data)


@irdl_op_definition
class MergeOp(RecOp):
    """The best of several lists of hits, as a list of as many."""

    name = "cim.merge"
    parts = var_operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$parts attr-dict `:` type($parts) `->` type($result)"

    def __init__(self, parts: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(parts)], result_types=[parts[0].type])

    def infer(self) -> TensorType[Attribute]:
        lists = {(shape(part)[1:], element(part)) for part in self.parts}
        if len(lists) != 1 or not all(len(dims) == 1 and of == i32 for dims, of in lists):
            raise VerifyException("lists of hits of one length are merged")
        kind = self.parts[0].type
        assert isinstance(kind, TensorType)
        return kind
