"""Names of passes and options of version 0.1 that have others now: pipelines that say them go on working."""

from __future__ import annotations

from xdsl.utils.arg_spec import ArgSpec

PASSES = {"reside": "assign-memory"}
"""Old name of a pass to its name."""

OPTIONS = {
    "shard": {"spread": "converter_parallelism"},
    "place": {"spread": "array_slack"},
    "schedule": {"homes": "reduction_tiles"},
}
"""Name of a pass to old names of its options and what they are called."""


def renamed(spec: ArgSpec) -> tuple[ArgSpec, tuple[str, ...]]:
    """``spec`` with the names of today, and a note for each that was another.

    An option under both names keeps the old one, which the pass then refuses.
    """
    notes = []
    name = PASSES.get(spec.name, spec.name)
    if name != spec.name:
        notes.append(f"pass `{spec.name}` is called `{name}` now")
    known = OPTIONS.get(name, {})
    parameters = {}
    for option, value in spec.parameters.items():
        now = known.get(option, option)
        if now != option and now not in spec.parameters:
            notes.append(f"option `{option}` of pass `{name}` is called `{now}` now")
            option = now
        parameters[option] = value
    return ArgSpec(name, parameters), tuple(notes)
