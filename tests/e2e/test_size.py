"""Weights in several data files: the same program as from one file, in memory near the integers' size."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from bench.frontend.size import build, child, requests
from cimc.isa.artifact import to_bytes
from tests.cli.tiny_files import call

SMALL, LARGE = 0.001, 0.06


def test_several_data_files_are_one_model(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    build(outside, SMALL)
    assert len(list(outside.glob("*.bin"))) == 4
    onnx.save(onnx.load(outside / "model.onnx"), inside / "model.onnx")
    found = [cimc.compile(folder / "model.onnx", calib=requests(SMALL)).data for folder in (outside, inside)]
    assert sorted(found[0].data) == sorted(found[1].data)
    for name, array in found[0].data.items():
        assert np.array_equal(array, found[1].data[name]), name
    assert found[0].header.model_digest != found[1].header.model_digest

    cimc.Program(found[0]).save(tmp_path / "p.cimc")
    np.savez(tmp_path / "r.npz", **requests(SMALL, seed=1))
    done = call("run", tmp_path / "p.cimc", "--inputs", tmp_path / "r.npz", "--check", outside / "model.onnx")
    assert done.code == 0, done.err


def test_a_loaded_program_is_the_saved_one(tmp_path: Path) -> None:
    build(tmp_path, SMALL)
    program = cimc.compile(tmp_path / "model.onnx", calib=requests(SMALL))
    program.save(tmp_path / "p.cimc")
    loaded = cimc.Program.load(tmp_path / "p.cimc")
    assert to_bytes(loaded.data) == to_bytes(program.data) == (tmp_path / "p.cimc").read_bytes()
    assert not any(array.flags.writeable for array in loaded.data.data.values())  # they are the file itself
    want, have = program.run(requests(SMALL, seed=2)), loaded.run(requests(SMALL, seed=2))
    assert np.array_equal(want.outputs["prob"], have.outputs["prob"])
    loaded.save(tmp_path / "p.cimc")  # over the file that it is mapped from
    assert (tmp_path / "p.cimc").read_bytes() == to_bytes(program.data)


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
def test_memory_grows_by_the_integers_not_by_the_floats(tmp_path: Path) -> None:
    small, large, graph_only = (tmp_path / name for name in ("small", "large", "graph_only"))
    for folder in (small, large, graph_only):
        folder.mkdir()
    build(small, SMALL)
    size = build(large, LARGE)
    build(graph_only, LARGE, with_data=False)
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
