"""What calibration requests say: ranges of the inputs of layers, samples of them, accesses of tables.

Most elements of many inputs say nothing of their range: zeros behind a ReLU, the padding of a sequence, what
a normalised one-hot holds where it is off.  A percentile that counts them is the percentile of nothing.  So
it is taken over what differs from the usual; see :func:`reach`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from cimc.analysis.origins import is_given, parts_of, whole_of
from cimc.errors import Location, PassError
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.interpreter.numerics import quantize
from cimc.ir import rec
from cimc.ir.context import Access, CompilerContext, Requests
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import symbol
from cimc.workload.request_rules import require_finite

SAMPLES = 256
"""Quantised input vectors kept per matrix for choosing ADC ranges."""

LARGEST = 1e30
"""Weights and activations beyond this are refused: float32 ends at 3.4e38, sums and products exceed it."""

CLIP_COST_DB = 6.0
"""A layer whose input loses more SQNR than this by clipping, a bit of it, gets a note."""

_EXACT_DB = 60.0  # more SQNR than this counts as this: it is beyond what 8 bits give

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """Magnitudes of a value over all requests: what its integers shall reach, and the largest."""

    reach: float
    largest: float


@dataclass(frozen=True)
class Clipping:
    """What clipping does to a layer's input: the share of its non-zero elements, and the SQNR lost."""

    range: Range
    share: float
    cost_db: float


@dataclass
class Seen:
    """What calibration requests did to each layer: range of its input, samples of it, what clipping costs."""

    ranges: dict[Operation, Range] = field(default_factory=dict)
    samples: dict[Operation, Floats] = field(default_factory=dict)
    clipping: dict[Operation, Clipping] = field(default_factory=dict)


@dataclass(frozen=True)
class Widths:
    """How inputs of layers become integers: the percentile of magnitudes that is kept, and bits."""

    percentile: float
    bits: int

    def levels(self, signed: bool) -> int:
        """Largest integer."""
        return (1 << (self.bits - 1)) - 1 if signed else (1 << self.bits) - 1

    def scale(self, reach: float, signed: bool) -> float:
        """Scale with which integers reach ``reach``."""
        return rounded_scale(reach / self.levels(signed)) if reach > 0 else 1.0


def observe(module: ModuleOp, data: CompilerContext, widths: Widths) -> Seen:
    """Run the calibration requests of ``data`` and look at the input of every layer and lookup.

    Table accesses go to ``data.access``.

    Raises:
        PassError: ``quantize.no-calibration``, ``quantize.empty-calibration``, ``quantize.not-finite`` or
            ``quantize.overflow``.
        RequestError: ``request.not-finite`` where it is the requests that are not.
    """
    if data.calibration is None:
        if data.no_calibration is not None:
            raise data.no_calibration
        raise PassError(
            "quantize.no-calibration",
            "quantisation ranges come from calibration requests, and none were given",
            hint="add --calib requests.npz",
        )
    _require_requests(data.calibration)
    watch = _Watch(module, data, widths)
    evaluate(module, data, data.calibration, watch)
    empty = watch.ids and not any(part.size for parts in watch.ids.values() for part in parts)
    if empty and watch.seen.ranges:  # bags alone need no ranges
        raise _empty("every bag of the calibration requests is empty")
    if watch.seen.samples and not any(len(rows) for rows in watch.seen.samples.values()):
        raise _empty("there are no calibration requests: no layer sees any input")
    for table, parts in watch.ids.items():
        unique, counts = np.unique(np.concatenate(parts), return_counts=True)
        data.access[table] = Access(unique, counts.astype(np.int64), max(watch.requests, 1))
    return watch.seen


def _require_requests(calibration: Requests) -> None:
    """Refuse arrays that all hold no rows, before arithmetic meets them."""
    if calibration and not any(array.shape[0] if array.ndim else 0 for array in calibration.values()):
        raise _empty(f"there are no calibration requests: {', '.join(sorted(calibration))} hold no rows")


def _empty(why: str) -> PassError:
    return PassError(
        "quantize.empty-calibration",
        f"quantisation ranges come from calibration requests, but {why}",
        hint="give requests with --calib, or leave it out to have some invented",
    )


