"""``xdsl-opt`` knows the dialects and passes of cimc."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from xdsl.universe import XDSL_UNIVERSE

from cimc.transforms.passes import PASSES
from cimc.universe import CIMC_UNIVERSE
from tests.cli.tiny_files import Tiny, call

ROOT = Path(__file__).parents[2]


def test_no_name_clashes_with_xdsl() -> None:
    assert not CIMC_UNIVERSE.all_passes.keys() & XDSL_UNIVERSE.all_passes.keys()
    assert not CIMC_UNIVERSE.all_dialects.keys() & XDSL_UNIVERSE.all_dialects.keys()


def test_every_pass_loads_under_the_name_it_is_listed_by() -> None:
    assert len(CIMC_UNIVERSE.all_passes) == len(PASSES)
    for name, load in CIMC_UNIVERSE.all_passes.items():
        assert load().name == name
    assert set(CIMC_UNIVERSE.all_dialects) == {"onnx", "rec", "cim"}
    for name, make in CIMC_UNIVERSE.all_dialects.items():
        assert make().name == name


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the plugin is installed (as it is after ``pip install``)."""
    path = [str(ROOT)]
    if not any(e.name == "cimc" for e in entry_points(group="xdsl.universe")):
        info = tmp_path / "cimc_plugin-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cimc-plugin\nVersion: 0\n")
        (info / "entry_points.txt").write_text("[xdsl.universe]\ncimc = cimc.universe:CIMC_UNIVERSE\n")
        path.append(str(tmp_path))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def xdsl_opt(env: dict[str, str], *args: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xdsl.tools.xdsl_opt", *args]
    wide = {**env, "COLUMNS": "100000"}  # help in one line per option
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=wide)


def test_xdsl_opt_lists_the_passes(installed: dict[str, str]) -> None:
    done = xdsl_opt(installed, "--help")
    assert done.returncode == 0, done.stderr
    for name in ("cimc-canonicalize", "recognise", "quantize", "place"):
        assert name in done.stdout


def test_xdsl_opt_round_trips_a_rec_module(tiny: Tiny, installed: dict[str, str]) -> None:
    text = call("opt", tiny.model, "-p", "canonicalize,recognise,demote,outline-host").out
    assert "rec.embedding_bag" in text
    done = xdsl_opt(installed, text=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == text.strip()


def test_a_pass_that_needs_arrays_says_so(tiny: Tiny, installed: dict[str, str]) -> None:
    text = call("opt", tiny.model).out
    done = xdsl_opt(installed, "-p", "cimc-canonicalize", text=text)
    assert done.returncode != 0
    assert "pass.needs-context" in done.stderr
