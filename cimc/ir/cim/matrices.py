"""What is programmed into crossbar cells, and what passes decided about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import I64, IntegerAttr, ModuleOp, StringAttr, SymbolRefAttr
from xdsl.ir import Attribute, Operation
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def, traits_def
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from cimc.errors import PassError
from cimc.ir.block_fields import ARRAY, BLOCK_FIELDS, REPLICA_FIELDS, TILE
from cimc.ir.cim.decisions import (
    AdcOp,
    DecisionOp,
    Declaration,
    PlacementOp,
    PoolingOp,
    ReplicasOp,
    ResidenceOp,
    RowOrderOp,
    ShardsOp,
)
from cimc.ir.cim.number_table import NumbersAttr
from cimc.ir.residence import DRAM_UNPLACED, SRAM_ARRAY, Residence
from cimc.ir.tensor_store import TensorStore

D = TypeVar("D", bound=DecisionOp)


class MatrixOp(Declaration):
    """Base of integer matrices ``[rows, cols]`` of ``bits`` bits that live in crossbar cells.

    ``data``: ``int8[rows, cols]``; ``scales``: ``float32``, the factor from integers back to weights.

    What passes decide about it stands right behind it (:mod:`cimc.ir.cim.decisions`).  A reader asks for a
    decision by name (:meth:`shards`, :meth:`placement`, ...) and gets it, or an error that names the pass to
    run before.
    """

    bits = prop_def(IntegerAttr[I64])
    data = prop_def(SymbolRefAttr)
    scales = prop_def(SymbolRefAttr)
    traits = traits_def(SymbolOpInterface())

    def verify_(self) -> None:
        if min(self.rows.value.data, self.cols.value.data) < 1 or not 2 <= self.bits.value.data <= 8:
            raise VerifyException("a matrix has at least one row and column, of 2 to 8 bits")

    @property
    def kind(self) -> str:
        """What a program calls it: ``dense``, ``table`` or ``corpus``."""
        return "dense" if self.ROLE == "weights" else self.ROLE

    # -- decisions ----------------------------------------------------------------------------------

    def decisions(self) -> Iterator[DecisionOp]:
        """What was decided about it so far, in order."""
        op: Operation | None = self.next_op
        while isinstance(op, DecisionOp):
            yield op
            op = op.next_op

    def decide(self, decision: DecisionOp) -> None:
        """Put a decision behind those made before."""
        *_, last = self, *self.decisions()
        decision.location = self.location
        Rewriter.insert_op(decision, InsertPoint.after(last))

    def find(self, kind: type[D]) -> D | None:
        """The decision of a kind, if it was made."""
        return next((op for op in self.decisions() if isinstance(op, kind)), None)

    def require(self, kind: type[D]) -> D:
        """The decision of a kind.

        Raises:
            PassError: ``pass.needs-...`` when the pass that makes it did not run.
        """
        found = self.find(kind)
        if found is None:
            raise PassError(
                kind.MISSING,
                f"matrix @{self.symbol} has no {kind.name} yet, which pass '{kind.PASS}' decides",
                hint=f"run '{kind.PASS}' before",
            )
        return found

    def refuse(self, *kinds: type[DecisionOp]) -> None:
        """Make sure that none of these decisions has been made: what is about to be decided precedes them.

        Raises:
            PassError: ``pass.decided-already``.
        """
        for op in self.decisions():
            if isinstance(op, kinds):
                raise PassError(
                    "pass.decided-already",
                    f"matrix @{self.symbol} has its {op.name} already",
                    hint=f"each pass decides once: put this one before '{op.PASS}'",
                )

    def shards(self) -> ShardsOp:
        """How it is cut into blocks; see :meth:`require`."""
        return self.require(ShardsOp)

    def placement(self) -> PlacementOp:
        """Where its blocks live; see :meth:`require`."""
        return self.require(PlacementOp)

    # -- arrays of decisions ------------------------------------------------------------------------

    def block_table(self, store: TensorStore) -> NDArray[np.int32]:
        """``int32[blocks, 7]`` with the columns of :data:`~cimc.ir.block_fields.BLOCK_FIELDS`, a new array.

        As much as is decided: residence and places are -1, or marked as :mod:`cimc.ir.residence` says.
        """
        blocks = self.shards().blocks.array(store, np.int32)
        table = np.full((len(blocks), len(BLOCK_FIELDS)), -1, np.int32)
        table[:, :TILE] = blocks
        placement, residence = self.find(PlacementOp), self.find(ResidenceOp)
        if placement is not None:
            table[:, TILE:] = placement.blocks.array(store, np.int32)
        elif residence is not None:
            memory = residence.memory.array(store, np.int8)
            table[memory == int(Residence.DRAM), TILE] = DRAM_UNPLACED
            table[memory == int(Residence.SRAM), ARRAY] = SRAM_ARRAY
        return table

    def replica_table(self, store: TensorStore) -> NDArray[np.int32]:
        """``int32[copies, 4]`` with columns :data:`~cimc.ir.block_fields.REPLICA_FIELDS`, a new array."""
        replicas, placement = self.find(ReplicasOp), self.find(PlacementOp)
        of = np.zeros(0, np.int32) if replicas is None else replicas.blocks.array(store, np.int32)
        table = np.full((len(of), len(REPLICA_FIELDS)), -1, np.int32)
        table[:, 0] = of
        if placement is not None and placement.copies is not None:
            table[:, 1:] = placement.copies.array(store, np.int32)
        return table


@irdl_op_definition
class WeightsOp(MatrixOp):
    """The weights of a layer, driven by activations of ``input_bits`` bits; ``scales``: ``float32[cols]``."""

    name = "cim.weights"
    ROLE: ClassVar[str] = "weights"
    input_bits = prop_def(IntegerAttr[I64])
    input_signed = prop_def(IntegerAttr[I64])
    assembly_format = (
        "$sym_name `rows` $rows `cols` $cols `bits` $bits `data` $data `scales` $scales "
        "`inputs` $input_bits `signed` $input_signed attr-dict"
    )

    def __init__(
        self,
        name: str,
        shape: tuple[int, int],
        bits: int,
        data: str,
        scales: str,
        *,
        input_bits: int,
        input_signed: bool,
    ) -> None:
        super().__init__(
            properties={
                **_declared(name, shape, bits, data, scales),
                "input_bits": IntegerAttr(input_bits, 64),
                "input_signed": IntegerAttr(int(input_signed), 64),
            }
        )

    @property
    def inputs(self) -> tuple[int, bool]:
        """Width of the activations in bits, and whether they are signed."""
        return self.input_bits.value.data, bool(self.input_signed.value.data)

    def adc(self) -> AdcOp:
        """The converter steps; see :meth:`require`."""
        return self.require(AdcOp)


@irdl_op_definition
class TableOp(MatrixOp):
    """An embedding table, driven row by row; ``scales`` is ``float32[1]``.

    It may have ``row_scales`` (``float32[rows]``) and with them ``row_biases`` (likewise): row ``r`` then
    stands for ``data[r] * row_scales[r] + row_biases[r]``, ``scales`` is 1 and rows are read one at a time.
    """

    name = "cim.table"
    ROLE: ClassVar[str] = "table"
    row_scales = opt_prop_def(SymbolRefAttr)
    row_biases = opt_prop_def(SymbolRefAttr)
    assembly_format = (
        "$sym_name `rows` $rows `cols` $cols `bits` $bits `data` $data `scales` $scales "
        "(`row_scales` $row_scales^)? (`row_biases` $row_biases^)? attr-dict"
    )

    def __init__(
        self,
        name: str,
        shape: tuple[int, int],
        bits: int,
        data: str,
        scales: str,
        *,
        row_scales: str | None = None,
        row_biases: str | None = None,
    ) -> None:
        super().__init__(
            properties={
                **_declared(name, shape, bits, data, scales),
                "row_scales": None if row_scales is None else SymbolRefAttr(row_scales),
                "row_biases": None if row_biases is None else SymbolRefAttr(row_biases),
            }
        )

    def verify_(self) -> None:
        super().verify_()
        if self.row_biases is not None and self.row_scales is None:
            raise VerifyException("biases per row go with scales per row")

    def pooling(self) -> PoolingOp:
        """How its rows are read; see :meth:`require`."""
        return self.require(PoolingOp)

    def slots(self, store: TensorStore) -> NDArray[np.int32] | None:
        """Storage row of each row, ``int32[rows]``; ``None`` where rows keep their order."""
        order = self.find(RowOrderOp)
        return None if order is None else order.slots.array(store, np.int32)


@irdl_op_definition
class CorpusOp(MatrixOp):
    """Items to search, one a row, driven by queries of ``input_bits`` bits; ``scales``: ``float32[1]``.

    It may have ``row_scales`` (``float32[rows]``, the factor of each item in its score) and with them
    ``row_biases`` (likewise, added to its score).  Items stand along the bit lines of arrays.
    """

    name = "cim.corpus"
    ROLE: ClassVar[str] = "corpus"
    input_bits = prop_def(IntegerAttr[I64])
    input_signed = prop_def(IntegerAttr[I64])
    row_scales = opt_prop_def(SymbolRefAttr)
    row_biases = opt_prop_def(SymbolRefAttr)
    assembly_format = (
        "$sym_name `items` $rows `dim` $cols `bits` $bits `data` $data `scales` $scales "
        "`inputs` $input_bits `signed` $input_signed (`row_scales` $row_scales^)? "
        "(`row_biases` $row_biases^)? attr-dict"
    )

    def __init__(
        self,
        name: str,
        shape: tuple[int, int],
        bits: int,
        data: str,
        scales: str,
        *,
        inputs: tuple[int, bool],
        row_scales: str | None = None,
        row_biases: str | None = None,
    ) -> None:
        super().__init__(
            properties={
                **_declared(name, shape, bits, data, scales),
                "input_bits": IntegerAttr(inputs[0], 64),
                "input_signed": IntegerAttr(int(inputs[1]), 64),
                "row_scales": None if row_scales is None else SymbolRefAttr(row_scales),
                "row_biases": None if row_biases is None else SymbolRefAttr(row_biases),
            }
        )

    def verify_(self) -> None:
        super().verify_()
        if self.row_biases is not None and self.row_scales is None:
            raise VerifyException("biases of items go with factors of items")

    @property
    def inputs(self) -> tuple[int, bool]:
        """Width of queries in bits, and whether they are signed."""
        return self.input_bits.value.data, bool(self.input_signed.value.data)

    def adc(self) -> AdcOp:
        """The converter steps; see :meth:`require`."""
        return self.require(AdcOp)


def _declared(name: str, shape: tuple[int, int], bits: int, data: str, scales: str) -> dict[str, Attribute]:
    return {
        "sym_name": StringAttr(name),
        "rows": IntegerAttr(shape[0], 64),
        "cols": IntegerAttr(shape[1], 64),
        "bits": IntegerAttr(bits, 64),
        "data": SymbolRefAttr(data),
        "scales": SymbolRefAttr(scales),
    }


def matrices_of(module: ModuleOp) -> list[MatrixOp]:
    """The matrices that a module declares, in order."""
    return [op for op in module.body.block.ops if isinstance(op, MatrixOp)]


def matrices_beside(ops: Sequence[Operation]) -> list[MatrixOp]:
    """The matrices of the module that holds the first of these operations; of none, none."""
    top = ops[0].get_toplevel_object() if ops else None
    return matrices_of(top) if isinstance(top, ModuleOp) else []


def check_stored(module: ModuleOp, store: TensorStore) -> None:
    """Compare what decisions say of arrays in the store with those arrays, as far as they are there.

    Raises:
        PassError: ``ir.other-data``.
    """
    for op in module.body.block.ops:
        if isinstance(op, DecisionOp):
            for each in op.properties.values():
                if isinstance(each, NumbersAttr):
                    each.check(store, op.name)


def stored_names(op: Operation) -> Iterator[str]:
    """Names of the arrays in the store that a decision stands on."""
    values: list[Any] = list(op.properties.values()) if isinstance(op, DecisionOp) else []
    for each in values:
        if isinstance(each, NumbersAttr) and each.symbol is not None:
            yield each.symbol
