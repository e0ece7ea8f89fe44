"""``assign-memory``: which rows of tables live in crossbar cells, which in SRAM, which in DRAM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError, PassError, Shortage
from cimc.ir import cim
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.residence import Residence
from cimc.remarks import CountsByMemory, ReadsByMemory, ResidenceRemarks
from cimc.target.spec import Target
from cimc.transforms.place.assign_chips import Blocks, rooms
from cimc.transforms.place.pack_arrays import ArrayGroup, array_groups_of, first_fit_count, largest
from cimc.transforms.place.shard_list import Places, tables_of

ENDURANCE_WRITES = 1e4
"""Writes that a cell survives: the lower end of 1e4 .. 1e9 over published RRAM devices."""
ENDURANCE_SOURCE = "endurance of published RRAM devices, 1e4 .. 1e9 writes; the lower end"
SECONDS_PER_YEAR = 365.25 * 86400
POLICIES = ("auto", "rram", "dram", "hot_sram")

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class AssignMemory(ModulePass):
    """Choose the memory of every block of rows of every table.

    ``policy``:

    * ``rram``: everything in crossbar cells;
    * ``hot_sram``: the blocks that are read most per byte in table SRAM, as many as ``sram`` allows, the rest
      in cells;
    * ``dram``: everything in DRAM;
    * ``auto``: as ``hot_sram``, and the blocks that the arrays have no room for, those read least per cell
      column first, in DRAM.

    ``sram`` is the SRAM to use, over all tiles: a share of what the target has (up to 1), or bytes.
    ``chips=near``, for systems of several chips and ``place{chips=near}``: the SRAM of a further chip takes
    only what the chips before it have no room for, be it in SRAM or in cells.
    **Endurance**: tables named in ``updated`` (all, if none is) whose rows are rewritten every
    ``update_seconds`` pass ``lifetime_years / update_seconds`` writes; where these exceed ``endurance``, they
    stay out of cells, whatever the policy prefers.

    Precondition: sharded matrices, neither replicated nor placed.  Postcondition: every table has its
    ``cim.residence``.  Raises InfeasibleError, and PassError ``assign-memory.option`` or
    ``assign-memory.endurance``.
    """

    name = "assign-memory"
    policy: str = "auto"
    sram: int | float = 1.0
    update_seconds: int | float = 0.0
    lifetime_years: int | float = 5.0
    endurance: int | float = ENDURANCE_WRITES
    updated: tuple[str, ...] = ()
    chips: str = "flat"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        matrices = cim.matrices_of(op)
        for matrix in matrices:
            matrix.shards()
            matrix.refuse(cim.ResidenceOp, cim.ReplicasOp, cim.PlacementOp)
        places = Places.collect(matrices, data)
        self._check(places, target)
        worn = self._worn(places)
        residence = self._choose(places, worn, target, array_groups_of(op, data, target))
        _mark(tables_of(matrices), places, residence, data)
        data.remark(self._remarks(places, residence, worn))

    # -- options ------------------------------------------------------------------------------------

    def _check(self, places: Places, target: Target) -> None:
        if self.policy not in POLICIES:
            raise _option(f"policy '{self.policy}' is none of {', '.join(POLICIES)}")
        if self.chips not in ("flat", "near"):
            raise _option(f"chips={self.chips} is neither flat nor near")
        for name in ("sram", "update_seconds", "lifetime_years", "endurance"):
            value = getattr(self, name)
            if not (0 <= value < float("inf")):
                raise _option(f"{name}={value} must be finite and not negative")
        unknown = sorted(set(self.updated) - set(places.names))
        if unknown:
            raise _option(f"updated={unknown[0]}: there is no such table", ", ".join(places.names[:20]))
        if self.policy == "hot_sram" and not target.tile.table_sram_bytes:
            raise _option(f"target {target.name} has no table SRAM (tile.table_sram_bytes)")

    @property
    def writes(self) -> float:
        """Writes of a row over the lifetime."""
        if self.update_seconds <= 0:
            return 0.0
        return self.lifetime_years * SECONDS_PER_YEAR / self.update_seconds

    def _worn(self, places: Places) -> Mask:
        """Blocks whose rows are written more often than cells endure."""
        if self.writes <= self.endurance:
            return np.zeros(places.count, np.bool_)
        names = self.updated or places.names
        chosen = np.array([name in names for name in places.names], np.bool_)
        worn: Mask = chosen[places.matrix]
        return worn

    # -- the choice ---------------------------------------------------------------------------------

    def _choose(
        self, places: Places, worn: Mask, target: Target, groups: list[ArrayGroup]
    ) -> NDArray[np.int8]:
        residence = np.full(places.count, int(Residence.RRAM), np.int8)
        if self.policy == "rram" and worn.any():
            raise self._too_often(places, worn)
        if self.policy == "dram":
            residence[:] = int(Residence.DRAM)
        elif self.policy != "rram":
            hot = self._hot(places, groups, target)
            residence[hot] = int(Residence.SRAM)
            left = worn & (residence == int(Residence.RRAM))
            if left.any() and self.policy == "hot_sram":
                raise self._too_often(places, left)
            residence[left] = int(Residence.DRAM)
        if self.policy == "auto":
            arrays = target.n_arrays - sum(g.count for g in groups)
            residence[self._cold(places, residence, target, arrays)] = int(Residence.DRAM)
        _require_dram(int(places.nbytes[residence == int(Residence.DRAM)].sum()), target)
        return residence

    def _hot(self, places: Places, groups: list[ArrayGroup], target: Target) -> NDArray[np.int64]:
        """Blocks for SRAM: those read most per byte, as many as fit the tiles.

        With ``chips=near`` the first chip's SRAM takes the hottest blocks, its arrays the next, then comes
        the second chip: a read from cells costs less than one that crosses between chips.
        """
        per_tile, chips = target.tile.table_sram_bytes, target.system.chips
        has = target.n_tiles * per_tile
        budget = int(self.sram * has if self.sram <= 1 else min(self.sram, has))
        density = places.uses / places.nbytes
        order = np.lexsort((np.arange(places.count), -density))
        order = order[(density[order] > 0) & (places.nbytes[order] <= per_tile)]
        if self.chips == "flat":
            # a tile of slack for every further chip: 'place' may fill each by itself
            return order[
                : _that_fit(places.nbytes[order], budget, per_tile, max(target.n_tiles - chips + 1, 1))
            ]
        hot = []
        for room in rooms(groups, target)[0]:
            count = _that_fit(places.nbytes[order], budget // chips, per_tile, target.tiles_per_chip)
            hot.append(order[:count])
            order = order[count:]
            order = order[room.fits(Blocks.of(places, order)) :]
        return np.concatenate(hot)

    def _cold(
        self, places: Places, residence: NDArray[np.int8], target: Target, arrays: int
    ) -> NDArray[np.int64]:
        """Blocks for DRAM: those read least per cell column, as few as let the rest fit ``arrays``."""
        cells = np.flatnonzero(residence == int(Residence.RRAM))
        order = cells[np.lexsort((-cells, places.uses[cells] / places.width[cells]))]

        def fits(kept: int) -> bool:
            rest = order[len(order) - kept :]
            return first_fit_count(places.width[rest], target.array.cols) <= arrays

        return order[: len(order) - largest(len(order), fits)]

    def _too_often(self, places: Places, worn: Mask) -> PassError:
        name = places.names[int(places.matrix[np.flatnonzero(worn)[0]])]
        return PassError(
            "assign-memory.endurance",
            f"rows of table {name} would be written {self.writes:,.0f} times in {self.lifetime_years:g} "
            f"years, cells endure {self.endurance:,.0f}; policy {self.policy} leaves them no other memory",
            hint="use assign-memory{policy=auto} or {policy=dram}, a longer update_seconds, or raise "
            "endurance if your device is known to last longer",
        )

    def _remarks(self, places: Places, residence: NDArray[np.int8], worn: Mask) -> ResidenceRemarks:
        where = [residence == int(kind) for kind in (Residence.RRAM, Residence.SRAM, Residence.DRAM)]
        return ResidenceRemarks(
            policy=self.policy,
            writes=self.writes,
            endurance=self.endurance,
            endurance_source=ENDURANCE_SOURCE if self.endurance == ENDURANCE_WRITES else "given",
            blocks=CountsByMemory(*(int(mask.sum()) for mask in where)),
            bytes=CountsByMemory(*(int(places.nbytes[mask].sum()) for mask in where)),
            reads_per_request=ReadsByMemory(*(float(places.uses[mask].sum()) for mask in where)),
            rewritten_too_often=tuple(sorted({places.names[m] for m in places.matrix[worn].tolist()})),
        )


def _option(message: str, hint: str | None = None) -> PassError:
    return PassError("assign-memory.option", message, hint=hint and f"tables: {hint}")


def _that_fit(sizes: NDArray[np.int64], budget: int, capacity: int, tiles: int) -> int:
    """How many items, from the first on, fit ``tiles`` memories of ``capacity`` bytes, ``budget`` in all."""
    most = int(np.searchsorted(np.cumsum(sizes), budget, side="right"))
    return largest(most, lambda count: first_fit_count(sizes[:count], capacity) <= tiles)


def _require_dram(demand: int, target: Target) -> None:
    has = target.system.chips * target.chip.dram_bytes
    if demand <= has:
        return
    levers = (
        "a target with DRAM, or more of it (chip.dram_bytes)",
        "fewer weight bits: quantize{weights=4 acts=8}",
        "smaller tables (hash rare ids, reduce dims)",
    )
    raise InfeasibleError(
        Shortage("DRAM", demand, has, "bytes", levers), subject=f"the model on {target.name}"
    )


def _mark(
    tables: list[cim.TableOp], places: Places, residence: NDArray[np.int8], data: CompilerContext
) -> None:
    for number, matrix in enumerate(tables):
        mine = residence[places.matrix == number]
        counts = np.bincount(mine, minlength=len(Residence)).tolist()
        numbers = cim.NumbersAttr.of(mine, data.store, f"{matrix.symbol}.residence", lambda _: ())
        matrix.decide(cim.ResidenceOp(matrix.symbol, counts, numbers))
