"""The room that a recognised model takes on a target at least, from sizes alone: no weight is read.

A lower bound on what ``shard`` and ``place`` will use, whatever their options: a block of a layer has an
array to itself, blocks of tables share arrays column by column, copies and spread layers only add to both.
Tables that come as integers may need fewer bits than are asked for: they count with the fewest there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from cimc.ir import rec
from cimc.ir.types import symbol
from cimc.target.spec import Target

FEWEST_BITS = 2


@dataclass(frozen=True)
class Demand:
    """What a model needs at least.

    Attributes:
        layer_arrays: arrays of its layers and corpora; ``layer_weights``: their numbers.
        table_columns: columns of cells, each as high as an array, of its tables.
        table_weights: their numbers; ``table_bytes``: bytes in SRAM or DRAM.
        table_slices: the fewest cells that a number of a table takes; ``table_bits``: bits.
        target: the machine.
    """

    layer_arrays: int
    layer_weights: int
    table_columns: int
    table_weights: int
    table_bytes: int
    table_slices: int
    table_bits: int
    target: Target

    @property
    def table_arrays(self) -> int:
        """Arrays of the tables, all in cells."""
        return -(-self.table_columns // self.target.array.cols)

    @property
    def arrays(self) -> int:
        """Arrays of the whole model, all in cells."""
        return self.layer_arrays + self.table_arrays

    @property
    def chips(self) -> int:
        """Chips that have so many arrays."""
        return chips_for(self.arrays, self.target)

    def bytes_outside(self, arrays: int) -> int:
        """Bytes of tables for which ``arrays`` arrays have no room, however they are filled."""
        array = self.target.array
        held = max(arrays, 0) * array.rows * (array.cols // self.table_slices)
        return max(self.table_weights - held, 0) * self.table_bits // 8


def chips_for(arrays: int, target: Target) -> int:
    """Chips that have ``arrays`` arrays together."""
    return max(-(-arrays // (target.tiles_per_chip * target.tile.arrays)), 1)


def demand_of(module: ModuleOp, target: Target, weights: int = 8, tables: int = 8) -> Demand:
    """The demand of a module in the ``rec`` dialect, quantised to so many bits.

    A weight that several operations use is stored once.
    """
    function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
    layers: dict[str, tuple[int, int]] = {}
    rows: dict[str, tuple[int, int, int]] = {}
    corpora: dict[str, tuple[int, int]] = {}
    for op in function.body.block.ops:
        if isinstance(op, rec.LinearOp):
            layers[symbol(op.weight)] = rec.shape(op.x)[-1], op.units.value.data
        elif isinstance(op, rec.SearchOp):
            corpora[symbol(op.corpus)] = op.items.value.data, rec.shape(op.x)[-1]
        elif isinstance(op, rec.EmbeddingBagOp):
            integers = op.scale is not None or op.row_scales is not None
            bits = min(FEWEST_BITS, tables) if integers else tables
            rows[symbol(op.table)] = op.rows.value.data, op.dim.value.data, bits
    height, width = target.array.rows, target.array.cols
    per_row = max(width // target.slices(weights), 1)
    widths = {bits for _, _, bits in rows.values()} or {tables}
    return Demand(
        sum(-(-r // height) * -(-c // per_row) for r, c in layers.values())
        + sum(_stacked(n, dim, height, per_row) for n, dim in corpora.values()),
        sum(r * c for r, c in (*layers.values(), *corpora.values())),
        sum(-(-r // height) * c * target.slices(bits) for r, c, bits in rows.values()),
        sum(r * c for r, c, _ in rows.values()),
        sum(r * c * bits // 8 for r, c, bits in rows.values()),
        min(target.slices(bits) for bits in widths),
        min(widths),
        target,
    )


def _stacked(items: int, dim: int, height: int, per_row: int) -> int:
    """Arrays of a corpus: groups of ``per_row`` items, as many on an array as its rows hold."""
    groups = -(-items // per_row)
    return -(-groups // max(height // dim, 1)) * -(-dim // height)
