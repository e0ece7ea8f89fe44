"""What lookups are expected to do, in place of what a run counts: from the share of reads of each block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.cost.cost_model import LOOKUPS, steps
from cimc.cost.lookup_work import single_rows
from cimc.ir.cim import TILE
from cimc.isa.directory import RowDirectory
from cimc.isa.program import Program
from cimc.sim.activity import Activity, LookupActivity
from cimc.study.planning.skew import Floats, Lengths, mean_length, touched
from cimc.transforms.partition.pool_or_read import chunks

_EACH = 1 << 30
"""Requests on each instance: counts are integers, and so few reads are rounded away."""


@dataclass(frozen=True)
class Reads:
    """Of one table: lengths of bags, and the share of reads of each block of rows, float64 ``[high]``.

    ``spread``: blocks from this number on stand each for as many others as there are, so that what reads
    them touches ``touched`` of them, and activates ``activated``, whatever the share of one says.
    """

    lengths: Lengths
    share: Floats
    spread: int | None = None
    touched: float = 0.0
    activated: float = 0.0


def expected_activity(program: Program, reads: Mapping[str, Reads]) -> Activity:
    """Activity of very many requests whose reads of a table are independent of each other.

    Args:
        program: compiled; its tables are those of ``reads``.
        reads: by table.
    """
    activity = Activity(program.period * _EACH)
    for number, segment in enumerate(program.segments):
        if segment not in program.chip_segments:
            continue
        for tile, stream in segment.streams.items():
            for step in steps(stream):
                if step.item.name not in LOOKUPS:
                    continue
                matrix = program.matrices[step.item.index("matrix").base]
                pooled = not single_rows(step.item, segment.inputs, step.loop)
                every = segment.places(tile)
                chunk = matrix.pool_rows if pooled else 1
                expected = _Expected(RowDirectory(program, matrix), reads[matrix.name], chunk)
                for turn, place in enumerate(every):
                    site = (number, place, step.position)
                    requests = activity.requests_of(turn, len(every)) * step.loop
                    activity.lookups[site] = expected.on(turn, len(every), requests)
    return activity


class _Expected:
    """One lookup instruction; what of it does not depend on the instance."""

    def __init__(self, directory: RowDirectory, reads: Reads, chunk: int) -> None:
        self.lengths, self.share = reads.lengths, reads.share
        self.reads = mean_length(reads.lengths)
        self.block = directory.primary // directory.wide
        self.places = 1 + directory.copies[directory.primary]
        first = np.zeros(len(directory.copies) + 1, np.int64)
        np.cumsum(directory.copies, out=first[1:])
        entry = np.arange(len(directory.entries)) - len(directory.copies)
        self.turn = np.where(entry < 0, 0, entry - first[directory.primary] + 1)
        self.tile, self.owner = np.unique(directory.entries[:, TILE], return_inverse=True)
        self.column = directory.primary % directory.wide
        self.activations = activated(self.share, self.lengths, chunk)
        self.near = np.ones(len(self.block))
        self.far_visits = np.zeros(len(self.tile))
        if reads.spread is not None:
            self.near = (self.block < reads.spread).astype(np.float64)
            part = self.share[reads.spread :] / float(self.share[reads.spread :].sum())
            self.activations[reads.spread :] = reads.activated * part
            far = np.flatnonzero((self.near == 0) & (self.column == 0))
            np.add.at(self.far_visits, self.owner[far], reads.touched * part[self.block[far] - reads.spread])

    def on(self, turn: int, instances: int, requests: int) -> LookupActivity:
        """Of the instance that does request ``turn`` of every ``instances``."""
        common = np.gcd(self.places, instances)
        used = np.where(self.turn % common == turn % common, common / self.places, 0.0)
        rows = _counts(self.reads * self.share[self.block] * used * requests)
        activations = _counts(self.activations[self.block] * used * requests)
        # columns of a row that lie on one tile are asked for together
        chance = self.share[self.block] * used * self.near
        weight = np.zeros((int(self.column.max(initial=0)) + 1, len(self.tile)))
        np.add.at(weight, (self.column, self.owner), chance)
        chances = touched(np.minimum(weight.max(axis=0), 1.0), self.lengths)
        visits = _counts((chances + self.far_visits) * requests)
        active = np.bincount(self.owner, activations, len(self.tile)) > 0
        found = {
            int(tile): max(int(count), 1)
            for tile, count, on in zip(self.tile.tolist(), visits.tolist(), active.tolist(), strict=True)
            if on
        }
        return LookupActivity(rows, activations, found, math.ceil(self.reads * requests))


def activated(share: Floats, lengths: Lengths, chunk: int) -> Floats:
    """Expected activations of each block a request, of up to ``chunk`` rows each."""
    found: Floats = sum((part * chunks(share, ids, chunk) for ids, part in lengths), np.zeros(len(share)))
    return found


def _counts(expected: Floats) -> NDArray[np.int64]:
    return np.rint(expected).astype(np.int64)
