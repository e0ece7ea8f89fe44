"""The analytic bound on throughput beside what a full machine does in the simulation.

    python -m bench.estimate [--json] [--in-flight N] [--requests N] [--target NAME] [--pipeline P] [MODEL]...

Each model is compiled with its recorded requests.  Thousands, each drawn from these at random, then go
through the simulation, in a closed loop of so many that the machine is full: at least four times what would
be in flight at the bound if nobody waited (Little's law).  ``ratio`` is simulated / bound,
where simulated are all requests by the time from the first arrival to the last completion, less what one
alone takes, in which the machine fills and drains.
Without MODEL: the models of ``models/``, and of ``../shared/corpus`` where that is.
Exits with 1 when a ratio is further than 5 % from 1 and no reason is known.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cimc
from cimc.cost import estimate
from cimc.host.runtime import run_onnx
from cimc.interpreter.bags import bags_of, chosen
from cimc.isa.program import ChipSegment, Program
from cimc.sim.executor import Simulator
from cimc.timing import Arrivals
from cimc.timing.simulation import simulate_visits
from cimc.timing.visits import Recorder
from cimc.transforms.pipeline import DEFAULT_PIPELINE

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
TOLERANCE = 0.05
_FULL = 4
REASONS: dict[str, str] = {}
"""Model -> why its ratio is further from 1."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        instances: requests after which instances come round.
        bound_rps: analytic, requests a second; ``limit``: the unit that sets it.
        machine_rps: what no mapping of this work exceeds; ``machine_limit``: the part that sets it.
        simulated_rps: all requests by the time that they took, less that of one alone.
        steady_rps: completions a second of the steady state, and its 95 % interval; ``None`` where a run
            does not settle.
    """

    model: str
    instances: int
    bound_rps: float
    limit: str
    machine_rps: float
    machine_limit: str
    simulated_rps: float
    steady_rps: tuple[float, float, float] | None
    reason: str = ""

    @property
    def ratio(self) -> float:
        """Simulated / bound."""
        return self.simulated_rps / self.bound_rps


def recorded(model: Path) -> tuple[Arrays, Arrays]:
    """Calibration requests, and those to draw from."""
    calib, requests = (model.with_name(f"{model.stem}.{part}.npz") for part in ("calib", "requests"))
    if calib.exists():
        with np.load(calib) as one, np.load(requests) as other:
            return dict(one), dict(other)
    with np.load(model.with_suffix(".npz")) as file:
        inputs = {name.removeprefix("in__"): file[name] for name in file if name.startswith("in__")}
    return inputs, inputs


def drawn(program: Program, requests: Arrays, count: int, seed: int = 0) -> tuple[Program, Arrays]:
    """``count`` requests, each one of ``requests``, and the chip's part of the program, which takes them.

    Host segments before it are executed once; what enters the chip is what is drawn from.

    Raises:
        ValueError: for a program whose chip segments are not one after the other.
    """
    values, first = dict(requests), 0
    while not isinstance(segment := program.segments[first], ChipSegment):
        given = {inner: values[outer] for inner, outer in segment.inputs}
        made = run_onnx(program.data[segment.model].tobytes(), given, [inner for inner, _ in segment.outputs])
        values |= {outer: made[inner] for inner, outer in segment.outputs}
        first += 1
    if not all(isinstance(s, ChipSegment) for s in program.segments[first:]):
        raise ValueError(f"{program.header.model}: a host segment behind one of the chip")
    sources = {port.value: port for s in program.chip_segments for port in s.inputs if port.value in values}
    ids = {
        name: bags_of(values[name], values[port.offsets], values.get(port.weights), port.layout, "sum", name)
        for name, port in sources.items()
        if port.offsets
    }
    sizes = {len(ids[name].starts) - 1 if name in ids else len(values[name]) for name in sources}
    (size,) = sizes
    which = np.random.default_rng(seed).integers(0, size, count)
    out: Arrays = {}
    for name, port in sources.items():
        if name not in ids:
            for each in filter(None, (name, port.weights)):
                out[each] = values[each][which]
            continue
        bags = chosen(ids[name], which)
        out[name] = bags.ids.astype(values[name].dtype)
        starts = bags.starts if port.layout == "offsets_end" else bags.starts[:-1]
        out[port.offsets] = starts.astype(values[port.offsets].dtype)
        if bags.weights is not None:
            out[port.weights] = bags.weights.astype(values[port.weights].dtype)
    inputs = tuple((name, array.dtype.name, (-1, *array.shape[1:])) for name, array in out.items())
    last = program.segments[-1]
    assert isinstance(last, ChipSegment)
    outputs = tuple((port.value, port.value) for port in last.outputs)
    return replace(
        program,
        segments=program.segments[first:],
        header=replace(program.header, inputs=inputs, outputs=outputs),
    ), out


def measure(
    model: Path, in_flight: int, requests: int, target: str = "tsinghua28", pipeline: str = DEFAULT_PIPELINE
) -> Row:
    """One model at saturation."""
    calib, given = recorded(model)
    compiled = cimc.compile(model, target, calib, pipeline)
    program, arrays = drawn(compiled.data, given, requests)
    recorder = Recorder(program, compiled.target)
    _, activity = Simulator(program, compiled.target).run(arrays, "exact", observer=recorder)
    cost = estimate(program, compiled.target, activity)
    assert cost.throughput_rps is not None
    full = math.ceil(_FULL * cost.throughput_rps * cost.latency_ns * 1e-9)
    loop = Arrivals("closed", max(in_flight, full))
    found = simulate_visits(program, compiled.target, recorder, activity.requests, loop)
    rate = found.steady.throughput
    assert rate is not None
    filling = float(found.unloaded.mean())
    steady = None if rate.low is None or rate.high is None else (rate.value, rate.low, rate.high)
    return Row(
        model.stem, program.period, cost.throughput_rps, cost.bottleneck,
        cost.machine[0].throughput_rps, cost.machine[0].name,
        found.requests * 1e9 / (found.makespan_ns - filling), steady, REASONS.get(model.stem, ""),
    )  # fmt: skip


def models() -> list[Path]:
    """All that are here."""
    return [*sorted((ROOT / "models").glob("*.onnx")), *sorted(CORPUS.glob("*.onnx"))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in-flight", type=int, default=256, metavar="N")
    parser.add_argument("--requests", type=int, default=6400, metavar="N")
    parser.add_argument("--target", default="tsinghua28")
    parser.add_argument("--pipeline", default=DEFAULT_PIPELINE)
    options = parser.parse_args(arguments)
    rows = []
    if not options.json:
        print("| model | instances | bound, M/s | limit | simulated, M/s | ratio | steady state, M/s |")
        print("|---|---|---|---|---|---|---|")
    for model in options.models or models():
        row = measure(model, options.in_flight, options.requests, options.target, options.pipeline)
        rows.append(row)
        if not options.json:
            value, low, high = (f"{r / 1e6:.4g}" for r in row.steady_rps or (0.0, 0.0, 0.0))
            steady = f"{value} [{low}, {high}]" if row.steady_rps else "not settled"
            figures = f"{row.simulated_rps / 1e6:.4g} | {row.ratio:.3f} | {steady}"
            bound = f"{row.bound_rps / 1e6:.4g} | {row.limit}"
            print(f"| {row.model} | {row.instances} | {bound} | {figures} |", flush=True)
    if options.json:
        print(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=2))
    return int(any(abs(row.ratio - 1) > TOLERANCE and not row.reason for row in rows))


if __name__ == "__main__":
    sys.exit(main())
