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
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

DIM = 16
CARDINALITIES = (
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306,
    10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)  # fmt: skip
"""Rows of the 26 tables of DLRM on Criteo Kaggle."""
DENSE, BOTTOM, TOP = 13, (512, 256, 64, DIM), (512, 256, 1)
FILES = 3
"""Data files that the tables are spread over; the layers have one of their own."""
_BLOCK_ROWS = 1 << 18


@dataclass(frozen=True)
class Size:
    """What was built, in elements of tables and layers."""

    elements: int

    @property
    def fp32(self) -> int:
        """Bytes of the weights as float32."""
        return 4 * self.elements

    @property
    def int8(self) -> int:
        """Bytes of the weights as 8-bit integers."""
        return self.elements


def rows_at(scale: float) -> list[int]:
    """Rows of the tables, each ``scale`` times the original, at least 3."""
    return [max(3, round(rows * scale)) for rows in CARDINALITIES]


def build(folder: Path, scale: float, *, seed: int = 0, with_data: bool = True) -> Size:
    """Write ``model.onnx`` and, unless ``with_data`` is off, its data files, block by block."""
    import onnx
    from onnx import TensorProto, helper

    from models import onnx_forms as forms

    g = forms.GraphWriter()
    x = g.input("dense", TensorProto.FLOAT, ["batch", DENSE])
    rng = np.random.default_rng(seed)
    bottom = _layers(rng, (DENSE, *BOTTOM))
    features = forms.mlp(g, x, bottom, scope="/bot_l", last="Relu")
    rows = rows_at(scale)
    pooled, external = [], []
    for number in range(len(rows)):
        name = f"emb_l.{number}.weight"
        external.append(name)
        ids = g.input(f"ids_{number}", TensorProto.INT64, ["batch"])
        pooled.append(g.op("Gather", [name, ids], scope=f"/emb_l.{number}", axis=0))
    joined = forms.dot_interaction(g, features, pooled)
    width = DIM + (len(rows) + 1) * len(rows) // 2
    g.output("prob", TensorProto.FLOAT, ["batch", 1])
    top = _layers(rng, (width, *TOP))
    forms.mlp(g, joined, top, scope="/top_l", last="Sigmoid", out="prob")
    layers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in g.initializers}
    g.initializers = []
    ends: dict[str, int] = {}

    def outside(name: str, dims: Sequence[int], file: str) -> TensorProto:
        start, size = ends.get(file, 0), 4 * int(np.prod(dims, dtype=np.int64))
        ends[file] = start + -(-size // 4096) * 4096  # aligned to pages, as exporters do
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", start), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        g.initializers.append(tensor)
        if with_data:
            with (folder / file).open("ab") as stream:
                stream.seek(start)
                stream.truncate(start)
                for part in _values(name, dims, layers, rng):
                    part.tofile(stream)
        return tensor

    for name, array in layers.items():
        outside(name, array.shape, "layers.bin")
    for number, (name, count) in enumerate(zip(external, rows, strict=True)):
        outside(name, (count, DIM), f"tables_{number % FILES}.bin")
    model = helper.make_model(
        g.graph("dlrm"), opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="cimc.bench"
    )
    onnx.save(model, folder / "model.onnx")
    return Size(DIM * sum(rows) + sum(array.size for array in layers.values()))


def _layers(rng: np.random.Generator, sizes: Sequence[int]) -> list[tuple[Any, Any]]:
    return [
        ((rng.standard_normal((n, k)) / np.sqrt(k)).astype(np.float32), np.zeros(n, np.float32))
        for k, n in itertools.pairwise(sizes)
    ]


def _values(
    name: str, dims: Sequence[int], layers: dict[str, Any], rng: np.random.Generator
) -> Iterator[Any]:
    if name in layers:
        yield layers[name]
        return
    for start in range(0, dims[0], _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, dims[0] - start)
        part = rng.standard_normal((count, dims[1]), dtype=np.float32)
        part *= np.float32(0.1)
        yield part


def requests(scale: float, count: int = 64, seed: int = 0) -> dict[str, Any]:
    """Random requests of the model built at ``scale``."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {"dense": rng.standard_normal((count, DENSE)).astype(np.float32)}
    for number, rows in enumerate(rows_at(scale)):
        arrays[f"ids_{number}"] = rng.integers(0, rows, count)
    return arrays


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
    from cimc.target.loader import load_target
    from cimc.target.overrides import with_overrides

    target = load_target("tsinghua28")
    array, tiles = target.array, target.n_tiles // target.system.chips
    side_by_side = array.cols // (DIM * target.slices(8))
    arrays = -(-rows // array.rows) / side_by_side * 1.05 + 100
    return with_overrides(target, {"system.chips": int(arrays / (tiles * target.tile.arrays)) + 2})


def compile_model(folder: Path, scale: float, weights: str | None, calibrated: bool) -> Measured:
    """Compile ``model.onnx`` and save the program."""
    from cimc import api

    target = large_target(sum(rows_at(scale)))
    clock, before = _Clock(), peak_bytes()
    calib = requests(scale) if calibrated else None
    options: dict[str, Any] = {} if weights is None else {"weights": weights}
    program = api.compile(folder / "model.onnx", target, calib, **options)
    program.save(folder / "model.cimc")
    size = (folder / "model.cimc").stat().st_size
    return Measured(*clock.read(), before, peak_bytes(), _peak_of_children(), size)


def run_program(folder: Path, scale: float) -> Measured:
    """Load the program and run it on random requests."""
    from cimc import api

    clock, before = _Clock(), peak_bytes()
    api.Program.load(folder / "model.cimc").run(requests(scale))
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
    size = build(folder, scale, with_data=not generated)
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
