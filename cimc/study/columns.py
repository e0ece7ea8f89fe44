"""Columns of a study, what they are called and how they are shown; CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cimc.errors import CimcError
from cimc.metrics.intervals import multiplicity
from cimc.report.blocks import Block, table
from cimc.study.results import Row
from cimc.support.io.files import atomic_file, write_atomically
from cimc.support.quantities import count, joules, percent, rate, seconds, share, size


@dataclass(frozen=True)
class Column:
    """A figure that every case has: its key, its meaning with unit, and how a terminal shows it.

    ``text``: whether it holds texts (or lists, in files as JSON) rather than numbers.
    """

    key: str
    meaning: str
    heading: str = ""
    show: Callable[[Any], str] = str
    text: bool = False


def _gap(value: float) -> str:
    return f"{100 * value:.2f} %"


COLUMNS: tuple[Column, ...] = (
    Column("model", "workload", "model", text=True),
    Column("target", "target as given", "target", text=True),
    Column("strategy", "mapping strategy", "strategy", text=True),
    Column("seed", "seed of everything random", ">seed"),
    Column("pipeline", "passes with all options", text=True),
    Column("plugins", "plug-ins that took part: name, version and digest of each", text=True),
    Column("chips", "chips of the target", ">chips", count),
    Column("instances", "instances of the dense part of the model", ">instances", count),
    Column("requests", "requests executed"),
    Column("macs_on_chip", "share of the model's MACs that arrays do", ">MACs on chip", share),
    Column("lookups_on_chip", "share of the looked-up values from tables on chip", ">lookups on chip", share),
    Column("on_chip", "who does how many MACs and looked-up values, what is not counted", text=True),
    Column("warning", "the first node on the host that keeps a share below 99 %, and why", text=True),
    Column("throughput_rps", "requests per second of the timing simulation", ">throughput", rate),
    Column("throughput_rps_low", "the 95 % interval of the steady state's throughput, from", ">from", rate),
    Column("throughput_rps_high", "and to; empty where the run has no steady state", ">to", rate),
    Column("latency_p50_ns", "median latency of a request, ns", ">p50", seconds),
    Column("latency_p95_ns", "95th percentile of the latency, ns", ">p95", seconds),
    Column("latency_p99_ns", "99th percentile of the latency, ns", ">p99", seconds),
    Column(
        "latency_p99_ns_low",
        "the 95 % interval of the 99th percentile, from; empty as above, or with few latencies beyond it",
    ),
    Column("latency_p99_ns_high", "and to"),
    Column(
        "no_steady_state",
        "why the run has no steady state, whose figures are then of the whole run",
        text=True,
    ),
    Column("bottleneck", "the resource that is busiest", "bottleneck", text=True),
    Column("bottleneck_busy", "share of the simulated time that it is busy"),
    Column("energy_pj", "dynamic energy per request, pJ", ">energy", joules),
    Column("energy_parts_pj", "the energy by part, pJ", text=True),
    Column("array_energy_pj", "the part of arrays and converters, pJ"),
    Column("static_w", "power that does not depend on the load, W; empty where none is stated"),
    Column(
        "activations", "array activations per request, layers and lookups", ">activations", "{:.1f}".format
    ),
    Column("hop_bits", "bits times router hops per request", ">bit hops", "{:,.0f}".format),
    Column("arrays", "arrays in use"),
    Column("utilisation", "share of the cells of those arrays that hold a weight", ">cells used", percent),
    Column("load", "largest expected load of a tile, as the placement counts it"),
    Column("load_bound", "lower bound on it"),
    Column("load_gap", "load / bound - 1", ">load gap", _gap),
    Column("hops", "expected traffic x distance of the placement, bit hops per request"),
    Column("hops_bound", "lower bound on it"),
    Column("produced_by", "the method that gave the placement", text=True),
    Column("instructions", "static instructions of one request"),
    Column("area_mm2", "area of the arrays and tiles in use, mm2"),
    Column("compile_seconds", "wall time of the compilation, s", ">compile", "{:.1f} s".format),
    Column("compile_cpu_seconds", "processor time of the compilation, s"),
    Column("peak_bytes", "peak resident memory of compilation and run", ">memory", size),
    Column(
        "tile_busy", "busy time of the busiest unit of each tile of the first chip, ns per request", text=True
    ),
    Column("mesh", "tiles across and down", text=True),
    Column("error", "code and message of the error, for a case that could not be done", "error", text=True),
)
"""In the order of files; those with a heading are shown on a terminal."""


def blocks(rows: Sequence[Row], baseline: str | None) -> list[Block]:
    """The rows as a table a model and target, and each strategy against ``baseline``."""
    shown = [c for c in COLUMNS if c.heading and c.key not in ("model", "target", "error")]
    out: list[Block] = []
    for model, target in dict.fromkeys((row["model"], row["target"]) for row in rows):
        mine = [row for row in rows if (row["model"], row["target"]) == (model, target)]
        cells = []
        for row in mine:
            line = [_cell(column, row) for column in shown]
            if row.get("error"):
                line[-1] = row["error"]
            cells.append(line + _against(row, mine, baseline))
        ratios = [">speed-up", ">energy ratio"] if baseline else []
        out.append(table(f"{model} on {target}", [c.heading for c in shown] + ratios, cells))
    return out


def remarks(rows: Sequence[Row]) -> list[str]:
    """What a reader of a comparison must know: how many are compared, and which runs were too short."""
    done = [row for row in rows if not row.get("error")]
    found = [
        f"{row['model']} / {row['target']} / {row['strategy']}: no interval: {row['no_steady_state']}"
        for row in done
        if row.get("no_steady_state")
    ]
    many = multiplicity(len(done))
    return [*([many] if many else []), *_unlike(done), *found]


def _unlike(rows: Sequence[Row]) -> list[str]:
    """Models of which strategies make other numbers of instances: throughputs say that above all."""
    found: dict[tuple[Any, Any], dict[int, set[str]]] = {}
    for row in rows:
        if row.get("instances"):
            mine = found.setdefault((row["model"], row["target"]), {})
            mine.setdefault(row["instances"], set()).add(row["strategy"])
    return [
        f"{model} / {target}: not the same number of instances ("
        + "; ".join(f"{n}: {', '.join(sorted(names))}" for n, names in sorted(by_count.items()))
        + "): throughputs compare that more than where things lie"
        for (model, target), by_count in found.items()
        if len(by_count) > 1
    ]


def _cell(column: Column, row: Row) -> str:
    value = row.get(column.key)
    return "-" if value is None else column.show(value)


def _against(row: Row, rows: Sequence[Row], baseline: str | None) -> list[str]:
    """Throughput and energy relative to the baseline of the same seed (or its first seed)."""
    if baseline is None:
        return []
    same = [r for r in rows if r["strategy"] == baseline and not r.get("error")]
    other = next((r for r in same if r["seed"] == row["seed"]), same[0] if same else None)
    if other is None or row.get("error"):
        return ["-", "-"]
    return [
        f"{row[key] / other[key]:.2f}x" if row.get(key) and other.get(key) else "-"
        for key in ("throughput_rps", "energy_pj")
    ]


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line a case; what is no number or text is JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([c.key for c in COLUMNS])
    for row in rows:
        writer.writerow([_plain(row.get(c.key)) for c in COLUMNS])
    write_atomically(path, text.getvalue())


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def require_parquet() -> None:
    """Make sure that Parquet can be written, before the work starts.

    Raises:
        CimcError: ``study.no-duckdb``.
    """
    try:
        import duckdb  # noqa: F401
    except ImportError:
        raise CimcError(
            "study.no-duckdb",
            "Parquet is written by duckdb, which is not installed",
            hint="pip install 'cimc[sweep]'; CSV needs nothing",
        ) from None


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """The same as a Parquet file.

    Raises:
        CimcError: ``study.no-duckdb``, ``io.cannot-write``.
    """
    require_parquet()
    import tempfile

    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "rows.json", Path(folder) / "rows.parquet"
        source.write_text("".join(json.dumps(_flat(row)) + "\n" for row in rows))
        session = duckdb.connect()
        kinds = {c.key: "VARCHAR" if c.text else "DOUBLE" for c in COLUMNS}
        session.execute(
            f"COPY (SELECT * FROM read_json('{source}', format='newline_delimited', columns={kinds})) "
            f"TO '{made}' (FORMAT parquet)"
        )
        session.close()
        with atomic_file(path) as file:
            file.write(made.read_bytes())


def _flat(row: Row) -> Row:
    return {
        c.key: json.dumps(v, sort_keys=True) if isinstance(v := row.get(c.key), dict | list) else v
        for c in COLUMNS
    }
