"""What passes decided about a matrix: one operation a decision, right behind the matrix.

=================  ==================  ===========================================================
operation          pass                says
=================  ==================  ===========================================================
``cim.row_order``  `group`             the storage row (slot) of each row of a table
``cim.shards``     `shard`             bit slices, and the rows and columns of each block
``cim.adc``        `choose-adc-steps`  ADC steps of a layer, and which column sums cannot clip
``cim.pooling``    `shard`             how many rows of a table are read at once, and the ADC step
``cim.residence``  `assign-memory`     the memory of each block of a table
``cim.replicas``   `replicate`         further copies of blocks (of layers: `copy`)
``cim.placement``  `place`             tile, array and cell column of each block and copy
=================  ==================  ===========================================================

No decision is ever overwritten: a pass that finds one it would make refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, StringAttr, SymbolRefAttr
from xdsl.ir import Operation
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

from cimc.ir.cim.number_table import NumbersAttr
from cimc.ir.residence import Residence
from cimc.ir.types import symbol

ADC_KINDS = ("calibrated", "clip-free")
"""Where the steps of a layer's ADCs come from: calibration inputs, or the worst case."""


class Declaration(IRDLOperation):
    """Base of the operations that declare a matrix."""

    ROLE: ClassVar[str]
    """What it is: ``weights``, ``table`` or ``corpus``."""

    sym_name = prop_def(StringAttr)
    rows = prop_def(IntegerAttr[I64])
    cols = prop_def(IntegerAttr[I64])

    @property
    def symbol(self) -> str:
        """The name of the matrix."""
        return self.sym_name.data


class DecisionOp(IRDLOperation):
    """Base of the operations that say what was decided about ``matrix``."""

    PASS: ClassVar[str]
    """The pass that decides."""
    MISSING: ClassVar[str]
    """Code of the error where the decision is needed and that pass did not run."""
    ABOUT: ClassVar[tuple[str, ...]] = ("weights", "table", "corpus")
    """Roles of the matrices that it can be about."""

    matrix = prop_def(SymbolRefAttr)

    @property
    def subject(self) -> Declaration:
        """The matrix that it is about."""
        before: Operation | None = self.prev_op
        while isinstance(before, DecisionOp):
            before = before.prev_op
        if not isinstance(before, Declaration) or before.symbol != symbol(self.matrix):
            raise VerifyException(f"{self.name} stands behind the matrix @{symbol(self.matrix)} it is about")
        return before

    def beside(self, kind: type[DecisionOp]) -> Any:
        """Another decision about the same matrix, or ``None``."""
        return _decided(self.subject, kind)

    def verify_(self) -> None:
        if self.parent is not None:  # an operation may be verified by itself, before it is put anywhere
            subject = self.subject
            if _decided(subject, type(self)) is not self:
                raise VerifyException(f"@{symbol(self.matrix)} has two {self.name}")
            if subject.ROLE not in self.ABOUT:
                raise VerifyException(f"{self.name} is not about a cim.{subject.ROLE}")
            self.verify_about(subject)

    def verify_about(self, matrix: Declaration) -> None:
        """Refuse what does not fit the matrix, or its other decisions."""

    def blocks_counted(self) -> int:
        """Number of blocks of the matrix."""
        shards = self.beside(ShardsOp)
        if not isinstance(shards, ShardsOp):
            raise VerifyException(f"{self.name} is about blocks: cim.shards of the matrix is missing")
        return shards.count


def _decided(matrix: Declaration, kind: type[DecisionOp]) -> Any:
    op: Operation | None = matrix.next_op
    while isinstance(op, DecisionOp):
        if isinstance(op, kind):
            return op
        op = op.next_op
    return None


@irdl_op_definition
class RowOrderOp(DecisionOp):
    """Rows of a table in storage order: row ``r`` is stored as row ``slots[r]``; ``int32[rows]``.

    Blocks count storage rows.  The data of the matrix keep the order of the ids.
    """

    name = "cim.row_order"
    PASS: ClassVar[str] = "group"
    MISSING: ClassVar[str] = "pass.needs-group"
    ABOUT: ClassVar[tuple[str, ...]] = ("table",)
    slots = prop_def(NumbersAttr)
    assembly_format = "$matrix `slots` $slots attr-dict"

    def __init__(self, matrix: str, slots: NumbersAttr) -> None:
        super().__init__(properties={"matrix": SymbolRefAttr(matrix), "slots": slots})

    def verify_about(self, matrix: Declaration) -> None:
        rows = matrix.rows.value.data
        if self.slots.shape != (rows,):
            raise VerifyException(f"{rows} slots expected, one a row, got shape {list(self.slots.shape)}")
        slots = self.slots.inline
        if slots is not None and not np.array_equal(np.sort(slots), np.arange(rows)):
            raise VerifyException(f"slots are the numbers 0 to {rows - 1}, each once")


