"""``--sweep KEY=V,V,...``: which targets and pipelines a sweep compiles for."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cimc.errors import CimcError, printable
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from cimc.transforms.chosen_options import ChoosingPass, own_options
from cimc.transforms.pipeline import Pipeline

ALIASES = {
    "adc_bits": "array",
    "dac_bits": "array",
    "weights": "quantize",
    "acts": "quantize",
    "tables": "quantize",
    "percentile": "quantize",
    "ranges": "choose-adc-steps",
    "pool": "shard",
    "strategy": "place",
}
"""What is swept most, by its last name alone: the part of the target, or the pass, that it belongs to."""

_PARTS = ("array", "tile", "chip", "system")


@dataclass(frozen=True)
class Axis:
    """One ``--sweep``: ``key`` as given, what it stands for, and its values in order."""

    key: str
    path: str
    values: tuple[Any, ...]


def parse_axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of ``--sweep`` options.

    Raises:
        CimcError: ``accuracy.bad-sweep``.
    """
    axes: list[Axis] = []
    for text in texts:
        key, equals, rest = text.partition("=")
        values = tuple(_value(part) for part in rest.split(",") if part.strip())
        if not equals or not key or not values:
            raise _bad(f"'{printable(text)}' is not KEY=VALUE,VALUE,...")
        path = f"{ALIASES[key]}.{key}" if key in ALIASES else key
        if key != "target" and path.count(".") != 1:
            raise _bad(f"'{printable(key)}' is neither a field of a target nor an option of a pass")
        if any(axis.path == path for axis in axes):
            raise _bad(f"'{printable(key)}' is swept twice")
        if len(set(map(repr, values))) < len(values):
            raise _bad(f"'{printable(text)}' repeats a value")
        axes.append(Axis(key, path, values))
    return tuple(axes)


def _value(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()
    return found if isinstance(found, int | float) else text.strip()


def _bad(why: str) -> CimcError:
    known = f"target, {', '.join(ALIASES)}, PASS.OPTION, or array.FIELD, tile.FIELD, chip.FIELD, system.FIELD"
    return CimcError("accuracy.bad-sweep", f"--sweep: {why}", hint=f"keys: {known}")


@dataclass(frozen=True)
class Variant:
    """One compilation: its settings by key, target and pipeline."""

    settings: dict[str, Any]
    target: Target
    pipeline: Pipeline


def check_horizontal(axis: str | None, axes: Sequence[Axis]) -> None:
    """Refuse, before the work, a horizontal axis that no option makes vary.

    Raises:
        CimcError: ``accuracy.no-axis``.
    """
    known = [*(each.key for each in axes), "mode", "device", "age"]
    if axis is not None and axis not in known:
        raise CimcError(
            "accuracy.no-axis",
            f"'{printable(axis)}' does not vary",
            hint=f"these may: {', '.join(known)}",
        )


def variants(axes: Sequence[Axis], target: Target, pipeline: Pipeline) -> Iterator[Variant]:
    """All combinations, the last axis fastest.

    Raises:
        TargetError: for a field that is unknown or a value that does not fit.
        CimcError: ``accuracy.bad-sweep`` for a pass or option that the pipeline does not have.
    """
    for values in itertools.product(*(axis.values for axis in axes)):
        machine, line, changes = target, pipeline, {}
        for axis, value in zip(axes, values, strict=True):
            part, _, field = axis.path.partition(".")
            if axis.key == "target":
                machine = load_target(str(value))
            elif part in _PARTS:
                changes[axis.path] = value
            else:
                line = with_option(line, part, field, value)
        settings = {axis.key: value for axis, value in zip(axes, values, strict=True)}
        yield Variant(settings, with_overrides(machine, changes), line)


def with_option(line: Pipeline, name: str, option: str, value: Any) -> Pipeline:
    """``line`` with one option of the pass ``name`` changed.

    Raises:
        CimcError: ``accuracy.bad-sweep`` without such a pass or option; ``pass.bad-option`` for a value of
            the wrong kind.
    """
    found = [each for each in line.passes if each.name == name]
    if not found:
        raise _bad(f"the pipeline has no pass '{printable(name)}'")
    known = own_options(type(found[0]))
    if option not in known and not isinstance(found[0], ChoosingPass):
        raise _bad(f"pass '{name}' has no option '{printable(option)}' (it has {', '.join(sorted(known))})")

    def changed(each: Any) -> Any:
        if option not in known:
            return each.with_chosen(option, value)
        return dataclasses.replace(each, **{option: value})

    passes = tuple(changed(p) if p.name == name else p for p in line.passes)
    return Pipeline.parse(
        str(Pipeline(passes))
    )  # a value of the wrong kind is refused as in a pipeline string
