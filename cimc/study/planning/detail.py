"""A described model compiled as any other, its rows in blocks: what the compiler makes of it, and costs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cimc.api import Program, compile
from cimc.cost import Cost, estimate
from cimc.study.planning.description import Description, Table
from cimc.study.planning.expected_activity import Reads, expected_activity
from cimc.study.planning.skew import Floats
from cimc.study.planning.stand_in import write_stand_in
from cimc.target.spec import Target
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.workload.traces import Trace
from cimc.workload.traces.trace import TableTrace

_SCALE = 10**9
"""Requests that the stand-in for a trace is of: reads become counts."""

# rows are in the order of how often they are read already
PIPELINE = DEFAULT_PIPELINE.replace(",group,", ",")


@dataclass(frozen=True)
class Detailed:
    """A compiled stand-in and its cost."""

    program: Program
    cost: Cost


def compiled(
    model: Description, shares: Mapping[str, Floats], target: Target, seed: int, pipeline: str = PIPELINE
) -> Program:
    """The program of a model whose tables are read so: ``shares`` of blocks by table.

    Weights are generated where something asks for them; of a table nothing does.
    """
    with tempfile.TemporaryDirectory(prefix="cimc-plan-") as folder:
        path, tables = write_stand_in(model, Path(folder))
        trace = Trace({table.name: _counted(table, shares[table.name], target) for table in tables})
        return compile(path, target, pipeline=pipeline, seed=seed, weights=f"generated:{seed}", trace=trace)


def block_shares(tables: list[Table], height: int) -> dict[str, Floats]:
    """Share of the reads of each table that goes to each block of rows; of like tables the same array."""
    of_class = {id(table.of): table.of.law.of_blocks(height) for table in tables}
    return {table.name: of_class[id(table.of)] for table in tables}


def detailed(model: Description, tables: list[Table], target: Target, seed: int) -> Detailed:
    """The whole model on the whole machine, block by block."""
    shares = block_shares(tables, target.array.rows)
    program = compiled(model, shares, target, seed)
    reads = {table.name: Reads(table.of.bags, shares[table.name]) for table in tables}
    return Detailed(program, estimate(program.data, program.target, expected_activity(program.data, reads)))


def _counted(table: Table, share: Floats, target: Target) -> TableTrace:
    """Reads of a table as a trace has them; the first row of a block stands for all of it."""
    counts = np.rint(share * table.of.pooling * _SCALE).astype(np.int64)
    counts = np.maximum(counts, 2)  # a row read once would say that there are others, not seen yet
    rows = np.arange(len(counts)) * target.array.rows
    return TableTrace(table.name, table.of.rows, _SCALE, rows, counts)
