"""What is programmed into crossbar cells."""

from __future__ import annotations

from xdsl.dialects.builtin import I64, IntegerAttr, StringAttr, SymbolRefAttr
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def, traits_def
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import VerifyException


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
