"""Integer matrix products and the quantising epilogue of the ADC, compiled.

A product of small integers runs on the processor's dot-product instructions (:data:`DOT`):

- ``vnni``: 4 unsigned bytes x 4 signed bytes added to an int32, four times the rate of a float32
  multiply-add;
- ``pairs``: 2 x 2 16-bit integers added to an int32, twice that rate on x86-64, which always has it;
  elsewhere LLVM expands the same meaning.

Weights are packed in panels of up to four vectors of 16 columns (``unit_selection.py``); a micro-tile of six
samples x one panel keeps its sums in registers over all rows.  Sums are int32 and exact: 65,536 rows of
255 x 127 fit.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.kernels.vector_ir import (
    F32,
    FEATURES,
    I8,
    I16,
    I32,
    I64,
    TRIPLE,
    call,
    constant,
    load,
    loop,
    pointer,
    shifted,
    splat,
    store,
)  # fmt: skip
from cimc.support.jit import jit

LANES = 16
"""Columns of a vector."""
DOT = "vnni" if str(TRIPLE).startswith("x86_64") and {"+avx512vnni", "+avx512bw"} <= FEATURES else "pairs"
DOT_ROWS = 4 if DOT == "vnni" else 2
"""Rows that one dot product takes."""
INPUT = np.uint8 if DOT == "vnni" else np.int16
"""Type of the inputs of a dot product."""
WEIGHT = np.int8 if DOT == "vnni" else np.int16
PANELS = (4, 2, 1) if "+avx512bw" in FEATURES else (1,)
"""Vectors of a panel: with 16 registers of 256 bits, one is all that six samples leave room for."""
_SAMPLES = 96  # inputs of this many samples at a time stay in the second-level cache


# --------------------------------------------------------------------------------------------------
# The micro-tile


def _dot_vnni(builder: Any, total: Any, x: Any, w: Any) -> Any:
    """``total i32[16] + sum_4 x u8[64] * w i8[64]``."""
    if llvm.llvm_version_info[0] < 21:  # declared on dwords until LLVM 20
        x, w = builder.bitcast(x, total.type), builder.bitcast(w, total.type)
    return call(builder, "llvm.x86.avx512.vpdpbusd.512", total.type, total, x, w)


def _dot_pairs(builder: Any, total: Any, x: Any, w: Any) -> Any:
    """``total i32[16] + sum_2 x i16[32] * w i16[32]``: the pattern that LLVM knows as pmaddwd."""
    wide = ir.VectorType(I32, 2 * LANES)
    product = builder.mul(builder.sext(x, wide), builder.sext(w, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    even, odd = (
        builder.shuffle_vector(product, undefined, constant(I32, list(range(first, 2 * LANES, 2))))
        for first in (0, 1)
    )
    return builder.add(total, builder.add(even, odd))


def _make_dots(tall: int, wide: int) -> Any:
    """``c[m * c_stride + j] = start[j] + sums``: ``tall`` samples, ``wide`` vectors, ``steps`` products."""

    @intrinsic  # type: ignore[untyped-decorator]
    def dots(
        typing: Any, w: Any, w_at: Any, x: Any, x_at: Any, stride: Any, steps: Any,
        start: Any, start_at: Any, c: Any, c_at: Any, c_stride: Any,
    ) -> Any:  # fmt: skip
        n = types.int64
        signature = types.void(w, n, x, n, n, n, start, n, c, n, n)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (
                w_array,
                w_first,
                x_array,
                x_first,
                stride,
                steps,
                s_array,
                s_first,
                c_array,
                c_first,
                c_stride,
            ) = arguments
            kinds = signature.args
            panel = pointer(context, builder, kinds[0], w_array, w_first)
            sample = pointer(context, builder, kinds[2], x_array, x_first)
            begin = pointer(context, builder, kinds[6], s_array, s_first)
            size = kinds[2].dtype.bitwidth // 8
            rows = [
                builder.gep(sample, [builder.mul(stride, ir.Constant(I64, m * size))]) for m in range(tall)
            ]
            small = ir.VectorType(I8, 64) if DOT == "vnni" else ir.VectorType(I16, 32)
            dot = _dot_vnni if DOT == "vnni" else _dot_pairs
            initial = [
                load(builder, shifted(builder, begin, 64 * n), ir.VectorType(I32, LANES), 4)
                for n in range(wide)
            ]

            def body(index: Any, totals: list[Any]) -> list[Any]:
                here = builder.gep(panel, [builder.mul(index, ir.Constant(I64, 64 * wide))])
                weights = [load(builder, shifted(builder, here, 64 * n), small, 1) for n in range(wide)]
                offset = builder.mul(index, ir.Constant(I64, 4))  # bytes of a sample per dot product
                results = []
                for m in range(tall):
                    word = load(builder, builder.gep(rows[m], [offset]), I32, 1)
                    inputs = builder.bitcast(splat(builder, word, LANES), small)
                    results += [dot(builder, totals[m * wide + n], inputs, weights[n]) for n in range(wide)]
                return results

            totals = loop(builder, steps, initial * tall, body)
            for m in range(tall):
                at = builder.add(c_first, builder.mul(c_stride, ir.Constant(I64, m)))
                out = pointer(context, builder, kinds[8], c_array, at)
                for n in range(wide):
                    store(builder, totals[m * wide + n], shifted(builder, out, 64 * n), 4)
            return context.get_dummy_value()

        return signature, generate

    return dots


_4, _2 = (n if n in PANELS else 1 for n in (4, 2))  # what no panel has is not worth compiling
_dots_6x4, _dots_6x2, _dots_6x1 = _make_dots(6, _4), _make_dots(6, _2), _make_dots(6, 1)
_dots_2x4, _dots_2x2, _dots_2x1 = _make_dots(2, _4), _make_dots(2, _2), _make_dots(2, 1)
_dots_1x4, _dots_1x2, _dots_1x1 = _make_dots(1, _4), _make_dots(1, _2), _make_dots(1, 1)


@jit
def _tile(vectors, left, w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride):  # type: ignore[no-untyped-def]
    """Sums of the next samples, at most ``left``, with a panel of ``vectors``: how many samples it were."""
    if left >= 6:
        if vectors == 4:
            _dots_6x4(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
        elif vectors == 2:
            _dots_6x2(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
        else:
            _dots_6x1(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
        return 6
    if left >= 2:
        if vectors == 4:
            _dots_2x4(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
        elif vectors == 2:
            _dots_2x2(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
        else:
            _dots_2x1(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
        return 2
    if vectors == 4:
        _dots_1x4(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
    elif vectors == 2:
        _dots_1x2(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
    else:
        _dots_1x1(w, w_at, x, x_at, stride, steps, start, s_at, c, c_at, c_stride)
    return 1


# --------------------------------------------------------------------------------------------------
# Products


@jit
def product(x, row0, rows, flip, weights, panels, constants, out, place, pitch):  # type: ignore[no-untyped-def]
    """``out = (x[:, row0 : row0 + rows] ^ flip) @ weights + constants``.

    ``x uint8[B, K]``; ``out int32``, flat: sample ``b`` from ``place + b * pitch``; ``panels int64[n, 4]``:
    where a panel begins in ``weights``, its vectors, its first column and its columns; ``constants`` padded
    to whole vectors; ``flip`` 128 adds 128 to bytes that are signed.
    """
    batch = x.shape[0]
    steps = -(-rows // DOT_ROWS)
    stride = steps * DOT_ROWS
    inputs = np.zeros((min(batch, _SAMPLES), stride), INPUT)
    samples = inputs.reshape(-1)
    sums = np.empty(6 * PANELS[0] * LANES, np.int32)
    for b0 in range(0, batch, _SAMPLES):
        count = min(_SAMPLES, batch - b0)
        for i in range(count):
            source, target = x[b0 + i, row0 : row0 + rows], inputs[i]
            for k in range(rows):
                target[k] = source[k] ^ flip
        for n in range(panels.shape[0]):
            at, vectors, left, width = panels[n, 0], panels[n, 1], panels[n, 2], panels[n, 3]
            lanes = vectors * LANES
            m = 0
            while m < count:
                first = place + (b0 + m) * pitch + left
                if width == lanes:
                    m += _tile(
                        vectors, count - m, weights, at, samples, m * stride, stride, steps,
                        constants, left, out, first, pitch,
                    )  # fmt: skip
                    continue
                done = _tile(
                    vectors, count - m, weights, at, samples, m * stride, stride, steps,
                    constants, left, sums, 0, lanes,
                )  # fmt: skip
                for i in range(done):
                    for c in range(width):
                        out[first + i * pitch + c] = sums[i * lanes + c]
                m += done


# --------------------------------------------------------------------------------------------------
# Conversions


@intrinsic  # type: ignore[untyped-decorator]
def _convert(
    typing: Any, sums: Any, s_at: Any, vectors: Any, halves: Any, reciprocals: Any, factors: Any, at: Any,
    low: Any, high: Any, out: Any, o_at: Any,
) -> Any:  # fmt: skip
    """``out += factors * clip(floor((sums + halves) * reciprocals), low, high)`` for ``vectors`` of 16."""
    n = types.int64
    signature = types.void(sums, n, n, halves, reciprocals, factors, n, n, n, out, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        s_array, s_at, vectors, h_array, r_array, f_array, at, low, high, o_array, o_at = arguments
        kinds = signature.args
        source = pointer(context, builder, kinds[0], s_array, s_at)
        bases = [
            pointer(context, builder, kind, array, at)
            for kind, array in zip(kinds[3:6], (h_array, r_array, f_array), strict=True)
        ]
        target = pointer(context, builder, kinds[9], o_array, o_at)
        wide, floats = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
        bounds = [splat(builder, builder.trunc(bound, I32), LANES) for bound in (low, high)]

        def body(index: Any, _: list[Any]) -> list[Any]:
            offset = builder.mul(index, ir.Constant(I64, 4 * LANES))
            half, reciprocal, factor = (
                load(builder, builder.gep(base, [offset]), kind, 4)
                for base, kind in zip(bases, (floats, floats, wide), strict=True)
            )
            value = load(builder, builder.gep(source, [offset]), wide, 4)
            scaled = builder.fmul(builder.fadd(builder.sitofp(value, floats), half), reciprocal)
            code = builder.fptosi(call(builder, f"llvm.floor.v{LANES}f32", floats, scaled), wide)
            code = call(builder, f"llvm.smax.v{LANES}i32", wide, code, bounds[0])
            code = call(builder, f"llvm.smin.v{LANES}i32", wide, code, bounds[1])
            here = builder.gep(target, [offset])
            store(builder, builder.add(load(builder, here, wide, 4), builder.mul(code, factor)), here, 4)
            return []

        loop(builder, vectors, [], body)
        return context.get_dummy_value()

    return signature, generate


PATTERN, POSITIVE, NEGATIVE, SIGN, MAGNITUDE = 0, 1, 2, 3, 4
"""Sources of phases: :class:`cimc.target.cell_encoding.Phase`."""


@jit
def source_bits(value, source, offset, mask):  # type: ignore[no-untyped-def]
    """The byte that a phase takes its bits from, for an input as its two's complement byte."""
    if source == PATTERN:
        return np.uint8(np.uint8(value + offset) & mask)
    negative = value >= 128
    if source == POSITIVE:
        return np.uint8(0) if negative else value
    if source == NEGATIVE:
        return np.uint8(np.uint8(0) - value) if negative else np.uint8(0)
    return np.uint8(mask ^ (mask >> np.uint8(1))) if negative else np.uint8(0)


