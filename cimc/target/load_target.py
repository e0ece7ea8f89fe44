"""Find, read and validate a target description.

Error codes: ``target.unknown`` (no such preset or file), ``target.syntax`` (not the YAML subset),
``target.invalid`` (a field is missing, unknown, of the wrong kind or inconsistent), ``target.variant``
(braces behind the name that are not understood).
"""

from __future__ import annotations

from pathlib import Path

from cimc.errors import TargetError
from cimc.support.io.descriptions import presets
from cimc.support.registry import DOTTED, Registry
from cimc.target.spec import Target
from cimc.target.validate import KIND, validate
from cimc.target.variants import split, vary

DEFAULT_TARGET = "tsinghua28"


def parse_target(text: str, file: str) -> Target:
    """Build a target from YAML ``text``; ``file`` is the name that errors show."""
    document = KIND.parse(text, file)
    return validate(document.value, file, document.lines)


def _is_target(name: str, item: object) -> str | None:
    return None if isinstance(item, Target) else f"it is {type(item).__name__}, not a Target"


TARGETS: Registry[Target] = Registry(
    "target",
    presets("cimc.target", parse_target),
    error=TargetError,
    unknown=KIND.unknown,
    advice=KIND.advice,
    fits=_is_target,
    group="cimc.targets",
    spelling=DOTTED,
)
"""Targets by name: the presets, and what is registered."""

register_target = TARGETS.register


def preset_names() -> tuple[str, ...]:
    """Names of :data:`TARGETS`, the default first."""
    return tuple(sorted(TARGETS, key=lambda name: (name != DEFAULT_TARGET, name)))


def load_target(name_or_path: str | Path) -> Target:
    """Load a preset by name, or a file: anything with a path separator or ending in .yaml / .yml.

    Braces behind either change fields: ``tsinghua28{array.adc_bits=6}``, see :mod:`cimc.target.variants`.

    Raises :class:`cimc.errors.TargetError` with one of the codes above.
    """
    name = str(name_or_path)
    if name.endswith("}"):
        plain, changes = split(name)
        return vary(load_target(plain), changes)
    if name not in TARGETS and KIND.is_path(name):
        return parse_target(KIND.read(Path(name), preset_names()), name)
    return TARGETS[name]
