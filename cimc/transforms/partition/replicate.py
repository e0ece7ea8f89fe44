"""``replicate``: hot blocks of tables are written several times and share their requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.ir import cim
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.residence import Residence
from cimc.mapping.replication import REPLICATIONS, ReplicationProblem, replicate
from cimc.remarks import ReplicationRemarks
from cimc.transforms.chosen_options import Choice, ChoosingPass
from cimc.transforms.place.pack_arrays import array_groups_of, copy_arrays, first_fit_count, largest
from cimc.transforms.place.shard_list import Ints, Places, tables_of

_LEAST_PART = 0.25
"""Smallest part of a block, as a share of the mean load of a tile, that is worth a copy."""


@dataclass(frozen=True)
class Replicate(ChoosingPass):
    """Decide how many copies each block of a table in crossbar cells gets.

    ``budget`` is the share of the arrays left free that copies may take, 0..1; ``policy`` one of
    :mod:`cimc.mapping.replication`.  Request ``k`` of a run reads copy ``k mod copies``, so results do not
    depend on copies.

    Precondition: sharded matrices, not placed; after ``assign-memory`` and ``copy`` where those are
    used.  Postcondition:
    tables with copies have ``cim.replicas`` (not yet placed).
    """

    name = "replicate"
    choices = (Choice("policy", REPLICATIONS),)
    budget: int | float = 0.1
    policy: str = "bottleneck"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        if not 0 <= self.budget <= 1:
            raise PassError("replicate.option", f"budget={self.budget} must lie in 0..1")
        matrices = cim.matrices_of(op)
        for matrix in matrices:
            matrix.shards()
            matrix.refuse(cim.PlacementOp, *((cim.ReplicasOp,) if isinstance(matrix, cim.TableOp) else ()))
        places = Places.collect(matrices, data)
        cells = places.where(Residence.RRAM)
        groups = array_groups_of(op, data, target)
        layers = sum(g.count for g in groups) * cim.copies_of(op)
        taken = layers + first_fit_count(places.width[cells], target.array.cols)
        free = max(target.n_arrays - taken, 0)
        problem = ReplicationProblem(
            load=places.load[cells],
            size=places.width[cells],
            spare=int(self.budget * free) * target.array.cols,
            bins=target.n_tiles,
        )
        # parts of a block that keep an array busy for less time than the layers do relieve nothing
        layer = max((g.load / g.count for g in groups), default=0.0)
        floor = max(_LEAST_PART, layer / problem.mean if problem.mean > 0 else 0.0)
        least = {"floor": floor} if self.policy == "bottleneck" else {}
        plan = replicate(problem, self.policy, **{**least, **self.chosen_options("policy")})
        copies = _that_fit(plan.copies, places, cells, int(self.budget * free), target.array.cols)
        _write(tables_of(matrices), places, cells, copies, data)
        data.remark(
            ReplicationRemarks(
                policy=self.policy,
                budget=self.budget,
                free_arrays=free,
                copies=int((copies - 1).sum()),
                blocks_copied=int((copies > 1).sum()),
                heaviest_before=float(places.load[cells].max(initial=0.0)),
                heaviest=float((places.load[cells] / copies).max(initial=0.0)),
                bound=plan.bound,
                effort=dict(plan.effort),
            )
        )


def _that_fit(wanted: Ints, places: Places, cells: Ints, arrays: int, cols: int) -> Ints:
    """``wanted`` copies, less those of the coldest blocks that ``arrays`` whole arrays have no columns for.

    Copies of one block lie in different arrays, so a block gets at most ``arrays`` further copies.
    """
    extra = np.minimum(wanted - 1, arrays)
    part = places.load[cells] / wanted
    coldest = np.argsort(part, kind="stable")
    coldest = coldest[extra[coldest] > 0]

    def without(number: int) -> Ints:
        left = extra.copy()
        left[coldest[:number]] = 0
        return left

    def fits(kept: int) -> bool:
        left = without(len(coldest) - kept)
        of = np.repeat(np.arange(len(cells)), left)
        return copy_arrays(places.width[cells][of], of, cols) <= arrays

    return 1 + without(len(coldest) - largest(len(coldest), fits))


def _write(
    tables: list[cim.TableOp],
    places: Places,
    cells: Ints,
    copies: Ints,
    data: CompilerContext,
) -> None:
    for number, matrix in enumerate(tables):
        mine = places.matrix[cells] == number
        blocks = np.repeat(places.entry[cells][mine], copies[mine] - 1)
        if not len(blocks):
            continue
        of = blocks.astype(np.int32)
        numbers = cim.NumbersAttr.of(of, data.store, f"{matrix.symbol}.replicas", cim.copied)
        matrix.decide(cim.ReplicasOp(matrix.symbol, numbers))
