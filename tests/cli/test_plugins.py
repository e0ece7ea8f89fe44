"""``--plugin``: on every command, before its work, in its processes; never because a program says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cimc.cli.main import COMMANDS
from cimc.transforms.passes import FRONTEND
from tests.cli.tiny_files import Tiny

ROOT = Path(__file__).parents[2]

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.passes import ModulePass

import cimc
from cimc.mapping import Proposal, solve

Path(__file__).with_suffix(".log").open("a").write("imported\\n")


@cimc.register_strategy("as_greedy")
def as_greedy(problem, /, *, seed, effort: int = 100):
    return Proposal(solve(problem, "greedy", seed=seed).assignment)


@cimc.register_pass("nothing")
@dataclass(frozen=True)
class Nothing(ModulePass):
    name = "nothing"
    fail: bool = False
    spoil: bool = False

    def apply(self, ctx, op):
        if self.fail:
            raise KeyError("on purpose")
        if self.spoil:
            main = op.body.block.last_op
            main.body.block.last_op.detach()


cimc.register_target("mine", cimc.load_target("isaac32{array.adc_bits=7}"))
"""
LINE = (
    f"{FRONTEND},nothing,quantize,shard,choose-adc-steps,place{{strategy=as_greedy effort=7}},schedule,lower"
)


def cimc(folder: Path, *args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cimc", *map(str, args)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


def imports(plugin: Path) -> int:
    log = plugin.with_suffix(".log")
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_plugins(name: str) -> None:
    command = import_module(COMMANDS[name]).command
    (option,) = [p for p in command.params if p.name == "plugin"]
    assert option.multiple


def test_a_program_records_what_took_part_and_runs_without_it(
    tiny: Tiny, plugin: Path, tmp_path: Path
) -> None:
    args = ("compile", tiny.model, "-o", "p.cimc", "--calib", tiny.calib, "--pipeline", LINE)
    done = cimc(tmp_path, *args, "--target", "mine", "--plugin", plugin, "--json")
    (found,) = json.loads(done.stdout)["program"]["plugins"]
    assert found["name"] == "mine"
    assert imports(plugin) == 1
    cimc(tmp_path, "run", "p.cimc", "--inputs", tiny.requests, "--limit", 5)
    assert found["digest"] in cimc(tmp_path, "disasm", "p.cimc").stdout
    assert imports(plugin) == 1
    refused = cimc(tmp_path, *args, code=2)
    assert "there is no pass `nothing`" in refused.stderr


def test_a_plugin_that_takes_no_part_leaves_no_trace(tiny: Tiny, plugin: Path, tmp_path: Path) -> None:
    args = ("compile", tiny.model, "--calib", tiny.calib)
    cimc(tmp_path, *args, "-o", "with.cimc", "--plugin", plugin)
    cimc(tmp_path, *args, "-o", "without.cimc")
    assert (tmp_path / "with.cimc").read_bytes() == (tmp_path / "without.cimc").read_bytes()


def test_bench_loads_it_in_every_process_and_does_a_case_again_when_it_changed(
    tiny: Tiny, plugin: Path, tmp_path: Path
) -> None:
    args = (
        *("bench", tiny.model, "--out", "study", "--limit", 5, "--target", "mine", "--json"),
        *("--strategy", "as_greedy{effort=7}", "--plugin", plugin),
    )
    (row,) = json.loads(cimc(tmp_path, *args).stdout)["rows"]
    assert row.get("error") is None
    assert row["plugins"][0]["name"] == "mine"
    assert imports(plugin) == 2  # here and there
    cimc(tmp_path, *args)
    assert imports(plugin) == 3  # the case is done
    plugin.write_text(PLUGIN + "# changed\n")
    (again,) = json.loads(cimc(tmp_path, *args).stdout)["rows"]
    assert imports(plugin) == 5
    assert again["plugins"] != row["plugins"]


def test_what_it_does_wrong_is_said_without_a_traceback(tiny: Tiny, plugin: Path, tmp_path: Path) -> None:
    args = ("opt", tiny.model, "-p", "nothing{fail=true}")
    done = cimc(tmp_path, *args, "--plugin", plugin, code=2)
    assert "pass `nothing` of mine failed: KeyError: 'on purpose' (mine.py:" in done.stderr
    assert "[plugin.failed]" in done.stderr
    spoiled = ("opt", tiny.model, "-p", "nothing{spoil=true}", "--plugin", plugin)
    done = cimc(tmp_path, *spoiled, code=2)  # a pass of cimc that does so is a bug, exit code 70
    assert "'nothing'" in done.stderr
    plugin.write_text("import nothing_of_this_name\n")
    done = cimc(tmp_path, *args, "--plugin", plugin, code=2)
    assert "[plugin.broken]" in done.stderr
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name' (mine.py:1)" in done.stderr
    done = cimc(tmp_path, "targets", "--plugin", "nowhere.py", "--json", code=2)
    assert json.loads(done.stdout)["error"]["code"] == "plugin.not-found"


def test_a_plugin_is_an_input_and_not_overwritten(tiny: Tiny, plugin: Path, tmp_path: Path) -> None:
    done = cimc(tmp_path, "compile", tiny.model, "-o", plugin, "--plugin", plugin, code=2)
    assert "[io.same-file]" in done.stderr
    assert plugin.read_text() == PLUGIN
    assert not imports(plugin)
