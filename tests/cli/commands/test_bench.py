"""``cimc bench``: what is refused before the first case runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands.small_files import refused, write_model


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--strategy", "nosuch"), "mapping.unknown-strategy"),
        (("--strategy", "mine=quantize,nosuch"), "pass.unknown"),
        (("--target", "nosuch"), "target.unknown"),
        (("--jobs", "0"), "cli.usage"),
        (("--in-flight", "0"), "cli.usage"),
        (("--seed", "-1"), "cli.usage"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    out = tmp_path / "study"
    assert refused("bench", write_model(tmp_path), "--out", out, *options) == code
    assert not (out / "results.jsonl").exists()


def test_models_are_needed(tmp_path: Path) -> None:
    assert refused("bench", "--out", tmp_path / "study") == "cli.usage"