@irdl_op_definition
class ShardsOp(DecisionOp):
    """The matrix cut into blocks of array size: ``int32[blocks, 4]``, see the first columns of
    :data:`cimc.ir.block_fields.BLOCK_FIELDS`; each weight in ``slices`` bit slices.

    Of a corpus ``stack`` blocks, one after the other in the table, share the columns of each array: each has
    word lines of its own there, as many as it has columns of the matrix.
    """

    name = "cim.shards"
    PASS: ClassVar[str] = "shard"
    MISSING: ClassVar[str] = "pass.needs-shard"
    slices = prop_def(IntegerAttr[I64])
    stack = opt_prop_def(IntegerAttr[I64])
    blocks = prop_def(NumbersAttr)
    assembly_format = "$matrix `slices` $slices (`stack` $stack^)? `blocks` $blocks attr-dict"

    def __init__(self, matrix: str, slices: int, blocks: NumbersAttr, stack: int | None = None) -> None:
        super().__init__(
            properties={
                "matrix": SymbolRefAttr(matrix),
                "slices": IntegerAttr(slices, 64),
                "stack": None if stack is None else IntegerAttr(stack, 64),
                "blocks": blocks,
            }
        )

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.blocks.shape[0]

    @property
    def stacked(self) -> int:
        """Blocks that share the columns of an array."""
        return 1 if self.stack is None else self.stack.value.data

    def verify_about(self, matrix: Declaration) -> None:
        if len(self.blocks.shape) != 2 or self.blocks.shape[1] != 4:
            raise VerifyException(
                f"a block is row0, rows, col0, cols; the table has shape {list(self.blocks.shape)}"
            )
        if self.slices.value.data < 1:
            raise VerifyException("a weight takes at least one slice")
        if (self.stack is not None) != (matrix.ROLE == "corpus") or self.stacked < 1:
            raise VerifyException("blocks of a corpus, and no others, are stacked, at least one on an array")
        blocks = self.blocks.inline
        if blocks is None:
            return
        rows, cols = matrix.rows.value.data, matrix.cols.value.data
        ends = blocks[:, (0, 2)] + blocks[:, (1, 3)]
        if (blocks < 0).any() or (ends > (rows, cols)).any() or (blocks[:, 1] * blocks[:, 3] < 1).any():
            raise VerifyException(f"a block lies outside of the {rows} x {cols} matrix, or is empty")
        if int((blocks[:, 1] * blocks[:, 3]).sum()) != rows * cols:
            raise VerifyException(f"the blocks do not cover the {rows} x {cols} matrix once")