class _Watch:
    """Sees every operation with the arrays of its operands."""

    def __init__(self, module: ModuleOp, data: CompilerContext, widths: Widths) -> None:
        self.data, self.widths, self.seen = data, widths, Seen()
        self.ids: dict[str, list[NDArray[np.int64]]] = {}
        self.requests = 0
        driving = rec.LinearOp | rec.SearchOp
        layers = [o for o in main_function(module).body.block.ops if isinstance(o, driving)]
        self.wanted = {v for o in layers for part in parts_of(o.x) for v in (part, whole_of(part))}
        self.ranges: dict[SSAValue, Range] = {}

    def __call__(self, op: Operation, args: list[NDArray[Any]]) -> None:
        for value, array in zip(op.operands, args, strict=True):
            if value in self.wanted and value not in self.ranges and array.dtype.kind in "fiub":
                percentile = 100.0 if is_given(value) else self.widths.percentile
                self.ranges[value] = range_of(as_rows(array), percentile)
        if isinstance(op, rec.LinearOp | rec.SearchOp):
            self.layer(op, args[0])
        elif isinstance(op, rec.EmbeddingBagOp):
            used = args[0].reshape(-1).astype(np.int64)
            if op.padding is not None:
                used = used[used != op.padding.value.data]
            self.ids.setdefault(symbol(op.table), []).append(used)
            slots = args[0] if op.offsets is None else args[1]
            self.requests = max(self.requests, int(slots.shape[0]))

    def layer(self, op: rec.LinearOp | rec.SearchOp, x: NDArray[Any]) -> None:
        rows = as_rows(x)
        if not np.isfinite(rows).all():
            require_finite(self.data.calibration or {}, "calibration input")
            raise PassError(
                "quantize.not-finite",
                "calibration gives infinite or NaN activations at this layer",
                location=Location(node=onnx.name_of(op)),
            )
        if rows.size and max(float(rows.max()), -float(rows.min())) > LARGEST:
            raise PassError(
                "quantize.overflow",
                f"calibration gives activations beyond {LARGEST:g} at this layer",
                location=Location(node=onnx.name_of(op)),
            )
        found = self.range(op)
        self.seen.ranges[op] = found
        self.seen.samples[op] = rows[sampled(rows, x.ndim > 2)].astype(np.float32)
        if found.reach < found.largest and isinstance(op, rec.LinearOp) and op.grid is None:
            self.seen.clipping[op] = clipping(rows, found, self.widths, not non_negative(op.x))

    def range(self, op: rec.LinearOp | rec.SearchOp) -> Range:
        """Of the parts that the input is put together from; of what they were cut from if all are zero."""
        parts = [self.ranges[v] for v in parts_of(op.x)]
        if not any(r.largest for r in parts):
            parts = [self.ranges[v] for v in map(whole_of, parts_of(op.x)) if v in self.ranges]
        return Range(max(r.reach for r in parts), max(r.largest for r in parts))


def as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """``[..., K]`` as ``[n, K]``, also of no elements; a vector is a column."""
    if array.ndim < 2:
        return array.reshape(-1, 1)
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def range_of(rows: NDArray[Any], percentile: float) -> Range:
    """Range of ``rows [n, K]``; a request's NaN and infinity are for the layer to refuse."""
    with np.errstate(over="ignore"):
        rows = np.nan_to_num(rows.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)
    largest = float(np.abs(rows).max(initial=0.0))
    return Range(reach(rows, percentile) if percentile < 100 else largest, largest)


def reach(rows: Floats, percentile: float) -> float:
    """The magnitude that quantisation keeps of ``rows [n, K]``: what is beyond is clipped.

    The ``percentile`` of the magnitudes that are neither zero nor usual in their column, but no less than
    anything usual: a value that a column holds in more than half of the rows is no outlier.
    """
    usual = usual_values(rows)
    rest = np.abs(rows[(rows != usual) & (rows != 0)])
    kept = float(np.abs(np.nan_to_num(usual)).max(initial=0.0))
    return max(kept, float(np.percentile(rest, percentile))) if rest.size else kept


