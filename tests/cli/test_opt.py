"""``cimc opt`` and ``--dump-ir``."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimc.transforms.passes import DEFAULT_PIPELINE, FRONTEND
from cimc.transforms.pipeline import Pipeline
from tests.cli.tiny_files import Tiny, call

PASSES = Pipeline.parse(DEFAULT_PIPELINE).passes
STEPS = ("import", *(p.name for p in PASSES))


@pytest.fixture(scope="module")
def dump(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dump") / "ir"
    done = call(
        "compile", tiny.model, "-o", folder.parent / "p.cimc", "--calib", tiny.calib, "--dump-ir", folder
    )
    assert done.code == 0, done.err
    return folder


def test_a_dump_has_every_step_and_the_arrays(dump: Path) -> None:
    names = [f"{number:02}-{step}.mlir" for number, step in enumerate(STEPS)]
    assert sorted(p.name for p in dump.iterdir()) == [*names, "data.safetensors"]


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_ir_of_every_level_round_trips(dump: Path, number: int) -> None:
    path = dump / f"{number:02}-{STEPS[number]}.mlir"
    assert call("opt", path, "--print-locations").out == path.read_text()


@pytest.mark.parametrize("number", range(len(STEPS) - 1))
def test_any_step_can_be_resumed(tiny: Tiny, dump: Path, number: int) -> None:
    rest = str(Pipeline(PASSES[number:]))
    given = ("--data", dump / "data.safetensors", "--calib", tiny.calib, "--target", "tsinghua28")
    done = call("opt", dump / f"{number:02}-{STEPS[number]}.mlir", "-p", rest, *given, "--print-locations")
    assert done.code == 0, done.err
    assert done.out == (dump / "19-lower.mlir").read_text()


def test_onnx_files_are_imported_first(tiny: Tiny, dump: Path) -> None:
    done = call("opt", tiny.model, "-p", FRONTEND, "--print-locations")
    assert done.out == (dump / "10-outline-host.mlir").read_text()


def test_output_and_arrays_can_be_written(tiny: Tiny, tmp_path: Path) -> None:
    ir, data = tmp_path / "x.mlir", tmp_path / "x.safetensors"
    done = call("opt", tiny.model, "-p", FRONTEND, "-o", ir, "--data-out", data)
    assert (done.code, done.out) == (0, "")
    done = call("opt", ir, "-p", "quantize", "--data", data, "--calib", tiny.calib, "--target", "isaac32")
    assert "cim.lookup" in done.out


def test_verify_only_prints_nothing(dump: Path) -> None:
    done = call("opt", dump / "11-quantize.mlir", "--verify-only")
    assert (done.code, done.out) == (0, "")


def test_json(dump: Path) -> None:
    found = call("opt", dump / "10-outline-host.mlir", "--json").json
    assert set(found) == {"verified", "pipeline", "ir", "output", "notes", "timings", "peak_growth"}
    assert "rec.linear" in found["ir"]


def test_syntax_errors_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.mlir"
    path.write_text("builtin.module {\n  func.func @main( {\n}\n")
    done = call("opt", path)
    assert done.code == 2
    assert f"{path}:2:" in done.err


@pytest.mark.parametrize(
    ("step", "args", "code"),
    [
        ("10-outline-host", ("-p", "quantize"), "pass.needs-target"),
        ("10-outline-host", ("-p", "quantize", "--target", "isaac32"), "quantize.no-calibration"),
        ("11-quantize", ("-p", "shard,choose-adc-steps", "--target", "isaac32"), "ir.missing-data"),
        ("11-quantize", ("-p", "shard", "--data", "nosuch.safetensors"), "ir.bad-store"),
    ],
)
def test_what_is_missing_is_said(dump: Path, step: str, args: tuple[str, ...], code: str) -> None:
    done = call("opt", dump / f"{step}.mlir", *args)
    assert done.code == 2
    assert f"[{code}]" in done.err


def test_stale_samples_are_said_to_be_missing(tmp_path: Path, dump: Path) -> None:
    from cimc.ir.tensor_store import TensorStore

    found, bare = TensorStore.load(dump / "data.safetensors"), TensorStore()
    for name in found:
        if not name.startswith("cimc:"):
            bare.put(name, found[name])
    bare.save(tmp_path / "bare.safetensors")
    given = ("--data", tmp_path / "bare.safetensors", "--target", "tsinghua28")
    done = call("opt", dump / "11-quantize.mlir", "-p", "shard,choose-adc-steps,place", *given)
    assert done.code == 0
    assert "ADC ranges will cover the worst case" in done.err
    assert "no table accesses" in done.err


def test_dumps_and_timings_as_for_compile(tiny: Tiny, dump: Path, tmp_path: Path) -> None:
    args = ("opt", tiny.model, "-p", FRONTEND, "--verify-only")
    done = call(*args, "--dump-ir", tmp_path / "ir", "--timings")
    assert (done.code, done.out) == (0, "")
    assert " s  outline-host" in done.err
    names = [f"{number:02}-{step}.mlir" for number, step in enumerate(STEPS[:11])]
    assert sorted(p.name for p in (tmp_path / "ir").iterdir()) == [*names, "data.safetensors"]
    for name in names:
        assert (tmp_path / "ir" / name).read_text() == (dump / name).read_text()
    assert list(call(*args, "--json").json["timings"]) == FRONTEND.split(",")
