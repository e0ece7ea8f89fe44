"""A measured baseline for people."""

from __future__ import annotations

from cimc.report.blocks import Block, facts, table
from cimc.study.baseline.records import Baseline
from cimc.support.quantities import count, engineering, seconds


def baseline_blocks(found: Baseline) -> list[Block]:
    """The machine, a table of all rows, and what was left out."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    lines: list[tuple[str, object]] = [
        ("model", f"{found.model}, {found.model_digest[:12]}"),
        ("requests", f"{count(found.requests)}, {found.requests_digest[:12]}"),
        ("cpu", f"{found.cpu}, {found.cores} cores for this process"),
        ("versions", versions),
        ("power", found.power),
    ]
    lines.append(("method", found.method))
    if found.fused_error is not None:
        error = f"at most {found.fused_error:.2g} of the peak away from onnxruntime's"
        lines.append(("fused", f"outputs are {error}, on all requests"))
    if found.int8_error is not None:
        error = f"up to {found.int8_error:.2g} of the peak away from those of fp32"
        lines.append(("int8", f"outputs are {error}, on up to 256 requests"))
    lines += [("note", text) for text in found.notes]
    best = found.best("requests_per_s")
    if best is not None:
        lines.append(("fastest", f"{count(round(best.requests_per_s))} requests/s: {best.label}"))
    rows = [
        (
            row.engine,
            row.ids,
            row.batch,
            row.threads,
            row.streams,
            count(round(row.requests_per_s)),
            count(round(row.low)),
            count(round(row.best)),
            seconds(row.latency_p50_s * 1e9),
            seconds(row.latency_p99_s * 1e9),
            engineering(row.watts, "W"),
            engineering(row.requests_per_joule, "/J"),
        )
        for row in found.rows
    ]
    columns = (
        "engine", "ids", ">batch", ">threads", ">streams", ">requests/s", ">lowest", ">best", ">call p50",
        ">call p99", ">power", ">requests/J",
    )  # fmt: skip
    title = f"Requests per second: median, lowest and best of {found.repeats} stretches"
    return [facts("CPU at hand", lines), table(title, columns, rows)]
