"""Embedding bags."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    I64,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    f64,
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

from cimc.ir.rec.base import (
    BAG_MODES,
    LAYOUTS,
    RecOp,
    shape,
)
from cimc.ir.types import DYNAMIC, tensor


def bag_type(
    ids: SSAValue,
    offsets: SSAValue | None,
    weights: SSAValue | None,
    mode: str,
    layout: str,
    dim: int,
    padded: bool = False,
) -> TensorType[Attribute]:
    """Type of an embedding bag's result, ``f32 [B, ..., dim]``; VerifyException for a senseless one."""
    dims = shape(ids)
    if mode not in BAG_MODES or layout not in LAYOUTS:
        raise VerifyException(f"unknown mode '{mode}' or layout '{layout}'")
    if padded and mode == "none":
        raise VerifyException("padding is left out of pooled bags; mode none keeps every row")
    if weights is not None and (mode != "sum" or len(shape(weights)) != len(dims)):
        raise VerifyException("per-sample weights have the shape of ids and need mode sum")
    if layout == "fixed":
        if offsets is not None:
            raise VerifyException("layout fixed takes no offsets")
        if mode == "none":
            return tensor((*dims, dim))
        return tensor((*(dims[:-1] if len(dims) > 1 else dims), dim))
    if mode == "none":
        raise VerifyException("mode none needs layout fixed")
    if offsets is None or len(shape(offsets)) != 1 or len(dims) != 1:
        raise VerifyException(f"layout {layout} takes 1-D ids and 1-D offsets")
    (bags,) = shape(offsets)
    return tensor((bags - 1 if layout == "offsets_end" and bags != DYNAMIC else bags, dim))


@irdl_op_definition
class EmbeddingBagOp(RecOp):
    """Rows of a table, selected by ids and pooled per bag.

    ``layout``: ``fixed``: ids ``[B]`` (one per bag) or ``[B, ..., L]`` (bags along the last axis);
    ``offsets``: ids ``[nnz]``, offsets ``[B]`` = start of each bag; ``offsets_end``: offsets ``[B + 1]``.
    ``mode`` ``none`` (only ``fixed``) keeps every row: ``[B, ..., L] -> [B, ..., L, D]``.
    An empty bag gives zeros.  ``weights`` scale each row before the sum and have the shape of ids.
    Ids equal to ``padding`` stand for no row: they are left out of their bag (and of the count of a mean)
    and need not be rows of the table.  With ``scale`` the table is stored as ``int8`` and stands for
    ``table * scale``; with ``row_scales`` (``float32[rows]``) and ``row_biases`` (likewise, optional) row
    ``r`` stands for ``table[r] * row_scales[r] + row_biases[r]``.
    """

    name = "rec.embedding_bag"
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    ids = operand_def(TensorType)
    offsets = opt_operand_def(TensorType)
    weights = opt_operand_def(TensorType)
    table = prop_def(SymbolRefAttr)
    mode = prop_def(StringAttr)
    layout = prop_def(StringAttr)
    rows = prop_def(IntegerAttr[I64])
    dim = prop_def(IntegerAttr[I64])
    padding = opt_prop_def(IntegerAttr[I64])
    scale = opt_prop_def(FloatAttr)
    row_scales = opt_prop_def(SymbolRefAttr)
    row_biases = opt_prop_def(SymbolRefAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$table $mode $layout $ids (`offsets` $offsets^ `:` type($offsets))? "
        "(`weights` $weights^ `:` type($weights))? `rows` $rows `dim` $dim "
        "(`padding` $padding^)? (`scale` $scale^)? (`row_scales` $row_scales^)? "
        "(`row_biases` $row_biases^)? attr-dict "
        "`:` type($ids) `->` type($result)"
    )

    def __init__(
        self,
        table: str,
        rows: int,
        dim: int,
        ids: SSAValue,
        *,
        mode: str = "sum",
        layout: str = "fixed",
        offsets: SSAValue | None = None,
        weights: SSAValue | None = None,
        padding: int | None = None,
        scale: float | None = None,
        row_scales: str | None = None,
        row_biases: str | None = None,
    ) -> None:
        super().__init__(
            operands=[ids, offsets, weights],
            properties={
                "table": SymbolRefAttr(table),
                "mode": StringAttr(mode),
                "layout": StringAttr(layout),
                "rows": IntegerAttr(rows, 64),
                "dim": IntegerAttr(dim, 64),
                "padding": None if padding is None else IntegerAttr(padding, 64),
                "scale": None if scale is None else FloatAttr(scale, f64),
                "row_scales": None if row_scales is None else SymbolRefAttr(row_scales),
                "row_biases": None if row_biases is None else SymbolRefAttr(row_biases),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        if self.row_scales is not None and self.scale is not None:
            raise VerifyException("a table has one scale, or one per row")
        if self.row_biases is not None and self.row_scales is None:
            raise VerifyException("biases per row go with scales per row")
        return bag_type(
            self.ids,
            self.offsets,
            self.weights,
            self.mode.data,
            self.layout.data,
            self.dim.value.data,
            self.padding is not None,
        )
