"""Find, read and validate a device description.

Error codes: ``device.unknown`` (no such preset or file), ``device.syntax`` (not the YAML subset),
``device.invalid`` (a field is missing, unknown, of the wrong kind or inconsistent).
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cimc.errors import DeviceError, Location, printable
from cimc.sim.devices.spec import Device
from cimc.target import yaml_subset
from cimc.target.loader import dotted

_PACKAGE = "cimc.sim.devices"
_MAX_BYTES = 1 << 20
_SHOWN_PROBLEMS = 8


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
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return _load_file(path)
    close = difflib.get_close_matches(name, device_names(), n=1)
    raise DeviceError(
        "device.unknown",
        f"no device named {printable(name)!r}",
        hint=(f"did you mean {close[0]}? " if close else "")
        + f"presets: {', '.join(device_names())}; a path must end in .yaml or contain a slash",
    )


@cache
def _load_preset(name: str) -> Device:
    file = resources.files(_PACKAGE) / "presets" / f"{name}.yaml"
    return parse_device(file.read_text(encoding="utf-8"), f"preset {name}")


def _load_file(path: Path) -> Device:
    where = Location(file=printable(str(path)))
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DeviceError(
            "device.unknown",
            f"cannot read the device file: {error.strerror or error}",
            location=where,
            hint=f"give an existing file or one of the presets: {', '.join(device_names())}",
        ) from None
    if len(data) > _MAX_BYTES:
        raise DeviceError("device.syntax", f"a device file has at most {_MAX_BYTES} bytes", location=where)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DeviceError(
            "device.syntax", f"not UTF-8 text (byte {error.start})", location=where, hint="save it as UTF-8"
        ) from None
    return parse_device(text, str(path))


def parse_device(text: str, file: str) -> Device:
    """Build a device from YAML ``text``; ``file`` is the name that errors show."""
    where = Location(file=printable(file))
    try:
        document = yaml_subset.parse(text)
    except yaml_subset.YamlError as error:
        at = f"line {error.line}: " if error.line else ""
        raise DeviceError(
            "device.syntax",
            f"{at}{printable(error.problem)}",
            location=where,
            hint="a device is plain YAML: mappings, lists and scalars, each key once; see docs/devices.md",
        ) from None
    try:
        return Device.model_validate(document.value)
    except ValidationError as error:
        details: list[Any] = list(error.errors(include_url=False))
        problems = [_problem(detail, document.lines) for detail in details[:_SHOWN_PROBLEMS]]
        if len(details) > _SHOWN_PROBLEMS:
            problems.append(f"and {len(details) - _SHOWN_PROBLEMS} more")
        raise DeviceError(
            "device.invalid",
            "; ".join(problems),
            location=where,
            hint="docs/devices.md lists every field; a preset is a complete example",
        ) from None


def _problem(detail: Any, lines: dict[yaml_subset.Path, int]) -> str:
    path: yaml_subset.Path = tuple(detail["loc"])
    known = path
    while known and known not in lines:
        known = known[:-1]
    at = f" (line {lines[known]})" if known in lines else ""
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        message = "is missing"
    elif detail["type"] == "extra_forbidden":
        message = "is not a known key"
    elif detail["type"] not in ("value_error", "model_type"):
        message = f"{message[0].lower()}{message[1:]}, got {printable(repr(detail['input']), 40)}"
    return f"{printable(dotted(path) or 'device')}{at}: {printable(message, 400)}"