def usual_values(rows: Floats) -> Floats:
    """Per column of ``rows [n, K]``, the value of more than half of its rows; NaN if there is none."""
    if len(rows) < 2 or not rows.size:
        return np.full(rows.shape[1], np.nan, np.float32)
    few = rows[picked(len(rows))]  # a value of more than half is their median
    middle = np.partition(few, (len(few) - 1) // 2, axis=0)[(len(few) - 1) // 2]
    often = 2 * np.count_nonzero(rows == middle, axis=0) > len(rows)
    return np.where(often, middle, np.float32(np.nan))


def picked(count: int) -> NDArray[np.int64]:
    """At most :data:`SAMPLES` of ``count`` numbers, ascending, in step with no period that data may have."""
    if count <= SAMPLES:
        return np.arange(count, dtype=np.int64)
    golden = (math.sqrt(5) - 1) / 2
    return np.unique((np.arange(SAMPLES) * golden % 1.0 * count).astype(np.int64))


def sampled(rows: NDArray[Any], positions: bool) -> NDArray[np.int64]:
    """Which of ``rows [n, K]`` to keep for ADC ranges: :data:`SAMPLES` at most, ascending.

    Evenly; with ``positions`` (several rows per request) not in step with the length of a sequence.  Where
    most rows are usual ones, all zero or padding, half of the samples are of the others.
    """
    count = len(rows)
    chosen = picked(count) if positions else np.arange(0, count, max(1, -(-count // SAMPLES)))
    usual = usual_values(rows)
    telling = ((rows != usual) & (rows != 0)).any(axis=1)
    if 2 * int(telling[chosen].sum()) >= len(chosen) or len(chosen) == count:
        return chosen
    others = np.flatnonzero(telling)
    half = SAMPLES // 2
    more = others[np.arange(min(half, len(others))) * len(others) // min(half, max(len(others), 1))]
    return np.union1d(chosen[::2], more)


def clipping(rows: NDArray[Any], found: Range, widths: Widths, signed: bool) -> Clipping:
    """What clipping ``rows [n, K]`` to ``found.reach`` costs, against integers that reach the largest."""
    beyond, inside = int((np.abs(rows) > found.reach).sum()), max(int((rows != 0).sum()), 1)
    energy = float(np.square(rows, dtype=np.float64).sum())

    def sqnr(largest: float) -> float:
        scale = widths.scale(largest, signed)
        back = quantize(rows, scale, widths.bits, signed).astype(np.float64) * scale
        noise = float(np.square(back - rows).sum())
        return min(10 * math.log10(energy / noise), _EXACT_DB) if noise > 0 else _EXACT_DB

    return Clipping(found, beyond / inside, sqnr(found.largest) - sqnr(found.reach))


def rounded_scale(scale: float) -> float:
    """``scale`` rounded up to 12 significant bits.

    Calibration runs float arithmetic whose last bits differ between machines; they must not reach artifacts.
    """
    mantissa, exponent = math.frexp(scale)
    return math.ldexp(math.ceil(mantissa * (1 << 12)), exponent - 12)


_KEEPS_SIGN = (rec.ReshapeOp, rec.TransposeOp, rec.SliceOp, rec.TakeOp, rec.ExpandOp, rec.ConcatOp)


def non_negative(value: SSAValue) -> bool:
    """Whether the graph proves a value >= 0 (relu, sigmoid, ..., and what only moves such values)."""
    op = value.owner
    if isinstance(op, rec.UnaryOp):
        if op.kind.data == "clip":
            assert op.alpha is not None
            return op.alpha.value.data >= 0
        return op.kind.data in ("relu", "sigmoid", "exp", "abs", "sqrt")
    if isinstance(op, rec.ReduceOp):
        return op.kind.data == "l2" or non_negative(op.x)
    if isinstance(op, _KEEPS_SIGN):
        return all(non_negative(v) for v in op.operands)
    if isinstance(op, rec.PadOp):
        return op.value.value.data >= 0 and non_negative(op.x)
    if isinstance(op, rec.BinaryOp) and op.kind.data in ("add", "mul", "div", "min"):
        return non_negative(op.a) and non_negative(op.b)
    return False
