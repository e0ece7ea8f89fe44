"""Small models and request files on disk, and a way to call the command line in this process."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from cimc.cli.main import main
from cimc.host.runtime import run_onnx
from models.tiny import requests_for, tiny_dlrm

REQUESTS = 200


@dataclass(frozen=True)
class Called:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON object that it must be."""
        return json.loads(self.out)


def call(*args: object) -> Called:
    """Run ``cimc ARGS`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in args])
    return Called(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Tiny:
    """A tiny DLRM on disk, its requests with labels, and calibration requests."""

    folder: Path
    model: Path
    requests: Path
    calib: Path
    arrays: dict[str, np.ndarray]


def write_tiny(folder: Path) -> Tiny:
    """Write the files of a :class:`Tiny`."""
    model, _ = tiny_dlrm(seed=0, tables=3)
    onnx.save(model, folder / "tiny.onnx")
    arrays = requests_for(model, batch=REQUESTS, seed=5)
    (scores,) = run_onnx(model, arrays).values()
    labels = (scores > np.median(scores)).astype(np.int8).ravel()  # which the model itself knows perfectly
    np.savez(folder / "requests.npz", **arrays, labels=labels)
    np.savez(folder / "calib.npz", **requests_for(model, batch=50, seed=6))
    return Tiny(folder, folder / "tiny.onnx", folder / "requests.npz", folder / "calib.npz", arrays)
