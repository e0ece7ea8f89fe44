"""Recorded accesses in place of those of calibration: names of tables, rows, what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.access import accesses_of, apply_trace
from cimc.errors import RequestError
from cimc.ir.cim import TableOp
from cimc.ir.context import Access, CompilerContext
from cimc.workload.traces import TableTrace, Trace


def table(name: str, rows: int = 10) -> TableOp:
    return TableOp(name, (rows, 4), 8, f"{name}.int", f"{name}.scales")


def access(*ids: int) -> Access:
    return Access(np.array(ids, np.int64), np.ones(len(ids), np.int64), 5)


def context(**trace: Access) -> CompilerContext:
    ctx = CompilerContext()
    ctx.access = {"t": access(0)}
    ctx.trace = trace
    return ctx


def test_a_table_goes_by_its_name_or_by_that_of_its_tensor() -> None:
    ctx = context(t=access(1, 2), weight=access(3))
    apply_trace(ctx, [(table("t"), "other"), (table("u"), "weight")])
    assert ctx.access == {"t": ctx.trace["t"], "u": ctx.trace["weight"]}
    assert ctx.notes == []


def test_its_own_name_goes_first() -> None:
    ctx = context(t=access(1), weight=access(3))
    apply_trace(ctx, [(table("t"), "weight")])
    assert ctx.access["t"] is ctx.trace["t"]
    assert ctx.notes == ["the trace has counts of weight, which the compiled model does not read"]


def test_without_a_trace_nothing_changes() -> None:
    ctx = context()
    before = dict(ctx.access)
    apply_trace(ctx, [(table("t"), "t")])
    assert ctx.access == before


def test_tables_that_the_trace_lacks_keep_their_accesses() -> None:
    ctx = context(u=access(1))
    kept = ctx.access["t"]
    apply_trace(ctx, [(table("t"), "t"), (table("u"), "u")])
    assert ctx.access["t"] is kept
    (note,) = ctx.notes
    assert note.startswith("the trace says nothing about t: ")


def test_rows_that_the_table_does_not_have() -> None:
    apply_trace(context(t=access(9)), [(table("t"), "t")])
    apply_trace(context(t=access()), [(table("t"), "t")])
    with pytest.raises(RequestError, match="row 10 of table t, which has 10 rows") as caught:
        apply_trace(context(t=access(0, 10)), [(table("t"), "t")])
    assert caught.value.code == "trace.rows-differ"


def test_a_trace_of_another_model() -> None:
    strange = {f"x{k}": access(0) for k in range(7)}
    with pytest.raises(RequestError, match=r"counts of x0, x1, x2, x3, x4 and 2 more; .* tables t") as caught:
        apply_trace(context(**strange), [(table("t"), "t")])
    assert caught.value.code == "trace.unknown-table"
    ctx = context(**strange)
    apply_trace(ctx, [])  # a model without tables reads none: no error
    assert len(ctx.notes) == 1


def test_accesses_of_a_trace() -> None:
    ids, counts = np.array([1, 4]), np.array([3, 1])
    none = np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    trace = Trace({"t": TableTrace("t", 10, 0, ids, counts, *none)})
    (found,) = accesses_of(trace).values()
    assert found.ids is ids
    assert found.counts is counts
    assert found.requests == 1  # rates are per request: none at all counts as one
