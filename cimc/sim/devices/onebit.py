"""One-bit phases on real devices by table, compiled: the same bits as ``plain.py``, several times faster.

As in the noiseless kernel, four rows driven by one bit each add up to one of 16 sums per cell column.  Two
tables hold these sums as 16-bit integers, of conductances and of variances, for 32 neighbouring columns of
one slice; both sums of a phase are then one load and one vector addition each per group of four rows.  Noise
and conversion follow while the sums are in registers.  Importing this imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.devices.compiled import _LANE, _16, _word
from cimc.sim.kernels.backend import compiled
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

LANES = 32
"""Columns that are added together."""
CHAINS = 4
"""Phases that are added together."""
_SAMPLES = 64  # samples that share two tables while they are in cache


@intrinsic  # type: ignore[untyped-decorator]
def _convert(
    typing: Any, means: Any, spreads: Any, t_at: Any, index: Any, i_at: Any, groups: Any, z: Any, scales: Any,
    s_at: Any, halves: Any, steps: Any, factors: Any, at: Any, low: Any, high: Any, sums: Any,
) -> Any:  # fmt: skip
    """``sums int32[32] += sum_p factor_p * clip(floor((M_p + sqrt(V_p * scale) * z_p + half_p) / step_p))``.

    Tables int16 from element ``t_at``; ``index uint16[groups, 4]`` rows of them; ``z``, ``halves``, ``steps``
    float32 and ``factors`` int32 ``[4, 32]``, the last three from element ``at``; ``scales`` float32 ``[32]``
    from ``s_at``.
    """
    n = types.int64
    signature = types.void(
        means, spreads, n, index, n, n, z, scales, n, halves, steps, factors, n, n, n, sums
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        (
            m_array, v_array, t_first, i_array, i_first, groups, z_array, s_array, s_first, h_array, d_array,
            f_array, at, low, high, o_array,
        ) = arguments  # fmt: skip
        zero = ir.Constant(I64, 0)
        m_table = pointer(context, builder, kinds[0], m_array, t_first)
        v_table = pointer(context, builder, kinds[1], v_array, t_first)
        index = pointer(context, builder, kinds[3], i_array, i_first)
        z = pointer(context, builder, kinds[6], z_array, zero)
        scale_at = pointer(context, builder, kinds[7], s_array, s_first)
        half_at = pointer(context, builder, kinds[9], h_array, at)
        step_at = pointer(context, builder, kinds[10], d_array, at)
        factor_at = pointer(context, builder, kinds[11], f_array, at)
        out = pointer(context, builder, kinds[15], o_array, zero)
        i16, i32, f32 = (ir.VectorType(kind, LANES) for kind in (I16, I32, F32))

        def body(number: Any, totals: list[Any]) -> list[Any]:
            here = builder.gep(index, [builder.mul(number, ir.Constant(I64, 2 * CHAINS))])
            results = []
            for p in range(CHAINS):
                row = builder.zext(load(builder, shifted(builder, here, 2 * p), I16, 2), I64)
                offset = [builder.mul(row, ir.Constant(I64, 2 * LANES))]
                results.append(
                    builder.add(totals[2 * p], load(builder, builder.gep(m_table, offset), i16, 2))
                )
                results.append(
                    builder.add(totals[2 * p + 1], load(builder, builder.gep(v_table, offset), i16, 2))
                )
            return results

        totals = loop(builder, groups, [constant(I16, [0] * LANES)] * (2 * CHAINS), body)
        bounds = [splat(builder, builder.trunc(bound, I32), LANES) for bound in (low, high)]
        scale = load(builder, scale_at, f32, 4)
        result = load(builder, out, i32, 4)
        for p in range(CHAINS):
            mean = builder.sitofp(builder.sext(totals[2 * p], i32), f32)
            spread = builder.sitofp(builder.sext(totals[2 * p + 1], i32), f32)
            here = 4 * LANES * p
            sigma = call(builder, f"llvm.sqrt.v{LANES}f32", f32, builder.fmul(spread, scale))
            noise = builder.fmul(sigma, load(builder, shifted(builder, z, here), f32, 4))
            total = builder.fadd(
                builder.fadd(mean, noise), load(builder, shifted(builder, half_at, here), f32, 4)
            )
            scaled = builder.fdiv(total, load(builder, shifted(builder, step_at, here), f32, 4))
            code = builder.fptosi(call(builder, f"llvm.floor.v{LANES}f32", f32, scaled), i32)
            code = call(builder, f"llvm.smax.v{LANES}i32", i32, code, bounds[0])
            code = call(builder, f"llvm.smin.v{LANES}i32", i32, code, bounds[1])
            factor = load(builder, shifted(builder, factor_at, here), i32, 4)
            result = builder.add(result, builder.mul(code, factor))
        store(builder, result, out, 4)
        return context.get_dummy_value()

    return signature, generate


@compiled
def multiply(  # type: ignore[no-untyped-def]
    acc, index, means, spreads, keys, table, scales, halves, steps, factors, first_col, cols_total, phases,
    slices, low, high, noisy,
):  # fmt: skip
    """Add to ``acc int64[B, C]`` what columns ``first_col ..`` of a strip convert to, slices recombined.

    ``index uint16[B, Q, G, 4]``: table rows that four phases drive, for each quarter ``q`` of the phases;
    tables int16 ``[tiles, G * 16, 32]``, tiles of one slice after those of the one before, the first column
    of each a multiple of 4 at or before ``first_col``; ``halves``, ``steps``, ``factors`` ``[tiles, Q, 4,
    32]``, with factor 0 for what fills up; ``scales [tiles, 32]``; the rest as in ``plain.py``.
    """
    batch, quarters, groups = index.shape[0], index.shape[1], index.shape[2]
    tiles = means.shape[0] // slices
    cols = acc.shape[1]
    skip = first_col % 4
    wide = (cols_total + 3) // 4
    size = groups * 16 * LANES
    z = np.zeros(CHAINS * LANES, np.float32)
    sums = np.empty(LANES, np.int32)
    flat_index, flat_means, flat_spreads = index.ravel(), means.ravel(), spreads.ravel()
    flat_scales, flat_halves = scales.ravel(), halves.ravel()
    flat_steps, flat_factors = steps.ravel(), factors.ravel()
    for b0 in range(0, batch, _SAMPLES):
        b1 = min(batch, b0 + _SAMPLES)
        for s in range(slices):
            for t in range(tiles):
                tile = s * tiles + t
                word0 = first_col // 4 + t * (LANES // 4)
                words = min(LANES // 4, wide - word0)
                left = max(0, t * LANES - skip)
                right = min(cols, (t + 1) * LANES - skip)
                for b in range(b0, b1):
                    sums[:] = 0
                    key = keys[b]
                    for q in range(quarters):
                        if noisy:
                            for k in range(min(CHAINS, phases - CHAINS * q)):
                                base = ((CHAINS * q + k) * slices + s) * wide + word0
                                for w in range(words):
                                    h = _word(key, base + w)
                                    at = LANES * k + 4 * w
                                    z[at] = table[h & _LANE]
                                    z[at + 1] = table[(h >> _16) & _LANE]
                                    z[at + 2] = table[(h >> np.uint64(32)) & _LANE]
                                    z[at + 3] = table[h >> np.uint64(48)]
                        _convert(
                            flat_means, flat_spreads, tile * size, flat_index,
                            (b * quarters + q) * groups * CHAINS, groups, z, flat_scales, tile * LANES,
                            flat_halves, flat_steps, flat_factors, (tile * quarters + q) * CHAINS * LANES,
                            low, high, sums,
                        )  # fmt: skip
                    for c in range(left, right):
                        acc[b, c] += sums[c + skip - t * LANES]
