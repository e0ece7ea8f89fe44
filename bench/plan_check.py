"""Plans beside full mappings: one from statistics, the other compiled with a trace and run on requests.

    python -m bench.plan_check [NAME ...]

``dlrm_small`` is the shipped model with its trace, run on its own requests.  The others are Criteo Kaggle's
table sizes at a share of their rows: a trace has the exact counts of a Zipf law, and requests are drawn from
it.  Both are compiled by the default pipeline; what is compared is the bound on the throughput, the energy of
a request, and the chips that it takes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cimc
from bench.production import SHAPES
from cimc.cost import Cost
from cimc.study.planning.describe_model import describe_model
from cimc.study.planning.description import Description, tables_of_description
from cimc.study.planning.machine_plan import Plan, make_plan
from cimc.study.planning.stand_in import write_stand_in
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from cimc.workload.traces import Trace
from cimc.workload.traces.trace import TableTrace
from cimc.workload.traces.zipf import zipf

MODELS = Path(__file__).parents[1] / "models"
_REQUESTS = 10**12
"""Requests that a trace of exact counts is of."""


@dataclass(frozen=True)
class Both:
    """A plan and the full mapping of the same model, with CPU seconds of each."""

    plan: Plan
    cost: Cost
    seconds: tuple[float, float]

    @property
    def throughput(self) -> float:
        """The plan's, over that of the full mapping."""
        assert self.cost.throughput_rps is not None
        return self.plan.throughput_rps / self.cost.throughput_rps

    @property
    def energy(self) -> float:
        """Likewise, of a request."""
        return self.plan.energy_pj / self.cost.energy_pj


def kaggle(scale: float, exponent: float = 0.85) -> Description:
    """Criteo Kaggle's tables with a share of their rows."""
    shape = SHAPES["kaggle"]
    tables = tuple(
        {"name": f"t{k}", "rows": rows, "dim": shape.dim, "skew": exponent}
        for k, rows in enumerate(shape.rows_at(scale))
    )
    dense = {"features": shape.dense, "bottom": shape.bottom, "top": shape.top}
    return Description.model_validate({"name": f"kaggle {scale:g}", "dense": dense, "tables": tables})


def of_description(model: Description, target: Target, requests: int = 2048, seed: int = 0) -> Both:
    """Both ways, for a described model."""
    start = time.process_time()
    plan = make_plan(model, target, detail="blocks")
    middle = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path, tables = write_stand_in(model, Path(folder))
        trace = Trace({t.name: _exact(t.name, t.of.rows, t.of.skew or 0.0, t.of.pooling) for t in tables})
        program = cimc.compile(path, target, weights="generated:0", trace=trace)
    cost = program.run(_drawn(model, requests, seed)).cost
    return Both(plan, cost, (middle - start, time.process_time() - middle))


def of_dlrm_small() -> Both:
    """Both ways, for the shipped model."""
    model, trace = MODELS / "dlrm_small.onnx", Trace.load(MODELS / "dlrm_small.trace.npz")
    start = time.process_time()
    plan = make_plan(describe_model(model, trace), load_target("tsinghua28"), detail="blocks")
    middle = time.process_time()
    with np.load(MODELS / "dlrm_small.calib.npz") as file:
        program = cimc.compile(model, "tsinghua28", dict(file), trace=trace)
    with np.load(MODELS / "dlrm_small.requests.npz") as file:
        cost = program.run(dict(file)).cost
    return Both(plan, cost, (middle - start, time.process_time() - middle))


def _exact(name: str, rows: int, exponent: float, pooling: float) -> TableTrace:
    weight = np.arange(1.0, rows + 1) ** -exponent
    counts = np.rint(weight / weight.sum() * pooling * _REQUESTS).astype(np.int64)
    return TableTrace(name, rows, _REQUESTS, np.arange(rows), counts)


def _drawn(model: Description, requests: int, seed: int) -> dict[str, np.ndarray]:
    """Requests whose bags are all alike, drawn from the Zipf laws."""
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((requests, model.dense.features)).astype(np.float32)
    arrays: dict[str, np.ndarray] = {"dense": dense}
    for number, table in enumerate(tables_of_description(model)):
        many, law = int(table.of.pooling), table.of
        ids = zipf(seed + number + 1, np.arange(requests * many), law.skew or 0.0, law.rows)
        arrays[f"{table.name}.ids"] = ids if many == 1 else ids.reshape(requests, many)
    return arrays


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a model."""
    one = load_target("tsinghua28")
    ways = {
        "dlrm_small": of_dlrm_small,
        "kaggle-1": lambda: of_description(kaggle(0.01), one),
        "kaggle-10": lambda: of_description(kaggle(0.1), one),
        "kaggle-100": lambda: of_description(kaggle(1.0), with_overrides(one, {"system.chips": 10})),
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ways)}; all but the last")
    given = parser.parse_args(arguments)
    print("| model | chips | M requests/s: plan | full | nJ: plan | full | CPU s: plan | full | peak GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in given.names or list(ways)[:-1]:
        both = ways[name]()
        plan, full = both.plan, both.cost
        assert full.throughput_rps is not None
        print(
            f"| {name} | {plan.chips} | {plan.throughput_rps / 1e6:.2f} ({both.throughput - 1:+.1%})"
            f" | {full.throughput_rps / 1e6:.2f} | {plan.energy_pj / 1e3:.1f}"
            f" ({both.energy - 1:+.1%}) | {full.energy_pj / 1e3:.1f} | {both.seconds[0]:.1f} |"
            f" {both.seconds[1]:.1f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
