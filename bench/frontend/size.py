"""Time and memory of compiling a model whose weights exceed what a single file holds.

    python -m bench.frontend.size [--scale 1.0] [--generated] [--folder DIR] [--json]

Builds a DLRM of the shape of Criteo Kaggle (26 tables of 16 columns, 33.8 million rows at scale 1, which is
2.2 GB of float32) with external data in several files, compiles it, saves, loads and runs the program in
child processes, and prints seconds and peak resident memory of each against the size of the weights.  With
``--generated`` the data files are not written and the weights come from ``generated:0``.  The folder, a
temporary one by default, must have space for the float32 weights and the program; what is made is removed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.production import SHAPES, build, requests

KAGGLE = SHAPES["kaggle"]


# -- what the child processes do --------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What a step took.

    Attributes:
        seconds: of wall time, without imports.
        cpu: seconds of processor time, likewise.
        imports: peak resident bytes after the imports.
        peak: peak resident bytes of the whole step.
        runtime: the same of the process in which onnxruntime runs, if there is one.
        program: bytes of the program's file.
    """

    seconds: float
    cpu: float
    imports: int
    peak: int
    runtime: int
    program: int


class _Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def peak_bytes(process: str = "self") -> int:
    """The largest resident memory of a process so far (of Linux; elsewhere as ``getrusage`` has it)."""
    status = Path(f"/proc/{process}/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _peak_of_children() -> int:
    lists = Path("/proc/self/task").glob("*/children")
    return sum(peak_bytes(number) for each in lists for number in each.read_text().split())


def large_target(rows: int) -> Any:
    """The default target with as many chips as tables of ``rows`` rows in all need."""
    from cimc.target.load_target import load_target
    from cimc.target.overrides import with_overrides

    target = load_target("tsinghua28")
    array, tiles = target.array, target.n_tiles // target.system.chips
    side_by_side = array.cols // (KAGGLE.dim * target.slices(8))
    arrays = -(-rows // array.rows) / side_by_side * 1.05 + 100
    return with_overrides(target, {"system.chips": int(arrays / (tiles * target.tile.arrays)) + 2})


def compile_model(folder: Path, scale: float, weights: str | None, calibrated: bool) -> Measured:
    """Compile ``model.onnx`` and save the program."""
    from cimc import api

    target = large_target(sum(KAGGLE.rows_at(scale)))
    clock, before = _Clock(), peak_bytes()
    calib = requests(KAGGLE, scale) if calibrated else None
    options: dict[str, Any] = {} if weights is None else {"weights": weights}
    program = api.compile(folder / "model.onnx", target, calib, **options)
    program.save(folder / "model.cimc")
    size = (folder / "model.cimc").stat().st_size
    return Measured(*clock.read(), before, peak_bytes(), _peak_of_children(), size)


def run_program(folder: Path, scale: float) -> Measured:
    """Load the program and run it on random requests."""
    from cimc import api

    clock, before = _Clock(), peak_bytes()
    api.Program.load(folder / "model.cimc").run(requests(KAGGLE, scale))
    size = (folder / "model.cimc").stat().st_size
    return Measured(*clock.read(), before, peak_bytes(), _peak_of_children(), size)


def child(step: str, folder: Path, scale: float, weights: str | None, calibrated: bool) -> Measured:
    """Run a step in a process of its own."""
    command = [sys.executable, "-m", "bench.frontend.size", "--step", step, "--folder", str(folder)]
    command += ["--scale", repr(scale)]
    command += ["--weights", weights] if weights else []
    command += ["--calibrated"] if calibrated else []
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def measure(folder: Path, scale: float, *, generated: bool, calibrated: bool) -> dict[str, Any]:
    """Build, compile and run; a dictionary of sizes and of what each step took."""
    start = time.perf_counter()
    size = build(KAGGLE, folder, scale, with_data=not generated)
    built = time.perf_counter() - start
    weights = "generated:0" if generated else None
    steps = {
        step: asdict(child(step, folder, scale, weights, calibrated)) for step in ("compile", "run")
    }  # fmt: skip
    return {"scale": scale, "fp32": size.fp32, "int8": size.int8, "build_seconds": built, "steps": steps}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--scale", type=float, default=0.1, help="share of the rows (default 0.1)")
    parser.add_argument("--generated", action="store_true", help="write no data files: generated weights")
    parser.add_argument("--calibrated", action="store_true", help="give calibration requests")
    parser.add_argument("--folder", type=Path, help="where files are made (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--step", choices=["compile", "run"], help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.step == "compile":
        found = compile_model(given.folder, given.scale, given.weights, given.calibrated)
        print(json.dumps(asdict(found)))
    elif given.step == "run":
        print(json.dumps(asdict(run_program(given.folder, given.scale))))
    else:
        with tempfile.TemporaryDirectory(dir=given.folder, prefix="cimc-size-") as made:
            report = measure(Path(made), given.scale, generated=given.generated, calibrated=given.calibrated)
        print(json.dumps(report) if given.json else _text(report))


def _text(report: dict[str, Any]) -> str:
    mb = 1e6
    lines = [
        f"weights: {report['fp32'] / mb:.0f} MB as float32, {report['int8'] / mb:.0f} MB as int8 "
        f"(built in {report['build_seconds']:.1f} s)"
    ]
    for name, step in report["steps"].items():
        lines.append(
            f"{name}: {step['seconds']:.1f} s ({step['cpu']:.1f} s of processor time), "
            f"peak {step['peak'] / mb:.0f} MB ({step['imports'] / mb:.0f} MB after imports), "
            f"onnxruntime's process {step['runtime'] / mb:.0f} MB, program {step['program'] / mb:.0f} MB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
