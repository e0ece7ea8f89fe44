"""``shard``: matrices are cut into array-sized blocks and sliced."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from cimc.errors import Location, PassError
from cimc.interpreter.evaluate import group_extent, main_function
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import symbol
from cimc.isa.link_widths import WORD_BITS
from cimc.remarks import ShardingRemarks, TablePooling
from cimc.target.spec import Target
from cimc.transforms.partition import pool_or_read
from cimc.transforms.partition.converter_parallelism import Layer, widths
from cimc.transforms.partition.corpora import shard_corpus
from cimc.transforms.place.shard_list import row_block_reads

ArrayGroups = list[tuple[int, int]]
"""First block and number of blocks of each array group of a layer."""


@dataclass(frozen=True)
class Shard(ModulePass):
    """Give every matrix its block table and bit slices.

    A block fills the word lines of one array and, with all slices of its columns side by side, up to its
    width.  The blocks of a layer form *array groups*, each small enough for one tile, that are placed and
    fired together; a matrix of several groups gets one ``cim.mvm`` per group, and its partial products are
    added (row parts) or concatenated (column parts).  Rows of tables are pooled in the array, up to the
    number that the ADC converts without loss, or read one by one:
    :mod:`cimc.transforms.partition.pool_or_read` decides by cost, or ``pool`` does.
    ``converter_parallelism`` is the share of the arrays that tables and layers leave free which layers may
    take to work on more converters at once (:mod:`cimc.transforms.partition.converter_parallelism`).

    Items of corpora are stacked ``stack`` groups high (by default as many as an array's rows hold, or fewer
    where there is room), a shard of them a tile; their lists are merged ``fan_in`` at a time (by default what
    is fastest), and sums cross the bus in ``score_bits``
    (:mod:`cimc.transforms.partition.corpora.shard_corpus`).

    Precondition: matrices without blocks.  Postcondition: every matrix has its ``cim.shards``, a table its
    ``cim.pooling``; :class:`~cimc.remarks.ShardingRemarks`.
    """

    name = "shard"
    pool: str = "auto"
    converter_parallelism: int | float = 0.0
    stack: int | None = None
    fan_in: int | None = None
    score_bits: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        pool_or_read.check_option(self.pool)
        if not 0 <= self.converter_parallelism <= 1:
            raise PassError(
                "shard.bad-option",
                f"converter_parallelism={self.converter_parallelism:g}: a share between 0 and 1",
            )
        _require_integers(op)
        uses: dict[str, list[cim.LookupOp]] = {}
        for lookup in [o for o in main_function(op).body.block.ops if isinstance(o, cim.LookupOp)]:
            uses.setdefault(symbol(lookup.table), []).append(lookup)
        tables: list[TablePooling] = []
        groups: dict[str, tuple[ArrayGroups, NDArray[np.int32]]] = {}
        matrices = cim.matrices_of(op)
        for matrix in matrices:
            matrix.refuse(cim.ShardsOp)
        columns = self._widths(op, matrices, target)
        for matrix in matrices:
            name = matrix.sym_name.data
            if isinstance(matrix, cim.WeightsOp):
                groups[name] = _layer(matrix, columns[name], data, target)
            elif isinstance(matrix, cim.TableOp):
                self._table(matrix, uses.get(name, []), data, target, tables)
            elif isinstance(matrix, cim.CorpusOp):
                self._corpus(op, matrix, data, target)
        data.remark(ShardingRemarks(tuple(tables)))
        for mvm in [o for o in main_function(op).body.block.ops if isinstance(o, cim.MvmOp)]:
            name = symbol(mvm.matrix)
            _split(mvm, *groups[name])

    def _widths(self, module: ModuleOp, matrices: Sequence[cim.MatrixOp], target: Target) -> dict[str, int]:
        """Columns of each layer's blocks: as ``allocate`` decided, or as ``converter_parallelism`` says."""
        found, cells = layers_of(module, target), 0
        allocated = cim.allocation_of(module)
        if allocated is not None:
            return {
                layer.name: allocated.columns_of(layer.name) or _width_of(layer.slices, target)
                for layer in found
            }
        for matrix in matrices:
            if isinstance(matrix, cim.CorpusOp):
                cells += shard_corpus.arrays_of(matrix, self.stack, target) * target.array.cols
            elif not isinstance(matrix, cim.WeightsOp):
                rows, cols, slices = (
                    matrix.rows.value.data,
                    matrix.cols.value.data,
                    target.slices(matrix.bits.value.data),
                )
                cells += -(-rows // target.array.rows) * cols * slices
        whole = sum(layer.arrays(_width_of(layer.slices, target), target) for layer in found)
        free = target.n_arrays - whole - -(-cells // target.array.cols)
        return widths(
            found, max(0, int(free * self.converter_parallelism)), _answer_steps(module, target), target
        )

    def _corpus(self, module: ModuleOp, matrix: cim.CorpusOp, data: CompilerContext, target: Target) -> None:
        """Shard a corpus, and what searches it."""
        items, dim = matrix.rows.value.data, matrix.cols.value.data
        width = _width(matrix.bits.value.data, target)
        stack = shard_corpus.stack_of(items, dim, width, self.stack, target)
        blocks, shards = shard_corpus.corpus_blocks(items, dim, stack, width, target)
        matrix.decide(_shards(matrix, data, target, blocks, stack))
        bus = shard_corpus.bus_of(matrix, self.score_bits)
        if self.fan_in is not None and self.fan_in < 2:
            raise PassError("shard.bad-option", f"fan_in={self.fan_in}: two lists at least become one")
        for search in shard_corpus.searches_of(module, matrix.symbol):
            fan_in = self.fan_in or shard_corpus.fan_in_of(len(shards), search.k.value.data, target)
            shard_corpus.split_search(search, shards, bus, fan_in)

    def _table(
        self,
        matrix: cim.TableOp,
        uses: list[cim.LookupOp],
        data: CompilerContext,
        target: Target,
        remarks: list[TablePooling],
    ) -> None:
        """Shard a table, and decide whether its rows are pooled in the array."""
        name = matrix.sym_name.data
        blocks = table_blocks(
            matrix.rows.value.data, matrix.cols.value.data, target.array.rows,
            _width(matrix.bits.value.data, target),
        )  # fmt: skip
        reads = row_block_reads(matrix, target.array.rows, data)
        chosen = pool_or_read.decide(matrix, uses, blocks, reads, target, self.pool)
        remarks.append(chosen)
        matrix.decide(_shards(matrix, data, target, blocks))
        matrix.decide(cim.PoolingOp(name, chosen.chunk_rows, chosen.step))
        if chosen.step > 1:
            cause = (
                f"the ADC's finest step is {chosen.step}"
                if target.array.adc_min_lsb > 1
                else f"{target.array.adc_bits} ADC bits cannot tell {target.array.cell_levels} levels apart"
            )
            data.notes.append(f"table {name}: {cause}; rows are read in steps of {chosen.step}")
        if self.pool == "pool" and chosen.decision == "read":
            data.notes.append(f"table {name}: rows are read one at a time: {chosen.reason}")


def _layer(
    matrix: cim.WeightsOp, width: int, data: CompilerContext, target: Target
) -> tuple[ArrayGroups, NDArray[np.int32]]:
    """Shard a layer into blocks of ``width`` columns; returns its array groups and its block table."""
    blocks, groups = dense_blocks(
        matrix.rows.value.data, matrix.cols.value.data, target.array.rows, width, target.tile.arrays
    )
    matrix.decide(_shards(matrix, data, target, blocks))
    return groups, blocks


def _require_integers(module: ModuleOp) -> None:
    for op in main_function(module).body.block.ops:
        if isinstance(op, rec.LinearOp | rec.EmbeddingBagOp | rec.SearchOp):
            raise PassError(
                "pass.needs-quantize",
                f"{op.name} works on floats, which pass 'quantize' turns into integers",
                location=Location(node=onnx.name_of(op)),
                hint="run 'quantize' before",
            )


def layers_of(module: ModuleOp, target: Target) -> list[Layer]:
    """The layers of a module that is not sharded yet, and how often a request multiplies by each.

    Raises:
        PassError: ``shard.too-many-slices``.
    """
    uses = Counter[str]()
    for mvm in [o for o in main_function(module).body.block.ops if isinstance(o, cim.MvmOp)]:
        uses[symbol(mvm.matrix)] += prod(rec.shape(mvm.x)[1:-1])
    found = []
    for matrix in cim.matrices_of(module):
        bits = matrix.bits.value.data
        _width(bits, target)
        if isinstance(matrix, cim.WeightsOp):
            phases, name = target.input_phases(*matrix.inputs), matrix.symbol
            rows, cols = matrix.rows.value.data, matrix.cols.value.data
            found.append(Layer(name, rows, cols, target.slices(bits), phases, uses[name]))
    return found


def _answer_steps(module: ModuleOp, target: Target) -> float:
    """Steps in the time that the answers of all lookups need to enter the tile that uses them.

    Layers that are faster than this do not make requests follow one another any sooner.
    """
    lookups = [o for o in main_function(module).body.block.ops if isinstance(o, cim.LookupOp)]
    bits = sum(prod(rec.shape(o.result)[1:]) for o in lookups) * WORD_BITS
    return bits / float(target.tile.link_gbps) / float(target.array.step_ns)


def _width_of(slices: int, target: Target) -> int:
    return target.array.cols // slices


def _width(bits: int, target: Target) -> int:
    """Weights side by side in an array row."""
    slices = target.slices(bits)
    width = _width_of(slices, target)
    if width == 0:
        raise PassError(
            "shard.too-many-slices",
            f"a {bits}-bit weight takes {slices} cells, an array row has {target.array.cols}",
            hint="use fewer weight bits",
        )
    return width


def _shards(
    matrix: cim.MatrixOp,
    data: CompilerContext,
    target: Target,
    blocks: NDArray[np.int32],
    stack: int | None = None,
) -> cim.ShardsOp:
    cuts = np.ascontiguousarray(blocks[:, : cim.TILE])
    numbers = cim.NumbersAttr.of(cuts, data.store, f"{matrix.symbol}.blocks", cim.block_shapes)
    return cim.ShardsOp(matrix.symbol, target.slices(matrix.bits.value.data), numbers, stack)


def _cuts(total: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(size, total - start)) for start in range(0, total, size)]


def _table(cells: list[tuple[int, int, int, int]]) -> NDArray[np.int32]:
    blocks = np.full((len(cells), len(cim.BLOCK_FIELDS)), -1, np.int32)
    if cells:
        blocks[:, : cim.TILE] = cells
    return blocks


def table_blocks(rows: int, cols: int, height: int, width: int) -> NDArray[np.int32]:
    """Block table of an embedding table: ordered by rows, then columns."""
    row_cuts = np.array(_cuts(rows, height), np.int32).reshape(-1, 2)
    col_cuts = np.array(_cuts(cols, width), np.int32).reshape(-1, 2)
    blocks = np.full((len(row_cuts) * len(col_cuts), len(cim.BLOCK_FIELDS)), -1, np.int32)
    blocks[:, cim.ROW0 : cim.COL0] = np.repeat(row_cuts, len(col_cuts), axis=0)
    blocks[:, cim.COL0 : cim.TILE] = np.tile(col_cuts, (len(row_cuts), 1))
    return blocks


def dense_blocks(
    rows: int, cols: int, height: int, width: int, arrays: int
) -> tuple[NDArray[np.int32], list[tuple[int, int]]]:
    """Block table of a layer and its array groups as (first, count), none larger than ``arrays`` blocks.

    Whole column tiles stay together, so that partial sums are added inside a tile; one that is taller than a
    tile is cut into even row parts.
    """
    row_cuts, col_cuts = _cuts(rows, height), _cuts(cols, width)
    cells: list[tuple[int, int, int, int]] = []
    groups: list[tuple[int, int]] = []
    if len(row_cuts) <= arrays:
        count = -(-len(col_cuts) // (arrays // len(row_cuts)))
        cuts = [(row_cuts, list(part)) for part in _even(col_cuts, count)]
    else:
        parts = _even(row_cuts, -(-len(row_cuts) // arrays))
        cuts = [(part, [col]) for col in col_cuts for part in parts]
    for row_part, col_part in cuts:
        first = len(cells)
        cells += [(r0, nr, c0, nc) for c0, nc in col_part for r0, nr in row_part]
        groups.append((first, len(cells) - first))
    return _table(cells), groups


def _even(items: list[tuple[int, int]], parts: int) -> list[list[tuple[int, int]]]:
    bounds = [len(items) * p // parts for p in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(bounds)]


def _split(mvm: cim.MvmOp, groups: ArrayGroups, blocks: NDArray[np.int32]) -> None:
    """One ``cim.mvm`` per array group; sums over row parts, concatenation over column parts."""
    new: list[Operation] = []
    by_columns: dict[int, list[SSAValue]] = {}
    for first, count in groups:
        _, columns = group_extent(blocks[first : first + count])
        part = cim.MvmOp(mvm.x, symbol(mvm.matrix), columns.stop - columns.start, first, count)
        new.append(part)
        by_columns.setdefault(columns.start, []).append(part.result)
    column_tiles: list[SSAValue] = []
    for start in sorted(by_columns):
        parts = by_columns[start]
        if len(parts) > 1:
            total = cim.AddOp(parts)
            new.append(total)
            parts = [total.result]
        column_tiles.append(parts[0])
    if len(column_tiles) > 1:
        new.append(rec.ConcatOp(column_tiles, len(rec.shape(column_tiles[0])) - 1))
    for each in new:
        each.location = mvm.location
    Rewriter.replace_op(mvm, new)
