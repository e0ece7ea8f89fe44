"""Descriptions in YAML files, of targets and of devices: reading, parsing, and saying what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cimc.errors import CimcError, Location, printable
from cimc.support.io import yaml_subset
from cimc.support.io.claims import reading
from cimc.support.registry import Deferred

_MAX_BYTES = 1 << 20
_SHOWN_PROBLEMS = 8

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """What is described: its ``name``, its page in the ``docs``, its class of errors and their codes."""

    name: str
    docs: str
    error: type[CimcError]
    unknown: str
    syntax: str
    invalid: str

    @property
    def advice(self) -> str:
        """What a name that is none may have been meant to be."""
        return "; a path must end in .yaml or contain a slash"

    def is_path(self, name: str) -> bool:
        """Whether ``name`` means a file: it has a path separator or ends in .yaml / .yml."""
        path = Path(name)
        return path.suffix in (".yaml", ".yml") or len(path.parts) > 1

    def read(self, path: Path, presets: Sequence[str]) -> str:
        """The text of a file.

        Raises the class of errors: ``unknown`` or ``syntax``.
        """
        where = Location(file=printable(str(path)))
        reading(path, f"the {self.name}")
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
        except OSError as error:
            raise self.error(
                self.unknown,
                f"cannot read the {self.name} file: {error.strerror or error}",
                location=where,
                hint=f"give an existing file or one of the presets: {', '.join(presets)}",
            ) from None
        if len(data) > _MAX_BYTES:
            raise self.error(
                self.syntax, f"a {self.name} file has at most {_MAX_BYTES} bytes", location=where
            )
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(
                self.syntax, f"not UTF-8 text (byte {error.start})", location=where, hint="save it as UTF-8"
            ) from None

    def parse(self, text: str, file: str) -> yaml_subset.Document:
        """The document in ``text``; ``file`` is the name that errors show.

        Raises the class of errors: ``syntax``.
        """
        try:
            return yaml_subset.parse(text)
        except yaml_subset.YamlError as error:
            at = f"line {error.line}: " if error.line else ""
            raise self.error(
                self.syntax,
                f"{at}{printable(error.problem)}",
                location=Location(file=printable(file)),
                hint=f"a {self.name} is plain YAML: mappings, lists and scalars, each key once; "
                f"see {self.docs}",
            ) from None

    def problems(
        self, error: ValidationError, file: str, lines: dict[yaml_subset.Path, int], hint: str
    ) -> CimcError:
        """What validation found, as one error; ``lines`` maps paths to source lines where known."""
        details: list[Any] = list(error.errors(include_url=False))
        places = [detail["loc"] for detail in details]
        # a list whose elements are wrong is not "too short" besides
        details = [
            detail
            for detail in details
            if detail["type"] != "too_short"
            or not any(place[: len(detail["loc"])] == detail["loc"] != place for place in places)
        ]
        problems = [self._problem(detail, lines) for detail in details[:_SHOWN_PROBLEMS]]
        if len(details) > _SHOWN_PROBLEMS:
            problems.append(f"and {len(details) - _SHOWN_PROBLEMS} more")
        return self.error(
            self.invalid, "; ".join(problems), location=Location(file=printable(file)), hint=hint
        )

    def _problem(self, detail: Any, lines: dict[yaml_subset.Path, int]) -> str:
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
        return f"{printable(dotted(path) or self.name)}{at}: {printable(message, 400)}"


def presets(
    package: str, parse: Callable[[str, str], T], folder: str = "presets"
) -> dict[str, str | T | Deferred[T]]:
    """The descriptions in a ``folder`` of a package by name, each parsed when it is first asked for.

    ``parse`` takes a text and the name that errors show for its file.
    """

    def deferred(name: str, file: Traversable) -> Deferred[T]:
        return Deferred(
            f"{package}:{folder}/{name}.yaml",
            lambda: parse(file.read_text(encoding="utf-8"), f"preset {name}"),
        )

    files = {f.name.removesuffix(".yaml"): f for f in (resources.files(package) / folder).iterdir()}
    return {name: deferred(name, file) for name, file in sorted(files.items()) if file.name != name}


def dotted(path: yaml_subset.Path) -> str:
    """``("operating_points", 1, "name")`` as ``operating_points[1].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
