"""Find, read and validate a target description.

Error codes: ``target.unknown`` (no such preset or file), ``target.syntax`` (not the YAML subset),
``target.invalid`` (a field is missing, unknown, of the wrong kind or inconsistent), ``target.variant``
(braces behind the name that are not understood).
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cimc.errors import TargetError
from cimc.support.io import yaml_subset
from cimc.support.io.descriptions import Kind, dotted
from cimc.target.spec import Target

DEFAULT_TARGET = "tsinghua28"
KIND = Kind("target", "docs/targets.md", TargetError, "target.unknown", "target.syntax", "target.invalid")


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
        from cimc.target.variants import split, vary

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


def validate(value: Any, file: str, lines: dict[yaml_subset.Path, int] | None = None) -> Target:
    """Validate plain data against the model; ``lines`` maps paths to source lines where known."""
    try:
        return Target.model_validate(value)
    except ValidationError as error:
        hint = _remedy(error.errors(include_url=False)[0])
        raise KIND.problems(error, file, lines or {}, hint) from None


def _remedy(detail: Any) -> str:
    path = tuple(detail["loc"])
    if detail["type"] == "missing":
        return f"add {dotted(path)}; docs/targets.md lists every field, a preset is a complete example"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(path[-1]), _keys_at(path[:-1]), n=1)
        rename = f"did you mean {close[0]}? " if close else ""
        return f"{rename}keys here: {', '.join(_keys_at(path[:-1])) or 'none'}"
    return f"correct {dotted(path) or 'the description'}; docs/targets.md says what each field means"


def _keys_at(path: yaml_subset.Path) -> list[str]:
    """Keys the model knows at ``path``."""
    here: dict[str, Any] = Target.model_json_schema()
    definitions = here.get("$defs", {})
    for step in path:
        here = here.get("items", {}) if isinstance(step, int) else here.get("properties", {}).get(step, {})
        if "$ref" in here:
            here = definitions[here["$ref"].rsplit("/", 1)[-1]]
    return list(here.get("properties", {}))
