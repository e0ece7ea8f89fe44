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

from cimc.errors import Location, TargetError, printable
from cimc.target import yaml_subset
from cimc.target.spec import Target

DEFAULT_TARGET = "tsinghua28"
_MAX_BYTES = 1 << 20
_SHOWN_PROBLEMS = 8


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
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return _load_file(path)
    close = difflib.get_close_matches(name, preset_names(), n=1)
    raise TargetError(
        "target.unknown",
        f"no target named {printable(name)!r}",
        hint=(f"did you mean {close[0]}? " if close else "")
        + f"presets: {', '.join(preset_names())}; a path must end in .yaml or contain a slash",
    )


@cache
def _load_preset(name: str) -> Target:
    file = resources.files("cimc.target") / "presets" / f"{name}.yaml"
    return parse_target(file.read_text(encoding="utf-8"), f"preset {name}")


def _load_file(path: Path) -> Target:
    where = Location(file=printable(str(path)))
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise TargetError(
            "target.unknown",
            f"cannot read the target file: {error.strerror or error}",
            location=where,
            hint=f"give an existing file or one of the presets: {', '.join(preset_names())}",
        ) from None
    if len(data) > _MAX_BYTES:
        raise TargetError("target.syntax", f"a target file has at most {_MAX_BYTES} bytes", location=where)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TargetError(
            "target.syntax", f"not UTF-8 text (byte {error.start})", location=where, hint="save it as UTF-8"
        ) from None
    return parse_target(text, str(path))


def parse_target(text: str, file: str) -> Target:
    """Build a target from YAML ``text``; ``file`` is the name that errors show."""
    where = Location(file=printable(file))
    try:
        document = yaml_subset.parse(text)
    except yaml_subset.YamlError as error:
        at = f"line {error.line}: " if error.line else ""
        raise TargetError(
            "target.syntax",
            f"{at}{printable(error.problem)}",
            location=where,
            hint="a target is plain YAML: mappings, lists and scalars, each key once; see docs/targets.md",
        ) from None
    return validate(document.value, file, document.lines)


def validate(value: Any, file: str, lines: dict[yaml_subset.Path, int] | None = None) -> Target:
    """Validate plain data against the model; ``lines`` maps paths to source lines where known."""
    try:
        return Target.model_validate(value)
    except ValidationError as error:
        details: list[Any] = list(error.errors(include_url=False))
        problems = [_problem(detail, lines or {}) for detail in details[:_SHOWN_PROBLEMS]]
        if len(details) > _SHOWN_PROBLEMS:
            problems.append(f"and {len(details) - _SHOWN_PROBLEMS} more")
        raise TargetError(
            "target.invalid",
            "; ".join(problems),
            location=Location(file=printable(file)),
            hint=_remedy(details[0]),
        ) from None


def _problem(detail: Any, lines: dict[yaml_subset.Path, int]) -> str:
    path: yaml_subset.Path = tuple(detail["loc"])
    shown = dotted(path) or "target"
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
    return f"{printable(shown)}{at}: {printable(message, 400)}"


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


def dotted(path: yaml_subset.Path) -> str:
    """``("operating_points", 1, "name")`` as ``operating_points[1].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
