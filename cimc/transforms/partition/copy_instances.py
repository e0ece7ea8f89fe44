"""``copy``: the dense part of a model exists in several instances, hot blocks of tables in several places."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import PassError, Shortage
from cimc.ir import cim
from cimc.ir.cim.copies import put_before_function
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.residence import Residence
from cimc.isa.verify_copies import MAX_PERIOD
from cimc.target.spec import Target
from cimc.transforms.place.pack_arrays import array_groups_of, first_fit_count, largest
from cimc.transforms.place.shard_list import Places, tables_of


@dataclass(frozen=True)
class Copy(ModulePass):
    """Decide in how many instances the dense part of the model exists, and in how many places rows of tables.

    Each instance has the weights of all layers in cells of its own and does all vector work of its requests;
    request ``k`` of a run uses instance ``k mod instances``.  The blocks of tables that are read most for
    the room they take, as many as arrays are left for, get ``places`` places, and request ``k`` reads number
    ``k mod places``.  Results do not depend on either.  Without options they are what ``allocate`` decided,
    or 1.  Where the target has no room for so many instances half of them are tried; what fitted stands in
    the pipeline.

    Precondition: sharded matrices, not placed; after ``assign-memory`` where that is used.  Postcondition:
    ``cim.copies``, and ``cim.replicas`` of all blocks of layers (not yet placed), unless there is one
    instance; ``cim.replicas`` of the blocks of tables that have several places.
    """

    name = "copy"
    instances: int | None = None
    places: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        allocated = cim.allocation_of(op)
        instances = self.instances or (1 if allocated is None else allocated.instances.value.data)
        places = self.places or (1 if allocated is None else allocated.places.value.data)
        for name, given in (("instances", self.instances), ("places", self.places)):
            if given is not None and not 1 <= given <= MAX_PERIOD:
                raise PassError("copy.option", f"{name}={given} must lie in 1..{MAX_PERIOD}")
        if cim.copies_of(op) > 1:
            raise PassError("pass.decided-already", "layers are copied already", hint="run 'copy' once")
        matrices = cim.matrices_of(op)
        for matrix in matrices:
            matrix.shards()
            matrix.refuse(cim.ReplicasOp, cim.PlacementOp)
        if instances > 1 and any(isinstance(matrix, cim.CorpusOp) for matrix in matrices):
            raise PassError(
                "copy.option", f"instances={instances}: a corpus to search exists once", hint="instances=1"
            )
        if places > 1:
            _copy_tables(op, matrices, instances, places, data, target)
        if instances == 1:
            return
        for matrix in matrices:
            if isinstance(matrix, cim.WeightsOp):
                of = np.repeat(np.arange(matrix.shards().count, dtype=np.int32), instances - 1)
                _decide(matrix, of, data)
        put_before_function(op, cim.CopiesOp(instances))

    def adjusted(self, shortage: Shortage) -> Copy | None:
        """With half the instances."""
        if self.instances is None or self.instances == 1:
            return None
        places = self.places
        if places is not None and places > 1:
            places = max(1, places // 2)
        return replace(self, instances=self.instances // 2, places=places)


def _copy_tables(
    module: ModuleOp,
    matrices: list[cim.MatrixOp],
    instances: int,
    count: int,
    data: CompilerContext,
    target: Target,
) -> None:
    """Give the hottest blocks of tables ``count`` places, as many as arrays are free for."""
    places = Places.collect(matrices, data)
    cells = places.where(Residence.RRAM)
    width = places.width[cells]
    layers = sum(group.count for group in array_groups_of(module, data, target)) * instances
    spare = target.n_arrays - layers - first_fit_count(width, target.array.cols)
    order = np.argsort(-places.load[cells] / width, kind="stable")

    def fits(number: int) -> bool:
        mine = order[:number]
        # those with more places, and those with one, are packed apart
        arrays = count * first_fit_count(width[mine], target.array.cols)
        rest = first_fit_count(width[order[number:]], target.array.cols)
        return arrays + rest <= spare + first_fit_count(width, target.array.cols)

    chosen = np.zeros(len(cells), np.bool_)
    chosen[order[: largest(len(order), fits)]] = True
    for number, matrix in enumerate(tables_of(matrices)):
        mine = chosen & (places.matrix[cells] == number)
        if mine.any():
            _decide(matrix, np.repeat(places.entry[cells][mine], count - 1), data)


def _decide(matrix: cim.MatrixOp, of: NDArray[np.integer], data: CompilerContext) -> None:
    numbers = cim.NumbersAttr.of(of.astype(np.int32), data.store, f"{matrix.symbol}.replicas", cim.copied)
    matrix.decide(cim.ReplicasOp(matrix.symbol, numbers))
