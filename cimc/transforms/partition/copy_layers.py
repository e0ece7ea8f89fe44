"""``copy-layers``: layers, and the vector work around them, exist several times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import PassError, Shortage
from cimc.ir import cim
from cimc.ir.cim.copies import say
from cimc.ir.context import compiler_context
from cimc.isa.verify_copies import MAX_PERIOD


@dataclass(frozen=True)
class CopyLayers(ModulePass):
    """Decide in how many instances the dense part of the model exists.

    Each instance has the weights of all layers in cells of its own and does all vector work of its requests;
    request ``k`` of a run uses instance ``k mod copies``.  Results do not depend on it.  What tables have in
    copies is decided by ``replicate``.  Where the target has no room for so many, half of them are tried; the
    number that fitted stands in the pipeline.

    Precondition: sharded matrices, not placed.  Postcondition: ``cim.copies``, and ``cim.replicas`` of all
    blocks of layers (not yet placed), unless ``copies`` is 1.
    """

    name = "copy-layers"
    copies: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        if not 1 <= self.copies <= MAX_PERIOD:
            raise PassError("copy-layers.option", f"copies={self.copies} must lie in 1..{MAX_PERIOD}")
        if cim.copies_of(op) > 1:
            raise PassError(
                "pass.decided-already", "layers are copied already", hint="run 'copy-layers' once"
            )
        if self.copies == 1:
            return
        for matrix in cim.matrices_of(op):
            matrix.shards()
            if isinstance(matrix, cim.WeightsOp):
                matrix.refuse(cim.ReplicasOp, cim.PlacementOp)
                of = np.repeat(np.arange(matrix.shards().count, dtype=np.int32), self.copies - 1)
                numbers = cim.NumbersAttr.of(of, data.store, f"{matrix.symbol}.replicas", cim.copied)
                matrix.decide(cim.ReplicasOp(matrix.symbol, numbers))
        say(op, cim.CopiesOp(self.copies))

    def adjusted(self, shortage: Shortage) -> CopyLayers | None:
        """With half the copies."""
        return replace(self, copies=self.copies // 2) if self.copies > 1 else None
