"""Derive a target from another: change single fields, or choose a published operating point.

The result is validated like a file and has its own digest.  A changed field says that it was changed:
its basis becomes ``assumed`` and its source names the target it departs from.  What follows a change of
structure is scaled by a law (:mod:`cimc.target.scaling`): its basis becomes ``scaled``, its source names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cimc.errors import TargetError
from cimc.target.scaling import LAWS, completed, scaled
from cimc.target.spec import Constant, Target
from cimc.target.validate import validate


def with_overrides(target: Target, changes: Mapping[str, Any], *, scale: bool = True) -> Target:
    """Return ``target`` with the fields at dotted paths (``array.adc_bits``) set to new values.

    A constant takes a number, in the unit it has.  Where ``array`` departs from the default operating
    point, the published points no longer describe it and are left out.  Without ``scale`` no law is asked and
    other constants stay: for what a program computes, not for what it costs.  Raises ``TargetError``
    ``target.invalid`` for an unknown path or a value that does not fit, ``target.no-law`` where a figure
    should follow and no law says how.
    """
    if not changes:
        return target
    changes = completed(target, changes) if scale else changes
    data: dict[str, Any] = target.model_dump(mode="json")
    fields = {path: value for path, value, _ in target.fields()}
    source = f"changed by the user; departs from {target.name}"
    structural = []
    for path, value in changes.items():
        if path not in fields:
            raise TargetError(
                "target.invalid",
                f"{target.name} has no field {path!r}",
                hint=f"fields: {', '.join(fields)}",
            )
        part, name = path.split(".")
        if isinstance(fields[path], Constant):
            unit = fields[path].unit
            data[part][name] = {"value": value, "unit": unit, "source": source, "basis": "assumed"}
        else:
            data[part][name] = list(value) if isinstance(value, tuple) else value
            structural.append(path)
    if structural:
        data["provenance"].append({"paths": structural, "source": source, "basis": "assumed"})
    if any(
        path in changes for path in ("array.dac_bits", "array.adc_bits", "array.step_ns", "array.step_pj")
    ):
        data["operating_points"] = []
    where = f"{target.name} with overrides"
    changed = validate(data, where)
    follow = scaled(target, changed, changes) if scale else {}
    if not follow:
        return changed
    for path, found in follow.items():
        part, name = path.split(".")
        before = fields[path]
        data[part][name] = {
            "value": float(f"{found.value:.6g}"),
            "unit": before.unit,
            "source": f"law {found.law} ({LAWS[found.law]}), from {before.value:g} {before.unit}: "
            f"{before.source}",
            "basis": "assumed" if before.basis == "assumed" else "scaled",
            "note": before.note,
        }
    if any(path.startswith("array.step_") for path in follow):
        data["operating_points"] = []
    return validate(data, where)


def at_operating_point(target: Target, name: str) -> Target:
    """Return ``target`` with the array at the operating point ``name``, which becomes the default.

    Raises ``TargetError`` ``target.unknown`` if the target has no such point.
    """
    points = {point.name: point for point in target.operating_points}
    if name not in points:
        known = ", ".join(points) or "none"
        raise TargetError(
            "target.unknown", f"{target.name} has no operating point {name!r}", hint=f"points: {known}"
        )
    data: dict[str, Any] = target.model_dump(mode="json")
    for point in data["operating_points"]:
        point["default"] = point["name"] == name
        if point["default"]:
            for key in ("dac_bits", "adc_bits", "step_ns", "step_pj"):
                data["array"][key] = point[key]
    return validate(data, f"{target.name} at {name}")
