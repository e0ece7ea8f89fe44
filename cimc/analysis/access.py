"""Accesses that the user recorded, in place of those of calibration requests."""

from __future__ import annotations

from collections.abc import Sequence

from cimc.errors import RequestError
from cimc.ir.cim import TableOp
from cimc.ir.context import Access, CompilerContext
from cimc.workload.traces import Trace


def accesses_of(trace: Trace) -> dict[str, Access]:
    """The tables of a trace as a compilation keeps them."""
    return {name: Access(t.ids, t.counts, max(t.requests, 1), t.kept) for name, t in trace.tables.items()}


def apply_trace(data: CompilerContext, tables: Sequence[tuple[TableOp, str]]) -> None:
    """Let the trace of ``data`` replace what calibration requests said of ``tables``.

    ``tables`` are matrices with the tensor that each was made from; a trace may call a table by either name.
    Notes name tables that only one side knows.

    Raises:
        RequestError: ``trace.unknown-table`` when the trace has no table of the model at all,
            ``trace.rows-differ`` when it counts rows that a table does not have.
    """
    if not data.trace:
        return
    used, missing = set(), []
    for matrix, tensor in tables:
        name, rows = matrix.sym_name.data, matrix.rows.value.data
        given = name if name in data.trace else tensor
        if given not in data.trace:
            missing.append(name)
            continue
        ids = data.trace[given].ids
        if len(ids) and int(ids[-1]) >= rows:
            raise RequestError(
                "trace.rows-differ",
                f"the trace counts row {int(ids[-1])} of table {given}, which has {rows} rows",
            )
        data.access[name] = data.trace[given]
        used.add(given)
    if tables and not used:
        raise RequestError(
            "trace.unknown-table",
            f"the trace has counts of {_some(list(data.trace))}; the model has tables {_some(missing)}",
            hint="take the trace with --model and this model",
        )
    foreign = [name for name in data.trace if name not in used]
    if foreign:
        data.notes.append(f"the trace has counts of {_some(foreign)}, which the compiled model does not read")
    if missing:
        data.notes.append(
            f"the trace says nothing about {_some(missing)}: accesses are those of the calibration requests"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
