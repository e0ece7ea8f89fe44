"""One-bit phases by table (LUT4), compiled.

Four rows driven by one bit each add up to one of 16 sums per cell column.  A table holds these, for every
group of four rows of an array, side by side for 64 columns of cells: a phase's column sums are then one load
and one vector addition per group, for 64 columns at once.  A table of 128 rows takes 32 KiB and stays in the
first-level cache while samples pass.

With unsigned cells and steps of 1, sums of unsigned bytes may saturate: all terms are at least 0, so in any
order the result is ``min(sum, 255)``, and an ADC of up to 8 bits clips there or below
(:func:`clipped_tables`).  For other steps, wider codes or signed cells, sums are exact (bytes up to 255, else
16-bit integers) and each is converted as in ``bit_planes.py`` (:func:`converted_tables`).

Phases are taken in *chunks* of up to eight consecutive bits of one source, each with its own accumulator.
Groups whose four inputs are all 0 are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cimc.sim.kernels.dense.dot_products import PATTERN, source_bits
from cimc.sim.kernels.vector_ir import (
    F32,
    FEATURES,
    I8,
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
)  # fmt: skip
from cimc.support.jit import jit

LANES = 64
"""Cells of a row that are added together, and elements of a row of a table."""
CHAINS = (8, 4, 1) if "+avx512bw" in FEATURES else (4, 1)
"""Phases that are added up at once: each keeps 64 bytes in registers."""
_SAMPLES = 128  # samples that share a table while it is in the first-level cache


# --------------------------------------------------------------------------------------------------
# Inner loops


def _lanes(kind: Any) -> Any:
    return ir.VectorType(kind, LANES)


def _fold(builder: Any, values: Any, slots: Any, out: Any) -> None:
    """Add ``values i32[64]``, ``slots`` columns of each of ``64 / slots`` slices, over slices to ``out``."""
    end = builder.append_basic_block("folded")
    cases = [(size, builder.append_basic_block(f"fold{size}")) for size in (64, 32, 16, 8)]
    switch = builder.switch(slots, cases[-1][1])
    for size, block in cases:
        switch.add_case(ir.Constant(I64, size), block)
        builder.position_at_end(block)
        lanes, total = LANES, values
        while lanes > size:
            lanes //= 2
            undefined = ir.Constant(total.type, ir.Undefined)
            halves = [
                builder.shuffle_vector(total, undefined, constant(I32, list(range(a, a + lanes))))
                for a in (0, lanes)
            ]
            total = builder.add(*halves)
        store(builder, builder.add(load(builder, out, total.type, 4), total), out, 4)
        builder.branch(end)
    builder.position_at_end(end)


def _samples(
    context: Any,
    builder: Any,
    kinds: Any,
    arguments: Any,
    chains: int,
    cells: Any,
    recombine: Callable[[list[Any]], Any],
) -> Any:
    """The loop over samples: sums of table rows, recombined to 64 lanes, folded into the result."""
    t_array, t_at, i_array, i_at, i_stride, l_array, l_at, l_stride, count, slots, o_array, o_at, o_stride = (
        arguments
    )
    table = pointer(context, builder, kinds[0], t_array, t_at)
    size = cells.element.width // 8 * LANES

    def sample(number: Any, _: list[Any]) -> list[Any]:
        def row(kind: Any, array: Any, first: Any, stride: Any) -> Any:
            return pointer(context, builder, kind, array, builder.add(first, builder.mul(number, stride)))

        index = row(kinds[2], i_array, i_at, i_stride)
        groups = load(builder, row(kinds[5], l_array, l_at, l_stride), I64, 8)

        def group(number: Any, totals: list[Any]) -> list[Any]:
            here = builder.gep(index, [builder.mul(number, ir.Constant(I64, 16))])
            results = []
            for p in range(chains):
                entry = builder.zext(load(builder, shifted(builder, here, 2 * p), I16, 2), I64)
                # an entry counts eighths of a row, so that the address of bytes is one scaled operand
                address = builder.gep(table, [builder.mul(entry, ir.Constant(I64, size // 8))])
                cell = load(builder, address, cells, 32)
                if cells.element.width == 8:
                    results.append(call(builder, f"llvm.uadd.sat.v{LANES}i8", cells, totals[p], cell))
                else:
                    results.append(builder.add(totals[p], cell))
            return results

        sums = loop(builder, groups, [constant(cells.element, [0] * LANES)] * chains, group)
        _fold(builder, recombine(sums), slots, row(kinds[10], o_array, o_at, o_stride))
        return []

    loop(builder, count, [], sample)
    return context.get_dummy_value()


def _make_clipped(chains: int) -> Any:
    """Sums clipped at ``high``: adds ``weight * significance * sum_p 2**p * min(sum_p, high)`` over slices.

    The last phase counts ``top`` times: 1, 0 or -1.  Phases are shifted and added in 16 bits: ``255 * 255``
    fits, and with a negative last phase the result lies in ``-32640 .. 32385``; ``bias`` is 0, or ``2**15``
    for that case.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def clipped(
        typing: Any, table: Any, t_at: Any, index: Any, i_at: Any, i_stride: Any, listed: Any, l_at: Any,
        l_stride: Any, count: Any, slots: Any, out: Any, o_at: Any, o_stride: Any,
        high: Any, top: Any, bias: Any, weight: Any, significance: Any, s_at: Any,
    ) -> Any:  # fmt: skip
        n = types.int64
        signature = types.void(
            table, n, index, n, n, listed, n, n, n, n, out, n, n, n, n, n, n, significance, n
        )

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            *common, high, top, bias, weight, significance, s_at = arguments

            def all_lanes(value: Any, kind: Any) -> Any:
                return splat(builder, builder.trunc(value, kind), LANES)

            limit, last, bias_16, bias_32 = (
                all_lanes(value, kind) for value, kind in ((high, I8), (top, I16), (bias, I16), (bias, I32))
            )
            factors = load(
                builder, pointer(context, builder, signature.args[17], significance, s_at), _lanes(I32), 4
            )
            factors = builder.mul(factors, all_lanes(weight, I32))

            def recombine(sums: list[Any]) -> Any:
                sums = [call(builder, f"llvm.umin.v{LANES}i8", _lanes(I8), value, limit) for value in sums]
                total = builder.mul(builder.zext(sums[-1], _lanes(I16)), last)
                for value in reversed(sums[:-1]):
                    total = builder.add(builder.add(total, total), builder.zext(value, _lanes(I16)))
                total = builder.zext(builder.add(total, bias_16), _lanes(I32))
                return builder.mul(builder.sub(total, bias_32), factors)

            return _samples(context, builder, signature.args, common, chains, _lanes(I8), recombine)

        return signature, generate

    return clipped


