"""Weights in several data files: the same program as from one file, in memory near the integers' size."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from bench.frontend.size import KAGGLE, child
from bench.production import SHAPES, build, requests, zipf_ids
from cimc.isa.artifact import to_bytes
from tests.cli.tiny_files import call

SMALL, LARGE = 0.001, 0.06


def test_several_data_files_are_one_model(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    build(KAGGLE, outside, SMALL)
    assert len(list(outside.glob("*.bin"))) == 4
    onnx.save(onnx.load(outside / "model.onnx"), inside / "model.onnx")
    found = [
        cimc.compile(folder / "model.onnx", calib=requests(KAGGLE, SMALL)).data
        for folder in (outside, inside)
    ]
    assert sorted(found[0].data) == sorted(found[1].data)
    for name, array in found[0].data.items():
        assert np.array_equal(array, found[1].data[name]), name
    assert found[0].header.model_digest != found[1].header.model_digest

    cimc.Program(found[0]).save(tmp_path / "p.cimc")
    np.savez(tmp_path / "r.npz", **requests(KAGGLE, SMALL, seed=1))
    done = call("run", tmp_path / "p.cimc", "--inputs", tmp_path / "r.npz", "--check", outside / "model.onnx")
    assert done.code == 0, done.err


def test_a_loaded_program_is_the_saved_one(tmp_path: Path) -> None:
    build(KAGGLE, tmp_path, SMALL)
    program = cimc.compile(tmp_path / "model.onnx", calib=requests(KAGGLE, SMALL))
    program.save(tmp_path / "p.cimc")
    loaded = cimc.Program.load(tmp_path / "p.cimc")
    assert to_bytes(loaded.data) == to_bytes(program.data) == (tmp_path / "p.cimc").read_bytes()
    assert not any(array.flags.writeable for array in loaded.data.data.values())  # they are the file itself
    want, have = program.run(requests(KAGGLE, SMALL, seed=2)), loaded.run(requests(KAGGLE, SMALL, seed=2))
    assert np.array_equal(want.outputs["prob"], have.outputs["prob"])
    loaded.save(tmp_path / "p.cimc")  # over the file that it is mapped from
    assert (tmp_path / "p.cimc").read_bytes() == to_bytes(program.data)


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
def test_memory_grows_by_the_integers_not_by_the_floats(tmp_path: Path) -> None:
    small, large, graph_only = (tmp_path / name for name in ("small", "large", "graph_only"))
    for folder in (small, large, graph_only):
        folder.mkdir()
    build(KAGGLE, small, SMALL)
    size = build(KAGGLE, large, LARGE)
    build(KAGGLE, graph_only, LARGE, with_data=False)
    base = child("compile", small, SMALL, None, calibrated=False)
    found = {
        "compile": child("compile", large, LARGE, None, calibrated=False),
        "run": child("run", large, LARGE, None, calibrated=False),
        "generated": child("compile", graph_only, LARGE, "generated:0", calibrated=False),
    }
    margin = 32 << 20
    assert size.int8 + margin < size.fp32 * 0.6  # or the bound would say nothing
    for step, each in found.items():
        assert each.peak + each.runtime - base.peak - base.runtime < size.int8 + margin, (step, each, base)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_production_shapes_compile_and_run_from_the_graph_alone(tmp_path: Path, name: str) -> None:
    shape = SHAPES[name]
    build(shape, tmp_path, 1e-5, with_data=False)
    program = cimc.compile(tmp_path / "model.onnx", weights="generated:0")
    assert len(program.data.segments) == 1, "all of it is on the chip"
    assert sum(m.kind == "table" for m in program.data.matrices) == len(shape.rows)
    result = program.run(requests(shape, 1e-5, 5, exponent=0.85), "exact")
    assert result.outputs["prob"].shape == (5, 1)


def test_zipf_ids_follow_the_law() -> None:
    rows, count = 1000, 200_000
    ids = zipf_ids(np.random.default_rng(0), rows, count, 0.85)
    assert ids.min() >= 0
    assert ids.max() < rows
    found = np.sort(np.bincount(ids, minlength=rows))[::-1]
    edges = (np.arange(rows + 1) + 1.0) ** 0.15
    expected = np.diff(edges) / (edges[-1] - edges[0]) * count
    assert np.abs(found[:20] - expected[:20]).max() < 5 * np.sqrt(expected[0])
