"""Noisy mode of one program: its matrices in the cells of one device, kept between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cimc.errors import DeviceError
from cimc.interpreter.bags import Bags, RowScales
from cimc.ir.cim import COL0, COLS
from cimc.ir.residence import Residence
from cimc.isa.directory import RowDirectory
from cimc.isa.program import Matrix, Port, Program
from cimc.sim.devices.model.aged_levels import Ints, check_age
from cimc.sim.devices.model.device import Device
from cimc.sim.devices.noisy_dense import Conditions, NoisyDense
from cimc.sim.devices.noisy_lookups import NoisyTable
from cimc.sim.kernels.availability import backend
from cimc.sim.kernels.lookups.pooled_rows import pooled_sum
from cimc.support.once import Once
from cimc.target.spec import Target

_DIGITAL = -1  # in place of a copy's number: the row is in SRAM or DRAM


def conditions_of(
    noisy: bool, device: Device | None, age: float | None, seed: int | None
) -> Conditions | None:
    """What a run was asked for; ``None`` unless ``noisy``.

    Raises :class:`DeviceError`: ``device.missing``, ``device.age``, ``device.seed``, or
    ``device.needs-noisy`` when something is given that other modes would ignore.
    """
    if not noisy:
        given = {"device": device, "age": age, "seed": seed}
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise DeviceError(
                "device.needs-noisy",
                f"{', '.join(unused)}: only noisy mode simulates a device",
                hint="add --mode noisy (mode='noisy'), or leave these out",
            )
        return None
    if device is None:
        from cimc.sim.devices.model.load_device import device_names

        raise DeviceError(
            "device.missing",
            "noisy mode needs a device",
            hint=f"give --device (device=) with one of {', '.join(device_names())}, or a file",
        )
    if seed is not None and not 0 <= seed < 1 << 64:
        raise DeviceError("device.seed", f"the seed is {seed}", hint="give an integer of 0 .. 2**64 - 1")
    return Conditions(device, check_age(0.0 if age is None else age), 0 if seed is None else seed)


class Noise:
    """The matrices of ``program`` under ``conditions``.

    ``directory`` gives the row directory of a table.  Cells of dense matrices are drawn once and kept.
    Threads may use it at the same time.
    """

    def __init__(
        self,
        program: Program,
        target: Target,
        conditions: Conditions,
        directory: Callable[[Matrix], RowDirectory],
    ) -> None:
        self.program, self.target, self.conditions = program, target, conditions
        self._directory = directory
        self._dense: Once[tuple[Matrix, int], NoisyDense] = Once()
        self._tables: Once[Matrix, NoisyTable] = Once()

    def dense(self, matrix: Matrix, instance: int = 0) -> NoisyDense:
        """The kernel of a dense matrix; every instance of it has cells of its own."""
        return self._dense.get((matrix, instance), self._make_dense)

    def table(self, matrix: Matrix) -> NoisyTable:
        """The kernel of a table."""
        return self._tables.get(matrix, self._make_table)

    def _make_dense(self, key: tuple[Matrix, int]) -> NoisyDense:
        matrix, instance = key
        data, name = self.program.data, matrix.name
        return NoisyDense(
            name, data[f"{name}.data"], data[f"{name}.blocks"], data[f"{name}.ranges"], self.target.array,
            matrix.bits, matrix.input_bits, matrix.input_signed, self.conditions, backend() == "numba",
            instance,
        )  # fmt: skip

    def _make_table(self, matrix: Matrix) -> NoisyTable:
        data, name = self.program.data, matrix.name
        return NoisyTable(
            name, np.asarray(data[f"{name}.data"]), self.target.array, matrix.bits,
            int(data[f"{name}.ranges"][0]), int(data[f"{name}.blocks"][0, COLS]), self.conditions,
            backend() == "numba",
        )  # fmt: skip

    # -- lookups ------------------------------------------------------------------------------------

    def pooled(self, matrix: Matrix, bags: Bags, first: int, use: int, threads: int = 1) -> NDArray[np.int32]:
        """Sums of the rows of each bag, int32 ``[bags, D]``; bag ``i`` belongs to request ``first + i``."""
        kernel, directory = self.table(matrix), self._directory(matrix)
        request = first + np.repeat(np.arange(bags.starts.size - 1), np.diff(bags.starts))
        block = directory.block(bags.ids)
        out = np.zeros((bags.starts.size - 1, matrix.cols), np.int32)
        for copy, columns in self._patterns(directory, block, request):
            analog = copy != _DIGITAL
            starts = _starts_of(analog, bags.starts)
            sums = kernel.pooled(
                bags.ids[analog], starts, block[analog], matrix.pool_rows, first, use, copy[analog], threads
            )
            out[:, columns] = sums[:, columns]
            if not analog.all():
                rest = pooled_sum(kernel.table, bags.ids[~analog], _starts_of(~analog, bags.starts))
                out[:, columns] += rest[:, columns]
        return out

    def rows(
        self, matrix: Matrix, bags: Bags, own: RowScales | None, first: int, use: int, threads: int = 1
    ) -> tuple[NDArray[np.int32], Bags, RowScales | None]:
        """Every row of the bags read by itself: the rows ``[n, D]`` as a table of their own.

        With it come the same bags of it, and its scales; bag ``i`` belongs to request ``first + i``.
        """
        kernel, directory = self.table(matrix), self._directory(matrix)
        lengths = np.diff(bags.starts)
        request = first + np.repeat(np.arange(lengths.size), lengths)
        place = np.arange(bags.ids.size) - np.repeat(bags.starts[:-1], lengths)
        out = np.empty((bags.ids.size, matrix.cols), np.int32)
        for copy, columns in self._patterns(directory, directory.block(bags.ids), request):
            analog = copy != _DIGITAL
            read = kernel.rows(bags.ids[analog], request[analog], place[analog], use, copy[analog], threads)
            out[analog, columns] = read[:, columns]
            out[~analog, columns] = kernel.table[bags.ids[~analog], columns]
        if own is not None:
            addends = None if own.addends is None else own.addends[bags.ids]
            own = RowScales(own.factors[bags.ids], addends)
        return out, bags._replace(ids=np.arange(bags.ids.size, dtype=np.int64)), own

    @staticmethod
    def _patterns(directory: RowDirectory, block: Ints, request: Ints) -> list[tuple[Ints, slice]]:
        """For each group of columns (those alike together): which copy serves each row, or ``_DIGITAL``."""
        primary = block[:, np.newaxis] * directory.wide + np.arange(directory.wide)
        copy = request[:, np.newaxis] % (1 + directory.copies[primary])
        copy[directory.residence[primary] != int(Residence.RRAM)] = _DIGITAL
        left = directory.entries[: directory.wide, COL0]
        right = left + directory.entries[: directory.wide, COLS]
        found: list[tuple[Ints, slice]] = []
        for w in range(directory.wide):
            if found and np.array_equal(found[-1][0], copy[:, w]):
                found[-1] = (found[-1][0], slice(found[-1][1].start, int(right[w])))
            else:
                found.append((copy[:, w], slice(int(left[w]), int(right[w]))))
        return found


def _starts_of(kept: NDArray[np.bool_], starts: Ints) -> Ints:
    """Starts of the bags when only the ids that are ``kept`` remain."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    return np.asarray(before[starts], np.int64)


def port_use(port: Port, mode: str) -> int:
    """Number that stands for the bags of a port, pooled by ``mode``, in the keys of lookups that read them.

    Two lookups of the same ids in the same table read its cells twice, so their noise differs.
    """
    parts = (port.value, port.layout, port.offsets, port.weights, str(port.padding), mode)
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1 << 63


def local_use(segment: int, count: int) -> int:
    """Number of the ``count``-th use of a matrix, for one request, in a segment."""
    return segment << 32 | count
