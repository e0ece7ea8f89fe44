"""One case in a process of its own: compiled, executed, timed; memory is that process's alone.

``python -m cimc.study.case_process`` reads a case, and the plug-ins that its parent has loaded, as a line of
JSON from standard input and prints its row as JSON.  It ends when its standard input does: a parent that is
gone leaves no children behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cimc.errors import CimcError
from cimc.study.cases import Case
from cimc.study.results import Row
from cimc.support.load_plugin import load_again, loaded
from cimc.support.peak_memory import peak_bytes
from cimc.support.plugins.origin import Origin, Plugin, noting, records

KILLED = "study.killed"
"""Begins the ``error`` of a case whose process was ended from outside: of the machine, not of the case."""

_children: set[subprocess.Popen[str]] = set()


def measure(case: Case) -> Row:
    """The row of ``case``, from a child process; a user error, or its violent end, becomes ``error``.

    Raises:
        RuntimeError: when the child ends in a bug; all that it said is in the message.
    """
    command = [sys.executable, "-m", "cimc.study.case_process"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        _children.add(child)
        try:
            out, err = _talk(child, json.dumps({"case": case.to_json(), "plugins": loaded()}) + "\n")
        finally:
            _children.discard(child)
    if child.returncode < 0:  # the system ran out of memory, most likely
        return {
            **identity(case),
            "error": f"{KILLED}: its process was ended by signal {-child.returncode}",
        }
    if child.returncode != 0 or not out:
        said = err.strip() or f"exit code {child.returncode}"
        raise RuntimeError(f"{case.label}: {said}")
    row: Row = json.loads(out.splitlines()[-1])
    return row


def _talk(child: subprocess.Popen[str], line: str) -> tuple[str, str]:
    """Send a line and gather what comes back; standard input stays open until then (see the module)."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    said: list[str] = []
    reader = threading.Thread(target=lambda stream: said.append(stream.read()), args=(child.stderr,))
    reader.start()
    with suppress(BrokenPipeError):  # gone already: its last words say why
        os.write(child.stdin.fileno(), line.encode())
    out = child.stdout.read()
    reader.join()
    return out, said[0]


def stop_all() -> None:
    """End all children at once; their cases come back as killed."""
    for child in list(_children):
        child.kill()


def identity(case: Case) -> Row:
    """The columns that say which case a row is."""
    return {
        "model": case.workload.name,
        "target": case.target,
        "strategy": case.strategy.name,
        "seed": case.seed,
        "pipeline": case.strategy.pipeline,
    }


def run_case(case: Case) -> Row:
    """Measure in this process.

    Raises:
        CimcError: when the case cannot be done.
    """
    from cimc.workload.request_file import load_requests

    requests = load_requests(Path(case.workload.requests), 1 << 33)
    calib = load_requests(Path(case.workload.calib), 1 << 33) if case.workload.calib else requests
    wall, cpu = time.perf_counter(), time.process_time()
    used: dict[Origin, None] = {}
    with noting(used):  # the target's, too, which is not looked up by the compiler
        program = _compile(case, calib)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        **identity(case),
        "pipeline": program.data.header.pipeline,
        "plugins": [each._asdict() for each in records(used)],
        "compile_seconds": wall,
        "compile_cpu_seconds": cpu,
        **_placed(program),
        **_ran(program, case, requests),
        "peak_bytes": peak_bytes(),
    }


def _compile(case: Case, calib: dict[str, Any]) -> Any:
    """The program, on as many chips as it needs where the case leaves that open."""
    import cimc
    from cimc.study.named_pipelines import growing, seeded
    from cimc.target.load_target import load_target
    from cimc.target.overrides import with_overrides

    target, line = load_target(case.target), seeded(case.strategy.pipeline, case.seed)
    if case.chips and case.chips != target.system.chips:
        target = with_overrides(target, {"system.chips": case.chips})
    return cimc.compile(
        case.workload.model,
        target,
        calib,
        line if case.chips else growing(line),
        seed=case.seed,
        weights=case.workload.weights,
    )


def _placed(program: Any) -> Row:
    mapping = program.placement.get("mapping", program.placement)
    return {
        "chips": program.target.system.chips,
        "mesh": list(program.target.chip.mesh),
        "instructions": program.data.instruction_count,
        "load": mapping.get("bottleneck"),
        "load_bound": mapping.get("bound"),
        "load_gap": mapping.get("gap"),
        "hops": mapping.get("hops"),
        "hops_bound": mapping.get("hops_bound"),
        "produced_by": mapping.get("produced_by"),
    }


def _ran(program: Any, case: Case, requests: dict[str, Any]) -> Row:
    from cimc.cost import estimate
    from cimc.isa.jagged import jagged_in_program
    from cimc.timing import Arrivals, simulate
    from cimc.workload.first_requests import first_requests

    if case.limit:
        names = [name for name, _, _ in program.data.header.inputs]
        requests = first_requests(requests, names, jagged_in_program(program.data), case.limit)
    arrivals = Arrivals(in_flight=case.in_flight)
    timing, activity = simulate(program.data, program.target, requests, arrivals)
    cost = estimate(program.data, program.target, activity)
    events = cost.events
    tiles = [0.0] * program.target.tiles_per_chip
    for tile, (share, _) in timing.tile_loads().items():
        if tile < len(tiles):
            tiles[tile] = share * timing.makespan_ns / timing.requests
    return {
        "requests": timing.requests,
        "throughput_rps": timing.throughput_rps,
        **{f"latency_p{p}_ns": timing.percentile(p) for p in (50, 95, 99)},
        **_intervals(timing.steady),
        "bottleneck": timing.bottleneck,
        "bottleneck_busy": timing.loads[0].utilisation if timing.loads else 0.0,
        "tile_busy": tiles,
        "instances": program.data.period,
        "energy_pj": cost.energy_pj,
        "energy_parts_pj": {item.name: item.pj for item in cost.energy.items if item.pj},
        "array_energy_pj": cost.array_energy_pj,
        "static_w": cost.to_json().get("static_power", {}).get("watts"),
        "activations": events.get("mvm.blocks", 0.0) + events.get("lookup.activations", 0.0),
        "hop_bits": events.get("router.hop_bits", 0.0),
        **_shares(cost),
        "arrays": int(cost.area.counts["arrays_used"]),
        "utilisation": cost.area.counts["cells_used"],
        "area_mm2": cost.area.used_mm2,
    }


def _intervals(steady: Any) -> Row:
    figures = {"throughput_rps": steady.throughput, "latency_p99_ns": steady.percentiles[99]}
    found: Row = {"no_steady_state": steady.missing or None}
    for name, figure in figures.items():
        found[f"{name}_low"] = figure.low if figure else None
        found[f"{name}_high"] = figure.high if figure else None
    return found


def _shares(cost: Any) -> Row:
    found = cost.on_chip
    return {
        "macs_on_chip": found.macs.share,
        "lookups_on_chip": found.lookups.share,
        "on_chip": found.to_json(),
        "warning": found.warning,
    }


def main() -> None:
    """Read a case, print its row."""
    given = json.loads(sys.stdin.readline())
    case = Case.from_json(given["case"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a plug-in prints is no row
    try:
        load_again([(key, Plugin(*plugin)) for key, plugin in given["plugins"]])
        row = run_case(case)
    except CimcError as error:
        row = {**identity(case), "error": f"{error.code}: {error.message}"}
    print(json.dumps(row, allow_nan=False), file=answers)


def _end_with_parent() -> None:
    while os.read(0, 1):  # the descriptor itself: a thread inside of sys.stdin would hold up a normal exit
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
