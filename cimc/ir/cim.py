"""The ``cim`` dialect: the model quantised, cut into array-sized blocks, placed and scheduled.

A ``cim.matrix`` declares what is programmed into crossbar cells: an integer matrix ``[rows, cols]`` of
``bits`` bits, dense layer or embedding table.  The pass ``shard`` gives it a *block table*, ``place``
fills in where each block lives.  Vector operations stay ``rec`` operations; the attributes ``cim.tile``
(who executes) and ``cim.at`` (byte address in that tile's scratchpad) come from ``schedule``.

The block table is an ``int32[blocks, 7]`` array of the store with the columns of :data:`BLOCK_FIELDS`:
the block holds rows ``row0 .. row0 + rows - 1`` and columns ``col0 .. col0 + cols - 1`` of the matrix,
all bit slices side by side from cell column ``offset`` of array ``array`` of tile ``tile``
(-1 until placed).  Arrays are numbered within their tile.  Blocks of tables may also live in SRAM or DRAM:
:mod:`cimc.ir.residence` says how that is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I32,
    I64,
    Float32Type,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    Signedness,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from cimc.ir.rec import BAG_MODES, LAYOUTS, RecOp, bag_type, broadcast, element, shape
from cimc.ir.types import f32, i8, i32, tensor

BLOCK_FIELDS = ("row0", "rows", "col0", "cols", "tile", "array", "offset")
"""Columns of a block table."""
ROW0, ROWS, COL0, COLS, TILE, ARRAY, OFFSET = range(len(BLOCK_FIELDS))

u8 = IntegerType(8, Signedness.UNSIGNED)

TILE_ATTR = "cim.tile"
ADDRESS_ATTR = "cim.at"


def activation_type(signed: bool) -> IntegerType:
    """Element type of quantised activations: ``i8`` signed, ``ui8`` unsigned."""
    return i8 if signed else u8


@irdl_op_definition
class MatrixOp(IRDLOperation):
    """An integer matrix that lives in crossbar cells.

    ``kind``: ``dense`` (driven by activations of ``input_bits`` bits) or ``table`` (driven row by row).
    ``data``: ``int8[rows, cols]``; ``scales``: ``float32[cols]`` (dense) or ``float32[1]`` (table), the
    factor from integers back to weights.  From ``shard`` on: ``slices`` bit slices, ``blocks`` the block
    table, ``ranges`` the ADC step per use, ``int32[blocks, slices, phases]`` (dense) or ``[1]`` (table, one
    row at a time or ``pool_rows`` at once), in units of one cell level times one input level; of a dense
    one ``certificate``, which column sums cannot clip (:mod:`cimc.isa.certificate`).

    A table may have ``row_scales`` (``float32[rows]``) and with them ``row_biases`` (likewise): row ``r``
    then stands for ``data[r] * row_scales[r] + row_biases[r]``, ``scales`` is 1 and rows are read one at a
    time.

    A table may have ``slots`` (``int32[rows]``, the storage row of each row; the block table counts storage
    rows) and ``replicas`` (``int32[copies, 4]``: ``block, tile, array, offset``, further copies of blocks).
    """

    name = "cim.matrix"
    sym_name = prop_def(StringAttr)
    kind = prop_def(StringAttr)
    rows = prop_def(IntegerAttr[I64])
    cols = prop_def(IntegerAttr[I64])
    bits = prop_def(IntegerAttr[I64])
    data = prop_def(SymbolRefAttr)
    scales = prop_def(SymbolRefAttr)
    input_bits = opt_prop_def(IntegerAttr[I64])
    input_signed = opt_prop_def(IntegerAttr[I64])
    slices = opt_prop_def(IntegerAttr[I64])
    pool_rows = opt_prop_def(IntegerAttr[I64])
    blocks = opt_prop_def(SymbolRefAttr)
    ranges = opt_prop_def(SymbolRefAttr)
    certificate = opt_prop_def(SymbolRefAttr)
    row_scales = opt_prop_def(SymbolRefAttr)
    row_biases = opt_prop_def(SymbolRefAttr)
    slots = opt_prop_def(SymbolRefAttr)
    replicas = opt_prop_def(SymbolRefAttr)
    traits = traits_def(SymbolOpInterface())
    assembly_format = (
        "$sym_name $kind `rows` $rows `cols` $cols `bits` $bits `data` $data `scales` $scales "
        "(`row_scales` $row_scales^)? (`row_biases` $row_biases^)? "
        "(`inputs` $input_bits^)? (`signed` $input_signed^)? (`slices` $slices^)? (`pool` $pool_rows^)? "
        "(`blocks` $blocks^)? (`ranges` $ranges^)? (`certificate` $certificate^)? "
        "(`slots` $slots^)? (`replicas` $replicas^)? attr-dict"
    )

    def __init__(
        self,
        name: str,
        kind: str,
        rows: int,
        cols: int,
        bits: int,
        data: str,
        scales: str,
        *,
        input_bits: int | None = None,
        input_signed: bool | None = None,
        row_scales: str | None = None,
        row_biases: str | None = None,
    ) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "kind": StringAttr(kind),
                "rows": IntegerAttr(rows, 64),
                "cols": IntegerAttr(cols, 64),
                "bits": IntegerAttr(bits, 64),
                "data": SymbolRefAttr(data),
                "scales": SymbolRefAttr(scales),
                "input_bits": None if input_bits is None else IntegerAttr(input_bits, 64),
                "input_signed": None if input_signed is None else IntegerAttr(int(input_signed), 64),
                "row_scales": None if row_scales is None else SymbolRefAttr(row_scales),
                "row_biases": None if row_biases is None else SymbolRefAttr(row_biases),
            }
        )

    def verify_(self) -> None:
        if self.kind.data not in ("dense", "table"):
            raise VerifyException(f"a matrix is dense or a table, not '{self.kind.data}'")
        if min(self.rows.value.data, self.cols.value.data) < 1 or not 2 <= self.bits.value.data <= 8:
            raise VerifyException("a matrix has at least one row and column, of 2 to 8 bits")
        if (self.kind.data == "dense") != (self.input_bits is not None and self.input_signed is not None):
            raise VerifyException(
                "a dense matrix says the width and signedness of its inputs, a table does not"
            )
        if self.row_scales is not None and self.kind.data != "table":
            raise VerifyException("only the rows of tables have scales of their own")
        if self.row_biases is not None and self.row_scales is None:
            raise VerifyException("biases per row go with scales per row")
        if self.kind.data != "table" and (self.slots is not None or self.replicas is not None):
            raise VerifyException("only tables have slots and replicas")
        if (self.blocks is None) != (self.slices is None):
            raise VerifyException("slices and blocks are set together, by the pass 'shard'")


@irdl_op_definition
class QuantizeOp(RecOp):
    """``clip(rint(x / scale))`` to ``bits`` bits: symmetric if ``signed``, else from 0."""

    name = "cim.quantize"
    x = operand_def(TensorType)
    scale = prop_def(FloatAttr[Float32Type])
    bits = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `scale` $scale `bits` $bits attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, scale: float, bits: int, signed: bool) -> None:
        super().__init__(
            operands=[x],
            properties={"scale": FloatAttr(scale, f32), "bits": IntegerAttr(bits, 64)},
            result_types=[tensor(shape(x), activation_type(signed))],
        )

    @property
    def signed(self) -> bool:
        """Whether the result is signed."""
        return element(self.result) == i8

    def infer(self) -> TensorType[Attribute]:
        if not self.scale.value.data > 0:
            raise VerifyException("a scale is positive")
        if element(self.result) not in (i8, u8):
            raise VerifyException("a quantised activation is i8 or ui8")
        return tensor(shape(self.x), element(self.result))


@irdl_op_definition
class MvmOp(RecOp):
    """Integer matrix-vector product on the arrays: ``[B, ..., K] -> i32 [B, ..., N]``.

    Before ``shard`` the whole matrix; after it the ``count`` blocks from ``first`` of the block table, all on
    one tile, which cover rows ``row0 ..`` and ``N`` columns from ``col0``: a partial product.
    """

    name = "cim.mvm"
    x = operand_def(TensorType)
    matrix = prop_def(SymbolRefAttr)
    first = opt_prop_def(IntegerAttr[I64])
    count = opt_prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$matrix $x (`first` $first^)? (`count` $count^)? attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(
        self, x: SSAValue, matrix: str, cols: int, first: int | None = None, count: int | None = None
    ) -> None:
        super().__init__(
            operands=[x],
            properties={
                "matrix": SymbolRefAttr(matrix),
                "first": None if first is None else IntegerAttr(first, 64),
                "count": None if count is None else IntegerAttr(count, 64),
            },
            result_types=[tensor((*shape(x)[:-1], cols), i32)],
        )

    def infer(self) -> TensorType[Attribute]:
        if element(self.x) not in (i8, u8):
            raise VerifyException("arrays are driven by quantised activations (i8 or ui8)")
        if (self.first is None) != (self.count is None):
            raise VerifyException("first and count are set together")
        return tensor((*shape(self.x)[:-1], shape(self.result)[-1]), i32)


@irdl_op_definition
class AddOp(RecOp):
    """Sum of partial products of the same columns (``i32``)."""

    name = "cim.add"
    parts = var_operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$parts attr-dict `:` type($parts) `->` type($result)"

    def __init__(self, parts: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(parts)], result_types=[parts[0].type])

    def infer(self) -> TensorType[Attribute]:
        dims = shape(self.parts[0])
        for part in self.parts:
            dims = broadcast(dims, shape(part))
            if element(part) != i32:
                raise VerifyException("partial products are i32")
        return tensor(dims, i32)


@irdl_op_definition
class DequantizeOp(RecOp):
    """``float32(acc) * factors[n] + bias[n]`` per output column."""

    name = "cim.dequantize"
    acc = operand_def(TensorType)
    factors = prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$acc `factors` $factors (`bias` $bias^)? attr-dict `:` type($acc) `->` type($result)"

    def __init__(self, acc: SSAValue, factors: str, bias: str | None) -> None:
        super().__init__(
            operands=[acc],
            properties={
                "factors": SymbolRefAttr(factors),
                "bias": SymbolRefAttr(bias) if bias else None,
            },
            result_types=[tensor(shape(acc), f32)],
        )

    def infer(self) -> TensorType[Attribute]:
        if element(self.acc) != i32:
            raise VerifyException("accumulators are i32")
        return tensor(shape(self.acc), f32)


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


@irdl_op_definition
class TransferOp(RecOp):
    """A value sent over the mesh from tile ``source`` to tile ``dest``."""

    name = "cim.transfer"
    x = operand_def(TensorType)
    source = prop_def(IntegerAttr[I32])
    dest = prop_def(IntegerAttr[I32])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `from` $source `to` $dest attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, source: int, dest: int) -> None:
        super().__init__(
            operands=[x],
            properties={"source": IntegerAttr(source, 32), "dest": IntegerAttr(dest, 32)},
            result_types=[x.type],
        )

    def infer(self) -> TensorType[Attribute]:
        if self.source == self.dest:
            raise VerifyException("a transfer connects two different tiles")
        return tensor(shape(self.x), element(self.x))


@irdl_op_definition
class LoadOp(RecOp):
    """A value from outside the chip (input, host result, earlier segment) put into a scratchpad.

    On the chip every float is f32 and every integer i32.
    """

    name = "cim.load"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue) -> None:
        super().__init__(operands=[x], result_types=[x.type])

    def infer(self) -> TensorType[Attribute]:
        return tensor(shape(self.x), element(self.x))


CIM = Dialect("cim", [MatrixOp, QuantizeOp, MvmOp, AddOp, DequantizeOp, LookupOp, TransferOp, LoadOp], [])
