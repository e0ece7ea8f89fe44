"""``place``: blocks get their arrays and tiles, by a named mapping strategy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import InfeasibleError, PassError, Shortage
from cimc.ir import cim
from cimc.ir.cim.copies import put_before_function
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.residence import SRAM_ARRAY, Residence, dram_tile
from cimc.mapping import PlacementProblem, evaluate
from cimc.mapping.assignment.strategy_registry import STRATEGIES
from cimc.mapping.mesh.mesh_solve import QUADRATIC_METHODS
from cimc.remarks import ChipAssignment, MatrixPlacement, PlacementRemarks
from cimc.target.positions import middle_tile
from cimc.target.spec import Target
from cimc.transforms.chosen_options import Choice, ChoosingPass
from cimc.transforms.place.assign_chips import CHIP_POLICIES, assign_chips
from cimc.transforms.place.interchip_traffic import Demand
from cimc.transforms.place.layers_on_mesh import DensePlacement, place_dense
from cimc.transforms.place.memory_remarks import residency
from cimc.transforms.place.pack_arrays import ArrayGroup, Packing, array_groups_of, pack
from cimc.transforms.place.place_instances import pack_by_turn, place_instances
from cimc.transforms.place.replica_anti_affinity import spread_copies
from cimc.transforms.place.shard_list import Places, tables_of
from cimc.transforms.place.solve_per_chip import Placed, solve_parts
from cimc.transforms.place.sram_dram import place_in_dram, place_in_sram
from cimc.transforms.place.zones import chips_beside
from cimc.transforms.quantise.room import no_room

Ints = NDArray[np.int64]
_CHIPS = ("flat", *CHIP_POLICIES)
_MOST_TILES = 4
"""Tiles of an instance that are tried where its scratchpads are too small."""


@dataclass(frozen=True)
class Place(ChoosingPass):
    """Decide where every block lives, in two steps that use the same mapping strategy.

    First, the blocks of embedding tables that live in crossbar cells are packed side by side into as few
    arrays as hold them, times ``array_slack``, balancing the expected conversions per request; copies of
    blocks go to further arrays.  Then these arrays and the array groups of layers, which own whole arrays,
    are assigned to tiles; distance counts from the tile in the middle.  Copies of a block end on different
    tiles where that is possible.  Blocks marked for SRAM get a tile, blocks marked for DRAM a
    chip.  Expected accesses come from a trace or from calibration requests.

    ``chips``, for systems of several chips: ``flat`` places all tiles at once; the others first give tables
    to chips (:mod:`cimc.transforms.place.assign_chips`) and then place each chip by itself.  ``dense``
    names a method of :mod:`cimc.mapping.mesh` that first gives layers their positions on the mesh
    (:mod:`cimc.transforms.place.layers_on_mesh`); tables then go round them, and distance counts from the
    layer that most lookups feed.

    Where ``copy`` decided on instances, those are laid out first, each of at least ``tiles`` tiles
    (and as many as ``allocate`` decided) in a zone of its own, and tables go round the instances that read
    them (:mod:`cimc.transforms.place.place_instances`); ``strategy`` then packs blocks into arrays alone.

    Options of the strategy are options of the pass; those of the method of ``dense`` are, as ``dense_NAME``.

    Precondition: sharded matrices.  Postcondition: every block and copy has its place.
    """

    name = "place"
    choices = (
        Choice("strategy", STRATEGIES),
        Choice("dense", QUADRATIC_METHODS, prefix="dense_", none="together"),
    )
    strategy: str = "greedy"
    seed: int = 0
    array_slack: int | float = 1.0
    dense: str = "together"
    chips: str = "flat"
    tiles: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        if not 1 <= self.array_slack <= 1e6:
            raise PassError("place.array-slack", f"array_slack={self.array_slack} must be at least 1")
        if self.chips not in _CHIPS:
            raise PassError("place.option", f"chips={self.chips} is none of {', '.join(_CHIPS)}")
        if self.tiles is not None and self.tiles < 1:
            raise PassError("place.option", f"tiles={self.tiles}: an instance has at least one tile")
        matrices = cim.matrices_of(op)
        for matrix in matrices:
            matrix.shards()
            matrix.refuse(cim.PlacementOp)
        places = Places.collect(matrices, data)
        groups = array_groups_of(op, data, target)
        rows = np.full((places.count, 3), -1, np.int64)  # tile, array, offset of each place
        copies = cim.copies_of(op)
        if copies > 1:
            self._instances(op, copies, places, groups, rows, data, target)
            return
        try:
            packing, group_chip, chips = self.pack(places, groups, target, Demand.collect(op, data))
            fixed = None if self.dense == "together" else self._dense(op, groups, target, data)
            centre = middle_tile(target) if fixed is None or fixed.consumer is None else fixed.consumer
            problem = _problem(places, packing, groups, centre, target)
            chip = np.concatenate([packing.chip, group_chip])
            at = np.full(problem.n_items, -1, np.int64)
            if fixed is not None:
                at[packing.arrays :] = fixed.tiles
            solution = solve_parts(
                problem, chip, at, target, self.strategy, self.seed, **self.chosen_options("strategy")
            )
            self._memories(rows, places, problem.distance, target)
        except InfeasibleError as error:
            raise no_room(error.shortage, target) from None
        tiles, together = solution.tiles, 0
        if packing.arrays > packing.primary:
            tiles, together = spread_copies(
                tiles, problem.load, problem.size, problem.capacity, places, packing
            )
        layers = _in_cells(rows, tiles, packing, groups, matrices)
        _write(rows, layers, places, matrices, data, target)
        copied = packing.arrays - packing.primary
        self._remark(
            problem, solution, tiles, places, packing, matrices, data, copied, together, fixed, chips
        )

    def _remark(
        self,
        problem: PlacementProblem,
        solution: Placed,
        tiles: Ints,
        places: Places,
        packing: Packing,
        matrices: list[cim.MatrixOp],
        data: CompilerContext,
        copied: int = 0,
        together: int = 0,
        fixed: DensePlacement | None = None,
        chips: ChipAssignment | None = None,
    ) -> None:
        evaluation = evaluate(problem, tiles)
        data.remark(
            PlacementRemarks(
                strategy=self.strategy,
                seed=self.seed,
                produced_by=solution.produced_by,
                effort=solution.effort,
                bottleneck=evaluation.bottleneck,
                bound=evaluation.bottleneck_bound,
                gap=evaluation.gap,
                hops=evaluation.hops,
                hops_bound=evaluation.hops_bound,
                items=problem.n_items,
                table_arrays=packing.primary,
                matrices=tuple(_placed(matrix, data) for matrix in matrices),
                residency=residency(matrices, places, data),
                copy_arrays=copied or None,
                copies_sharing_a_tile=together if copied else None,
                dense=None if fixed is None else fixed.remark,
                chips=chips,
            )
        )

    def _instances(
        self,
        op: ModuleOp,
        copies: int,
        places: Places,
        groups: list[ArrayGroup],
        rows: Ints,
        data: CompilerContext,
        target: Target,
    ) -> None:
        """Place ``copies`` instances of the layers, and the tables."""
        matrices = cim.matrices_of(op)
        if self.dense != "together":
            data.notes.append(
                f"place: dense={self.dense} is for one instance; zones of the mesh hold {copies}"
            )
        items = places.where(Residence.RRAM)
        strategy = "first_fit" if self.strategy in ("round_robin", "first_fit") else "greedy"
        try:
            packing, turns = pack_by_turn(places, items, target, strategy, self.array_slack, self.seed)
            traffic = np.zeros(packing.arrays)
            np.add.at(traffic, packing.array, places.traffic[packing.items])
            found = place_instances(copies, self._tiles(op), groups, traffic, turns, target)
            problem = _problem(places, packing, groups * copies, int(found.tiles[0, 0]), target)
            self._memories(rows, places, problem.distance, target)
        except InfeasibleError as error:
            raise no_room(error.shortage, target) from None
        at = np.concatenate([found.table, found.tiles[:, found.slot].ravel()])
        layers = _in_cells(rows, at, packing, groups * copies, matrices, len(groups))
        _write(rows, layers, places, matrices, data, target)
        # on chips of their own lookups may be reduced
        tiles = np.concatenate([found.tiles, chips_beside(target, copies)], axis=1)
        numbers = cim.NumbersAttr.of(
            tiles.astype(np.int32),
            data.store,
            "instances",
            lambda t: cim.by_value(t.ravel() // target.tiles_per_chip, "chip"),
        )
        put_before_function(op, cim.InstancesOp(numbers))
        self._remark(problem, Placed(at, "instances", {}), at, places, packing, matrices, data)

    def adjusted(self, shortage: Shortage) -> Place | None:
        """With twice the tiles for each instance, where a scratchpad is too small."""
        tiles = self.tiles or 1
        if shortage.resource != cim.INSTANCE_MEMORY or tiles >= _MOST_TILES:
            return None
        return replace(self, tiles=2 * tiles)

    def _tiles(self, op: ModuleOp) -> int:
        """Tiles of an instance at least."""
        allocated = cim.allocation_of(op)
        return max(self.tiles or 1, 1 if allocated is None else allocated.tiles.value.data)

    def pack(
        self, places: Places, groups: list[ArrayGroup], target: Target, demand: Demand
    ) -> tuple[Packing, Ints, ChipAssignment | None]:
        """Places in cells to arrays, the chip of each array group (-1 for any), and the remark on chips."""
        strategy = "first_fit" if self.strategy in ("round_robin", "first_fit") else "greedy"
        items = places.where(Residence.RRAM)
        if self.chips == "flat" or target.system.chips == 1:
            whole = pack(places, items, target, strategy, self.array_slack, self.seed)
            return whole, np.full(len(groups), -1, np.int64), None
        chips = assign_chips(self.chips, places, items, groups, target, self.seed, demand)
        parts = [
            pack(places, items[chips.of_item == chip], target, strategy, self.array_slack, self.seed)
            for chip in range(target.system.chips)
        ]
        return Packing.joined(parts), chips.of_group, chips.remark

    def _dense(
        self, op: ModuleOp, groups: list[ArrayGroup], target: Target, data: CompilerContext
    ) -> DensePlacement | None:
        found = place_dense(op, groups, target, self.dense, self.seed, **self.chosen_options("dense"))
        if found is None and groups:
            data.notes.append(
                "place: the layers need more arrays than a chip has; they are placed together with the tables"
            )
        return found

    def _memories(self, rows: Ints, places: Places, distance: NDArray[np.float64], target: Target) -> None:
        items, tile = place_in_sram(places, distance, target, self.chips != "flat", self.seed)
        rows[items] = np.stack(
            [tile, np.full(len(items), SRAM_ARRAY), np.zeros(len(items), np.int64)], axis=1
        )
        items, chip = place_in_dram(places, target, self.chips != "flat", self.seed)
        rows[items, 0] = dram_tile(0) - chip
        rows[items, 2] = 0


def _placed(matrix: cim.MatrixOp, data: CompilerContext) -> MatrixPlacement:
    """Where a matrix ended."""
    blocks = matrix.block_table(data.store)
    slices = matrix.shards().slices.value.data
    cells = blocks[blocks[:, cim.ARRAY] >= 0]
    return MatrixPlacement(
        name=matrix.sym_name.data,
        kind=matrix.kind,
        rows=matrix.rows.value.data,
        cols=matrix.cols.value.data,
        bits=matrix.bits.value.data,
        slices=slices,
        blocks=len(blocks),
        tiles=tuple(np.unique(blocks[blocks[:, cim.TILE] >= 0, cim.TILE]).tolist()),
        arrays=_distinct_arrays(cells),
        cells=int((cells[:, cim.ROWS].astype(np.int64) * cells[:, cim.COLS]).sum()) * slices,
    )


def _distinct_arrays(blocks: NDArray[np.int32]) -> int:
    """Arrays, of whichever tile, that blocks lie in."""
    per_tile = int(blocks[:, cim.ARRAY].max(initial=0)) + 1
    return int(np.unique(blocks[:, cim.TILE].astype(np.int64) * per_tile + blocks[:, cim.ARRAY]).size)


def _problem(
    places: Places, packing: Packing, groups: list[ArrayGroup], centre: int, target: Target
) -> PlacementProblem:
    arrays, items = packing.arrays, packing.items
    load = np.bincount(packing.array, places.load[items], arrays)
    traffic = np.bincount(packing.array, places.traffic[items], arrays)
    return PlacementProblem(
        load=np.concatenate([load, [g.load for g in groups]]),
        size=np.concatenate([np.ones(arrays, np.int64), np.array([g.count for g in groups], np.int64)]),
        traffic=np.concatenate([traffic, [g.traffic for g in groups]]),
        capacity=np.full(target.n_tiles, target.tile.arrays),
        distance=np.array([target.hops(centre, t) for t in range(target.n_tiles)], np.float64),
        item_unit="arrays",
        resource="arrays",
        labels=(*(f"table array {a}" for a in range(arrays)), *(f"{g.matrix}[{g.first}]" for g in groups)),
    )


def _in_cells(
    rows: Ints,
    tiles: Ints,
    packing: Packing,
    groups: list[ArrayGroup],
    matrices: list[cim.MatrixOp],
    instance: int = 0,
) -> list[dict[str, Ints]]:
    """Number the arrays of each tile, those of tables first; fill in the places in cells of tables.

    Every ``instance`` groups are one of the instances (0: there is one alone).  Returns, of each, the places
    of the layers, int64 ``[blocks, 3]``; -1 of blocks that no product uses.
    """
    used: dict[int, int] = {}
    array_of = np.zeros(packing.arrays, np.int64)
    for a in range(packing.arrays):
        tile = int(tiles[a])
        array_of[a] = used.get(tile, 0)
        used[tile] = int(array_of[a]) + 1
    rows[packing.items] = np.stack([tiles[packing.array], array_of[packing.array], packing.offset], axis=1)
    instances = len(groups) // instance if instance else 1
    layers = [
        {
            m.symbol: np.full((m.shards().count, 3), -1, np.int64)
            for m in matrices
            if isinstance(m, cim.WeightsOp | cim.CorpusOp)
        }
        for _ in range(instances)
    ]
    for g, group in enumerate(groups):
        tile = int(tiles[packing.arrays + g])
        first = used.get(tile, 0)
        mine = layers[g // instance if instance else 0][group.matrix][group.held]
        mine[:, 0], mine[:, 1], mine[:, 2] = tile, first + np.arange(len(mine)) // group.stack, 0
        used[tile] = first + group.count
    return layers


def _write(
    rows: Ints,
    layers: list[dict[str, Ints]],
    places: Places,
    matrices: list[cim.MatrixOp],
    data: CompilerContext,
    target: Target,
) -> None:
    """Places of all blocks and copies, into the IR."""

    def numbers(found: Ints, name: str) -> cim.NumbersAttr:
        array = found.astype(np.int32)
        return cim.NumbersAttr.of(array, data.store, name, lambda a: cim.places(a, target.tiles_per_chip))

    for matrix in matrices:
        if isinstance(matrix, cim.WeightsOp | cim.CorpusOp):
            name, first = matrix.symbol, layers[0][matrix.symbol]
            # copies in the order of cim.replicas: block by block, one an instance
            more = [x[name] for x in layers[1:]]
            others = numbers(np.stack(more, axis=1).reshape(-1, 3), f"{name}.copies") if more else None
            matrix.decide(cim.PlacementOp(name, numbers(first, f"{name}.placement"), others))
    for number, matrix in enumerate(tables_of(matrices)):
        name, count = matrix.symbol, matrix.shards().count
        mine = rows[places.matrix == number]
        copies = None if matrix.find(cim.ReplicasOp) is None else numbers(mine[count:], f"{name}.copies")
        matrix.decide(cim.PlacementOp(name, numbers(mine[:count], f"{name}.placement"), copies))
