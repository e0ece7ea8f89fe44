"""Lookups in tables on real devices: rows read one at a time or pooled on the bit lines, with noise.

Cells are drawn when a request reads them and only then, from keys that name the row, so a table of any size
costs what its requests touch.  Which rows share a step follows ``docs/simulator.md``: the rows of a bag that
lie in one block, in ascending order of id, are dealt out to as few steps as the converters allow.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError
from cimc.sim.devices.kernels import plain
from cimc.sim.devices.model import programmed_cells, wires
from cimc.sim.devices.model.aged_levels import FRACTION, Ints, Levels, levels_for
from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.kernels.threads import run
from cimc.support.random import quantiles, splitmix
from cimc.target.cell_encoding import digit_weights, encode_weights, max_weight, weight_offset
from cimc.target.spec import Array

_POOLED, _SINGLE = 0, 1


class NoisyTable:
    """An embedding table ``int8[R, D]`` in the cells of a device.

    ``name`` keys its random numbers; ``group``: columns of a block; ``lsb``: the ADC step of its reads;
    ``compiled``: use numba (the same bits without).  Raises :class:`~cimc.errors.DeviceError`
    (``device.ir-drop``) when the model of the wires does not hold.
    """

    def __init__(
        self,
        name: str,
        table: NDArray[np.int8],
        array: Array,
        weight_bits: int,
        lsb: int,
        group: int,
        conditions: Conditions,
        compiled: bool = True,
    ) -> None:
        self.name, self.table, self.array, self.lsb, self.group = name, table, array, lsb, group
        self.levels = levels_for(conditions.device, conditions.age, array, lsb)
        self.compiled = compiled
        self.pair = array.encoding == "differential"
        self.weights = digit_weights(array.encoding, array.cell_levels, weight_bits)
        self.offset = weight_offset(array.encoding, weight_bits)
        self._digits, self._packed = _digit_table(array, weight_bits), pack(self.levels)
        key = splitmix.name_key(conditions.seed, name)
        self._cells, self._reads = (
            splitmix.fold(key, programmed_cells.CELLS),
            splitmix.fold(key, programmed_cells.TABLE_READS),
        )
        self._word_ohm = float(conditions.device.wires.word_ohm)
        if self._word_ohm:
            self._check_wires(conditions)

    def rows(
        self, ids: Ints, requests: Ints, places: Ints, use: int = 0, copies: Ints | None = None,
        threads: int = 1,
    ) -> NDArray[np.int32]:  # fmt: skip
        """Rows ``ids [n]`` read one at a time, int32 ``[n, D]``.

        ``requests [n]``: number of the request in the run; ``places [n]``: which of its reads this is;
        ``use``: tells lookups in this table for the same request apart; ``copies``: which copy of the row is
        read (0, the primary, if absent).  ``threads`` share the reads.
        """
        keys = splitmix.words(splitmix.words(self._use(requests, use), _SINGLE), places)
        out = np.zeros((len(ids), self.table.shape[1]), np.int64)
        n = np.arange(len(ids) + 1, dtype=np.int64)
        self._steps(out, ids, self._copy_keys(ids, copies), n, keys, n[:-1], threads)
        return self._narrow(out)

    def pooled(
        self, ids: Ints, starts: Ints, blocks: Ints, pool_rows: int, request: int, use: int = 0,
        copies: Ints | None = None, threads: int = 1,
    ) -> NDArray[np.int32]:  # fmt: skip
        """Sums of the rows of each bag, int32 ``[bags, D]``; bag ``i`` belongs to request ``request + i``.

        Bag ``i`` is ``ids[starts[i] : starts[i + 1]]``; ``blocks [n]``: row block of each id; steps drive at
        most ``pool_rows`` rows, none twice.
        """
        bags = len(starts) - 1
        out = np.zeros((bags, self.table.shape[1]), np.int64)
        if len(ids):
            bag = np.repeat(np.arange(bags), np.diff(starts))
            order, begins, step = _deal(bag, blocks, ids, pool_rows)
            first = order[begins]
            keys = splitmix.words(self._use(request + bag[first], use), _POOLED)
            keys = splitmix.words(splitmix.words(keys, blocks[first]), step)
            copy_keys = self._copy_keys(ids, copies)[order]
            ends = np.append(begins, len(ids)).astype(np.int64)
            self._steps(out, ids[order], copy_keys, ends, keys, bag[first], threads)
        return self._narrow(out)

    # -- inside -------------------------------------------------------------------------------------

    def _use(self, requests: Ints, use: int) -> splitmix.Words:
        return splitmix.words(splitmix.words(self._reads, requests), use)

    def _copy_keys(self, ids: Ints, copies: Ints | None) -> splitmix.Words:
        which = np.zeros(len(ids), np.int64) if copies is None else copies
        return splitmix.words(self._cells, which)

    def _steps(
        self, out: Ints, rows: Ints, copy_keys: splitmix.Words,
        starts: Ints, keys: splitmix.Words, targets: Ints,
        threads: int,
    ) -> None:  # fmt: skip
        levels, codes, normal = self.levels, self.array.adc_codes, quantiles.deviates()
        if not self.compiled:
            plain.table_steps(
                out, levels, self._digits, self.weights, self.offset, self.table, rows, copy_keys, starts,
                keys, targets, normal, self.lsb, codes, self.pair, self._word_ohm, self.group,
            )  # fmt: skip
            return
        from cimc.sim.devices.kernels import compiled

        def some(a: int, b: int) -> None:
            compiled.table_steps(
                out, self._packed, self._digits, self.weights, self.offset, self.table, rows, copy_keys,
                starts[a : b + 1], keys[a:b], targets[a:b], normal, levels.variance_scale, self.lsb,
                float(codes[0]), float(codes[1]), self.pair, levels.noisy,
                self._word_ohm * 1e-6 * levels.unit * 2.0**-FRACTION, self.group,
            )  # fmt: skip

        # targets ascend: one thread does all steps of a bag
        whole = np.flatnonzero(np.diff(targets, append=-1)) + 1
        wanted = np.searchsorted(whole, len(keys) * np.arange(1, threads + 1) // threads)
        edges = np.unique(np.concatenate([[0], whole[wanted]])) if len(keys) else np.zeros(1, np.int64)
        run([partial(some, int(a), int(b)) for a, b in pairwise(edges)], threads)

    def _narrow(self, out: Ints) -> NDArray[np.int32]:
        if out.size and max(-int(out.min()), int(out.max())) > np.iinfo(np.int32).max:
            raise ProgramError(
                "sim.accumulator-overflow",
                f"table {self.name}: a sum of {np.abs(out).max()} exceeds a 32-bit accumulator",
                hint="split the bag",
            )
        return out.astype(np.int32)

    def _check_wires(self, conditions: Conditions) -> None:
        """The drop at the far end of a word line whose cells all conduct the most."""
        window = conditions.device.window
        most = float(window.high) + (float(window.low) if self.pair else 0.0)
        length = self.group * len(self.weights)
        d = 1e-6 * self._word_ohm * most * length * (length + 1) / 2
        wires.check(d, f"table {self.name}")


Quantiles = NDArray[np.int32]


def pack(levels: Levels) -> tuple[Ints, Quantiles, Quantiles, Ints, Ints, Ints]:
    """Tables as the compiled loops take them; quantiles in 32 bits stay in cache."""
    numbers = (levels.count, levels.floor, levels.stuck_low, levels.stuck_any, levels.read_shift)
    by_level = np.stack([levels.sigma_p, levels.sigma_r, levels.mean])
    return (
        np.array(numbers, np.int64), levels.error.astype(np.int32), levels.normal.astype(np.int32), by_level,
        levels.read_mean, levels.read_variance,
    )  # fmt: skip


def _digit_table(array: Array, weight_bits: int) -> NDArray[np.int8]:
    """Digits of every value that the cells hold, by its byte: int8 ``[256, S]``."""
    values = np.arange(-128, 128, dtype=np.int16)
    low = -(1 << (weight_bits - 1)) if array.encoding == "offset" else None
    limit = max_weight(array.encoding, array.cell_levels, weight_bits)
    held = values[(values >= (-limit if low is None else low)) & (values <= limit)]
    code = encode_weights(held, array.encoding, array.cell_levels, weight_bits)
    table = np.zeros((256, len(code.digits)), np.int8)
    table[held.astype(np.int8).view(np.uint8)] = code.digits.T
    return table


def _deal(bag: Ints, blocks: Ints, ids: Ints, pool_rows: int) -> tuple[Ints, Ints, Ints]:
    """Deal the rows of each (bag, block) out to steps.

    Returns the order of the ids in which steps are contiguous, where each step begins in it, and its number
    within its (bag, block).
    """
    order = np.lexsort((ids, blocks, bag))
    bag, blocks, ids = bag[order], blocks[order], ids[order]
    pair = np.flatnonzero(np.diff(bag, prepend=-1).astype(bool) | np.diff(blocks, prepend=-1).astype(bool))
    owner = np.zeros(len(ids), np.int64)
    owner[pair[1:]] = 1
    owner = np.cumsum(owner)
    rows = np.diff(np.append(pair, len(ids)))
    fresh = np.flatnonzero(np.diff(ids, prepend=-1).astype(bool) | np.isin(np.arange(len(ids)), pair))
    times = np.diff(np.append(fresh, len(ids)))
    most = np.maximum.reduceat(np.repeat(times, times), pair)
    steps = np.maximum(-(-rows // pool_rows), most)
    rank = np.arange(len(ids)) - pair[owner]
    step = rank % steps[owner]
    again = np.lexsort((rank, step, owner))
    begins = np.flatnonzero(
        np.diff(owner[again], prepend=-1).astype(bool) | np.diff(step[again], prepend=-1).astype(bool)
    )
    return order[again], begins, step[again][begins]
