"""What grouping, residence, chips and reduction tiles change: Criteo Kaggle at a share of its rows.

    python -m bench.mapping.residency [--scale 0.1] [--seen 20000] [--run 4096] [--only N,...] [--data]

Compiles a DLRM of that shape (26 tables of 16 columns) for ``tsinghua28`` with as many
chips as its rows take, under several pipelines.  One id a bag, Zipf 0.85, ranks shuffled.  Decisions rest on
``--seen`` requests, figures on a run of ``--run`` others.  Prints per pipeline: energy, throughput and
latency of the analytic cost model, the bottleneck, reads per request by memory, processor seconds of all
passes and peak resident memory of the process so far.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.frontend.size import KAGGLE, large_target, peak_bytes
from bench.production import build, requests
from cimc.api import prepare
from cimc.cost import estimate
from cimc.ir import rec
from cimc.ir.context import Access
from cimc.ir.types import symbol
from cimc.sim.executor import Simulator
from cimc.support.random.draws import permuted
from cimc.support.random.splitmix import key_of
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.workload.traces.zipf import zipf

SHARD, SPREAD = "shard{converter_parallelism=0.2},choose-adc-steps", "schedule{reduction_tiles=spread},lower"
PIPELINES = (
    "quantize,shard,choose-adc-steps,place,schedule,lower",
    "quantize,group,shard,choose-adc-steps,place,schedule,lower",
    "quantize,group,shard,choose-adc-steps,place{chips=near},schedule,lower",
    f"quantize,group,{SHARD},place{{chips=near}},schedule,lower",
    f"quantize,group,{SHARD},place{{chips=near}},{SPREAD}",  # the default
    f"quantize,group,{SHARD},assign-memory,place{{chips=near}},{SPREAD}",
    f"quantize,group,{SHARD},assign-memory{{chips=near}},place{{chips=near}},{SPREAD}",
    f"quantize,group,{SHARD},assign-memory{{chips=near}},place{{chips=near dense=anneal}},{SPREAD}",
    f"quantize,{SHARD},assign-memory{{policy=dram}},place{{chips=near}},{SPREAD}",
)
EXPONENT = 0.85


def ids(table: int, rows: int, first: int, count: int) -> NDArray[np.int64]:
    """Ids of ``count`` requests from number ``first`` on."""
    ranks = zipf(key_of(0, "ranks", table), np.arange(first, first + count), EXPONENT, rows)
    return permuted(key_of(0, "rows", table), ranks, rows)


def measure(
    folder: Path, scale: float, seen: int, run: int, pipeline: str, weights: str | None
) -> dict[str, Any]:
    """Compile and run under one pipeline."""
    rows = KAGGLE.rows_at(scale)
    target = large_target(sum(rows))
    start = time.process_time()
    module, ctx, line = prepare(
        folder / "model.onnx", target, requests(KAGGLE, scale), f"{FRONTEND},{pipeline}", weights=weights
    )
    Pipeline(line.passes[:2]).run(module, ctx)
    tables = [o for o in module.walk() if isinstance(o, rec.EmbeddingBagOp)]
    for number, op in enumerate(tables):
        read, counts = np.unique(ids(number, rows[number], 0, seen), return_counts=True)
        ctx.trace[symbol(op.table)] = Access(read, counts, seen)
    Pipeline(line.passes[2:]).run(module, ctx)
    spent = time.process_time() - start
    values = requests(KAGGLE, scale)
    batch = {k: np.resize(v, (run, *v.shape[1:])) for k, v in values.items()}
    for number in range(len(rows)):
        batch[f"ids_{number}"] = ids(number, rows[number], seen, run).reshape(batch[f"ids_{number}"].shape)
    _, activity = Simulator(ctx.program, target).run(batch, "exact")
    cost = estimate(ctx.program, target, activity)
    return {
        "pipeline": pipeline,
        "chips": target.system.chips,
        "energy_nj": cost.energy_pj / 1000,
        "requests_per_second": cost.throughput_rps,
        "latency_ns": cost.latency_ns,
        "bottleneck": cost.bottleneck,
        **{name: cost.events[f"lookup.rows.{name}"] for name in ("cells", "sram", "dram")},
        "crossing_bits": cost.events["host_link.bits"],
        "cpu_seconds": spent,
        "peak_bytes": peak_bytes(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--scale", type=float, default=0.1, help="share of the rows (default 0.1)")
    parser.add_argument("--seen", type=int, default=20_000, help="requests that decisions rest on")
    parser.add_argument("--run", type=int, default=4096, help="requests that are simulated")
    parser.add_argument("--only", help="numbers of the pipelines to measure, from 0")
    parser.add_argument(
        "--data", action="store_true", help="write float32 weights instead of generating them"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    given = parser.parse_args(arguments)
    chosen = [int(n) for n in given.only.split(",")] if given.only else range(len(PIPELINES))
    with tempfile.TemporaryDirectory(prefix="cimc-residency-") as folder:
        build(KAGGLE, Path(folder), given.scale, with_data=given.data)
        weights = None if given.data else "generated:0"
        for number in chosen:
            found = measure(Path(folder), given.scale, given.seen, given.run, PIPELINES[number], weights)
            print(json.dumps(found) if given.json else _text(found), flush=True)


def _text(found: dict[str, Any]) -> str:
    reads = ", ".join(f"{name} {found[name]:.2f}" for name in ("cells", "sram", "dram"))
    rate, latency = found["requests_per_second"] / 1e6, found["latency_ns"]
    return "\n  ".join(
        (
            found["pipeline"],
            f"{found['energy_nj']:.1f} nJ, {rate:.3f} M requests/s, {latency:.0f} ns; "
            f"bottleneck {found['bottleneck']}",
            f"reads: {reads}; {found['crossing_bits']:.0f} bits over host links, {found['chips']} chips; "
            f"{found['cpu_seconds']:.1f} s, peak {found['peak_bytes'] / 1e6:.0f} MB",
        )
    )


if __name__ == "__main__":
    main()
