"""Whole pipelines from decisions: which passes run between ``quantize`` and ``lower``, with which options."""

from __future__ import annotations

from collections.abc import Mapping

from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.presets.policies import Bundle, bundle

Options = Mapping[str, str | int | float]


def pipeline_for(
    *,
    quantize: Options | None = None,
    group: Options | None = None,
    shard: Options | None = None,
    choose_adc_steps: Options | None = None,
    assign_memory: Options | None = None,
    replicate: Options | None = None,
    place: Options | None = None,
    schedule: Options | None = None,
) -> str:
    """The pipeline string of a set of decisions, checked and with all options spelled out.

    Args:
        quantize, shard, choose_adc_steps, place, schedule: options of these passes, which always run.
        group, assign_memory, replicate: options of these, which are left out where the argument is None.

    Raises:
        PassError: ``pass.bad-option`` for an option that a pass does not take.
    """
    always = {
        "quantize": quantize or {},
        "shard": shard or {},
        "choose-adc-steps": choose_adc_steps or {},
        "place": place or {},
        "schedule": schedule or {},
    }
    chosen = {**always, "group": group, "assign-memory": assign_memory, "replicate": replicate}
    order = (
        "quantize", "group", "shard", "choose-adc-steps", "assign-memory", "replicate", "place", "schedule",
    )  # fmt: skip
    parts = [_spelled(name, options) for name in order if (options := chosen[name]) is not None]
    return str(Pipeline.parse(",".join((FRONTEND, *parts, "lower"))))


def pipeline_of_bundle(
    chosen: Bundle | str,
    *,
    budget: float = 0.1,
    sram: float = 1.0,
    chips: str = "flat",
    dense: str = "together",
    reduction_tiles: str = "consumer",
    options: Options | None = None,
) -> str:
    """The pipeline of a bundle of policies (:mod:`cimc.transforms.presets.policies`), or of one placement
    strategy.

    Args:
        chosen: the bundle, or its name.
        budget: of ``replicate``; sram: of ``assign-memory``, where the bundle uses them.
        chips, dense: of ``place``; reduction_tiles: of ``schedule``.  No bundle speaks of these.
        options: of the placement strategy.

    Raises:
        PassError: ``mapping.unknown-strategy``, ``pass.bad-option``.
    """
    made = bundle(chosen) if isinstance(chosen, str) else chosen
    near = "near" if chips == "near" else "flat"
    assign_memory: Options | None = None
    if made.residency != "rram":
        assign_memory = {"policy": made.residency, "sram": sram, "chips": near}
    return pipeline_for(
        group=None if made.grouping == "in_order" else {"policy": made.grouping},
        assign_memory=assign_memory,
        replicate=None if made.replication == "none" else {"policy": made.replication, "budget": budget},
        place={"strategy": made.placement, "chips": chips, "dense": dense, **(options or {})},
        schedule={"reduction_tiles": reduction_tiles},
    )


def _spelled(name: str, options: Options) -> str:
    if not options:
        return name
    return f"{name}{{{' '.join(f'{key}={_word(value)}' for key, value in options.items())}}}"


def _word(value: str | int | float) -> str:
    return repr(value) if isinstance(value, float) else str(value)
