"""What a search tries: the pipeline itself, then changes of one pass, then of two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

from xdsl.passes import ModulePass

from cimc.mapping.allocation.goal import OBJECTIVES
from cimc.remarks import AllocationRemarks
from cimc.transforms.chosen_options import ChoosingPass
from cimc.transforms.partition.allocate import Allocate
from cimc.transforms.partition.copy_instances import Copy
from cimc.transforms.place.place import Place
from cimc.transforms.schedule.schedule import Schedule

Passes = tuple[ModulePass, ...]
Change = Callable[[ModulePass], ModulePass]


class Candidate(NamedTuple):
    """A pipeline, and in words what is changed in it (``""``: nothing)."""

    changes: str
    passes: Passes


def candidates(base: Passes, decided: AllocationRemarks | None, chips: int, count: int) -> list[Candidate]:
    """At most ``count`` pipelines, the given one first, no two alike.

    Args:
        base: the passes to begin from.
        decided: what ``allocate`` decided in them; ``None``: it did not run.
        chips: of the target.
        count: how many.
    """
    found = [Candidate("", base)]
    seen = {base}
    for candidate in _all(base, decided, chips):
        if len(found) >= count:
            break
        if candidate.passes not in seen:
            seen.add(candidate.passes)
            found.append(candidate)
    return found


def _all(base: Passes, decided: AllocationRemarks | None, chips: int) -> Iterator[Candidate]:
    how_many, where = _allocations(base, decided), list(_placements(chips, decided))
    for first, second in _in_turn(how_many, where):
        yield _changed(base, first)
        yield _changed(base, second)
    for one, other in product(how_many[:8], where[:8]):
        yield _changed(base, one, other)
    for seed in range(1, 1000):
        yield _changed(base, (Place, f"seed={seed}", {"seed": seed}))
        yield from (
            _changed(base, one, (Place, f"seed={seed}", {"seed": seed})) for one in (*how_many, *where)
        )


Option = tuple[type[ModulePass], str, dict[str, Any]]
"""A kind of pass, other options of it in words, and as fields."""


def _in_turn(one: list[Option], other: list[Option]) -> Iterator[tuple[Option, Option]]:
    """Both lists at once; the shorter one stays at its last."""
    for number in range(max(len(one), len(other))):
        yield one[min(number, len(one) - 1)], other[min(number, len(other) - 1)]


def _allocations(base: Passes, decided: AllocationRemarks | None) -> list[Option]:
    """Other amounts of everything."""
    if decided is None:
        return [(Copy, f"instances={n}", {"instances": n}) for n in (2, 4, 8, 16, 32)]
    allocate = next((p for p in base if isinstance(p, Allocate)), None)
    many = decided.instances
    found: list[Option] = [
        (Allocate, f"most={most}", {"most": most})
        for most in dict.fromkeys((many // 2, many * 3 // 4, many // 4, many - 1, 1))
        if 0 < most < many
    ]
    if allocate is not None and allocate.rate is None:
        loads = (2 * decided.load, max(1, decided.load // 2), 8 * decided.load, max(1, decided.load // 8))
        found[2:2] = [(Allocate, f"load={n}", {"load": n}) for n in dict.fromkeys(loads)]
    found += [
        (Allocate, f"objective={name}", {"objective": name})
        for name in OBJECTIVES
        if allocate is not None and name != allocate.objective
    ]
    found += [
        (Copy, f"places={places}", {"places": places})
        for places in dict.fromkeys((many, max(1, many // 2), 1))
        if places != decided.places
    ]
    return found


def _placements(chips: int, decided: AllocationRemarks | None) -> Iterator[Option]:
    """Other places of the same."""
    tiles = 1 if decided is None else decided.tiles
    yield Place, f"tiles={tiles + 1}", {"tiles": tiles + 1}
    yield Schedule, "reduction_tiles=consumer", {"reduction_tiles": "consumer"}
    yield Place, "array_slack=1.5", {"array_slack": 1.5}
    yield Place, f"tiles={2 * tiles + 1}", {"tiles": 2 * tiles + 1}
    if decided is None or decided.instances == 1:
        for name in ("anneal", "ortools"):
            yield Place, f"strategy={name}", {"strategy": name, "options": ()}
    if chips > 1:
        for name in ("flat", "load", "solve"):
            yield Place, f"chips={name}", {"chips": name}
    yield Place, "array_slack=2.0", {"array_slack": 2.0}
    yield Place, "seed=1", {"seed": 1}


def _changed(base: Passes, *options: Option) -> Candidate:
    """``base`` with other options; those of passes that it does not have change nothing."""
    passes = list(base)
    words: dict[str, list[str]] = {}
    for kind, text, fields in options:
        for number, each in enumerate(passes):
            if type(each) is kind:
                given = dict(fields)
                if not isinstance(each, ChoosingPass):
                    given.pop("options", None)
                passes[number] = replace(each, **given)
                words.setdefault(each.name, []).append(text)
    return Candidate(", ".join(f"{n}{{{' '.join(texts)}}}" for n, texts in words.items()), tuple(passes))
