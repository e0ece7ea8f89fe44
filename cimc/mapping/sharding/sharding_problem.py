"""What tables, in blocks, cost the chips that hold them; and pieces of tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.errors import InfeasibleError, Shortage
from cimc.mapping.assignment.problem import bad_problem, finite_floats, whole_numbers
from cimc.mapping.dtypes import FloatArray, IntArray

_FLOATS = ("busy_ns", "asked_bits", "seen", "answer_bits", "result_bits", "link_bits_per_ns")


@dataclass(frozen=True, eq=False)
class Piece:
    """Blocks of one table that stay together.

    Attributes:
        table: the table.
        blocks: int64[b], positions among all blocks, in storage order.
        busy_ns: time of a chip for them, per request.
        bits: that cross the chip's link for them, per request.
        size: capacity units.
    """

    table: int
    blocks: IntArray
    busy_ns: float
    bits: float
    size: int


@dataclass(frozen=True, eq=False)
class ShardingProblem:
    """Give ``k`` blocks of ``n`` tables to ``m`` chips; the consumer of all lookups is on chip 0.

    A chip's time per request is that of its blocks and that of its link; chips work in parallel.  A chip is
    asked for the rows of its blocks and answers, with rows of one tile added before: no more answers of a
    lookup than the chip has tiles.  A table that lies whole on one chip may send its result instead.

    Attributes:
        table: int64[k], table of each block, ascending.
        column: int64[k], column tile of each block; 0 for tables no wider than an array.
        busy_ns: float64[k], time a chip computes for a block, per request.
        asked_bits: float64[k], bits that ask for rows of a block, per request.
        seen: float64[k], expected answers of a block, per request, were none added before.
        answer_bits: float64[k], bits of one answer.
        result_bits: float64[n], bits of all results of a table, per request.
        per_unit: int64[n], blocks of a table in one capacity unit, >= 1.
        capacity: int64[m], capacity units of each chip.
        link_bits_per_ns: float64[m], > 0.
        tiles: of a chip, >= 1.
        labels: names of the tables; empty, or one each.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes, dtypes or values are not as above.
    """

    table: IntArray
    column: IntArray
    busy_ns: FloatArray
    asked_bits: FloatArray
    seen: FloatArray
    answer_bits: FloatArray
    result_bits: FloatArray
    per_unit: IntArray
    capacity: IntArray
    link_bits_per_ns: FloatArray
    tiles: int
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _FLOATS:
            object.__setattr__(self, name, finite_floats(name, getattr(self, name)))
        for name, least in (("table", 0), ("column", 0), ("capacity", 0), ("per_unit", 1)):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name), least=least))
        k, n = self.table.size, self.per_unit.size
        blocks = (self.column, self.busy_ns, self.asked_bits, self.seen, self.answer_bits)
        if any(each.size != k for each in blocks) or self.result_bits.size != n:
            raise bad_problem("one entry per block, and per table")
        if np.any(np.diff(self.table) < 0) or (k and int(self.table[-1]) >= n):
            raise bad_problem("`table` must ascend, and be below the number of tables")
        if self.link_bits_per_ns.size != self.chips or self.chips == 0 or np.any(self.link_bits_per_ns <= 0):
            raise bad_problem("one positive `link_bits_per_ns` per chip, of which there is one")
        if self.tiles < 1:
            raise bad_problem(f"tiles={self.tiles} must be at least 1")

    @property
    def chips(self) -> int:
        """Number of chips."""
        return self.capacity.size

    def label(self, table: int) -> str:
        """The name of a table."""
        return self.labels[table] if self.labels else f"table {table}"

    def blocks_of(self, table: int) -> IntArray:
        """The blocks of a table."""
        first, stop = np.searchsorted(self.table, [table, table + 1])
        return np.arange(first, stop, dtype=np.int64)

    def piece(self, table: int, blocks: IntArray) -> Piece:
        """Some blocks of a table, in any order."""
        blocks = np.sort(blocks)
        seen = float(self.seen[blocks].sum())
        answers = float((self.seen[blocks] * self.answer_bits[blocks]).sum())
        bits = float(self.asked_bits[blocks].sum()) + answers * min(1.0, self.tiles / max(seen, 1.0))
        if blocks.size == self.blocks_of(table).size:
            bits = min(bits, float(self.result_bits[table]))
        size = -(-blocks.size // int(self.per_unit[table]))
        return Piece(table, blocks, float(self.busy_ns[blocks].sum()), bits, size)

    def whole(self) -> list[Piece]:
        """Every table that has blocks, whole."""
        tables = (self.blocks_of(t) for t in range(self.per_unit.size))
        return [self.piece(t, blocks) for t, blocks in enumerate(tables) if blocks.size]

    def fitting(self) -> list[Piece]:
        """Every table whole, or in even runs where it takes more than half of a chip."""
        half = max(int(self.capacity.max()) // 2, 1)
        return [
            self.piece(each.table, run)
            for each in self.whole()
            for run in np.array_split(each.blocks, min(-(-each.size // half), each.blocks.size))
        ]

    def cost(self, piece: Piece) -> FloatArray:
        """float64[m], what a piece adds to the time of each chip."""
        added: FloatArray = piece.busy_ns + piece.bits / self.link_bits_per_ns
        return added

    def times(self, chip: IntArray) -> FloatArray:
        """float64[m], the time of each chip when block b is on ``chip[b]``."""
        total = np.zeros(self.chips)
        for table in range(self.per_unit.size):
            blocks = self.blocks_of(table)
            for c in np.unique(chip[blocks]).tolist():
                total[c] += self.cost(self.piece(table, blocks[chip[blocks] == c]))[c]
        return total

    def used(self, chip: IntArray) -> IntArray:
        """int64[m], capacity units in use when block b is on ``chip[b]``."""
        tables = self.per_unit.size
        count = np.bincount(self.table * self.chips + chip, minlength=tables * self.chips)
        units = -(-count.reshape(tables, self.chips) // self.per_unit[:, None])
        return np.asarray(units.sum(axis=0), np.int64)

    def no_room(self, how: str) -> InfeasibleError:
        """The error where a policy finds no plan."""
        demand = sum(piece.size for piece in self.whole())
        room = int(self.capacity.sum())
        levers = ("use more chips", "use `chips=load` or `near`, which cut tables wherever room ends")
        said = "crossbar storage of all chips" + ("" if demand > room else f" ({how})")
        return InfeasibleError(Shortage(said, demand, room, "arrays", levers))
