"""Policies crossed with every factor of a mapping: ``python -m bench.mapping.crossed FOLDER``.

All cells of an instance (:mod:`bench.mapping.factors`) are compiled for the same target, with the same
calibration requests, and simulated with 64 requests in flight on requests that no policy has seen. Cells
whose programs are the same are simulated once. The best cell of each policy, by the first order of
requests, is simulated on four more orders (each a draw of its own from the recorded requests, the same for
all policies). With ``--sensitivity`` the default and the best of the others are compiled and simulated with
links, and vector units, of half and twice their rates as well; with ``--ablation`` the default with options
of passes changed one at a time. Throughput is the mean over orders with the 95 % interval of Student's t,
ratios are paired by order. The bound is what all units of a kind together, or the links across a cut, could
do with the work of that cell's requests.

``FOLDER`` keeps what is done; the same command goes on where it was stopped.  ``--json`` prints all as JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.mapping.factors import IN_FLIGHT, VARIANTS, Cell, crossed, pipeline
from bench.mapping.plot_crossed import draw
from bench.mapping.standard import SETS, prepare
from cimc.api import Program
from cimc.api import compile as compile_model
from cimc.cost import estimate
from cimc.cost.machine.machine_bounds import machine_bounds
from cimc.errors import CimcError
from cimc.isa.jagged import jagged_in_program
from cimc.metrics.intervals import student_t
from cimc.study.named_pipelines import growing
from cimc.study.results import Row, Store
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.timing import Arrivals, simulate
from cimc.workload.first_requests import JaggedInputs
from cimc.workload.request_file import load_requests

ORDERS, VARIANT_ORDERS = 5, 2
SCREEN, RUN = 512, 800
"""Requests of a run that chooses among cells, start and end included, and of one with a steady state."""
CONSTANTS = {
    f"{name} x{factor:g}": (field, factor)
    for name, field in (("links", "tile.link_gbps"), ("vector lanes", "tile.vector_lanes"))
    for factor in (0.5, 2.0)
}


class Instance(NamedTuple):
    """A set of :mod:`bench.mapping.standard` on a target."""

    set: str
    target: str

    @property
    def name(self) -> str:
        """As shown."""
        return f"{self.set} on {self.target}"


INSTANCES = (
    Instance("small", "tsinghua28"),
    Instance("small", "isaac32"),
    Instance("kaggle1", "tsinghua28"),
    Instance("kaggle", "tsinghua28"),
)


class Bench:
    """One instance: its requests, and what is done of it."""

    def __init__(self, instance: Instance, folder: Path, store: Store) -> None:
        self.instance, self.store = instance, store
        self.model = prepare(instance.set, folder / instance.set)
        self.calib, self.requests = (
            load_requests(self.model.parent / name, 1 << 33) for name in ("calib.npz", "requests.npz")
        )
        self.made: tuple[str, Program] | None = None

    def cell(self, cell: Cell, order: int, constants: str = "", count: int = SCREEN) -> Row:
        """The row of a cell: an ``error``, or its figures on ``count`` requests in an order."""
        key = " | ".join((self.instance.name, *cell, constants))
        twin = " | ".join((self.instance.name, *cell._replace(reduction="spread"), constants))
        if self.store.rows.get(twin, {}).get("instances", 1) > 1:
            # tiles of instances do all the work of a request: reduction tiles are no choice
            key, cell = twin, cell._replace(reduction="spread")
        row = self.store.rows.get(key) or self._compiled(key, cell, constants)
        if "error" in row:
            return row
        run = f"{self.instance.name} | {row['digest']} | {constants} | {count} requests, order {order}"
        if run not in self.store.rows:
            if self.made is None or self.made[0] != key:
                self._compile(key, cell, constants)
            assert self.made is not None
            self.store.add(run, self._simulated(self.made[1], order, count))
        return {**row, **self.store.rows[run]}

    def _compile(self, key: str, cell: Cell, constants: str) -> Program:
        target = load_target(self.instance.target)
        if constants:
            field, factor = CONSTANTS[constants]
            part, name = field.split(".")
            now = getattr(getattr(target, part), name)
            changed = float(now) * factor
            target = with_overrides(target, {field: int(changed) if isinstance(now, int) else changed})
        line, weights = growing(pipeline(cell)), "generated:0" if SETS[self.instance.set].shape else None
        program = compile_model(str(self.model), target, self.calib, line, weights=weights)
        self.made = key, program
        return program

    def _compiled(self, key: str, cell: Cell, constants: str) -> Row:
        start = time.process_time()
        try:
            program = self._compile(key, cell, constants)
        except CimcError as error:
            row: Row = {"error": str(error)}
        else:
            said = program.remarks.allocation
            row = {
                "digest": digest(program),
                "chips": program.target.system.chips,
                "instances": program.data.period,
                "places": 1 if said is None else said.places,
                "compile_cpu_seconds": time.process_time() - start,
            }
        self.store.add(key, row)
        return row

    def _simulated(self, program: Program, order: int, count: int) -> Row:
        start = time.process_time()
        inputs = [name for name, _, _ in program.data.header.inputs]
        bags = jagged_in_program(program.data)
        requests = drawn(self.requests, inputs, bags, count, order)
        timing, activity = simulate(program.data, program.target, requests, Arrivals(in_flight=IN_FLIGHT))
        cost = estimate(program.data, program.target, activity)
        busy = {load.unit: load.busy_ns / timing.requests for load in timing.loads}
        bound = machine_bounds(busy, program.target)[0]
        return {
            "throughput_rps": timing.throughput_rps or timing.requests / timing.makespan_ns * 1e9,
            "steady": not timing.steady.missing,
            **{f"p{p}_ns": timing.percentile(p) for p in (50, 99)},
            "energy_pj": cost.energy_pj,
            "bottleneck": timing.bottleneck,
            "bound_rps": bound.throughput_rps,
            "bound": bound.name,
            "simulate_cpu_seconds": time.process_time() - start,
        }


def digest(program: Program) -> str:
    """Programs with equal digests do the same: their tables of blocks and copies, and their streams."""
    made = hashlib.sha256(repr(program.data.chip_segments).encode())
    for name, array in sorted(program.data.data.items()):
        made.update(name.encode())
        made.update(np.ascontiguousarray(array).tobytes())
    made.update(str(program.target.system.chips).encode())
    return made.hexdigest()[:16]


def drawn(
    requests: dict[str, Any], inputs: Sequence[str], bags: Sequence[JaggedInputs], count: int, order: int
) -> dict[str, Any]:
    """``count`` of the recorded requests, in the order that draw number ``order`` puts them in."""
    loose = {name for bag in bags for name in (bag.ids, bag.weights, bag.offsets)}
    plain = [name for name in inputs if name not in loose]
    total = len(requests[plain[0]])
    chosen = np.random.default_rng(order).permutation(total)[:count]
    found = {name: requests[name][chosen] for name in plain}
    for bag in bags:
        start = requests[bag.offsets][:total].astype(np.int64)
        ends = np.append(start[1:], len(requests[bag.ids]))
        length = (ends - start)[chosen]
        first = np.cumsum(length) - length
        at = np.repeat(start[chosen] - first, length) + np.arange(int(length.sum()))
        offsets = np.append(first, length.sum()) if bag.layout == "offsets_end" else first
        found[bag.offsets] = offsets.astype(requests[bag.offsets].dtype)
        for name in filter(None, (bag.ids, bag.weights)):
            found[name] = requests[name][at]
    return found


def mean(values: Sequence[float]) -> dict[str, float]:
    """Mean and the 95 % interval of Student's t."""
    x = np.array(values)
    half = student_t(x.size - 1) * float(x.std(ddof=1)) / x.size**0.5 if x.size > 1 else float("nan")
    return {"value": float(x.mean()), "low": float(x.mean()) - half, "high": float(x.mean()) + half}


