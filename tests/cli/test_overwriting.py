"""No output replaces an input, or another output: every command, every option that writes.

What reads and what writes is found in the commands themselves, so an option added later is tested, too.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import onnx
import pytest

import cimc
from cimc.cli.main import COMMANDS
from cimc.cli.path_options import Command, Read, Written, WrittenFolder
from cimc.errors import CimcError
from cimc.study.results import Store
from models.tiny import tiny_dlrm
from tests.cli.tiny_files import Tiny, call

CONTENT = b"precious"


def command(name: str) -> click.Command:
    found: click.Command = import_module(COMMANDS[name]).command
    return found


def parameters(name: str, kind: type) -> list[click.Parameter]:
    return [p for p in command(name).params if isinstance(p.type, kind)]


def clashes() -> Iterator[tuple[str, str, str]]:
    """Command, parameter that is read or written, parameter that is written."""
    for name in COMMANDS:
        written = [p.name or "" for p in parameters(name, Written)]
        for number, output in enumerate(written):
            for other in [*(p.name or "" for p in parameters(name, Read)), *written[:number]]:
                yield name, other, output


def given(param: click.Parameter, path: Path) -> list[str]:
    return [param.opts[0], str(path)] if isinstance(param, click.Option) else [str(path)]


def line(name: str, folder: Path, values: dict[str, Path]) -> list[str]:
    """A command line with ``values``; parameters that are required and not among them get new names."""
    args = [name]
    for param in command(name).params:
        if param.name in values:
            args += given(param, values[param.name])
        elif param.required:
            assert isinstance(param.type, Read | Written), f"give {name}.{param.name} a value here"
            args += given(param, folder / f"other_{param.name}.svg")
    return args


def target_of(param: click.Parameter, folder: Path) -> tuple[Path, Path]:
    """A file with a suffix that suits the parameter, and the value by which the parameter writes it."""
    if isinstance(param.type, WrittenFolder):
        file = folder / re.sub(r"\[0-9\]", "0", param.type.names[0]).replace("*", "x")
        return file, folder
    return (folder / "file.svg",) * 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_that_names_a_file_says_whether_it_is_read_or_written(name: str) -> None:
    assert type(command(name)) is Command
    for param in command(name).params:
        assert not isinstance(param.type, click.Path | click.File), param.name
        shown = f"{getattr(param, 'metavar', '')} {param.name}"
        if re.search(r"FILE|DIR|\.[a-z]|\bOUT\b|path", shown) or param.name in ("plot", "out", "csv"):
            assert isinstance(param.type, Read | Written), (name, param.name)


def test_there_is_something_to_test() -> None:
    found = list(clashes())
    assert len(found) > 30
    assert {name for name, _, _ in found} == set(COMMANDS) - {"targets", "devices"}


@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
@pytest.mark.parametrize(("name", "other", "output"), list(clashes()))
def test_an_output_is_no_input_and_no_other_output(
    tmp_path: Path, name: str, other: str, output: str, link: str
) -> None:
    by_name = {p.name: p for p in command(name).params}
    file, value = target_of(by_name[output], tmp_path)
    file.write_bytes(CONTENT)
    alias = tmp_path / "alias.svg"
    if link == "same":
        alias = file
    elif link == "symbolic":
        alias.symlink_to(file)
    else:
        alias.hardlink_to(file)
    if isinstance(by_name[other].type, WrittenFolder):
        alias, value = tmp_path, target_of(by_name[other], tmp_path)[0]
        value.write_bytes(CONTENT)
    done = call(*line(name, tmp_path, {other: alias, output: value}))
    assert done.code == 2, done.err
    assert "[io.same-file]" in done.err, done.err
    for param in (by_name[other], by_name[output]):
        shown = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        assert shown in done.err
    assert file.read_bytes() == CONTENT
    assert not list(tmp_path.glob(".cimc-*"))


@pytest.mark.parametrize(
    ("name", "output"), [(n, p.name or "") for n in COMMANDS for p in parameters(n, Written)]
)
def test_outputs_that_cannot_be_written_are_refused_before_the_work(
    tmp_path: Path, name: str, output: str
) -> None:
    pipe, blocked, loop = tmp_path / "pipe", tmp_path / "blocked", tmp_path / "loop"
    os.mkfifo(pipe)
    blocked.write_bytes(CONTENT)
    loop.symlink_to(loop)
    folder = tmp_path / "folder"
    folder.mkdir()
    param = next(p for p in command(name).params if p.name == output)
    cases = [Path("/dev/full"), pipe, loop, blocked / "x", tmp_path / ("n" * 300), Path("/proc/x")]
    if isinstance(param.type, WrittenFolder):
        cases.append(blocked)
    else:
        cases += [folder, tmp_path / "nosuch" / "x", Path("/dev/stdout/x")]
    before = sorted(tmp_path.iterdir())
    for path in cases:
        done = call(*line(name, tmp_path, {output: path}))
        assert done.code == 2, (path, done.err)
        assert "[io.cannot-write]" in done.err, (path, done.err)
    done = call(*line(name, tmp_path, {}), param.opts[0], "-")
    assert (done.code, "[cli.usage]" in done.err) == (2, True), done.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its weights in a file called ``data.safetensors``."""
    folder = tmp_path_factory.mktemp("external")
    onnx.save_model(
        tiny_dlrm(seed=0, tables=3)[0],
        folder / "m.onnx",
        save_as_external_data=True,
        location="data.safetensors",
        size_threshold=0,
    )
    return folder


