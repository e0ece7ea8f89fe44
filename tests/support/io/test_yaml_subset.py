"""The YAML that descriptions are written in: what it means, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimc.errors import CimcError, TargetError
from cimc.support.io.descriptions import Kind, dotted
from cimc.support.io.yaml_subset import YamlError, parse
from cimc.target.validate import KIND

DEEP = "[" * 40 + "]" * 40


def test_values_and_lines() -> None:
    found = parse("a: 1\nb:\n  - 1e-3\n  - x: true\n    y: ~\nc: 'true'\n")
    assert found.value == {"a": 1, "b": [0.001, {"x": True, "y": None}], "c": "true"}
    assert found.lines[("b", 0)] == 3
    assert found.lines[("b", 1, "y")] == 5
    assert found.lines[("c",)] == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"), ("1_000", "1_000"), ("1:30", "1:30"), ("0x1f", "0x1f"), ("yes", "yes"), ("-0", 0),
        ("+7", 7), ("1.", 1.0), ("1e3", 1000.0), (".5", ".5"), ("1" * 30, float("1" * 30)), ("null", None),
        ("2026-01-01", "2026-01-01"), ("''", ""),
    ],
)  # fmt: skip
def test_scalars_follow_json(text: str, value: object) -> None:
    found = parse(f"a: {text}").value["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "empty"),
        ("a: 1\nb: &x 2\n", 2, "anchor &x"),
        ("a: *x\n", 1, "alias"),
        ("a: !!int 3\n", 1, "tag"),
        ("<<: {a: 1}\n", 1, "merge key"),
        ("a: 1\nb: 2\na: 3\n", 3, "repeated (first on line 1)"),
        ("1: a\n", 1, "every key must be text"),
        ("? [a]\n: b\n", 1, "every key must be text"),
        ("a: [1\n", 2, ""),
        ("a: 1\n--- \nb: 2\n", 2, ""),
        (DEEP, 1, "nested too deeply"),
    ],
)
def test_what_may_mean_something_else_is_refused(text: str, line: int | None, said: str) -> None:
    with pytest.raises(YamlError) as error:
        parse(text)
    assert error.value.line == line
    assert said in error.value.problem


def test_descriptions_name_file_and_line() -> None:
    with pytest.raises(TargetError) as error:
        KIND.parse("a: 1\na: 2\n", "mine.yaml")
    assert error.value.code == "target.syntax"
    assert "line 2" in str(error.value)
    assert "mine.yaml" in str(error.value)
    assert dotted(("operating_points", 1, "name")) == "operating_points[1].name"
    assert [KIND.is_path(n) for n in ("a.yaml", "b/c", "tsinghua28", "x.yml")] == [True, True, False, True]


@pytest.mark.parametrize(
    ("data", "code"),
    [(None, "target.unknown"), (b"\xff", "target.syntax"), (b"#" * (1 << 21), "target.syntax")],
)
def test_files_that_cannot_be_read(data: bytes | None, code: str, tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(TargetError) as error:
        KIND.read(path, ["one", "two"])
    assert error.value.code == code
    path.write_text("a: ü", encoding="utf-8")
    assert Kind("device", "d", CimcError, "u", "s", "i").read(path, []) == "a: ü"
