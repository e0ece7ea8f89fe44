"""``docs/cli.md`` says what the commands print."""

from __future__ import annotations

import re
from pathlib import Path

from cimc.cli.main import COMMANDS
from cimc.compare.check import Bound
from tests.cli.tiny_files import Tiny, call

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def documented(command: str) -> set[str]:
    """The keys that the page lists for a command."""
    found = re.search(rf"Keys of `{command}`: ([^.(]*)", PAGE)
    assert found is not None
    return set(re.findall(r"`(\w+)`", found[1]))


def test_every_command_is_on_the_page() -> None:
    for name in COMMANDS:
        assert f"cimc {name}" in PAGE


def test_documented_keys_are_the_keys(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    text = tmp_path / "p.s"
    calls = {
        "inspect": ("inspect", tiny.model),
        "compile": ("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib),
        "run": ("run", program, "--inputs", tiny.requests),
        "opt": ("opt", tiny.model),
        "disasm": ("disasm", program, "-o", text),
        "asm": ("asm", text, "-o", tmp_path / "q.cimc"),
    }
    for name, args in calls.items():
        assert set(call(*args, "--json").json) == documented(name), name


def test_keys_of_a_check(tiny: Tiny, program: Path) -> None:
    check = call("run", program, "--inputs", tiny.requests, "--check", tiny.model, "--json").json["check"]
    for key in (*check, *check["outputs"][0]):
        assert f"`{key}`" in PAGE


def test_the_rule_on_the_page_is_the_default_bound() -> None:
    bound = Bound()
    assert f"at least {bound.min_sqnr_db:g} dB" in PAGE
    assert f"{bound.peak_share:g} times the reference's largest magnitude" in PAGE.replace("\n  ", " ")
    assert f"at least {100 * bound.agreement:g} % of the elements" in PAGE
    assert f"by more than {bound.max_auc_drop:g}" in PAGE
