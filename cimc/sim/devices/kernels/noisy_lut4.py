"""One-bit phases on real devices by table, compiled: the same bits as ``plain.py``, several times faster.

As in the noiseless kernel, four rows driven by one bit each add up to one of 16 sums per cell column.  A
table holds these sums as 16-bit integers for 16 neighbouring columns of one slice, those of conductances
beside those of variances: both sums of a phase are one load and one vector addition for each group of four
rows that is driven at all.  The deviates, the conversion and the shift-add follow while the sums are in
registers, two phases at a time.  Importing this imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.devices.kernels.deviates import WORDS, deviates, mixed
from cimc.sim.kernels.dense.dot_products import source_bits
from cimc.sim.kernels.vector_ir import (
    F32,
    I16,
    I32,
    I64,
    call,
    constant,
    load,
    loop,
    pointer,
    shifted,
    splat,
    store,
)
from cimc.support.jit import jit
from cimc.support.random.splitmix import GAMMA

LANES = 16
"""Columns that are added together."""
CHAINS = 2
"""Phases that are converted together."""
UNROLLED = 8
"""Entries of a list of table rows come in so many."""
_SAMPLES = 64  # samples that share a table while it is in cache
_BOTH = LANES * CHAINS  # conversions made together


def _make_convert(divide: bool) -> Any:
    """``sums int32[16] += sum_p factor_p * clip(floor((M_p + sqrt(V_p * scale) * z_p + half_p) / step_p))``.

    Without ``divide``, ``steps`` are reciprocals.  ``table int16`` from element ``t_at``; of phase ``p``,
    ``entries uint16`` from ``e_at + p * stride`` are rows of it in eighths, ``counts int64[p]`` from ``c_at``
    times eight; ``scales`` float32 ``[16]`` from ``s_at``; ``halves``, ``steps`` float32 and ``factors``
    int32 ``[pairs, 2, 16]`` from ``at``; the stream ``key`` from word ``word``, ``apart`` words between
    phases.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def convert(
        typing: Any, table: Any, t_at: Any, entries: Any, e_at: Any, stride: Any, counts: Any, c_at: Any,
        scales: Any, s_at: Any, halves: Any, steps: Any, factors: Any, at: Any, pairs: Any,
        key: Any, word: Any, apart: Any, low: Any, high: Any, sums: Any, o_at: Any,
    ) -> Any:  # fmt: skip
        n = types.int64
        signature = types.void(
            table, n, entries, n, n, counts, n, scales, n, halves, steps, factors, n, n, types.uint64, n, n,
            n, n, sums, n,
        )  # fmt: skip

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            (
                t_array, t_at, e_array, e_at, stride, c_array, c_at, s_array, s_at, h_array, d_array, f_array,
                at, pairs, key, word, apart, low, high, o_array, o_at,
            ) = arguments  # fmt: skip
            table = pointer(context, builder, kinds[0], t_array, t_at)
            entries = pointer(context, builder, kinds[2], e_array, e_at)
            counts = pointer(context, builder, kinds[5], c_array, c_at)
            bases = [
                pointer(context, builder, kinds[i], array, at)
                for i, array in ((9, h_array), (10, d_array), (11, f_array))
            ]
            i32, f32 = (ir.VectorType(kind, _BOTH) for kind in (I32, F32))
            cells = ir.VectorType(I16, 2 * LANES)

            def chosen(a: Any, b: Any, first: int) -> Any:
                """16 lanes of ``a`` and of ``b`` from ``first``, as float32."""
                picked = [first + i + side for side in (0, 2 * LANES) for i in range(LANES)]
                both = builder.shuffle_vector(a, b, constant(I32, picked))
                return builder.sitofp(builder.sext(both, i32), f32)

            one = load(
                builder, pointer(context, builder, kinds[7], s_array, s_at), ir.VectorType(F32, LANES), 4
            )
            twice = constant(I32, [i % LANES for i in range(_BOTH)])
            scale = builder.shuffle_vector(one, ir.Constant(one.type, ir.Undefined), twice)
            bounds = [splat(builder, builder.trunc(bound, I32), _BOTH) for bound in (low, high)]

            # counters of the first two phases, times GAMMA, and what takes them to the next two
            gamma = ir.Constant(I64, GAMMA)
            start = builder.add(key, builder.mul(word, gamma))
            far = splat(builder, builder.mul(apart, gamma), WORDS)
            half = WORDS // CHAINS
            chain = builder.mul(far, constant(I64, [j // half for j in range(WORDS)]))
            near = constant(I64, [(j % half + 1) * GAMMA % 2**64 for j in range(WORDS)])
            state = builder.add(builder.add(splat(builder, start, WORDS), chain), near)
            onwards = builder.add(far, far)

            def pair(number: Any, carried: list[Any]) -> list[Any]:
                result, state = carried
                totals = []
                for p in range(CHAINS):
                    phase = builder.add(builder.mul(number, ir.Constant(I64, CHAINS)), ir.Constant(I64, p))
                    count = load(
                        builder, builder.gep(counts, [builder.mul(phase, ir.Constant(I64, 8))]), I64, 8
                    )
                    size = builder.mul(builder.mul(phase, stride), ir.Constant(I64, 2))
                    listed = builder.gep(entries, [size])

                    def some(index: Any, total: list[Any], listed: Any = listed) -> list[Any]:
                        here = builder.gep(listed, [builder.mul(index, ir.Constant(I64, 2 * UNROLLED))])
                        for i in range(UNROLLED):
                            entry = builder.zext(load(builder, shifted(builder, here, 2 * i), I16, 2), I64)
                            row = builder.gep(table, [builder.mul(entry, ir.Constant(I64, 4 * LANES // 8))])
                            total = [builder.add(total[0], load(builder, row, cells, 32))]
                        return total

                    totals += loop(builder, count, [constant(I16, [0] * 2 * LANES)], some)
                z = deviates(builder, mixed(builder, state))
                left, right = totals
                mean, spread = chosen(left, right, 0), chosen(left, right, LANES)
                offset = builder.mul(number, ir.Constant(I64, 4 * _BOTH))
                half, step, factor = (
                    load(builder, builder.gep(base, [offset]), kind, 4)
                    for base, kind in zip(bases, (f32, f32, i32), strict=True)
                )
                sigma = call(builder, f"llvm.sqrt.v{_BOTH}f32", f32, builder.fmul(spread, scale))
                y = builder.fadd(builder.fadd(mean, builder.fmul(sigma, z)), half)
                scaled = builder.fdiv(y, step) if divide else builder.fmul(y, step)
                code = builder.fptosi(call(builder, f"llvm.floor.v{_BOTH}f32", f32, scaled), i32)
                code = call(builder, f"llvm.smax.v{_BOTH}i32", i32, code, bounds[0])
                code = call(builder, f"llvm.smin.v{_BOTH}i32", i32, code, bounds[1])
                return [builder.add(result, builder.mul(code, factor)), builder.add(state, onwards)]

            result, _ = loop(builder, pairs, [constant(I32, [0] * _BOTH), state], pair)
            parts = [
                builder.shuffle_vector(
                    result, ir.Constant(i32, ir.Undefined), constant(I32, list(range(a, a + LANES)))
                )
                for a in (0, LANES)
            ]
            out = pointer(context, builder, kinds[19], o_array, o_at)
            total = builder.add(builder.add(*parts), load(builder, out, parts[0].type, 4))
            store(builder, total, out, 4)
            return context.get_dummy_value()

        return signature, generate

    return convert


_by_division, _by_product = _make_convert(True), _make_convert(False)


@jit
def _list(x, b0, count, phases, offset, mask, row, entries, counts):  # type: ignore[no-untyped-def]
    """Table rows that the phases of samples ``b0 .. b0 + count - 1`` drive, those of no row left out.

    ``entries uint16[samples, P, n]`` in eighths of a row, filled up with row 0, the sum of no cell, to
    ``counts int64[samples, P]`` eights, at least one; ``row uint8``: room for the rows, rounded up to 4.
    """
    rows = x.shape[1]
    groups = -(-rows // 4)
    words = row.view(np.uint32)
    row[4 * groups - 4 :] = 0
    nibbles = np.empty(groups, np.uint16)
    for i in range(count):
        value = x[b0 + i]
        last = -1
        for p in range(phases.shape[0]):
            source, shift = phases[p, 0], np.uint32(phases[p, 1])
            listed, n = entries[i, p], np.uint64(0)
            if source >= 0:
                if source != last:
                    for j in range(rows):
                        row[j] = source_bits(value[j], source, offset, mask)
                    last = source
                for g in range(groups):
                    bits = (words[g] >> shift) & np.uint32(0x01010101)
                    # bit of byte j to bit 24 + j, and no two bits to one place
                    nibbles[g] = np.uint32(bits * np.uint32(0x01020408)) >> np.uint32(24) & np.uint32(15)
                for g in range(groups):
                    listed[n] = np.uint16(128 * g) + np.uint16(8) * nibbles[g]
                    n += np.uint64(nibbles[g] != 0)
            counts[i, p] = max(-(-np.int64(n) // UNROLLED), 1)
            listed[np.int64(n) : UNROLLED * counts[i, p]] = 0


@jit
def multiply(  # type: ignore[no-untyped-def]
    out, cols, x, phases, offset, mask, tables, scales, halves, steps, factors, divide, keys,
    first_col, cols_total, slices, low, high
):  # fmt: skip
    """Add to ``out int32[B * C]`` what columns ``first_col ..`` of a column tile convert to, slices
    recombined.

    ``x uint8[B, R]``: its rows of the inputs; ``phases int64[P, 2]``, an even number of them: source (-1:
    none) and bit; tables int16 ``[tiles, G * 16, 2, 16]``, tiles of one slice after those of the one before,
    the first column of each a multiple of 4 at or before ``first_col``; ``halves``, ``steps`` (reciprocals
    unless ``divide``) and ``factors`` ``[tiles, P, 16]``, with factor 0 for what fills up; ``scales [tiles,
    16]``; ``keys [B]``: stream of each request.
    """
    batch, rows, n_phases = x.shape[0], x.shape[1], phases.shape[0]
    groups = -(-rows // 4)
    tiles = tables.shape[0] // slices
    skip = first_col % 4
    wide = (cols_total + 3) // 4
    samples = min(batch, _SAMPLES)
    stride = -(-groups // UNROLLED) * UNROLLED
    entries = np.empty((samples, n_phases, stride + 1), np.uint16)
    counts = np.empty((samples, n_phases), np.int64)
    flat_entries, flat_counts = entries.reshape(-1), counts.reshape(-1)
    row = np.empty(4 * groups, np.uint8)
    scratch = np.zeros(samples * LANES, np.int32)
    size = groups * 16 * 2 * LANES
    flat, flat_scales, flat_halves = tables.reshape(-1), scales.reshape(-1), halves.reshape(-1)
    flat_steps, flat_factors = steps.reshape(-1), factors.reshape(-1)
    for b0 in range(0, batch, samples):
        count = min(samples, batch - b0)
        _list(x, b0, count, phases, offset, mask, row, entries, counts)
        for s in range(slices):
            for t in range(tiles):
                tile = s * tiles + t
                word = s * wide + first_col // 4 + t * (LANES // 4)
                left, right = max(0, t * LANES - skip), min(cols, (t + 1) * LANES - skip)
                dense = right - left == LANES
                target, at, pitch = (out, b0 * cols + left, cols) if dense else (scratch, 0, LANES)
                for i in range(count):
                    if divide:
                        _by_division(
                            flat, tile * size, flat_entries, i * n_phases * (stride + 1), stride + 1,
                            flat_counts, i * n_phases, flat_scales, tile * LANES, flat_halves, flat_steps,
                            flat_factors, tile * n_phases * LANES, n_phases // CHAINS, keys[b0 + i], word,
                            slices * wide, low, high, target, at + i * pitch,
                        )  # fmt: skip
                    else:
                        _by_product(
                            flat, tile * size, flat_entries, i * n_phases * (stride + 1), stride + 1,
                            flat_counts, i * n_phases, flat_scales, tile * LANES, flat_halves, flat_steps,
                            flat_factors, tile * n_phases * LANES, n_phases // CHAINS, keys[b0 + i], word,
                            slices * wide, low, high, target, at + i * pitch,
                        )  # fmt: skip
                if not dense:
                    for i in range(count):
                        for c in range(left, right):
                            out[(b0 + i) * cols + c] += scratch[i * LANES + c + skip - t * LANES]
                    scratch[:] = 0
