"""``quantize``: float layers and tables become integer matrices, with scales set from calibration data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, SymbolRefAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.access import apply_trace
from cimc.errors import Location, PassError
from cimc.interpreter.evaluate import main_function
from cimc.interpreter.numerics import quantize
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import symbol, tensor
from cimc.remarks import ClippedInput, QuantisationRemarks
from cimc.support.io.generated import GeneratedArray, GeneratedIntegers
from cimc.support.io.streaming import blocks
from cimc.transforms.quantise.calibration import CLIP_COST_DB, LARGEST, Seen, Widths, non_negative, observe
from cimc.transforms.quantise.imported_scales import Drive, drive_of, fitted_table, largest_of
from cimc.transforms.quantise.quantize_corpora import declared, rescaled, searching
from cimc.transforms.quantise.room import require_room
from cimc.transforms.quantise.scale_rows import fitted_rows, narrowest, quantize_rows

SMALLEST = float(np.finfo(np.float32).tiny)
"""A scale below this would be subnormal, with few bits or none: what it stands for is taken as zero."""


@dataclass(frozen=True)
class Quantize(ModulePass):
    """Turn ``rec.linear`` and ``rec.embedding_bag`` into ``cim`` operations on integer matrices.

    Symmetric throughout.  Weights get one scale per output column, tables one per table (rows are pooled in
    the array, which needs one), or with ``rowwise`` one per row (more exact, but rows are then read one by
    one); corpora to search one, or one per item (``item_scales``; else where their items are uneven).  The
    largest magnitude maps to the largest integer that the target's cells
    represent.  Activations get one scale per tensor, from the ``percentile`` of their magnitudes other than
    zero over the calibration requests (:mod:`cimc.transforms.quantise.calibration`); inputs of the graph,
    one-hot vectors and what only moves, masks or scales them are never clipped.  Activations are unsigned
    where the graph proves them non-negative.

    Models that come quantised keep their integers and scales, for weights, tables and activations alike;
    what the cells or the input width do not hold is quantised again, and a note says so.  Such tables take
    no more bits than their integers need.

    Precondition: no bare ``onnx`` operation.  Postcondition: no ``rec.linear``, ``rec.embedding_bag`` or
    ``rec.search``; :class:`~cimc.remarks.QuantisationRemarks`: the layers that lose more than
    :data:`~cimc.transforms.quantise.calibration.CLIP_COST_DB` by clipping.
    """

    name = "quantize"
    weights: int = 8
    acts: int = 8
    tables: int = 0
    rowwise: bool = False
    percentile: int | float = 99.99
    item_scales: bool | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        for what, bits in (("weights", self.weights), ("acts", self.acts), ("tables", self.table_bits)):
            if not 2 <= bits <= 8:
                raise PassError("quantize.width", f"{what}={bits}: widths are 2 to 8 bits")
        if not 50 < self.percentile <= 100:
            raise PassError("quantize.percentile", f"percentile={self.percentile} is outside of 50..100")
        function = main_function(op)
        bare = next((o for o in function.body.block.ops if isinstance(o, onnx.NodeOp)), None)
        if bare is not None:
            raise PassError(
                "pass.needs-outline-host",
                f"{bare.name} is neither on the chip nor in a host segment, as after 'outline-host'",
                location=Location(node=onnx.name_of(bare)),
                hint="run 'recognise,demote,outline-host' before",
            )
        layers = [o for o in function.body.block.ops if isinstance(o, rec.LinearOp)]
        bags = [o for o in function.body.block.ops if isinstance(o, rec.EmbeddingBagOp)]
        searches = [o for o in function.body.block.ops if isinstance(o, rec.SearchOp)]
        if not layers and not bags and not searches:
            return
        require_room(op, data, target, self.weights, self.table_bits)
        seen = observe(op, data, Widths(float(self.percentile), self.acts))
        clipped = [found for layer in layers if (found := _clipped(layer, seen, self, data.notes))]
        data.remark(QuantisationRemarks(tuple(clipped)))
        tool = _Rewriter(self, op, data, seen, target.max_weight)
        for layer in layers:
            tool.linear(layer)
        for bag in bags:
            tool.bag(bag)
        for search in searches:
            tool.search(search)
        apply_trace(data, tool.tables())
        tool.forget_floats()

    @property
    def table_bits(self) -> int:
        """Width of table entries: ``tables``, or as ``weights`` where that is 0."""
        return self.tables or self.weights


Key = tuple[str, ...]
M = TypeVar("M", bound=cim.MatrixOp)


class _Rewriter:
    def __init__(
        self,
        options: Quantize,
        module: ModuleOp,
        data: CompilerContext,
        seen: Seen,
        max_weight: Callable[[int], int],
    ) -> None:
        self.options, self.module, self.data, self.seen = options, module, data, seen
        self.max_weight, self.widths = max_weight, Widths(float(options.percentile), options.acts)
        self.weight_max, self.table_max = max_weight(options.weights), max_weight(options.table_bits)
        self.singly: set[str] = set()
        self.layers: dict[Key, cim.WeightsOp] = {}
        self.bags: dict[Key, cim.TableOp] = {}
        self.corpora: dict[Key, cim.CorpusOp] = {}
        self.taken: set[str] = set()
        self.replaced: set[str] = set()

    def declare(self, known: dict[Key, M], key: Key, make: Callable[[], M]) -> M:
        """The matrix for a tensor (the first entry of ``key``): declared once, however many use it."""
        if key not in known:
            known[key] = matrix = make()
            Rewriter.insert_op(matrix, InsertPoint.before(main_function(self.module)))
            self.replaced.add(key[0])
        return known[key]

    def unique(self, name: str) -> str:
        fresh, count = name, 1
        while fresh in self.taken:
            fresh, count = f"{name}_{count}", count + 1
        self.taken.add(fresh)
        return fresh

    def linear(self, op: rec.LinearOp) -> None:
        store, bits = self.data.store, self.options.acts
        source = symbol(op.weight)
        weight = store[source]
        drive = self.drive(op)
        signed, scale = drive.signed, drive.scale
        given = symbol(op.weight_scale) if op.weight_scale else None

        def make() -> cim.WeightsOp:
            integers, scales = self.integers(op, weight, None if given is None else store[given])
            name = self.unique(source)
            return cim.WeightsOp(
                name, (weight.shape[0], weight.shape[1]), self.options.weights,
                store.add(f"{name}.int", integers), store.add(f"{name}.scales", scales),
                input_bits=bits, input_signed=signed,
            )  # fmt: skip

        digest = "" if given is None else store.digest(given)
        matrix = self.declare(self.layers, (source, "signed" if signed else "unsigned", digest), make)
        if given is not None:
            self.replaced.add(given)
        name = matrix.sym_name.data
        seen = self.seen.samples[op] + np.float32(drive.shift)
        samples = quantize(seen, scale, bits, signed).astype(np.int32)
        before = self.data.samples.get(name)
        self.data.samples[name] = samples if before is None else np.concatenate([before, samples])
        factors = store[symbol(matrix.scales)] * np.float32(scale)
        if float(factors.max(initial=0.0)) * weight.shape[0] * 2.0**15 > LARGEST:
            raise PassError(
                "quantize.overflow",
                f"products of weights and activations may exceed {LARGEST:g}",
                location=Location(tensor=source),
            )
        bias = symbol(op.bias) if op.bias else None
        x, before_it = op.x, list[Operation]()
        if drive.shift:
            shift = np.full((1,) * len(rec.shape(x)), drive.shift, np.float32)
            constant = rec.ConstantOp(store.add(f"{name}.shift", shift), tensor(shift.shape))
            before_it = [constant, rec.BinaryOp("add", x, constant.result)]
            x = before_it[1].results[0]
            columns = store[symbol(matrix.data)].astype(np.float64).sum(axis=0) * store[symbol(matrix.scales)]
            offset = -drive.shift * columns + (0.0 if bias is None else store[bias])
            bias = store.add(f"{name}.bias", offset.astype(np.float32))
        driven = cim.QuantizeOp(x, scale, bits, signed)
        product = cim.MvmOp(driven.result, name, weight.shape[1])
        result = cim.DequantizeOp(product.result, store.add(f"{name}.factors", factors), bias)
        _replace(op, [*before_it, driven, product, result])

    def search(self, op: rec.SearchOp) -> None:
        store, options, source = self.data.store, self.options, symbol(op.corpus)
        drive = self.drive(op)

        def make() -> cim.CorpusOp:
            return declared(
                op, self.unique(source), store, drive, bits=(options.weights, options.acts),
                largest=self.weight_max, each=options.item_scales,
            )  # fmt: skip

        bias = "" if op.bias is None else f"{store.digest(symbol(op.bias))} {drive.scale!r}"
        key = (source, "signed" if drive.signed else "unsigned", f"{op.transposed.value.data}", bias)
        matrix = self.declare(self.corpora, key, make)
        if op.bias is not None:
            self.replaced.add(symbol(op.bias))
        samples = quantize(self.seen.samples[op], drive.scale, options.acts, drive.signed).astype(np.int32)
        before = self.data.samples.get(matrix.symbol)
        self.data.samples[matrix.symbol] = samples if before is None else np.concatenate([before, samples])
        factor = drive.scale * float(store[symbol(matrix.scales)][0])
        for user in [u.operation for u in op.result.uses]:
            if not isinstance(user, rec.HitsOp):
                continue
            user.rescale(factor)
            if user.kind.data == "scores":
                hits = rec.HitsOp("scores", user.x)
                _replace(user, [hits, *rescaled(hits, factor, store, matrix.symbol)])
        _replace(op, searching(op, matrix, drive))

    def drive(self, op: rec.LinearOp | rec.SearchOp) -> Drive:
        """How the input of a layer is quantised: by the model's own grid, else by calibration."""
        bits = self.options.acts
        label = onnx.name_of(op) or symbol(op.weight if isinstance(op, rec.LinearOp) else op.corpus)
        if isinstance(op, rec.LinearOp) and (grid := op.grid) is not None:
            found = drive_of(grid, bits)
            if found is not None:
                return found
            self.data.notes.append(
                f"layer {label}: {bits} bits do not hold the model's own quantisation of its input "
                f"({grid.low} .. {grid.high}); its range comes from calibration"
            )
        signed = not non_negative(op.x)
        reach = self.seen.ranges[op].reach
        if not self.seen.samples[op].any():
            instead = "; its range is that of the value it is a part of" if reach > 0 else ""
            self.data.notes.append(f"layer {label}: its input is always 0 in calibration{instead}")
        return Drive(self.widths.scale(reach, signed), signed)

    def integers(
        self, op: rec.LinearOp, weight: NDArray[Any], given: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The integers of a layer and the scale of each column: the model's own where the cells hold them."""
        source = symbol(op.weight)
        if given is None:
            return quantize_columns(weight, self.weight_max, source)
        peak = largest_of(weight)
        if peak <= self.weight_max:
            return np.ascontiguousarray(weight), given
        self._refitted(f"layer {onnx.name_of(op) or source}", peak, self.weight_max)
        return quantize_columns(weight.astype(np.float32) * given, self.weight_max, source)

    def _refitted(self, what: str, peak: int, largest: int) -> None:
        self.data.notes.append(
            f"{what}: its own integers reach {peak}, the cells hold {largest}; quantised again"
        )

    def bag(self, op: rec.EmbeddingBagOp) -> None:
        store = self.data.store
        source = symbol(op.table)
        table = store[source]
        own = None if op.row_scales is None else symbol(op.row_scales)
        biases = None if op.row_biases is None else symbol(op.row_biases)

        def make() -> cim.TableOp:
            bits, one, rows = self.options.table_bits, np.ones(1, np.float32), None
            if op.scale is None and own is None and not self.options.rowwise:
                integers, one = quantize_table(table, self.table_max, source)
            elif op.scale is None and own is None:
                for _, part in blocks(table):
                    _check_finite(part, source)
                integers, rows = quantize_rows(table, self.table_max)
            else:
                peak = largest_of(table)
                bits = narrowest(peak, bits, self.max_weight)
                if peak > self.table_max:
                    self._refitted(f"table {source}", peak, self.table_max)
                if own is None:
                    assert op.scale is not None
                    integers, one = fitted_table(table, op.scale.value.data, self.table_max)
                elif peak <= self.table_max:
                    integers, rows = np.asarray(table), store[own]
                else:
                    integers, rows = fitted_rows(table, store[own], self.table_max)
            name = self.unique(source)
            self.data.access[name] = self.data.access[source]
            return cim.TableOp(
                name, (table.shape[0], table.shape[1]), bits,
                store.add(f"{name}.int", integers), store.add(f"{name}.scales", one),
                row_scales=None if rows is None else store.add(f"{name}.row_scales", rows),
                row_biases=None if biases is None else store.add(f"{name}.row_biases", store[biases]),
            )  # fmt: skip

        key = "" if op.scale is None else repr(op.scale.value.data)
        digests = [store.digest(n) for n in (own, biases) if n is not None]
        matrix = self.declare(self.bags, (source, key, *digests), make)
        self.replaced.update(n for n in (own, biases) if n is not None)
        if matrix.row_scales is not None and op.weights is None and op.mode.data in ("sum", "mean"):
            self._read_singly(matrix.sym_name.data)
        lookup = cim.LookupOp(
            matrix.sym_name.data, op.ids, op.offsets, op.weights, mode=op.mode.data, layout=op.layout.data,
            scale=float(store[symbol(matrix.scales)][0]), dim=table.shape[1],
            padding=op.padding.value.data if op.padding is not None else None,
        )  # fmt: skip
        _replace(op, [lookup])

    def _read_singly(self, name: str) -> None:
        if name not in self.singly:
            self.singly.add(name)
            self.data.notes.append(
                f"table {name}: every row has its own scale, so rows are read one at a time and added behind "
                "the converters; adding them in the array needs one scale"
            )

    def tables(self) -> list[tuple[cim.TableOp, str]]:
        """The tables, and the tensors they were made from."""
        return [(m, key[0]) for key, m in self.bags.items()]

    def forget_floats(self) -> None:
        """Drop the float tensors that nothing names any more: compilation keeps one copy of the weights."""
        named = {
            symbol(a)
            for op in self.module.walk()
            for a in (*op.attributes.values(), *op.properties.values())
            if isinstance(a, SymbolRefAttr)
        }
        for name in self.replaced - named:  # a weight may also be read on the host, or be an output
            self.data.store.remove(name)


def _clipped(op: rec.LinearOp, seen: Seen, options: Quantize, notes: list[str]) -> ClippedInput | None:
    """The remark on a layer whose input clipping spoils, with a note; ``None`` where it costs little."""
    found = seen.clipping.get(op)
    if found is None or found.cost_db <= CLIP_COST_DB:
        return None
    label = onnx.name_of(op) or symbol(op.weight)
    notes.append(
        f"layer {label}: percentile={options.percentile:g} clips {found.share:.2%} of its input, up to "
        f"{found.range.largest:.3g}, to {found.range.reach:.3g}: that costs {found.cost_db:.0f} dB of SQNR "
        "on the calibration requests; quantize{percentile=100} clips nothing"
    )
    return ClippedInput(label, round(found.cost_db, 1))


def _replace(op: Operation, new: list[Operation]) -> None:
    for each in new:
        each.location = op.location
    new[-1].results[0].name_hint = op.results[0].name_hint
    Rewriter.replace_op(op, new)


def _check_finite(array: NDArray[Any], name: str) -> None:
    if not np.isfinite(array).all():
        raise PassError(
            "quantize.not-finite", "the weights contain NaN or infinity", location=Location(tensor=name)
        )
    if array.size and max(float(array.max()), -float(array.min())) > LARGEST:
        raise PassError(
            "quantize.overflow",
            f"the weights exceed {LARGEST:g}: their sums overflow in 32-bit floats",
            location=Location(tensor=name),
        )


def quantize_columns(
    weight: NDArray[Any], largest: int, name: str = ""
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``float[K, N]`` to ``int8[K, N]`` in ``-largest..largest`` and ``float32[N]`` scales per column."""
    weight = np.asarray(weight)  # generated weights are made here; a layer, unlike a table, is held whole
    _check_finite(weight, name)
    w = weight.astype(np.float32)
    peak = np.abs(w).max(axis=0, initial=0.0)
    known = peak >= largest * SMALLEST
    scales = np.where(known, peak / np.float32(largest), np.float32(1)).astype(np.float32)
    integers = np.clip(np.rint(w / scales), -largest, largest).astype(np.int8)
    return integers, scales


def quantize_table(
    table: NDArray[Any], largest: int, name: str = ""
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``float[rows, dim]`` to ``int8[rows, dim]`` and one ``float32[1]`` scale, streaming over rows.

    A generated table stays one that is made when it is read; its bound takes the place of its peak.
    """
    if isinstance(table, GeneratedArray):
        made = GeneratedIntegers(table, table.bound / largest, largest)
        return cast(NDArray[np.int8], made), np.array([made.scale], np.float32)
    peak = 0.0
    for _, part in blocks(table):
        _check_finite(part, name)
        peak = max(peak, float(np.abs(part).max(initial=0.0)))
    scale = np.float32(peak / largest) if peak >= largest * SMALLEST else np.float32(1)
    try:
        integers = np.empty(table.shape, np.int8)
    except MemoryError:
        raise PassError(
            "quantize.no-memory",
            f"its {table.size} bytes as 8-bit integers do not fit into memory",
            location=Location(tensor=name),
        ) from None
    for start, part in blocks(table):
        scaled = part.astype(np.float32)
        scaled /= scale
        np.rint(scaled, out=scaled)
        integers[start : start + len(part)] = np.clip(scaled, -largest, largest, out=scaled)
    return integers, np.array([scale], np.float32)
