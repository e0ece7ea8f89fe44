"""Presets at full load against their publications (:mod:`bench.full_load`)."""

from __future__ import annotations

from bench.full_load import PUBLICATIONS, TOLERANCE, figures
from bench.validation.rows import Row, Section


def section() -> Section:
    """Throughput and energy of every preset."""
    rows = []
    for preset in PUBLICATIONS:
        for each in figures(preset):
            reason = each.limit if each.explained else f"limited by {each.bottleneck}"
            what = f"`{preset}`: {each.name}, {each.unit}, {each.scope}"
            rows.append(Row(what, each.model, each.paper, TOLERANCE, each.source, reason=reason))
    about = (
        "A chain of MatMul and ReLU layers fills every cell of a few tiles of each preset, at the widths of "
        "its publication; operations are twice the multiplications. Constants were read from the same "
        "publications, so energies check the arithmetic and the mapping, throughputs the system around the "
        "arrays as well."
    )
    return Section("Presets at full load against their publications", about, tuple(rows))