def _make_converted(chains: int) -> Any:
    """Sums converted: ``factor_p * clip(floor((sum_p + half_p) * reciprocal_p), low, high)``, each phase.

    ``halves`` and ``reciprocals`` float32 and ``factors`` int32, ``[chains, 64]`` from element ``p_at``.  The
    table's type decides how sums are added: unsigned bytes, which must not exceed 255, or 16-bit integers.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def converted(
        typing: Any, table: Any, t_at: Any, index: Any, i_at: Any, i_stride: Any, listed: Any, l_at: Any,
        l_stride: Any, count: Any, slots: Any, out: Any, o_at: Any, o_stride: Any,
        halves: Any, reciprocals: Any, factors: Any, p_at: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        n = types.int64
        signature = types.void(
            table, n, index, n, n, listed, n, n, n, n, out, n, n, halves, reciprocals, factors, n, n, n
        )

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            *common, h_array, r_array, f_array, p_at, low, high = arguments
            kinds = signature.args
            bases = [
                pointer(context, builder, kind, array, p_at)
                for kind, array in zip(kinds[13:16], (h_array, r_array, f_array), strict=True)
            ]
            bounds = [splat(builder, builder.trunc(bound, I32), LANES) for bound in (low, high)]
            byte = kinds[0].dtype.bitwidth == 8

            def recombine(sums: list[Any]) -> Any:
                total = constant(I32, [0] * LANES)
                for p, value in enumerate(sums):
                    half, reciprocal, factor = (
                        load(builder, shifted(builder, base, 4 * LANES * p), _lanes(kind), 4)
                        for base, kind in zip(bases, (F32, F32, I32), strict=True)
                    )
                    value = builder.zext(value, _lanes(I32)) if byte else builder.sext(value, _lanes(I32))
                    scaled = builder.fmul(builder.fadd(builder.sitofp(value, _lanes(F32)), half), reciprocal)
                    floor = call(builder, f"llvm.floor.v{LANES}f32", _lanes(F32), scaled)
                    code = builder.fptosi(floor, _lanes(I32))
                    code = call(builder, f"llvm.smax.v{LANES}i32", _lanes(I32), code, bounds[0])
                    code = call(builder, f"llvm.smin.v{LANES}i32", _lanes(I32), code, bounds[1])
                    total = builder.add(total, builder.mul(code, factor))
                return total

            cells = _lanes(I8 if byte else I16)
            return _samples(context, builder, kinds, common, chains, cells, recombine)

        return signature, generate

    return converted


@intrinsic  # type: ignore[untyped-decorator]
def _nibbles(typing: Any, word: Any, shift: Any, base: Any, out: Any, at: Any) -> Any:
    """``out uint16[at + p] = 8 * (base + the four bits (word >> (shift + p)) & 0x01010101)``, p = 0..7."""
    n = types.int64
    signature = types.void(types.uint32, n, n, out, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, shift, base, array, at = arguments
        here = pointer(context, builder, signature.args[3], array, at)

        def eight(value: int) -> Any:
            return constant(I32, [value] * 8)

        bits = builder.lshr(splat(builder, word, 8), splat(builder, builder.trunc(shift, I32), 8))
        bits = builder.lshr(bits, constant(I32, list(range(8))))
        bits = builder.and_(bits, eight(0x01010101))
        # 2**24 + 2**17 + 2**10 + 2**3 brings the bit of byte j to bit 24 + j, and no two bits to one place
        bits = builder.lshr(builder.mul(bits, eight(0x01020408)), eight(24))
        bits = builder.and_(bits, eight(15))
        row = builder.add(bits, splat(builder, builder.trunc(base, I32), 8))
        store(builder, builder.trunc(builder.shl(row, eight(3)), ir.VectorType(I16, 8)), here, 2)
        return context.get_dummy_value()

    return signature, generate


_clipped_8, _clipped_4, _clipped_1 = (_make_clipped(chains) for chains in (CHAINS[0], 4, 1))
_converted_8, _converted_4, _converted_1 = (_make_converted(chains) for chains in (CHAINS[0], 4, 1))


# --------------------------------------------------------------------------------------------------
# Kernels


@jit
def _index(x, b0, count, chunks, spans, offset, mask, row, index, listed):  # type: ignore[no-untyped-def]
    """Table rows that the phases of samples ``b0 .. b0 + count - 1`` drive.

    For chunk ``k``, span ``r`` of rows and sample ``i``: ``listed[k, r, i]`` groups (at least one), eight
    entries each in ``index[k, i]`` from ``8 * first group of r``.  ``row uint8``: room for the rows of a
    span, rounded up to 4.
    """
    for k in range(chunks.shape[0]):
        source, shift = chunks[k, 0], chunks[k, 1]
        for r in range(spans.shape[0]):
            row0, rows = spans[r, 0], spans[r, 1]
            groups = -(-rows // 4)
            words = row[: 4 * groups].view(np.uint32)
            row[4 * groups - 4 : 4 * groups] = 0
            for i in range(count):
                value = x[b0 + i, row0 : row0 + rows]
                if source == PATTERN:
                    for j in range(rows):
                        row[j] = np.uint8(value[j] + offset) & mask
                else:
                    for j in range(rows):
                        row[j] = source_bits(value[j], source, offset, mask)
                entries, n = index[k, i, 8 * spans[r, 2] :], 0
                for g in range(groups):
                    if words[g]:
                        _nibbles(words[g], shift, g * 16, entries, 8 * n)
                        n += 1
                if n == 0:
                    entries[:8] = 0  # the sum of no row
                    n = 1
                listed[k, r, i] = n


@jit
def _scatter(scratch, count, slots, width, columns, first, out, at, pitch):  # type: ignore[no-untyped-def]
    """Add ``scratch [count, slots]`` to the columns of ``out`` that a block has; clear it."""
    for i in range(count):
        for c in range(width):
            out[at + i * pitch + columns[first + c]] += scratch[i * slots + c]
    scratch[:] = 0


@jit
def clipped_tables(  # type: ignore[no-untyped-def]
    x, chunks, offset, mask, spans, blocks, tables, columns, significance, high, out, place, pitch
):
    """Add to ``out`` what columns of unsigned cells with steps of 1 convert to, slices recombined.

    ``x uint8[B, K]``; ``out int32``, flat: sample ``b`` from ``place + b * pitch``; ``chunks int64[n, 6]``:
    source, lowest bit, chains, weight of the lowest phase, times the last phase counts, first phase;
    ``offset``, ``mask``: of the pattern; ``spans int64[n, 3]``: first row, rows, number of the first group;
    ``blocks int64[n, 6]``: where the table begins, span, where the ``columns`` begin, columns, slots for
    columns, and where the ``significance`` of the 64 lanes begins.
    """
    batch = x.shape[0]
    samples = min(batch, _SAMPLES)
    n_spans = spans.shape[0]
    width_8 = 8 * (spans[-1, 2] + -(-spans[-1, 1] // 4))
    index = np.empty((chunks.shape[0], samples, width_8), np.uint16)
    entries = index.reshape(-1)
    listed = np.empty((chunks.shape[0], n_spans, samples), np.int64)
    lists = listed.reshape(-1)
    row = np.empty(width_8 // 2, np.uint8)
    scratch = np.zeros(samples * LANES, np.int32)
    for b0 in range(0, batch, samples):
        count = min(samples, batch - b0)
        _index(x, b0, count, chunks, spans, offset, mask, row, index, listed)
        for n in range(blocks.shape[0]):
            table, r, first, width, slots, s_at = blocks[n]
            dense = width == slots and columns[first + width - 1] - columns[first] == width - 1
            target, at, stride = scratch, np.int64(0), slots
            if dense:
                target, at, stride = out, place + b0 * pitch + columns[first], pitch
            for k in range(chunks.shape[0]):
                chains, weight, top = chunks[k, 2], chunks[k, 3], chunks[k, 4]
                bias = 0x8000 if top < 0 else 0
                i_at, l_at = k * samples * width_8 + 8 * spans[r, 2], (k * n_spans + r) * samples
                if chains == 8:
                    _clipped_8(
                        tables, table, entries, i_at, width_8, lists, l_at, 1, count, slots, target, at,
                        stride, high, top, bias, weight, significance, s_at,
                    )  # fmt: skip
                elif chains == 4:
                    _clipped_4(
                        tables, table, entries, i_at, width_8, lists, l_at, 1, count, slots, target, at,
                        stride, high, top, bias, weight, significance, s_at,
                    )  # fmt: skip
                else:
                    _clipped_1(
                        tables, table, entries, i_at, width_8, lists, l_at, 1, count, slots, target, at,
                        stride, high, top, bias, weight, significance, s_at,
                    )  # fmt: skip
            if not dense:
                _scatter(scratch, count, slots, width, columns, first, out, place + b0 * pitch, pitch)


@jit
def converted_tables(  # type: ignore[no-untyped-def]
    x, chunks, offset, mask, spans, blocks, tables, columns, halves, reciprocals, factors, low, high,
    out, place, pitch
):  # fmt: skip
    """The same for any steps and cells, as far as sums fit the elements of ``tables``.

    Arguments as for :func:`clipped_tables`; the last of ``blocks`` says where a block's parameters begin,
    ``[phases, 64]``, and ``factors`` contain the significance of slice and phase, 0 for places that fill up a
    chunk.
    """
    batch = x.shape[0]
    samples = min(batch, _SAMPLES)
    n_spans = spans.shape[0]
    width_8 = 8 * (spans[-1, 2] + -(-spans[-1, 1] // 4))
    index = np.empty((chunks.shape[0], samples, width_8), np.uint16)
    entries = index.reshape(-1)
    listed = np.empty((chunks.shape[0], n_spans, samples), np.int64)
    lists = listed.reshape(-1)
    row = np.empty(width_8 // 2, np.uint8)
    scratch = np.zeros(samples * LANES, np.int32)
    for b0 in range(0, batch, samples):
        count = min(samples, batch - b0)
        _index(x, b0, count, chunks, spans, offset, mask, row, index, listed)
        for n in range(blocks.shape[0]):
            table, r, first, width, slots, parameters = blocks[n]
            dense = width == slots and columns[first + width - 1] - columns[first] == width - 1
            target, at, stride = scratch, np.int64(0), slots
            if dense:
                target, at, stride = out, place + b0 * pitch + columns[first], pitch
            for k in range(chunks.shape[0]):
                chains, par = chunks[k, 2], parameters + LANES * chunks[k, 5]
                i_at, l_at = k * samples * width_8 + 8 * spans[r, 2], (k * n_spans + r) * samples
                if chains == 8:
                    _converted_8(
                        tables, table, entries, i_at, width_8, lists, l_at, 1, count, slots, target, at,
                        stride, halves, reciprocals, factors, par, low, high,
                    )  # fmt: skip
                elif chains == 4:
                    _converted_4(
                        tables, table, entries, i_at, width_8, lists, l_at, 1, count, slots, target, at,
                        stride, halves, reciprocals, factors, par, low, high,
                    )  # fmt: skip
                else:
                    _converted_1(
                        tables, table, entries, i_at, width_8, lists, l_at, 1, count, slots, target, at,
                        stride, halves, reciprocals, factors, par, low, high,
                    )  # fmt: skip
            if not dense:
                _scatter(scratch, count, slots, width, columns, first, out, place + b0 * pitch, pitch)