def test_external_data_is_an_input(external: Path, tiny: Tiny, program: Path, tmp_path: Path) -> None:
    for file in (*external.iterdir(), tiny.requests, program):
        shutil.copy(file, tmp_path)
    weights = tmp_path / "data.safetensors"
    (tmp_path / "link").symlink_to(weights)
    model, before = tmp_path / "m.onnx", weights.read_bytes()
    for args in (
        ("compile", model, "-o", weights),
        ("compile", model, "-o", tmp_path / "link"),
        ("compile", model, "-o", tmp_path / "p.cimc", "--dump-ir", tmp_path),
        ("inspect", model, "--annotate", weights),
        ("opt", model, "--data-out", weights),
        ("trace", tiny.requests, "--model", model, "-o", weights),
        ("run", program, "--inputs", tiny.requests, "--check", model, "--outputs", weights),
        ("accuracy", program, "--inputs", tiny.requests, "--reference", model, "--csv", weights),
    ):
        done = call(*args)
        assert done.code == 2, (args, done.err)
        assert "[io.same-file]" in done.err, (args, done.err)
        assert "external data of the model" in done.err
        assert weights.read_bytes() == before
    assert not (tmp_path / "p.cimc").exists()


def test_files_that_no_option_names_are_inputs_too(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    for file in (tiny.model, tiny.requests, program):
        shutil.copy(file, tmp_path)
    machine = tmp_path / "machine.yaml"
    shutil.copy(Path(cimc.__file__).parent / "target/presets/tsinghua28.yaml", machine)
    assert call("disasm", program, "-o", tmp_path / "p.s").code == 0
    results = tmp_path / "results.jsonl"
    results.hardlink_to(tmp_path / "requests.npz")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for args in (
        ("asm", tmp_path / "p.s", "-o", tmp_path / "p.safetensors"),
        ("bench", tmp_path / "tiny.onnx", "--out", tmp_path),
        ("accuracy", tmp_path / "tiny.onnx", "--inputs", tiny.requests, "--csv", machine, "--sweep",
         f"target=isaac32,{machine}"),
        ("compile", tiny.model, "-o", machine, "--target", f"{machine}{{array.adc_bits=6}}"),
        ("disasm", program, "-o", tmp_path / "x.safetensors"),
    ):  # fmt: skip
        done = call(*args)
        assert done.code == 2, (args, done.err)
        assert "[io.same-file]" in done.err, (args, done.err)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_standard_output_in_a_file_is_an_output(tiny: Tiny, tmp_path: Path) -> None:
    from tests.cli.test_errors import shell

    copy = tmp_path / "tiny.onnx"
    shutil.copy(tiny.model, copy)
    done = shell(f"$CIMC inspect {copy} >> {copy}")
    assert done.returncode == 2
    assert "io.same-file" in done.stderr
    assert copy.read_bytes() == tiny.model.read_bytes()
    done = shell(f"$CIMC inspect {copy} --annotate {tmp_path}/o > {tmp_path}/o")
    assert (done.returncode, "io.same-file" in done.stderr) == (2, True)


def test_the_python_interface_keeps_its_sources(external: Path, tiny: Tiny, tmp_path: Path) -> None:
    for file in external.iterdir():
        shutil.copy(file, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    program = cimc.compile(tmp_path / "m.onnx", calib=dict(np.load(tiny.calib)))
    for path in before:
        with pytest.raises(CimcError) as refused:
            program.save(path)
        assert refused.value.code == "io.same-file"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    program.save(tmp_path / "p.cimc")
    program.save(tmp_path / "p.cimc")
    cimc.Program.load(tmp_path / "p.cimc").save(tmp_path / "p.cimc")  # the same bytes again: nothing is lost


def test_a_file_that_is_no_result_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(CONTENT)  # no line ends in it: all of it is a last line that was cut off
    with pytest.raises(CimcError) as refused:
        Store(path)
    assert refused.value.code == "study.unreadable"
    assert path.read_bytes() == CONTENT
