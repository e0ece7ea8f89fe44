"""The standard comparison of mapping strategies: ``python -m bench.mapping.standard FOLDER``.

Sets, each a workload of its own (:mod:`bench.production` describes the shapes):

* ``small``: ``models/dlrm_small`` with its recorded requests,
* ``kaggle1``, ``kaggle10``, ``kaggle``: DLRM on Criteo Kaggle with 1 %, 10 % and all of its rows,
* ``rm1``, ``rm2``, ``rm3``: after the classes of Gupta et al., HPCA 2020,
* ``dcnv2``: MLPerf's DLRM-DCNv2, on as many chips as it needs.

All but ``small`` have generated weights and Zipf ids (exponent 0.85).  Some requests calibrate and tell the
strategies what is popular, others are executed: no strategy sees what it is measured on.  The policies
from papers are run as the papers have them, which say nothing of chips and reduction tiles, and the strongest
also with this compiler's own choices for both.
``FOLDER`` keeps models, requests and results; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.production import SHAPES, build, requests

EXPONENT = 0.85
ROOT = Path(__file__).parents[2]


class Set(NamedTuple):
    """A shape at a scale of its rows; requests that calibrate and show what is popular; those executed."""

    shape: str
    scale: float
    calib: int
    requests: int


SETS: dict[str, Set] = {
    "small": Set("", 1.0, 0, 0),
    "kaggle1": Set("kaggle", 0.01, 8192, 2048),
    "kaggle10": Set("kaggle", 0.1, 8192, 2048),
    "kaggle": Set("kaggle", 1.0, 8192, 2048),
    "rm1": Set("rm1", 1.0, 1024, 128),
    "rm2": Set("rm2", 1.0, 256, 32),
    "rm3": Set("rm3", 1.0, 1024, 256),
    "dcnv2": Set("dcnv2", 1.0, 1024, 64),
}
STRATEGIES = (
    "round_robin",
    "pimcomp_sequential",
    "lpt_by_cost",
    "frequency_deal",
    "log_copies",
    "log_copies{chips=near reduction_tiles=spread}",
    "default",
)


def prepare(name: str, folder: Path) -> Path:
    """Write the model and its requests, unless they are there; returns the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    if (folder / "requests.npz").exists():
        return model
    chosen = SETS[name]
    if not chosen.shape:
        for suffix, file in (
            (".onnx", "model.onnx"),
            (".calib.npz", "calib.npz"),
            (".requests.npz", "requests.npz"),
        ):
            shutil.copy(ROOT / "models" / f"dlrm_small{suffix}", folder / file)
        return model
    shape = SHAPES[chosen.shape]
    build(shape, folder, chosen.scale, with_data=False)
    for seed, count, file in ((1, chosen.calib, "calib.npz"), (2, chosen.requests, "requests.npz")):
        arrays = requests(shape, chosen.scale, count, seed, exponent=EXPONENT)
        np.savez(folder / file, **arrays)  # type: ignore[arg-type]
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", dest="sets", action="append", choices=list(SETS), help="default: all")
    parser.add_argument("--strategy", dest="strategies", action="append", help="default: all")
    parser.add_argument("--target", default="tsinghua28")
    given = parser.parse_args(arguments)
    for name in given.sets or SETS:
        model = prepare(name, given.folder / name)
        command = [
            sys.executable,
            "-m",
            "cimc",
            "bench",
            str(model),
            "--out",
            str(given.folder / name / "study"),
        ]
        command += ["--target", given.target, "--weights", "generated:0", "--chips", "0", "--plots"]
        for strategy in given.strategies or STRATEGIES:
            command += ["--strategy", strategy]
        if "round_robin" in (given.strategies or STRATEGIES):
            command += ["--baseline", "round_robin"]
        subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
