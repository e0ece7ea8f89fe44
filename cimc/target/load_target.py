"""Find, read and validate a target description.

Error codes: ``target.unknown`` (no such preset or file), ``target.syntax`` (not the YAML subset),
``target.invalid`` (a field is missing, unknown, of the wrong kind or inconsistent), ``target.variant``
(braces behind the name that are not understood).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from cimc.target.spec import Target
from cimc.target.validate import KIND, validate
from cimc.target.variants import split, vary

DEFAULT_TARGET = "tsinghua28"


@cache
def preset_names() -> tuple[str, ...]:
    """Names of the bundled targets, the default first."""
    folder = resources.files("cimc.target") / "presets"
    names = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_TARGET))


def load_target(name_or_path: str | Path) -> Target:
    """Load a preset by name, or a file: anything with a path separator or ending in .yaml / .yml.

    Braces behind either change fields: ``tsinghua28{array.adc_bits=6}``, see :mod:`cimc.target.variants`.

    Raises :class:`cimc.errors.TargetError` with one of the codes above.
    """
    name = str(name_or_path)
    if name.endswith("}"):
        plain, changes = split(name)
        return vary(load_target(plain), changes)
    if name in preset_names():
        return _load_preset(name)
    if KIND.is_path(name):
        return parse_target(KIND.read(Path(name), preset_names()), name)
    raise KIND.no_such(name, preset_names())


@cache
def _load_preset(name: str) -> Target:
    file = resources.files("cimc.target") / "presets" / f"{name}.yaml"
    return parse_target(file.read_text(encoding="utf-8"), f"preset {name}")


def parse_target(text: str, file: str) -> Target:
    """Build a target from YAML ``text``; ``file`` is the name that errors show."""
    document = KIND.parse(text, file)
    return validate(document.value, file, document.lines)