@jit
def _drive(x, b0, count, phases, offset, mask, inputs, driven):  # type: ignore[no-untyped-def]
    """What phases of samples ``b0 .. b0 + count - 1`` drive, in the rows of ``inputs``; how many they are.

    Those of phase ``p`` of sample ``b0 + i`` are named ``p * count + i`` in ``driven``; a phase that drives
    no row of a sample is left out, as it converts to 0.  Signed codes are raised by the largest of them, as
    the units multiply unsigned inputs.
    """
    rows, used = x.shape[1], 0
    for p in range(phases.shape[0]):
        source, shift, digit = phases[p, 0], np.uint8(phases[p, 1]), np.uint8(phases[p, 2])
        for i in range(count):
            value, target = x[b0 + i], inputs[used]
            idle = digit if source == MAGNITUDE else np.uint8(0)
            if source == PATTERN:
                for k in range(rows):
                    target[k] = (np.uint8(np.uint8(value[k] + offset) & mask) >> shift) & digit
            elif source == MAGNITUDE:
                for k in range(rows):
                    if value[k] >= 128:
                        target[k] = digit - ((np.uint8(np.uint8(0) - value[k]) >> shift) & digit)
                    else:
                        target[k] = digit + ((value[k] >> shift) & digit)
            else:
                for k in range(rows):
                    target[k] = (source_bits(value[k], source, offset, mask) >> shift) & digit
            k = 0
            while k < rows and target[k] == idle:
                k += 1
            if k < rows:
                driven[used] = p * count + i
                used += 1
    return used