@irdl_op_definition
class AdcOp(DecisionOp):
    """ADC steps of a layer, ``int32[blocks, slices, phases]``, in units of one cell level times one input
    level; ``kind`` one of :data:`ADC_KINDS`.

    ``certificate``, ``uint8``: which of the ``units`` column sums (those of ``certified``) no input can take
    past the converter's codes (:mod:`cimc.isa.certificate`).
    """

    name = "cim.adc"
    PASS: ClassVar[str] = "choose-adc-steps"
    MISSING: ClassVar[str] = "pass.needs-choose-adc-steps"
    ABOUT: ClassVar[tuple[str, ...]] = ("weights", "corpus")
    kind = prop_def(StringAttr)
    steps = prop_def(NumbersAttr)
    certified = prop_def(IntegerAttr[I64])
    units = prop_def(IntegerAttr[I64])
    certificate = prop_def(NumbersAttr)
    assembly_format = (
        "$matrix $kind `steps` $steps `certified` $certified `of` $units `bits` $certificate attr-dict"
    )

    def __init__(
        self, matrix: str, kind: str, steps: NumbersAttr, shares: tuple[int, int], certificate: NumbersAttr
    ) -> None:
        super().__init__(
            properties={
                "matrix": SymbolRefAttr(matrix),
                "kind": StringAttr(kind),
                "steps": steps,
                "certified": IntegerAttr(shares[0], 64),
                "units": IntegerAttr(shares[1], 64),
                "certificate": certificate,
            }
        )

    def verify_about(self, matrix: Declaration) -> None:
        if self.kind.data not in ADC_KINDS:
            raise VerifyException(f"ADC steps are {' or '.join(ADC_KINDS)}, not '{self.kind.data}'")
        shape, blocks = self.steps.shape, self.blocks_counted()
        if len(shape) != 3 or shape[0] != blocks:
            raise VerifyException(f"steps of {blocks} blocks expected, by slice and phase; got {list(shape)}")
        steps = self.steps.inline
        if steps is not None and (steps < 1).any():
            raise VerifyException("an ADC step is at least 1")
        certified, units = self.certified.value.data, self.units.value.data
        if not 0 <= certified <= units or self.certificate.shape != (-(-units // 8),):
            raise VerifyException(
                f"{certified} of {units} certified units, in {list(self.certificate.shape)} bytes"
            )


@irdl_op_definition
class PoolingOp(DecisionOp):
    """Up to ``rows`` rows of a table are driven at once and read with ADC step ``step``."""

    name = "cim.pooling"
    PASS: ClassVar[str] = "shard"
    MISSING: ClassVar[str] = "pass.needs-shard"
    ABOUT: ClassVar[tuple[str, ...]] = ("table",)
    rows = prop_def(IntegerAttr[I64])
    step = prop_def(IntegerAttr[I64])
    assembly_format = "$matrix `rows` $rows `step` $step attr-dict"

    def __init__(self, matrix: str, rows: int, step: int) -> None:
        super().__init__(
            properties={
                "matrix": SymbolRefAttr(matrix),
                "rows": IntegerAttr(rows, 64),
                "step": IntegerAttr(step, 64),
            }
        )

    def verify_about(self, matrix: Declaration) -> None:
        if min(self.rows.value.data, self.step.value.data) < 1:
            raise VerifyException("at least one row is read, with a step of at least 1")


@irdl_op_definition
class ResidenceOp(DecisionOp):
    """The memory of each block of a table, values of :class:`cimc.ir.residence.Residence`; ``int8[blocks]``.

    Without it all blocks are in crossbar cells.
    """

    name = "cim.residence"
    PASS: ClassVar[str] = "assign-memory"
    MISSING: ClassVar[str] = "pass.needs-assign-memory"
    ABOUT: ClassVar[tuple[str, ...]] = ("table",)
    rram = prop_def(IntegerAttr[I64])
    sram = prop_def(IntegerAttr[I64])
    dram = prop_def(IntegerAttr[I64])
    memory = prop_def(NumbersAttr)
    assembly_format = "$matrix `rram` $rram `sram` $sram `dram` $dram `memory` $memory attr-dict"

    def __init__(self, matrix: str, counts: Sequence[int], memory: NumbersAttr) -> None:
        super().__init__(
            properties={
                "matrix": SymbolRefAttr(matrix),
                **{k.name.lower(): IntegerAttr(counts[int(k)], 64) for k in Residence},
                "memory": memory,
            }
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """Blocks in cells, SRAM and DRAM."""
        return self.rram.value.data, self.sram.value.data, self.dram.value.data

    def verify_about(self, matrix: Declaration) -> None:
        blocks = self.blocks_counted()
        if self.memory.shape != (blocks,) or sum(self.counts) != blocks:
            raise VerifyException(f"the memory of each of {blocks} blocks expected")
        memory = self.memory.inline
        if memory is None:
            return
        if memory.min() < 0 or np.bincount(memory, minlength=3).tolist() != list(self.counts):
            raise VerifyException("the counts are not those of the memories (0 cells, 1 SRAM, 2 DRAM)")


@irdl_op_definition
class ReplicasOp(DecisionOp):
    """Further copies of blocks: the block that each is a copy of, ``int32[copies]``.

    Of a table they are those of hot blocks, from `replicate`; of layers those of all, from `copy`.
    """

    name = "cim.replicas"
    PASS: ClassVar[str] = "replicate"
    MISSING: ClassVar[str] = "pass.needs-replicate"
    ABOUT: ClassVar[tuple[str, ...]] = ("weights", "table")
    blocks = prop_def(NumbersAttr)
    assembly_format = "$matrix `of` $blocks attr-dict"

    def __init__(self, matrix: str, blocks: NumbersAttr) -> None:
        super().__init__(properties={"matrix": SymbolRefAttr(matrix), "blocks": blocks})

    def verify_about(self, matrix: Declaration) -> None:
        count, of = self.blocks_counted(), self.blocks.inline
        if len(self.blocks.shape) != 1 or (of is not None and not 0 <= of.min() <= of.max() < count):
            raise VerifyException(f"copies are of blocks 0 to {count - 1}")


@irdl_op_definition
class PlacementOp(DecisionOp):
    """Where blocks live, and copies: ``int32[blocks, 3]`` and ``int32[copies, 3]`` of tile, array and first
    cell column (:mod:`cimc.ir.residence` says how SRAM and DRAM are written)."""

    name = "cim.placement"
    PASS: ClassVar[str] = "place"
    MISSING: ClassVar[str] = "pass.needs-place"
    blocks = prop_def(NumbersAttr)
    copies = opt_prop_def(NumbersAttr)
    assembly_format = "$matrix `blocks` $blocks (`copies` $copies^)? attr-dict"

    def __init__(self, matrix: str, blocks: NumbersAttr, copies: NumbersAttr | None = None) -> None:
        super().__init__(
            properties={"matrix": SymbolRefAttr(matrix), "blocks": blocks, "copies": copies},
        )

    def verify_about(self, matrix: Declaration) -> None:
        count = self.blocks_counted()
        if self.blocks.shape != (count, 3):
            raise VerifyException(
                f"tile, array and column of {count} blocks expected, got shape {list(self.blocks.shape)}"
            )
        replicas = self.beside(ReplicasOp)
        wanted = None if replicas is None else (replicas.blocks.shape[0], 3)
        if (None if self.copies is None else self.copies.shape) != wanted:
            raise VerifyException("every copy has a place, and nothing else has")


DECISIONS: tuple[type[DecisionOp], ...] = (
    RowOrderOp,
    ShardsOp,
    AdcOp,
    PoolingOp,
    ResidenceOp,
    ReplicasOp,
    PlacementOp,
)
