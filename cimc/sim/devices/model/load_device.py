"""Find, read and validate a device description.

Error codes: ``device.unknown`` (no such preset or file), ``device.syntax`` (not the YAML subset),
``device.invalid`` (a field is missing, unknown, of the wrong kind or inconsistent).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from cimc.errors import DeviceError
from cimc.sim.devices.model.device import Device
from cimc.support.io.descriptions import Kind

_PACKAGE = "cimc.sim.devices"
KIND = Kind("device", "docs/devices.md", DeviceError, "device.unknown", "device.syntax", "device.invalid")


@cache
def device_names() -> tuple[str, ...]:
    """Names of the bundled devices, in alphabetical order."""
    folder = resources.files(_PACKAGE) / "presets"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_device(name_or_path: str | Path) -> Device:
    """Load a preset by name, or a file: anything with a path separator or ending in .yaml / .yml.

    Raises :class:`cimc.errors.DeviceError` with one of the codes above.
    """
    name = str(name_or_path)
    if name in device_names():
        return _load_preset(name)
    if KIND.is_path(name):
        return parse_device(KIND.read(Path(name), device_names()), name)
    raise KIND.no_such(name, device_names())


@cache
def _load_preset(name: str) -> Device:
    file = resources.files(_PACKAGE) / "presets" / f"{name}.yaml"
    return parse_device(file.read_text(encoding="utf-8"), f"preset {name}")


def parse_device(text: str, file: str) -> Device:
    """Build a device from YAML ``text``; ``file`` is the name that errors show."""
    document = KIND.parse(text, file)
    try:
        return Device.model_validate(document.value)
    except ValidationError as error:
        hint = "docs/devices.md lists every field; a preset is a complete example"
        raise KIND.problems(error, file, document.lines, hint) from None
