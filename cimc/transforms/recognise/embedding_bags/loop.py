"""Embedding bags that PyTorch exporters spell as a ``Loop`` over bags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from xdsl.ir import SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Known
from cimc.analysis.shapes.operands import axes_of, operand
from cimc.analysis.shapes.rules.control_flow import body_of, trips_of, yielded
from cimc.analysis.shapes.rules.selections import OPEN_END, slices_of
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.graph import plain
from cimc.transforms.matching.nodes import node_of, show
from cimc.transforms.recognise.embedding_bags.padding import KeptReader
from cimc.transforms.recognise.embedding_bags.tables import bag, table_of
from cimc.transforms.recognise.recogniser import Recogniser
from cimc.transforms.recognise.soundness import need_sound

T = TypeVar("T")

_MODES = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max"}


@dataclass(frozen=True)
class _Rows:
    """Rows of one bag: ``table[ids[bag]] * weights[bag]``."""

    table: SSAValue
    ids: SSAValue
    weights: SSAValue | None = None
    padding: int | None = None


@dataclass(frozen=True)
class _Loop:
    """The loop under inspection: bag ``index`` reaches from ``bounds[index]`` to ``bounds[index + 1]``."""

    index: tuple[Known, ...]
    count: Known


class LoopBag(Recogniser):
    """One iteration per bag; ``V`` are the bounds of the bags and ``i`` is the iteration::

        out[i] = reduce(W[ids[V[i] : V[i+1]]] * w[V[i] : V[i+1]])        (TorchScript)
        out[i] = reduce((W[ids] * w)[V[i] : V[i+1]])  or 0 if empty      (torch.export)

    ``V`` is ``Concat(offsets, [len(ids)])``, or given whole (``include_last_offset``).  Where ``V`` is
    ``0, L, 2L, ...`` over the flattened ``[B, L]`` ids, the bags are the rows of those ids.  The
    second form builds a sequence, treats the last bag apart, and writes the mean as a sum and a division.
    With a padding index an inner loop collects the positions of the other ids (see :class:`KeptReader`)::

        out[i] = reduce((W[ids] * w)[k])  or 0 if k is empty
    """

    name = "bag-loop"
    kinds = frozenset({"Loop", "ConcatFromSequence"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        if op.kind == "Loop":
            loop, position = op, self._scan_output(op)
            results: list[SSAValue | None] = [None] * len(op.results)
        else:
            found = node_of(op.inputs[0], "Loop")
            if found is None:
                raise NotMine("the sequence does not come from a loop")
            need(int_attribute(op, "axis", 0) == 0, "the sequence is not joined along axis 0")
            need(not int_attribute(op, "new_axis", 0), "the sequence is stacked along a new axis")
            loop, position, results = found, self._position(found, op.inputs[0]), [None]
        need_sound(loop, self.graph)
        value = self._bag(loop, yielded(body_of(loop))[position + 1], emit)
        results[position if op.kind == "Loop" else 0] = value
        return results

    def _scan_output(self, op: onnx.NodeOp) -> int:
        carried = len(body_of(op).args) - 2
        used = [k for k, result in enumerate(op.outputs) if self.graph.users(result)]
        need(len(used) == 1 and used[0] >= carried, "the loop has more results than one pooled row per bag")
        return used[0]

    def _position(self, loop: onnx.NodeOp, value: SSAValue) -> int:
        return next(k for k, r in enumerate(loop.outputs) if r is value or plain(value, self.graph) is r)

    def _bag(self, loop: onnx.NodeOp, row: SSAValue, emit: Emitter) -> SSAValue:
        trips = trips_of(loop, self.analysis)
        if trips.count is None:
            raise NoMatch("the number of iterations is not known")
        index = tuple(i for v in trips.index if (i := self.analysis.scalar(v)) is not None)
        reader = _Body(self, _Loop(index, trips.count))
        insert = node_of(row, "SequenceInsert")
        mode, rows = reader.pooled(insert.inputs[1] if insert is not None else row)
        if reader.bounds is None:
            raise NoMatch("the bounds of the bags were not found")
        need(
            d.sub(self.graph.shape(reader.bounds)[0], 1) == trips.count,
            "the loop does not run over all bags",
        )
        need(self.graph.batch == trips.count, f"there are {trips.count} bags, not one per request")
        value = self._emit(mode, rows, reader.bounds, trips.count, emit)
        if mode == "max" and not reader.zero_when_empty:
            self.graph.ctx.notes.append(
                f"{show(rows.table)}: an empty bag gives zeros, in onnxruntime the maximum of no rows is -inf"
            )
        return value

    def _emit(self, mode: str, rows: _Rows, bounds: SSAValue, count: Known, emit: Emitter) -> SSAValue:
        table = table_of(rows.table, self.graph)
        ids = plain(rows.ids, self.graph)
        weights = plain(rows.weights, self.graph) if rows.weights is not None else None
        need(weights is None or mode == "sum", f"per-sample weights with mode {mode}")
        offsets, layout = self._offsets(bounds, ids)
        length = self._row_length(bounds, offsets, count)
        if length is not None:
            matrix = self._matrix(ids, count, length)
            matrix_weights = self._matrix(weights, count, length) if weights is not None else None
            if matrix is not None and (weights is None) == (matrix_weights is None):
                return bag(emit, table, matrix, mode=mode, weights=matrix_weights, padding=rows.padding)
        return bag(
            emit,
            table,
            ids,
            mode=mode,
            layout=layout,
            offsets=offsets,
            weights=weights,
            padding=rows.padding,
        )

    def _offsets(self, bounds: SSAValue, ids: SSAValue) -> tuple[SSAValue, str]:
        concat = node_of(bounds, "Concat")
        if concat is not None and len(concat.inputs) == 2:
            end = self.analysis.content(concat.inputs[1])
            if end is not None and end.size == 1 and end.reshape(-1)[0] == self.graph.shape(ids)[0]:
                return plain(concat.inputs[0], self.graph), "offsets"
        return plain(bounds, self.graph), "offsets_end"

    def _row_length(self, bounds: SSAValue, offsets: SSAValue, count: Known) -> Known | None:
        """``L`` when the bags start at ``0, L, 2 L, ...``."""
        numbers = self.analysis.integers(bounds) or self.analysis.integers(offsets)
        if numbers is not None and isinstance(count, int) and len(numbers) > 1:
            step = numbers[1]
            return step if numbers == [k * step for k in range(len(numbers))] else None
        source = node_of(offsets, "Range")
        if source is None:
            return None
        start, limit, delta = (self.analysis.scalar(v) for v in source.inputs)
        return delta if start == 0 and delta is not None and limit == d.mul(count, delta) else None

    def _matrix(self, ids: SSAValue, count: Known, length: Known) -> SSAValue | None:
        """The ``[B, L]`` tensor that ``ids`` is the flattened form of."""
        reshape = node_of(ids, "Reshape", "Flatten")
        if reshape is None:
            return None
        return reshape.inputs[0] if self.analysis.shape(reshape.inputs[0]) == (count, length) else None


class _Body:
    """Reads the expression for one bag in a loop body."""

    def __init__(self, pattern: LoopBag, loop: _Loop) -> None:
        self.graph, self.analysis, self.loop = pattern.graph, pattern.analysis, loop
        self.bounds: SSAValue | None = None
        self.zero_when_empty = False

    # -- bounds -------------------------------------------------------------------------------------

    def element(self, value: SSAValue) -> tuple[SSAValue, d.Dim] | None:
        """``(V, k)`` when ``value`` holds ``V[k]``."""
        value = self._number(value)
        op = node_of(value, "Gather", "Slice")
        if op is None:
            return None
        if op.kind == "Gather":
            shape, at = self.analysis.shape(op.inputs[0]), self.analysis.scalar(op.inputs[1])
            if shape is None or len(shape) != 1:
                return None
        else:
            cuts = slices_of(op, self.analysis)
            if cuts is None or len(cuts) != 1 or cuts[0][0] != 0 or cuts[0][3] != 1:
                return None
            at = cuts[0][1]
            if d.sub(cuts[0][2], at) != 1:
                return None
        vector = plain(op.inputs[0], self.graph)
        while (cut := node_of(vector, "Slice")) is not None:
            cuts = slices_of(cut, self.analysis)
            if cuts is None or len(cuts) != 1 or cuts[0][3] != 1 or not isinstance(cuts[0][1], int):
                break
            if not isinstance(cuts[0][2], int) or cuts[0][2] < OPEN_END or cuts[0][1] < 0:
                break
            if not d.counts_up(at):
                return None  # from the end where it is below 0
            at, vector = d.add(at, cuts[0][1]), plain(cut.inputs[0], self.graph)
        return (vector, at) if at is not None else None

    def _number(self, value: SSAValue) -> SSAValue:
        """``value`` before casts and reshapes of a single number."""
        while (op := node_of(value, "Cast", "Reshape", "Squeeze", "Unsqueeze")) is not None:
            value = op.inputs[0]
        return value

    def is_bound(self, value: SSAValue, step: int) -> bool:
        """Whether ``value`` is ``V[i + step]`` of the bounds, which the first call fixes."""
        found = self.element(value)
        if found is None or not any(d.sub(found[1], i) == step for i in self.loop.index):
            return False
        if self.bounds is None:
            self.bounds = found[0]
        return found[0] is self.bounds

    def is_end(self, value: SSAValue, total: SSAValue, last: bool) -> bool:
        """Whether ``value`` is the end of bag ``i``; for the ``last`` one, the number of ids also is."""
        if last and self.analysis.scalar(value) is not None:
            return self.analysis.scalar(value) == self.graph.shape(total)[0]
        return self.is_bound(value, 1)

    def cut(self, value: SSAValue, last: bool) -> SSAValue:
        """``x`` when ``value`` is ``x[V[i] : V[i + 1]]``."""
        op = node_of(value, "Slice")
        if op is None or len(op.inputs) < 3:
            raise NoMatch("a bag is not cut out by Slice")
        axes = self.analysis.integers(op.inputs[3]) if operand(op, 3) is not None else [0]
        steps = self.analysis.integers(op.inputs[4]) if operand(op, 4) is not None else [1]
        need(axes == [0] and steps == [1], "a bag is not a contiguous range of axis 0")
        need(self.is_bound(op.inputs[1], 0), "a bag does not start where the offsets say")
        need(self.is_end(op.inputs[2], op.inputs[0], last), "a bag does not end where the next one starts")
        return op.inputs[0]

    # -- rows and pooling ---------------------------------------------------------------------------

    def rows(self, value: SSAValue, last: bool) -> _Rows:
        """The rows of bag ``i``, ``[length, dim]``."""
        op = node_of(value, "Gather", "Mul", "Slice", "If")
        if op is None:
            raise NoMatch("rows of a bag come from no Gather")
        if op.kind == "Gather":
            need(int_attribute(op, "axis", 0) == 0, "rows are not gathered along axis 0")
            if node_of(op.inputs[1], "Loop") is not None:
                return self.kept(op)
            return _Rows(op.inputs[0], self.cut(op.inputs[1], last))
        if op.kind == "Slice":
            return self.all_rows(self.cut(value, last))
        if op.kind == "If":
            one, two = self._last_bag(op, self.rows)
            need(one == two, "the last bag takes other rows than the others")
            return two
        rows, column = self._factors(op)
        found = self.rows(rows, last)
        need(found.weights is None, "rows are scaled twice")
        return replace(found, weights=self.cut(self._column(column), last))

    def kept(self, op: onnx.NodeOp) -> _Rows:
        """Rows at the positions of bag ``i`` whose ids are not padding."""
        kept = KeptReader(self.analysis, self.is_bound).read(op.inputs[1])
        found = self.all_rows(op.inputs[0])
        need(plain(found.ids, self.graph) is plain(kept.ids, self.graph), "padding is found among other ids")
        return replace(found, padding=kept.padding)

    def all_rows(self, value: SSAValue) -> _Rows:
        """The rows of all bags, ``[ids, dim]``."""
        op = node_of(value, "Gather", "Mul", "Cast")
        if op is None:
            raise NoMatch("rows come from no Gather")
        if op.kind == "Cast":
            need(self.analysis.element(op.inputs[0]) == self.analysis.element(value), "rows are converted")
            return self.all_rows(op.inputs[0])
        if op.kind == "Gather":
            need(int_attribute(op, "axis", 0) == 0, "rows are not gathered along axis 0")
            return _Rows(op.inputs[0], op.inputs[1])
        rows, column = self._factors(op)
        found = self.all_rows(rows)
        if self.analysis.info(column).splat == 1.0:
            shape, wide = self.graph.shape(column), self.graph.shape(rows)[-1:]
            fits = len(shape) <= 2 and shape[-1:] in ((), (1,), wide)
            need(fits, "rows are multiplied by ones of another shape")
            return found
        need(found.weights is None, "rows are scaled twice")
        return replace(found, weights=self._column(column))

    def _factors(self, op: onnx.NodeOp) -> tuple[SSAValue, SSAValue]:
        """``(rows, column)`` of ``rows * column`` with a column ``[n, 1]``."""
        for rows, column in (tuple(op.inputs), tuple(op.inputs)[::-1]):
            shape = self.graph.shape(column)
            if len(shape) == 2 and shape[1] == 1 and self.graph.shape(rows)[1:] != (1,):
                return rows, column
        for rows, column in (tuple(op.inputs), tuple(op.inputs)[::-1]):
            if node_of(rows, "Gather") is not None:
                return rows, column
        raise NoMatch("rows are multiplied by something other than one weight each")

    def _column(self, value: SSAValue) -> SSAValue:
        op = node_of(value, "Unsqueeze", "Reshape")
        one_each = self.graph.shape(value)[1:] == (1,)
        if op is None or not one_each or len(self.graph.shape(op.inputs[0])) != 1:
            raise NoMatch("weights are not one per id")
        return op.inputs[0]

    def pooled(self, value: SSAValue, last: bool = False) -> tuple[str, _Rows]:
        """Mode and rows when ``value`` is the pooled bag ``i``."""
        op = node_of(value, *_MODES, "If", "Div")
        if op is None:
            raise NoMatch("a bag is not reduced by ReduceSum, ReduceMean or ReduceMax")
        if op.kind == "Div":
            mode, rows = self.pooled(op.inputs[0], last)
            need(
                mode == "sum" and self._is_count(op.inputs[1], rows, last),
                "a division is not by the bag's length",
            )
            return "mean", rows
        if op.kind == "If":
            return self._branches(op, last)
        need(axes_of(op, self.analysis) == [0], "a bag is not reduced along axis 0 alone")
        return _MODES[op.kind], self.rows(op.inputs[0], last)

    def _branches(self, op: onnx.NodeOp, last: bool) -> tuple[str, _Rows]:
        then, other = (yielded(region.block)[0] for region in op.bodies)
        test = node_of(op.inputs[0], "Equal", "Greater")
        if test is None:
            raise NoMatch("a branch depends on something other than the bag's bounds")
        if test.kind == "Equal" and self._counts_kept(test):
            need(self.analysis.info(then).splat == 0.0, "a bag of nothing but padding does not give zeros")
            self.zero_when_empty = True
            return self._or_zeros(then, self.pooled(other, last))
        if test.kind == "Equal" and self.is_bound(test.inputs[0], 0) and self.is_bound(test.inputs[1], 1):
            zero = self.graph.constant(then)
            splat = self.analysis.info(then).splat
            need(splat == 0.0 or (zero is not None and not zero.any()), "an empty bag does not give zeros")
            self.zero_when_empty = True
            return self._or_zeros(then, self.pooled(other, last))
        if test.kind == "Greater":
            mean, total = self.pooled(then, last), self.pooled(other, last)
            need(total == ("sum", mean[1]) and mean[0] == "mean", "a guarded division is not a mean")
            need(
                self.analysis.scalar(test.inputs[1]) == 0,
                "a mean is guarded by something other than length > 0",
            )
            return mean
        one, two = self._last_bag(op, self.pooled)
        need(one == two, "the last bag is pooled differently from the others")
        return two

    def _or_zeros(self, zeros: SSAValue, bag: tuple[str, _Rows]) -> tuple[str, _Rows]:
        """``bag``, when what stands for an empty one is as wide."""
        array = self.graph.constant(zeros)
        shape = array.shape if array is not None else self.analysis.shape(zeros) or ()
        wide = (1,) * (len(shape) - 1) + self.graph.shape(bag[1].table)[-1:]
        fits = all(not isinstance(n, int) or n == m for n, m in zip(shape, wide, strict=False))
        need(fits, "an empty bag is not as wide as the others")
        return bag

    def _counts_kept(self, test: onnx.NodeOp) -> bool:
        """Whether ``test`` asks if an inner loop selected nothing."""
        size = node_of(self._number(test.inputs[0]), "Size", "Shape")
        return (
            size is not None
            and node_of(size.inputs[0], "Loop") is not None
            and self.analysis.scalar(test.inputs[1]) == 0
        )

    def _last_bag(self, op: onnx.NodeOp, read: Callable[[SSAValue, bool], T]) -> tuple[T, T]:
        """What both branches of ``If(i == N - 1)`` mean, for the last bag and for the others."""
        test = node_of(op.inputs[0], "Equal")
        if test is None:
            raise NoMatch("a branch depends on something other than the bag's bounds")
        sides = [self.analysis.scalar(v) for v in test.inputs]
        final = d.sub(self.loop.count, 1)
        need(
            any(sides in ([i, final], [final, i]) for i in self.loop.index),
            "a branch does not test for the last bag",
        )
        then, other = (yielded(region.block)[0] for region in op.bodies)
        return read(then, True), read(other, False)

    def _is_count(self, value: SSAValue, rows: _Rows, last: bool) -> bool:
        """Whether ``value`` is ``V[i + 1] - V[i]``."""
        op = node_of(self._number(value), "Sub")
        if op is None:
            return False
        return self.is_end(op.inputs[0], rows.ids, last) and self.is_bound(op.inputs[1], 0)
