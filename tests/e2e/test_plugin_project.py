"""The sample project of plug-ins, installed, and used from the shell by every kind of command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.cosh_model import write_model

ROOT = Path(__file__).parents[2]
LINE = "canonicalize,recognise{also=sample-hyperbolic},demote,outline-host"
PIPELINE = (
    f"{LINE},sample-count{{at_least=2}},quantize,shard,choose-adc-steps,"
    f"place{{strategy=sample_nearest skip=1}},schedule,lower"
)


class Site(NamedTuple):
    """A folder with files of a model, and environments with and without the plug-in."""

    folder: Path
    guests: dict[str, str]
    alone: dict[str, str]

    def cimc(self, *args: object, alone: bool = False, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``cimc ARGS``."""
        return self.python("cimc", *args, alone=alone, code=code)

    def python(
        self, module: str, *args: object, alone: bool = False, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m MODULE ARGS``."""
        command = [sys.executable, "-m", module, *map(str, args)]
        env = self.alone if alone else self.guests
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder, place = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--target", str(place), str(ROOT / "examples" / "plugin")],
        check=True,
    )
    base = [str(ROOT)]
    if not any(e.name == "cimc" for e in entry_points(group="xdsl.universe")):
        host = tmp_path_factory.mktemp("host")
        info = host / "cimc_universe-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cimc-universe\nVersion: 0\n")
        (info / "entry_points.txt").write_text("[xdsl.universe]\ncimc = cimc.universe:CIMC_UNIVERSE\n")
        base.append(str(host))
    write_model(folder, "m.onnx", "m.requests.npz")
    alone = {**os.environ, "PYTHONPATH": os.pathsep.join(base)}
    return Site(folder, {**alone, "PYTHONPATH": os.pathsep.join([str(place), *base])}, alone)


def test_compile_uses_all_of_it_and_the_program_runs_without(site: Site) -> None:
    calib = ("--calib", "m.requests.npz")
    done = site.cimc(
        "compile",
        "m.onnx",
        "-o",
        "m.cimc",
        *calib,
        "--target",
        "sample_card",
        "--pipeline",
        PIPELINE,
        "--json",
    )
    program = json.loads(done.stdout)["program"]
    (plugin,) = program["plugins"]
    assert (plugin["name"], plugin["version"], len(plugin["digest"])) == ("cimc-sample", "0.1.0", 64)
    assert program["target"] == "sample_card"
    assert 'place{strategy="sample_nearest"' in program["pipeline"]
    assert "skip=1" in program["pipeline"]
    ran = site.cimc(
        *("run", "m.cimc", "--inputs", "m.requests.npz", "--check", "m.onnx", "--json"), alone=True
    )
    assert json.loads(ran.stdout)["check"]["passed"]
    assert (
        f'plugins = [["cimc-sample","0.1.0","{plugin["digest"]}"]]'
        in site.cimc("disasm", "m.cimc", alone=True).stdout
    )
    again = ("disasm", "m.cimc", "-o", "m.s")
    site.cimc(*again, alone=True)
    site.cimc("asm", "m.s", "-o", "again.cimc", alone=True)
    assert (site.folder / "again.cimc").read_bytes() == (site.folder / "m.cimc").read_bytes()


def test_what_is_installed_changes_nothing_unless_it_is_named(site: Site) -> None:
    for name, alone in (("with.cimc", False), ("without.cimc", True)):
        site.cimc("compile", "m.onnx", "-o", name, "--calib", "m.requests.npz", alone=alone)
    data = (site.folder / "with.cimc").read_bytes()
    assert data == (site.folder / "without.cimc").read_bytes()
    assert b"plugins" not in data


def test_bench_hands_it_to_its_processes_and_keeps_what_took_part(site: Site) -> None:
    args = ("bench", "m.onnx", "--out", "study", "--limit", 8, "--strategy", "sample_nearest{skip=1}")
    rows = json.loads(site.cimc(*args, "--strategy", "greedy", "--json").stdout)["rows"]
    assert [row.get("error") for row in rows] == [None, None]
    (plugin,) = rows[0]["plugins"]
    assert plugin["name"] == "cimc-sample"
    assert rows[1]["plugins"] == []
    assert "sample_nearest" in rows[0]["pipeline"]


def test_opt_and_xdsl_opt_know_the_pass(site: Site) -> None:
    text = site.cimc("opt", "m.onnx", "-p", LINE).stdout
    assert "onnx.node" not in text
    (site.folder / "m.mlir").write_text(text)
    found = site.cimc("opt", "m.mlir", "-p", "sample-count{at_least=2}").stdout
    assert "count.rec.unary" in found
    other = site.python("xdsl.tools.xdsl_opt", "m.mlir", "-p", "sample-count{at_least=2}").stdout
    assert other.strip() == found.strip()
    site.python("xdsl.tools.xdsl_opt", "--help")
    refused = site.cimc("opt", "m.mlir", "-p", "sample-count", alone=True, code=2)
    assert "[pass.unknown]" in refused.stderr


def test_a_list_imports_nothing_and_a_name_does(site: Site) -> None:
    listed = site.cimc("targets")
    assert "installed plug-ins bring sample_card (of cimc-sample 0.1.0)" in listed.stderr
    assert "sample_card" in site.cimc("targets", "sample_card").stdout


def test_reading_imports_nothing_even_where_it_is_installed(site: Site) -> None:
    """The pipeline and the record of a program name the plug-in; that is no reason to run its code."""
    options = ("--calib", "m.requests.npz", "--target", "sample_card", "--pipeline", PIPELINE)
    site.cimc("compile", "m.onnx", "-o", "guest.cimc", *options)
    code = """
import sys
from cimc.cli.main import main
for args in (["run", "guest.cimc", "--inputs", "m.requests.npz", "--check", "m.onnx"],
             ["simulate", "guest.cimc", "--inputs", "m.requests.npz"],
             ["disasm", "guest.cimc", "-o", "guest.s"], ["asm", "guest.s", "-o", "guest2.cimc"],
             ["opt", "m.onnx", "-p", "canonicalize,recognise,demote,outline-host"], ["targets"], ["devices"]):
    assert main(args) == 0, args
assert not [name for name in sys.modules if name.startswith("cimc_sample")]
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=site.folder, env=site.guests, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
