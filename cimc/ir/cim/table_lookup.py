"""Embedding bags on tables in cells."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    I64,
    Float32Type,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.rec import BAG_MODES, LAYOUTS, RecOp, bag_type
from cimc.ir.types import f32


@irdl_op_definition
class LookupOp(RecOp):
    """``rec.embedding_bag`` on a table in cells: integer rows, pooled, times ``scale``.

    ``sum`` and ``mean`` without weights add integers; ``max``, ``none`` and weighted sums work on the scaled
    rows, and so does everything on a table with ``row_scales``.  See ``rec.embedding_bag`` for ``mode``,
    ``layout`` and ``padding``.
    """

    name = "cim.lookup"
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    ids = operand_def(TensorType)
    offsets = opt_operand_def(TensorType)
    weights = opt_operand_def(TensorType)
    table = prop_def(SymbolRefAttr)
    mode = prop_def(StringAttr)
    layout = prop_def(StringAttr)
    scale = prop_def(FloatAttr[Float32Type])
    dim = prop_def(IntegerAttr[I64])
    padding = opt_prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$table $mode $layout $ids (`offsets` $offsets^ `:` type($offsets))? "
        "(`weights` $weights^ `:` type($weights))? `scale` $scale `dim` $dim "
        "(`padding` $padding^)? attr-dict "
        "`:` type($ids) `->` type($result)"
    )

    def __init__(
        self,
        table: str,
        ids: SSAValue,
        offsets: SSAValue | None,
        weights: SSAValue | None,
        *,
        mode: str,
        layout: str,
        scale: float,
        dim: int,
        padding: int | None = None,
    ) -> None:
        super().__init__(
            operands=[ids, offsets, weights],
            properties={
                "table": SymbolRefAttr(table),
                "mode": StringAttr(mode),
                "layout": StringAttr(layout),
                "scale": FloatAttr(scale, f32),
                "dim": IntegerAttr(dim, 64),
                "padding": None if padding is None else IntegerAttr(padding, 64),
            },
            result_types=[bag_type(ids, offsets, weights, mode, layout, dim)],
        )

    def infer(self) -> TensorType[Attribute]:
        if self.mode.data not in BAG_MODES or self.layout.data not in LAYOUTS:
            raise VerifyException("unknown mode or layout")
        return bag_type(
            self.ids,
            self.offsets,
            self.weights,
            self.mode.data,
            self.layout.data,
            self.dim.value.data,
            self.padding is not None,
        )
