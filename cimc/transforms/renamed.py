"""Names in pipelines that stand for others: ``frontend``, and those of passes and options in version 0.1.

Pipelines with old names go on working, with a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from xdsl.utils.arg_spec import ArgSpec, ParameterListType

from cimc.mapping.assignment.strategy_registry import STRATEGIES
from cimc.mapping.mesh.mesh_solve import QUADRATIC_METHODS
from cimc.transforms.passes import ALL_OF_FRONTEND, FRONTEND, OLD_FRONTEND, OLD_NAMES, PASSES

OPTIONS = {
    "shard": {"spread": "converter_parallelism"},
    "place": {"spread": "array_slack"},
    "schedule": {"homes": "reduction_tiles"},
}
"""Name of a pass to old names of its options and what they are called."""

_DENSE = {"multilevel": "anneal", "assignment": "anneal"}
"""Layouts of old, and what does as well on the layers of models."""


def _current_dense(name: str) -> str:
    return name if name in QUADRATIC_METHODS else _DENSE.get(name, name)  # a plug-in may have the name


VALUES: Mapping[tuple[str, str], Callable[[str], str]] = {
    ("place", "strategy"): STRATEGIES.current,
    ("place", "dense"): _current_dense,
}
"""Pass and option that names an object, to what the object of a name is called now."""

CHOOSE_ADC_STEPS = "choose-adc-steps"
"""The pass that does what ``shard`` did beside."""

_FRONTEND_OPTIONS = {"only": "recognise", "also": "recognise", "vector": "demote", "scratchpad": "demote"}
_NOT_WITH_ONLY = ("expand-composites", "batch-major")


def current_names(specs: Iterable[ArgSpec]) -> tuple[tuple[ArgSpec, ...], tuple[str, ...]]:
    """The passes that ``specs`` mean, by the names of today, and a note for each name that was another."""
    found: list[ArgSpec] = []
    notes: list[str] = []
    for spec in specs:
        PASSES.check_reserved(spec.name)
        if spec.name == ALL_OF_FRONTEND:
            if spec.parameters:
                raise ValueError(f"`{spec.name}` stands for {FRONTEND}: options are theirs")
            found += [ArgSpec(name, {}) for name in FRONTEND.split(",")]
        elif spec.name == OLD_FRONTEND:
            passes = _parted(spec)
            notes.append(f"pass `{spec.name}` is {','.join(each.name for each in passes)} now")
            found += passes
        else:
            now, noted = renamed(spec)
            found.append(now)
            notes += noted
    found, noted = _with_adc_steps(found)
    return tuple(found), (*notes, *noted)


def _with_adc_steps(specs: list[ArgSpec]) -> tuple[list[ArgSpec], tuple[str, ...]]:
    """``shard`` chose the ADC steps, too: where nothing else does, ``choose-adc-steps`` comes behind it.

    So it is in a line that names the option ``ranges`` of ``shard``, or that goes on to ``lower``.
    """
    names = [spec.name for spec in specs]
    if "shard" not in names or CHOOSE_ADC_STEPS in names:
        return specs, ()
    at = names.index("shard")
    given = specs[at].parameters
    if "lower" not in names and "ranges" not in given:
        return specs, ()
    moved = {name: value for name, value in given.items() if name == "ranges"}
    kept = {name: value for name, value in given.items() if name != "ranges"}
    parted = [ArgSpec("shard", kept), ArgSpec(CHOOSE_ADC_STEPS, moved)]
    note = f"pass `shard` chooses no ADC steps now: `{CHOOSE_ADC_STEPS}` runs behind it"
    return [*specs[:at], *parted, *specs[at + 1 :]], (note,)


def _parted(spec: ArgSpec) -> list[ArgSpec]:
    """The passes of ``fuse-recsys``; an option that it did not have is for ``recognise`` to refuse.

    With ``only``, composites stay whole and the batch stays where it is.
    """
    names = FRONTEND.split(",")[1:]
    if spec.parameters.get("only"):
        names = [name for name in names if name not in _NOT_WITH_ONLY]
    given = {name: _FRONTEND_OPTIONS.get(name, "recognise") for name in spec.parameters}
    return [
        ArgSpec(name, {o: spec.parameters[o] for o, owner in given.items() if owner == name})
        for name in names
    ]


def renamed(spec: ArgSpec) -> tuple[ArgSpec, tuple[str, ...]]:
    """``spec`` with the names of today, and a note for each that was another.

    An option under both names keeps the old one, which the pass then refuses.
    """
    notes = []
    name = OLD_NAMES.get(spec.name, spec.name)
    if name != spec.name:
        notes.append(f"pass `{spec.name}` is called `{name}` now")
    known = OPTIONS.get(name, {})
    parameters = {}
    for option, value in spec.parameters.items():
        now = known.get(option, option)
        if now != option and now not in spec.parameters:
            notes.append(f"option `{option}` of pass `{name}` is called `{now}` now")
            option = now
        parameters[option] = _renamed_value(name, option, value, notes)
    return ArgSpec(name, parameters), tuple(notes)


def _renamed_value(name: str, option: str, value: ParameterListType, notes: list[str]) -> ParameterListType:
    current = VALUES.get((name, option))
    if current is None or len(value) != 1 or not isinstance(value[0], str):
        return value
    now = current(value[0])
    if now == value[0]:
        return value
    notes.append(f"`{option}={value[0]}` of pass `{name}` is `{option}={now}` now")
    return (now,)
