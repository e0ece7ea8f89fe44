"""A device as rows of a table: what ``cimc devices`` and the documentation print."""

from __future__ import annotations

from typing import Any, NamedTuple

from cimc.sim.devices.model.device import Curve, Device, Figure


class Row(NamedTuple):
    """One figure: dotted path, value, unit ("" for words), basis, and source with its note."""

    path: str
    value: float | str
    unit: str
    basis: str
    source: str


def rows(device: Device) -> list[Row]:
    """Every figure and choice of ``device``, in the order of the model."""
    found = []
    for path, figure in device.figures():
        source = f"{figure.source} ({figure.note})" if figure.note else figure.source
        value: float | str
        if isinstance(figure, Curve):
            value = f"sigma at {float(figure.age):g} s: " + " ".join(f"{c:g}" for c in figure.coefficients)
        else:
            value = figure.value
        unit = "" if not isinstance(figure, (Figure, Curve)) else figure.unit
        found.append(Row(path, value, unit, figure.basis, source))
    return found


def summary(device: Device) -> dict[str, Any]:
    """Headline figures, JSON-ready."""
    table = rows(device)
    low, high = float(device.window.low), float(device.window.high)
    return {
        "name": device.name,
        "title": device.title,
        "digest": device.digest,
        "array": device.array,
        "targets": list(device.targets),
        "low_us": low,
        "high_us": high,
        "on_off": high / low if low else None,
        "relaxation": device.relaxation.kind,
        "read": device.read.kind,
        "assumed": sum(row.basis == "assumed" for row in table),
        "figures": len(table),
    }


def conditions(device: Device, age: float, seed: int) -> dict[str, Any]:
    """What identifies a run in noisy mode, JSON-ready."""
    return {
        "name": device.name,
        "digest": device.digest,
        "array": device.array,
        "age_seconds": age,
        "seed": seed,
    }
