"""Plain data become a target, or an error that names the field, the line and the remedy."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError

from cimc.errors import TargetError
from cimc.support.io import yaml_subset
from cimc.support.io.descriptions import Kind, dotted
from cimc.target.spec import Target

KIND = Kind("target", "docs/targets.md", TargetError, "target.unknown", "target.syntax", "target.invalid")


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
