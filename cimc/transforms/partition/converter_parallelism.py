"""Spread layers over more arrays than their weights fill, so that several converters work on one layer.

An array converts ``columns_per_step`` columns at a time, so a layer that fills its arrays takes
``cols / columns_per_step`` steps a phase.  Narrower blocks on more arrays take fewer steps each; the sum of
all steps, and with it the energy of rows and conversions, stays the same.  What it costs is arrays, of which
a system that is full of tables has few left and a small model many, and longer ways for activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimc.target.spec import Target


@dataclass(frozen=True)
class Layer:
    """A dense matrix, and how often a request multiplies by it.

    ``slices``: cells per weight; ``phases``: input phases of an activation.
    """

    name: str
    rows: int
    cols: int
    slices: int
    phases: int
    uses: int

    def arrays(self, width: int, target: Target) -> int:
        """Arrays that it takes in blocks of ``width`` columns."""
        return -(-self.rows // target.array.rows) * -(-self.cols // width)

    def steps(self, width: int, target: Target) -> int:
        """Steps a request that its busiest array takes then."""
        columns = min(width, self.cols) * self.slices
        return self.uses * self.phases * -(-columns // target.array.columns_per_step)

    def widths(self, target: Target) -> list[int]:
        """Widths worth a thought, ascending: whole steps, and the width of the array."""
        step, full = target.array.columns_per_step, target.array.cols // self.slices
        return sorted(
            {w for k in range(1, target.array.cols // step + 1) if (w := k * step // self.slices)} | {full}
        )


def widths(layers: Sequence[Layer], free: int, enough: float, target: Target) -> dict[str, int]:
    """Columns per block of each layer: few steps of the busiest layer, for at most ``free`` more arrays.

    No layer takes more than ``enough`` steps a request, if the arrays allow it, else as few as they do;
    blocks are as wide as that permits, so layers that are not in the way stay together.
    """
    full = {layer.name: target.array.cols // layer.slices for layer in layers}
    room = free + sum(layer.arrays(full[layer.name], target) for layer in layers)
    choices = {layer.name: layer.widths(target) for layer in layers}
    limits = sorted({layer.steps(w, target) for layer in layers for w in choices[layer.name]})
    first = max((k for k, limit in enumerate(limits) if limit <= enough), default=0)
    for limit in limits[first:]:
        found = {}
        for layer in layers:
            fitting = [w for w in choices[layer.name] if layer.steps(w, target) <= limit]
            if not fitting:
                break
            found[layer.name] = fitting[-1]
        else:
            if sum(layer.arrays(found[layer.name], target) for layer in layers) <= room:
                return found
    return full
