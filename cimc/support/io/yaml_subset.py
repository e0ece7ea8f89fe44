"""The YAML that targets are written in: plain mappings, lists and scalars, nothing else.

Anchors, aliases, tags, merge keys and repeated keys are refused: each lets a file mean something other
than what it shows.  Scalars follow the JSON rules for numbers (``1e-3`` is a number; ``010``, ``1_000``
and ``1:30`` are text), so that no figure is read in another base.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_MAX_DEPTH = 16


class YamlError(ValueError):
    """What the text does that is not allowed, and the 1-based line where."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass
class Document:
    """The parsed value and, for each path in it, the 1-based line where it starts."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses anchors, aliases, tags and deep nesting while composing."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(f"the alias *{event.anchor} is not allowed", line)
        if getattr(event, "anchor", None):
            raise YamlError(f"the anchor &{event.anchor} is not allowed", line)
        if getattr(event, "tag", None):
            raise YamlError(f"the tag {event.tag} is not allowed", line)
        if self._depth == _MAX_DEPTH:
            raise YamlError("nested too deeply", line)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def parse(text: str) -> Document:
    """Parse one YAML document; raises :class:`YamlError`."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(said or "malformed YAML", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:
        raise YamlError(str(error).splitlines()[0], None) from None
    if node is None:
        raise YamlError("the file is empty", None)
    document = Document()
    document.value = _value(node, (), document.lines)
    return document


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, i), lines) for i, child in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise YamlError("every key must be text", line)
        if key == "<<":
            raise YamlError("the merge key << is not allowed", line)
        if key in found:
            first = lines[(*path, key)]
            raise YamlError(f"the key {key!r} is repeated (first on line {first})", line)
        lines[(*path, key)] = line
        found[key] = _value(value_node, (*path, key), lines)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style is not None:  # quoted or block scalars are text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= 20 else float(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text