@jit
def converted_products(  # type: ignore[no-untyped-def]
    x, phases, offset, mask, weights, panels, columns, halves, reciprocals, factors, steps, shifts, low, high,
    out, place, pitch
):  # fmt: skip
    """Add to ``out`` the converted column sums of cells, times ``factors``.

    ``x uint8[B, K]``; ``out int32``, flat: sample ``b`` from ``place + b * pitch``; ``phases int64[P, 3]``:
    source, lowest bit, mask of the digit; ``offset``, ``mask``: of the pattern; ``panels int64[n, 7]``: where
    its ``weights`` begin, vectors, first row, dot products, where its ``columns`` begin, where its ``[P,
    lanes]`` parameters begin, and its columns.  Conversion is by ``halves`` and ``reciprocals``
    (``bit_planes.py``), or by a division of integers where ``steps`` are given.  ``shifts``: what inputs
    raised by :func:`_drive` add to the sums; ``halves`` are less by them.
    """
    batch, rows = x.shape
    n_phases = phases.shape[0]
    stride = rows + DOT_ROWS  # a block's last dot product may reach past its rows, onto cells of 0
    block = max(1, min(batch, _SAMPLES))
    inputs = np.zeros((n_phases * block, stride), INPUT)
    samples = inputs.reshape(-1)
    driven = np.empty(n_phases * block, np.int64)
    lanes_max = PANELS[0] * LANES
    sums, zeros = np.empty(6 * lanes_max, np.int32), np.zeros(lanes_max, np.int32)
    results = np.empty(lanes_max, np.int32)
    for b0 in range(0, batch, block):
        count = min(block, batch - b0)
        used = _drive(x, b0, count, phases, offset, mask, inputs, driven)
        for n in range(panels.shape[0]):
            vectors, width, first = panels[n, 1], panels[n, 6], panels[n, 4]
            lanes = vectors * LANES
            left = columns[first]
            dense = width == lanes and columns[first + width - 1] - left == width - 1
            m = 0
            while m < used:
                done = _tile(
                    vectors, used - m, weights, panels[n, 0], samples, m * stride + panels[n, 2],
                    stride, panels[n, 3], zeros, 0, sums, 0, lanes,
                )  # fmt: skip
                for i in range(done):
                    p, here = driven[m + i] // count, place + (b0 + driven[m + i] % count) * pitch
                    at = panels[n, 5] + p * lanes
                    if steps.size:
                        for c in range(width):
                            total = np.int64(sums[i * lanes + c]) - np.int64(shifts[at + c])
                            total += np.int64(steps[at + c] >> 1)
                            code = min(max(total // np.int64(steps[at + c]), low), high)
                            out[here + columns[first + c]] += code * factors[at + c]
                    elif dense:
                        _convert(
                            sums, i * lanes, vectors, halves, reciprocals, factors, at, low, high,
                            out, here + left,
                        )  # fmt: skip
                    else:
                        results[:] = 0
                        _convert(
                            sums, i * lanes, vectors, halves, reciprocals, factors, at, low, high, results, 0
                        )
                        for c in range(width):
                            out[here + columns[first + c]] += results[c]
                m += done
