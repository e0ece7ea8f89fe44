"""Pool or read: whether an array adds up the rows of a bag, or reads them one by one; with the price of both.

A step may drive several word lines, whose rows then add up on the bit lines: one conversion per column
instead of one per row.  The sum is exact only while it stays within the converter's codes at step 1, so a bag
is pooled in *chunks* of at most :func:`cimc.transforms.partition.adc_steps.pool_rows` rows.  Conversions
dominate the energy of an array, so pooling pays wherever a bag has several rows in one block; it is
impossible where rows have scales of their own, and pointless where no lookup adds rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cimc.errors import PassError
from cimc.ir import cim
from cimc.ir.cim import COLS, ROW0
from cimc.ir.rec import shape
from cimc.isa.link_widths import WORD_BITS, id_bits
from cimc.remarks import LookupPrice, TablePooling
from cimc.target import cell_encoding
from cimc.target.spec import Array, Target
from cimc.transforms.partition.adc_steps import pool_rows

POOL = ("auto", "pool", "read")
"""Values of the option ``pool`` of the pass ``shard``."""

_PROBABILITIES = 1 << 22  # binomial terms held at a time


def check_option(pool: str) -> None:
    """Raises :class:`~cimc.errors.PassError` (``shard.bad-option``) for an unknown value."""
    if pool not in POOL:
        raise PassError("shard.bad-option", f"pool={pool}: known are {', '.join(POOL)}")


def decide(
    matrix: cim.TableOp,
    uses: Sequence[cim.LookupOp],
    blocks: NDArray[np.int32],
    reads: NDArray[np.float64] | None,
    target: Target,
    pool: str = "auto",
) -> TablePooling:
    """Choose for one table whose block table is ``blocks``.

    Args:
        matrix: the table.
        uses: all lookups of it.
        blocks: its block table, rows in order.
        reads: expected row reads per request of each row block
        (:func:`cimc.transforms.place.shard_list.row_block_reads`);
            ``None``: one full chunk of one block is priced.
        target: the machine.
        pool: ``auto`` takes what costs less energy (then time; pooling when equal), the others force.

    Raises:
        PassError: ``shard.adc-range`` if no permitted step covers one digit.
    """
    array = target.array
    most, step = pool_rows(array)
    slices, width = target.slices(matrix.bits.value.data), id_bits(matrix.rows.value.data)
    ids, shares = _usage(uses, reads, most)
    read = _price(ids, ids, ids - _touched(shares, ids), blocks, slices, width, target)
    adding = any(adds_rows(op) for op in uses)
    cause = ""
    if matrix.row_scales is not None:
        cause = "its rows have scales of their own"
    elif step > 1:
        cause = f"the converter reads single digits in steps of {step}"
    elif uses and not adding:
        cause = "no lookup adds rows without weights"
    pooled = None
    if not cause:
        times = _activations(shares, ids, most)
        pooled = _price(times, ids, times - _touched(shares, ids), blocks, slices, width, target)
    if pooled is None:
        decision, reason = "read", cause
    elif pool != "auto":
        decision, reason = pool, f"asked for (pool={pool})"
    elif (pooled.pj, pooled.ns) < (read.pj, read.ns):
        decision, reason = "pool", "costs less than reading row by row"
    elif (pooled.pj, pooled.ns) == (read.pj, read.ns):
        decision, reason = "pool", "costs the same: at most one row at a time is expected in a block"
    else:
        decision, reason = "read", "costs less than pooling"
    rows = most if decision == "pool" else 1
    bound = error_bound(array, matrix.bits.value.data, step)
    return TablePooling(
        matrix.sym_name.data, decision, reason, rows, step, bound, _rounded(ids), pooled, read
    )


def adds_rows(op: cim.LookupOp) -> bool:
    """Whether a lookup is a sum of integer rows: ``sum`` or ``mean`` without weights."""
    return op.weights is None and op.mode.data in ("sum", "mean")


def error_bound(array: Array, weight_bits: int, step: int) -> int:
    """Largest error of an element read at ``step``, or pooled in a chunk that cannot clip.

    Every slice's column sum errs by at most ``step // 2`` while it does not clip; slices add up by weight.
    """
    significance = cell_encoding.digit_weights(array.encoding, array.cell_levels, weight_bits)
    low, high = array.digit_bounds
    digits = np.arange(low, high + 1)
    seen = np.clip((digits + step // 2) // step, *array.adc_codes) * step
    single = int(np.abs(seen - digits).max())
    return int(significance.sum()) * single


# --------------------------------------------------------------------------------------------------
# Expected activations


def _usage(
    uses: Sequence[cim.LookupOp], reads: NDArray[np.float64] | None, chunk: int
) -> tuple[float, NDArray[np.float64]]:
    """Mean ids per lookup, and the share of them in each row block that has any."""
    bags = sum(_bags(op) for op in uses)
    if reads is None or bags == 0:
        return float(chunk), np.ones(1)
    total = float(reads.sum())
    return total / bags, reads[reads > 0] / total


def _bags(op: cim.LookupOp) -> int:
    """Bags of one request."""
    dims = shape(op.result)[1:-1] if op.mode.data != "none" else ()
    return max(1, math.prod(d for d in dims if d > 0))


def _mixture(ids: float) -> Iterable[tuple[int, float]]:
    """``ids`` as a mean of the two whole numbers beside it."""
    low = math.floor(ids)
    share = ids - low
    return [(n, weight) for n, weight in ((low, 1.0 - share), (low + 1, share)) if n and weight > 0]


def _touched(shares: NDArray[np.float64], ids: float) -> float:
    """Expected number of different blocks that ids, drawn one by one, fall into."""
    return sum(w * float((1.0 - (1.0 - shares) ** n).sum()) for n, w in _mixture(ids))


def _activations(shares: NDArray[np.float64], ids: float, chunk: int) -> float:
    """Expected ``sum over blocks of ceil(rows / chunk)``."""
    return float(chunks(shares, ids, chunk).sum())


def chunks(shares: NDArray[np.float64], ids: float, chunk: int) -> NDArray[np.float64]:
    """Expected ``ceil(rows / chunk)`` of each block, the rows of a block binomial; float64 ``[n]``.

    ``shares``: of the ids, that each block has (0..1).
    """
    found: NDArray[np.float64] = np.zeros(len(shares))
    for n, weight in _mixture(ids):
        found += weight * _expected_chunks(shares, n, chunk)
    return found


def _expected_chunks(shares: NDArray[np.float64], n: int, chunk: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = n * shares
    if chunk == 1 or n <= 1:
        return found
    found[shares >= 1.0] = -(-n // chunk)
    some = np.flatnonzero((shares > 0.0) & (shares < 1.0))
    k = np.arange(n + 1, dtype=np.float64)
    ways = math.lgamma(n + 1) - np.array([math.lgamma(i + 1) + math.lgamma(n - i + 1) for i in range(n + 1)])
    steps = np.ceil(k / chunk)
    size = max(1, _PROBABILITIES // (n + 1))
    for at in range(0, len(some), size):
        mine = some[at : at + size]
        p = shares[mine, np.newaxis]
        found[mine] = np.exp(ways + k * np.log(p) + (n - k) * np.log1p(-p)) @ steps
    return found


# --------------------------------------------------------------------------------------------------
# Prices


def _price(
    activations: float,
    ids: float,
    added: float,
    blocks: NDArray[np.int32],
    slices: int,
    id_width: int,
    target: Target,
) -> LookupPrice:
    """Price of a lookup of ``ids`` rows in so many activations, ``added`` of them added to an earlier one."""
    array, tile = target.array, target.tile
    widths = blocks[blocks[:, ROW0] == blocks[0, ROW0], COLS].astype(int).tolist() if len(blocks) else []
    pj = ns = 0.0
    for width in widths:
        converted = width * slices
        steps = -(-converted // array.columns_per_step)
        charged = int(array.conversions(np.array(converted)))
        each = charged * float(array.conversion_pj) + steps * float(array.step_pj)
        each += converted * float(tile.shift_add_pj) + width * WORD_BITS * float(tile.bus_pj_per_bit)
        pj += activations * each + added * 2 * width * float(tile.shift_add_pj)
        pj += ids * (steps * float(array.row_pj) + id_width * float(tile.bus_pj_per_bit))
        ns += activations * steps * float(array.step_ns)
    return LookupPrice(_rounded(activations), _rounded(pj), _rounded(ns))


def _rounded(value: float) -> float:
    """Five digits: the last bits of the logarithms behind a value differ between machines."""
    return float(f"{value:.5g}")