def compare(bench: Bench, orders: int, sensitivity: bool, ablation: bool) -> dict[str, Any]:
    """All of an instance."""
    chips = bench.cell(Cell("default"), 0).get("chips", 1) > 1
    cells = [(cell, bench.cell(cell, 0)) for cell in crossed(chips)]  # `spread` first
    good = [(cell, row) for cell, row in cells if "error" not in row]
    best: dict[str, Cell] = {}
    for cell, _ in sorted(good, key=lambda pair: -pair[1]["throughput_rps"]):
        best.setdefault(cell.policy, cell)
    own = Cell("default")
    # the default pipeline itself stands for its policy; its other cells are ablations
    best["default"] = own
    runs = {name: [bench.cell(cell, k, count=RUN) for k in range(orders)] for name, cell in best.items()}
    screened = [bench.cell(own, k)["throughput_rps"] for k in range(VARIANT_ORDERS)]
    rates = {name: [row["throughput_rps"] for row in rows] for name, rows in runs.items()}
    found: dict[str, Any] = {
        "instance": bench.instance.name,
        "cells": [{**row, **cell._asdict()} for cell, row in cells],
        "policies": {
            name: {
                "cell": best[name]._asdict(),
                "throughput_rps": mean(rates[name]),
                "relative": mean([a / b for a, b in zip(rates[name], rates["default"], strict=True)]),
                **{key: runs[name][0][key] for key in ("instances", "places", "chips")},
                **{key: runs[name][0][key] for key in ("bottleneck", "bound")},
                "steady": all(row["steady"] for row in runs[name]),
                **{
                    key: float(np.mean([row[key] for row in runs[name]]))
                    for key in ("p50_ns", "p99_ns", "energy_pj", "bound_rps")
                },
            }
            for name in best
        },
    }  # fmt: skip
    others = sorted((n for n in best if n != "default"), key=lambda n: -np.mean(rates[n]))
    if sensitivity and others:
        found["sensitivity"] = {
            constants: {
                name: bench.cell(best[name], 0, constants).get("throughput_rps")
                for name in ("default", others[0])
            }
            for constants in CONSTANTS
        }
    if ablation:
        found["variants"] = {
            variant: _variant(bench, own._replace(variant=variant), screened) for variant in VARIANTS
        }
    return found


