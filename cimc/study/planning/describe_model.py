"""The statistics of a model that is at hand: its layers and tables from ONNX, reads from a trace."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from xdsl.ir import Operation, SSAValue

from cimc.errors import Location
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.interpreter.evaluate import main_function
from cimc.ir import rec
from cimc.ir.text import new_context
from cimc.ir.types import symbol
from cimc.study.planning.description import DOCS, Description, PlanError, load_description
from cimc.support.io.files import write_atomically
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.workload.traces import Trace
from cimc.workload.traces.trace import TableTrace

_GROUPS = 12
_PER_OCTAVE = 4
"""Steps of a measured distribution while the number of rows doubles."""


def described(path: Path, trace: Path | None, weights: str | None = None) -> Description:
    """The description in a file, or of an ONNX model and the trace of its tables.

    Raises:
        PlanError: ``plan.no-trace`` for an ONNX model without a trace; as the functions that it calls.
    """
    if path.suffix != ".onnx":
        return load_description(path)
    if trace is None:
        raise PlanError(
            "plan.no-trace",
            "how the tables of an ONNX model are read is not known",
            location=Location(file=str(path)),
            hint="give --trace; cimc trace counts accesses",
        )
    return describe_model(path, Trace.load(trace), weights)


def describe_model(path: Path, trace: Trace, weights: str | None = None) -> Description:
    """The description of the model at ``path`` whose tables are read as ``trace`` says.

    Raises:
        PlanError: ``plan.not-described`` for a model of another kind, or whose tables the trace lacks.
    """
    loaded = load_model(path, weights=weights)
    ctx = new_context()
    module = import_model(loaded, ctx)
    Pipeline.parse(FRONTEND).run(module, ctx)
    bottom: list[rec.LinearOp] = []
    top: list[rec.LinearOp] = []
    bags: list[rec.EmbeddingBagOp] = []
    behind: set[SSAValue] = set()
    dot = False
    for op in main_function(module).body.block.ops:
        if isinstance(op, rec.EmbeddingBagOp):
            bags.append(op)
            behind.update(op.results)
        elif _reads(op, behind):
            behind.update(op.results)
        if isinstance(op, rec.LinearOp):
            (top if _reads(op, behind) else bottom).append(op)
        dot |= isinstance(op, rec.DotInteractionOp)
    if not bags or not bottom or not top:
        raise _other(path, "it has no layers before tables and behind them")
    sizes = [(_inputs(op), op.units.value.data) for op in top]
    cross = 0
    if not dot:
        while sizes[2 * cross + 1 :] and sizes[2 * cross] == sizes[2 * cross + 1][::-1]:
            cross += 1
    data: dict[str, Any] = {
        "name": path.stem,
        "dense": {
            "features": _inputs(bottom[0]),
            "bottom": tuple(op.units.value.data for op in bottom),
            "top": tuple(units for _, units in sizes[2 * cross :]),
        },
        "interaction": "dot" if dot else "cross" if cross else "concat",
        "tables": tuple(_table(op, trace, path) for op in bags),
    }
    if cross:
        data["cross"] = {"layers": cross, "rank": sizes[0][1]}
    found = Description.model_validate(data)
    made = [*((_inputs(op), op.units.value.data) for op in bottom), *sizes]
    if list(found.layers()) != made:
        raise _other(path, f"its layers are {made}, which no {found.interaction} interaction gives")
    return found


def save_description(model: Description, path: Path) -> None:
    """Write a description as YAML.

    Raises:
        CimcError: ``io.cannot-write``.
    """
    data = model.model_dump(mode="json", exclude_defaults=True)
    write_atomically(path, yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100))


def _reads(op: Operation, values: set[SSAValue]) -> bool:
    return any(value in values for value in op.operands)


def _inputs(op: rec.LinearOp) -> int:
    return rec.shape(op.x)[-1]


def _table(op: rec.EmbeddingBagOp, trace: Trace, path: Path) -> dict[str, Any]:
    name, rows = symbol(op.table), op.rows.value.data
    seen = trace.tables.get(name)
    if seen is None or not seen.lookups:
        raise _other(path, f"the trace says nothing of table {name}")
    fixed = op.layout.data == "fixed"
    dims = rec.shape(op.ids)
    many = math.prod(dims[1:]) if fixed else seen.lookups / max(seen.requests, 1)
    data: dict[str, Any] = {
        "name": name,
        "rows": rows,
        "dim": op.dim.value.data,
        "pooling": float(many),
        "lengths": "fixed" if fixed else measured_lengths(seen, many),
        "cdf": measured_steps(seen, rows),
    }
    if op.mode.data == "mean":
        data["mode"] = "mean"
    elif op.mode.data == "max" or (op.mode.data == "none" and many > 1) or op.weights is not None:
        raise _other(path, f"table {name} is read with mode {op.mode.data}")
    return data


def measured_steps(seen: TableTrace, rows: int) -> tuple[tuple[float, float], ...]:
    """Rows, and the share of reads of so many of the most read: of what was counted, in steps that grow.

    Rows that were not seen share what Good and Turing's estimate gives them, as in ``row_block_reads``.
    """
    counts = np.sort(seen.counts)[::-1].astype(np.float64)
    missed = float(counts[counts == 1].sum() / counts.sum()) if len(counts) < rows else 0.0
    total = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum() * (1.0 - missed)
    octaves = np.arange(int(np.ceil(np.log2(len(counts) + 1))) * _PER_OCTAVE + 1)
    ranks = np.unique(np.minimum(np.floor(2.0 ** (octaves / _PER_OCTAVE)), len(counts)).astype(np.int64))
    steps = [(float(r), min(float(f"{total[r]:.9g}"), 1.0)) for r in ranks.tolist() if r < rows]
    return (*steps, (float(rows), 1.0))


def measured_lengths(seen: TableTrace, mean: float) -> tuple[tuple[float, float], ...] | str:
    """Lengths of bags in few groups of equal numbers, each by its mean; ``varying`` where none are known."""
    if not len(seen.pooling):
        return "varying"
    ids, bags = seen.pooling.T.astype(np.float64)
    group = np.minimum((np.cumsum(bags) - bags / 2) / bags.sum() * _GROUPS, _GROUPS - 1).astype(np.int64)
    part = np.bincount(group, bags, _GROUPS) / bags.sum()
    long = np.bincount(group, bags * ids, _GROUPS) / np.maximum(np.bincount(group, bags, _GROUPS), 1.0)
    long *= mean / float(part @ long)  # bags without ids may not have been counted
    return tuple((float(f"{n:.6g}"), float(f"{p:.6g}")) for n, p in zip(long, part, strict=True) if p)


def _other(path: Path, why: str) -> PlanError:
    return PlanError(
        "plan.not-described",
        f"the model is no DLRM that a description can say: {why}",
        location=Location(file=str(path)),
        hint=f"{DOCS} says what is understood",
    )
