"""What a mapping decides, factor by factor, and the pipelines that cross one policy with all of them.

A policy of the dense part decides how many instances there are.  What it does not speak of is a factor of the
comparison, the same for all: whether layers are as wide as arrays, whether hot blocks of tables are copied,
where lookups are answered, which chip holds what.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from cimc.transforms.passes import FRONTEND

IN_FLIGHT = 64

POLICIES = {
    "default": "",
    "pimcomp": "policy=pimcomp",
    "pimcomp, windows, balance 0.5": f"policy=pimcomp windows={IN_FLIGHT}",
    "pimcomp, windows, balance 0": f"policy=pimcomp windows={IN_FLIGHT} margin=0.0",
    "pimcomp, windows, uniform": f"policy=pimcomp windows={IN_FLIGHT} replicator=uniform",
    "pimcomp, windows, genetic HT": f"policy=pimcomp windows={IN_FLIGHT} replicator=genetic",
    "pimsyn_sa, windows": f"policy=pimsyn_sa windows={IN_FLIGHT}",
}
"""Options of ``allocate``.

``default`` is this compiler's joint decision; ``pimcomp`` is literal, from its code; the others have
requests in flight as windows, which is ours, and are from code otherwise (``W0H0`` is ``uniform`` where all
layers have equal windows).
"""


class Cell(NamedTuple):
    """One combination; each field is a factor.

    Attributes:
        policy: of instances, a name of ``POLICIES``.
        widths: ``wide``: layers as wide as arrays; ``best``: as CP-SAT decides for those instances.
        tables: ``once``: no block of a table is copied; ``best``: likewise.
        reduction: reduction tiles of lookups, ``consumer`` or ``spread``.
        chips: of ``place``, ``flat`` or ``near``.
        variant: a change of the pipeline that is looked at by itself, a name of ``VARIANTS``.
    """

    policy: str
    widths: str = "best"
    tables: str = "best"
    reduction: str = "spread"
    chips: str = "near"
    variant: str = ""

    @property
    def factors(self) -> str:
        """The levels of all factors but the policy."""
        return ", ".join(filter(None, (*self[1:5], self.variant)))


VARIANTS = {
    "rows in order": ("group,", ""),
    "rows by co-occurrence": ("group,", "group{policy=co_occurrence},"),
    "arrays packed first fit": ("place{strategy=greedy ", "place{strategy=first_fit "),
    "array slack 2": ("place{strategy=greedy ", "place{strategy=greedy array_slack=2.0 "),
    "converter parallelism 0": ("shard{converter_parallelism=0.2}", "shard"),
    "replicate": ("copy,", "copy{places=1},replicate,"),
}
"""Text of the pipeline that is replaced, and by what: options that might be worth nothing."""


def pipeline(cell: Cell) -> str:
    """The whole pipeline of a cell."""
    given = [POLICIES[cell.policy]]
    given += ["widths=wide"] if cell.widths == "wide" else []
    given += ["tables=once"] if cell.tables == "once" else []
    allocate = " ".join(filter(None, given))
    line = (
        f"{FRONTEND},quantize{{weights=8 acts=8}},group,allocate{{{allocate}}},"
        "shard{converter_parallelism=0.2},choose-adc-steps,copy,"
        f"place{{strategy=greedy chips={cell.chips}}},schedule{{reduction_tiles={cell.reduction}}},lower"
    ).replace("allocate{}", "allocate")
    if cell.variant:
        old, new = VARIANTS[cell.variant]
        if old not in line:
            raise ValueError(f"the pipeline has no '{old}'")
        line = line.replace(old, new)
    return line


def crossed(chips: bool) -> Iterator[Cell]:
    """All policies with all levels of all factors; ``chips``: whether there are several."""
    levels = (
        ("wide", "best"),
        ("once", "best"),
        ("spread", "consumer"),
        ("flat", "near") if chips else ("near",),
    )
    for policy in POLICIES:
        for widths, tables, reduction, chip in itertools.product(*levels):
            yield Cell(policy, widths, tables, reduction, chip)
