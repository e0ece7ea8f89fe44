"""A program of one layer, its text and a request file, without compiling anything."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from cimc.api import Program
from tests.cli.tiny_files import Called, call
from tests.cost.cost_programs import dense, load, program, relu, store
from tests.transforms.recognise.fusing import model


def write_program(folder: Path) -> Path:
    """A program that takes ``x [640]``, and gives ``y``: no number below 0."""
    path = folder / "p.cimc"
    made = program(
        {0: [load(640), relu(640, 0, 2560), store(640, 2560)]},
        inputs=[dense(640)],
        outputs=[dense(640, "out")],
    )
    header = replace(made.header, inputs=(("x", "float32", (-1, 640)),), outputs=(("y", "out"),))
    Program(replace(made, header=header)).save(path)
    return path


def write_model(folder: Path) -> Path:
    """A model of one layer."""
    path = folder / "m.onnx"
    onnx.save(
        model("m (float[B, 4] x) => (float[B, 3] y) { y = MatMul(x, w) }", {"w": np.ones((4, 3), "f")}), path
    )
    return path


def write_requests(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "r.npz"
    np.savez(path, **arrays)
    return path


def refused(*args: object) -> str:
    """The code of the error, after the exit code of bad input and nothing on standard output."""
    done = call(*args)
    assert done.code == 2, done.err
    assert done.out == ""
    return code_of(done)


def code_of(done: Called) -> str:
    """The code of an error, in brackets behind its message."""
    (found,) = re.findall(r"\[([a-z-]+\.[a-z-]+)\]$", done.err, re.MULTILINE)
    return str(found)
