"""Reading targets: what is accepted, and what each refusal says."""

from __future__ import annotations

from importlib import resources

import pytest

from cimc.errors import TargetError
from cimc.target import load_target, preset_names
from cimc.target.load_target import parse_target

SOURCE = (resources.files("cimc.target") / "presets" / "tsinghua28.yaml").read_text(encoding="utf-8")


def refusal(text):
    with pytest.raises(TargetError) as error:
        parse_target(text, "mine.yaml")
    assert error.value.location.file == "mine.yaml"
    assert error.value.hint
    return error.value


def edited(old, new):
    assert SOURCE.count(old) >= 1
    return SOURCE.replace(old, new, 1)


def test_a_copy_of_a_preset_is_the_same_target(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(SOURCE, encoding="utf-8")
    assert load_target(path) == load_target(str(path)) == load_target("tsinghua28")


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_named_after_its_file(name):
    assert load_target(name).name == name


def test_an_unknown_name_lists_the_presets():
    with pytest.raises(TargetError) as error:
        load_target("isac32")
    assert error.value.code == "target.unknown"
    assert "did you mean isaac32?" in error.value.hint
    assert all(name in error.value.hint for name in preset_names())


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path / "no_suffix", tmp_path):
        with pytest.raises(TargetError) as error:
            load_target(path)
        assert error.value.code == "target.unknown"
        assert error.value.location.file == str(path)
        assert "tsinghua28" in error.value.hint


def test_bytes_that_are_not_text_or_too_many(tmp_path):
    for content in (b"name: \xff", b"#" * (1 << 20) + b"\n"):
        path = tmp_path / "bad.yaml"
        path.write_bytes(content)
        with pytest.raises(TargetError) as error:
            load_target(path)
        assert error.value.code == "target.syntax"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", "line 2: the key 'name' is repeated (first on line 1)"),
        ("a: {b: 1, b: 2}\n", "line 1: the key 'b' is repeated"),
        ("a: &x 1\nb: 2\n", "line 1: the anchor &x is not allowed"),
        ("a: 1\nb: *x\n", "line 2: the alias *x is not allowed"),
        ("a:\n  <<: {b: 1}\n", "line 2: the merge key << is not allowed"),
        ("a: !!python/object/apply:os.getcwd []\n", "the tag"),
        ("a: !!str 1\n", "the tag"),
        ("1: a\n", "line 1: every key must be text"),
        ("[a]: b\n", "line 1: every key must be text"),
        ("a: [1\n", "line 2"),
        ("a: 1\n---\nb: 2\n", "single document"),
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("a: \x07\n", "not allowed"),
    ],
)
def test_what_is_not_plain_yaml(text, message):
    error = refusal(text)
    assert error.code == "target.syntax"
    assert message in error.message


# What is edited, what it becomes, the text whose line the message must name, message, hint.
BAD_FIELDS = [
    ("  rows: 512\n", "", "array:", "array.rows (line {}): is missing", "add array.rows"),
    ("  rows: 512", "  row: 512", "array:", "array.rows (line {}): is missing", "add array.rows"),
    ("  rows: 512", "  rows: 0", "  rows: 0", "array.rows (line {}): input should be", "array.rows"),
    (
        "  rows: 512",
        "  rows: 5_12",
        "  rows:",
        "valid integer, got '5_12'",
        "rows",
    ),
    (
        "  rows: 512",
        "  rows: 0512",
        "  rows:",
        "valid integer, got '0512'",
        "rows",
    ),
    (
        "  rows: 512",
        "  rows: true",
        "  rows:",
        "valid integer, got True",
        "rows",
    ),
    ("  rows:", "  adc_bit: 8\n  rows:", "  adc_bit:", "adc_bit (line {}): is not a known", "mean adc_bits?"),
    ("unit: ns", "unit: us", "  step_ns:", "(line {}): must be given in ns, not in us", "array.step_ns"),
    ("basis: derived", "basis: guessed", "guessed", "(line {}): input should be", "array.step_ns.basis"),
    ("value: 23.08", "value: -1", "value: -1", "(line {}): input should be", "array.step_ns.value"),
    ("value: 23.08", "value: .nan", "value: .nan", "(line {}): input should be", "array.step_ns.value"),
    ("value: 23.08", "value: '23'", "value: '23'", "(line {}): input should be", "array.step_ns.value"),
    ("encoding: diff", "encoding: diff.", "encoding:", "encoding (line {}): input", "correct array.encoding"),
    (
        "format_version: 1",
        "format_version: 2",
        "format",
        "format_version (line {})",
        "correct format_version",
    ),
    ("name: tsinghua28", "name: ../x", "name: ../x", "name (line {})", "correct name"),
]


@pytest.mark.parametrize(("old", "new", "at", "message", "hint"), BAD_FIELDS)
def test_a_bad_field_is_named_with_line_and_remedy(old, new, at, message, hint):
    text = edited(old, new)
    line = text[: text.index(at)].count("\n") + 1
    error = refusal(text)
    assert error.code == "target.invalid"
    assert message.format(line) in error.message
    assert hint in error.hint


def test_exponents_are_numbers():
    assert float(parse_target(edited("value: 23.08", "value: 2.308e1"), "mine.yaml").array.step_ns) == 23.08
    assert float(parse_target(edited("value: 23.08", "value: 2e1"), "mine.yaml").array.step_ns) == 20.0


def test_something_that_is_no_mapping():
    assert refusal("just text\n").code == "target.invalid"
    assert refusal("[1, 2]\n").code == "target.invalid"


def test_many_problems_are_counted():
    error = refusal("format_version: 1\n" + "".join(f"x{i}: 1\n" for i in range(30)))
    assert "more" in error.message
    assert len(error.message) < 2000
