"""Find, read and validate a device description.

Error codes: ``device.unknown`` (no such preset or file), ``device.syntax`` (not the YAML subset),
``device.invalid`` (a field is missing, unknown, of the wrong kind or inconsistent).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from cimc.errors import DeviceError
from cimc.sim.devices.model.device import Device
from cimc.support.io.descriptions import Kind, presets
from cimc.support.registry import DOTTED, Registry

KIND = Kind("device", "docs/devices.md", DeviceError, "device.unknown", "device.syntax", "device.invalid")


def parse_device(text: str, file: str) -> Device:
    """Build a device from YAML ``text``; ``file`` is the name that errors show."""
    document = KIND.parse(text, file)
    try:
        return Device.model_validate(document.value)
    except ValidationError as error:
        hint = "docs/devices.md lists every field; a preset is a complete example"
        raise KIND.problems(error, file, document.lines, hint) from None


def _is_device(name: str, item: object) -> str | None:
    return None if isinstance(item, Device) else f"it is {type(item).__name__}, not a Device"


DEVICES: Registry[Device] = Registry(
    "device",
    presets("cimc.sim.devices", parse_device),
    error=DeviceError,
    unknown=KIND.unknown,
    advice=KIND.advice,
    fits=_is_device,
    group="cimc.devices",
    spelling=DOTTED,
)
"""Devices by name: the presets, and what is registered."""

register_device = DEVICES.register

device_names = DEVICES.names


def load_device(name_or_path: str | Path) -> Device:
    """Load a preset by name, or a file: anything with a path separator or ending in .yaml / .yml.

    Raises :class:`cimc.errors.DeviceError` with one of the codes above.
    """
    name = str(name_or_path)
    if name not in DEVICES and KIND.is_path(name):
        return parse_device(KIND.read(Path(name), device_names()), name)
    return DEVICES[name]