def _variant(bench: Bench, cell: Cell, default: list[float]) -> dict[str, Any]:
    rows = [bench.cell(cell, k) for k in range(len(default))]
    if "error" in rows[0]:
        return {"error": rows[0]["error"]}
    energy = float(np.mean([row["energy_pj"] for row in rows]))
    relative = mean([row["throughput_rps"] / d for row, d in zip(rows, default, strict=True)])
    return {"relative": relative, "energy_pj": energy}


def shown(found: dict[str, Any]) -> str:
    """Tables in Markdown."""
    lines = [f"### {found['instance']}", ""]
    lines += [
        "| policy | best of its cells | R | M requests/s | relative to default | p99, us | nJ | of its bound "
        "| limit |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, row in sorted(found["policies"].items(), key=lambda p: -p[1]["throughput_rps"]["value"]):
        rate, ratio = row["throughput_rps"], row["relative"]
        width = (rate["high"] - rate["low"]) / 2e6
        lines.append(
            f"| {name} | {Cell(**row['cell']).factors} | {row['instances']} "
            f"| {rate['value'] / 1e6:.2f} ± {width:.2f} | {ratio['value']:.3f} "
            f"({ratio['low']:.3f} to {ratio['high']:.3f}) | {row['p99_ns'] / 1e3:.2f} "
            f"| {row['energy_pj'] / 1e3:.0f} | {rate['value'] / row['bound_rps']:.0%} of {row['bound']} "
            f"| {row['bottleneck']} |"
        )
    lines += ["", "| " + " | ".join(("policy", *_levels(found))) + " |"]
    lines.append("|---|" + "---:|" * len(_levels(found)))
    table: dict[str, dict[str, str]] = {}
    for cell in found["cells"]:
        text = (
            "does not fit" if "error" in cell else f"{cell['throughput_rps'] / 1e6:.2f} ({cell['instances']})"
        )
        table.setdefault(cell["policy"], {})[_level(cell)] = text
    for name, row in table.items():
        lines.append("| " + " | ".join((name, *(row[level] for level in _levels(found)))) + " |")
    if "sensitivity" in found:
        names = list(next(iter(found["sensitivity"].values())))
        lines += ["", "| M requests/s with | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        for constants, rates in found["sensitivity"].items():
            cells = [f"{rate / 1e6:.2f}" if rate else "does not fit" for rate in rates.values()]
            lines.append("| " + " | ".join((constants, *cells)) + " |")
    if "variants" in found:
        lines += ["", "| default but for | throughput | nJ |", "|---|---:|---:|"]
        for variant, row in found["variants"].items():
            if "error" in row:
                lines.append(f"| {variant} | {row['error']} | |")
                continue
            ratio = row["relative"]
            lines.append(
                f"| {variant} | {ratio['value']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f}) "
                f"| {row['energy_pj'] / 1e3:.0f} |"
            )
    return "\n".join(lines)


def _level(cell: dict[str, Any]) -> str:
    return ", ".join(str(cell[name]) for name in ("widths", "tables", "reduction", "chips"))


def _levels(found: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(_level(cell) for cell in found["cells"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--instance", action="append", help="such as small/isaac32; default: all")
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument(
        "--sensitivity", action="store_true", help="half and twice the links and vector lanes"
    )
    parser.add_argument("--ablation", action="store_true", help="options of passes, one at a time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    store = Store(given.folder / "crossed.jsonl")
    every = {f"{each.set}/{each.target}": each for each in INSTANCES}
    results = []
    for name in given.instance or every:
        bench = Bench(every[name], given.folder, store)
        found = compare(bench, given.orders, given.sensitivity, given.ablation)
        results.append(found)
        if not given.json:
            print(shown(found), flush=True)
    if given.json:
        print(json.dumps(results, indent=1))
    draw(results, given.folder / "crossed.svg")


if __name__ == "__main__":
    main()
