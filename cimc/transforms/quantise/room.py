"""Refuse a model that cannot fit before any of its weights is read."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from cimc.analysis.demand import Demand, chips_for, demand_of
from cimc.errors import InfeasibleError, PassError, Shortage
from cimc.ir.context import CompilerContext
from cimc.target.spec import Target


def require_room(module: ModuleOp, data: CompilerContext, target: Target, weights: int, tables: int) -> None:
    """Compare what the model needs at least with what the target has for the pipeline under way.

    Without a pipeline (a single pass), or in one that places nothing, there is nothing to refuse.

    Raises:
        InfeasibleError: too few arrays, or too little memory where ``assign-memory`` moves tables out of
        them.
    """
    from cimc.transforms.pipeline import Pipeline

    if not data.pipeline:
        return
    try:
        passes = Pipeline.parse(data.pipeline).passes
    except PassError:  # of a pipeline with passes of the user's own
        return
    if not any(each.name == "place" for each in passes):
        return
    need = demand_of(module, target, weights, tables)
    policies = [str(getattr(each, "policy", "")) for each in passes if each.name == "assign-memory"]
    moved = [policy for policy in policies if policy != "rram"]
    arrays = need.layer_arrays if moved else need.arrays
    if arrays > target.n_arrays:
        raise no_room(Shortage("arrays", arrays, target.n_arrays, "arrays"), target, layers=need.layer_arrays)
    if len(moved) == 1:
        _require_memory(need, moved[0], target)


def _require_memory(need: Demand, policy: str, target: Target) -> None:
    sram = 0 if policy == "dram" else target.n_tiles * target.tile.table_sram_bytes
    dram = 0 if policy == "hot_sram" else target.system.chips * target.chip.dram_bytes
    outside = need.table_bytes
    if policy != "dram":
        outside = need.bytes_outside(target.n_arrays - need.layer_arrays)
    if outside > sram + dram:
        raise no_room(Shortage("memory beside the arrays", outside, sram + dram, "bytes"), target)


def no_room(shortage: Shortage, target: Target, *, layers: int = 0) -> InfeasibleError:
    """The error for a model that does not fit, with what would help, cheapest first.

    ``layers``: arrays that layers take at least; only tables have a place in DRAM.
    """
    levers = ["fewer weight bits: quantize{weights=4 acts=8}"]
    if target.chip.dram_bytes and layers <= target.n_arrays:
        levers.append("cold rows in DRAM: assign-memory{policy=auto} between shard and place")
    if shortage.unit == "arrays":
        chips = max(chips_for(shortage.demand, target), target.system.chips + 1)
        levers.append(f"at least {chips} chips: --target '{target.name}{{system.chips={chips}}}'")
    else:
        levers.append(f"more chips or memory: system.chips is {target.system.chips}")
    levers.append("smaller tables (hash rare ids, reduce dims)")
    found = Shortage(shortage.resource, shortage.demand, shortage.bound, shortage.unit, tuple(levers))
    return InfeasibleError(found, subject=f"the model on {target.name}")
