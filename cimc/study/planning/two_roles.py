"""A machine of many chips that are alike, costed on two: one that asks, and one that stands for all others.

The dense part and the near rows are compiled for one chip.  What lies far is put evenly on the tiles of both
chips, a share of one in so many on the first, and the cost model says what a request does to the one that it
came to (``home``) and to the one that is asked (``owner``).  Every chip is an owner, and so many are homes;
what a unit of a home is busy with is the sum of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cimc.cost.cost_model import COST_ONLY, LOOKUPS, CostModel
from cimc.cost.energy import Energy, energy_of
from cimc.cost.events import Events, count_model
from cimc.cost.list_schedule import time_model
from cimc.cost.machine_units import Unit
from cimc.ir.cim import ARRAY, ROW0, ROWS, TILE
from cimc.isa.artifact import canonical_json
from cimc.isa.instructions import instr
from cimc.isa.link_widths import id_bits
from cimc.isa.program import ChipSegment, Matrix
from cimc.isa.program import Program as Data
from cimc.study.planning.description import Description, Table, TableClass, tables_of_description
from cimc.study.planning.detail import PIPELINE, compiled
from cimc.study.planning.expected_activity import Reads, activated, expected_activity
from cimc.study.planning.skew import Floats, block_runs, touched
from cimc.study.planning.spread import Spread
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target

_WIDE = PIPELINE.replace(",allocate,", ",").replace("{converter_parallelism=0.2}", "")
"""Layers in as few arrays as hold them: there are many chips, and few requests for each."""
_COPY = "copy{{instances={} places=1}}"


@dataclass(frozen=True)
class Roles:
    """What a request takes of the two roles.

    Attributes:
        home, owner: ns that units of a chip are busy, by unit of one chip.
        events, energy: of the request.
        latency_ns: of one request alone.
        crossing_bits: between chips, ids and answers.
        host_bits: between host and chips.
        dense_arrays: of one dense part.
    """

    home: Mapping[Unit, float]
    owner: Mapping[Unit, float]
    events: Events
    energy: Energy
    latency_ns: float
    crossing_bits: float
    host_bits: float
    dense_arrays: int

    def busy(self, homes: int, chips: int) -> dict[Unit, float]:
        """ns that each unit of a home is busy per request of the machine, busiest first."""
        units = {
            unit: self.home.get(unit, 0.0) / homes + self.owner.get(unit, 0.0) / chips
            for unit in {**self.home, **self.owner}
        }
        return dict(sorted(units.items(), key=lambda entry: (-entry[1], entry[0])))


class Homes:
    """Programs of one chip, compiled once each: they do not depend on how many chips there are."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Data] = {}

    def compiled(
        self, model: Description, shares: Mapping[str, Floats], target: Target, seed: int, line: str
    ) -> Data:
        """As :func:`cimc.study.planning.detail.compiled`, for machines of one structure."""
        structure = tuple(entry for entry in target.structure() if entry[0] not in COST_ONLY)
        of_tables = tuple((name, share.tobytes()) for name, share in shares.items())
        key = (model.model_dump_json(), of_tables, structure, seed, line)
        if key not in self._known:
            self._known[key] = compiled(model, shares, target, seed, line).data
        return self._known[key]


def roles(model: Description, spread: Spread, target: Target, seed: int, homes: Homes) -> Roles:
    """What a request takes, with rows near and far as decided; ``target`` says what one chip is."""
    height = target.array.rows
    kept = [_Kept.of(each, near, height) for each, near in zip(model.tables, spread.near, strict=True)]
    small = model.model_copy(update={"tables": tuple(k.stand_in for k in kept)})
    tables = tables_of_description(small)
    of_class = {k.stand_in.name: k for k in kept}
    far = sum(_arrays(k.table, target) * k.table.count for k in kept if k.far > 0)
    room = -(-far // target.tiles_per_chip) + 1
    wide = {"tile.arrays": target.tile.arrays + room}
    one = with_overrides(target, {**wide, "system.chips": 1}, scale=False)
    line = _WIDE.replace(",copy,", f",{_COPY.format(spread.each)},")
    shares = {t.name: of_class[t.of.name].shares for t in tables}
    program = homes.compiled(small, shares, one, seed, line)
    two = with_overrides(target, {**wide, "system.chips": 2}, scale=False)
    data = _on_both(program, tables, of_class, target, two, spread.chips)
    reads = {t.name: of_class[t.of.name].reads(spread.chips, target, data.matrices) for t in tables}
    reads = {m.name: reads[m.name] for m in data.matrices if m.kind == "table"}
    costed = CostModel(data, two, expected_activity(data, reads))
    events, timing = count_model(costed), time_model(costed)
    home, owner = _folded(timing.busy, target)
    crossing = owner.get(Unit("host link", 0), 0.0) * float(target.chip.host_link_gbps)
    return Roles(
        home,
        owner,
        events,
        energy_of(events, target),
        timing.latency_ns,
        crossing,
        events["host_link.bits"] - crossing,
        sum(_distinct(data, m) for m in data.matrices if m.kind != "table"),
    )


@dataclass(frozen=True)
class _Kept:
    """What is kept of a class of tables: near blocks one by one, all others as one.

    ``far``: share of the reads that go to the others; ``touched``: blocks of them that a request touches.
    """

    table: TableClass
    stand_in: TableClass
    near: int
    shares: np.ndarray[tuple[int], np.dtype[np.float64]]
    far: float

    @classmethod
    def of(cls, table: TableClass, near: int, height: int) -> _Kept:
        blocks = -(-table.rows // height)
        edges = np.minimum(np.arange(near + 1) * float(height), float(table.rows))
        shares = np.diff(table.law.share(edges))
        far = 1.0 - float(shares.sum()) if near < blocks else 0.0
        rows = table.rows if near >= blocks else (near + 1) * height
        if near < blocks:
            shares = np.append(shares, far)
        steps = tuple(zip(np.append(edges[1:], rows).tolist(), np.cumsum(shares).tolist(), strict=False))
        law = {"skew": None, "cdf": (*steps[: len(shares) - 1], (float(rows), 1.0))}
        return cls(table, table.model_copy(update={"rows": rows, **law}), near, shares, far)

    def reads(self, chips: int, target: Target, matrices: tuple[Matrix, ...]) -> Reads:
        """Of each table, with what is far on the tiles of both chips."""
        if self.far <= 0:
            return Reads(self.table.bags, self.shares)
        pool = next(m.pool_rows for m in matrices if m.name.rpartition(".")[0] == self.table.name)
        runs = block_runs(self.table.law, target.array.rows)
        count = np.clip(runs.first + runs.count - self.near, 0, runs.count)
        tiles = target.tiles_per_chip
        here = np.full(tiles, self.far / chips / tiles)
        there = np.full(tiles, self.far * (1.0 - 1.0 / chips) / tiles)
        return Reads(
            self.table.bags,
            np.concatenate([self.shares[:-1], here, there]),
            self.near,
            float((touched(runs.share, self.table.bags) * count).sum()),
            float((activated(runs.share, self.table.bags, pool) * count).sum()),
        )


def _arrays(table: TableClass, target: Target) -> int:
    """Arrays of one block of rows of a table, at most."""
    return -(-table.dim * target.slices(8) // target.array.cols)


def _on_both(
    data: Data, tables: list[Table], kept: Mapping[str, _Kept], one: Target, two: Target, chips: int
) -> Data:
    """The program with what is far on the tiles of two chips, and ids as wide as those of whole tables."""
    of = {table.name: kept[table.of.name] for table in tables}
    arrays = dict(data.data)
    matrices = []
    for number, matrix in enumerate(data.matrices):
        mine = of.get(matrix.name)
        if matrix.kind != "table" or mine is None or mine.far <= 0:
            matrices.append(matrix)
            continue
        blocks = arrays[f"{matrix.name}.blocks"]
        wide = int((blocks[:, ROW0] == blocks[0, ROW0]).sum())
        last = blocks[-wide:]
        spots = 2 * one.tiles_per_chip
        more = np.tile(last, (spots, 1))
        more[:, ROW0] = np.repeat((mine.near + np.arange(spots)) * matrix.block_rows, wide)
        more[:, ROWS] = matrix.block_rows
        more[:, TILE] = np.repeat(np.arange(spots), wide)
        more[:, ARRAY] = np.tile((number + np.arange(wide)) % one.tile.arrays, spots)
        arrays[f"{matrix.name}.blocks"] = np.concatenate([blocks[:-wide], more])
        matrices.append(replace(matrix, rows=(mine.near + spots) * matrix.block_rows))
    segments = tuple(
        _with_ids(segment, data, of) if isinstance(segment, ChipSegment) else segment
        for segment in data.segments
    )
    header = replace(
        data.header,
        target=two.name,
        target_digest=two.digest,
        target_json=canonical_json(two.model_dump(mode="json")),
    )
    return replace(data, header=header, segments=segments, matrices=tuple(matrices), data=arrays)


def _with_ids(segment: ChipSegment, data: Data, of: Mapping[str, _Kept]) -> ChipSegment:
    """Lookups with the widths of ids that the whole tables need."""
    streams = {}
    for tile, stream in segment.streams.items():
        items = []
        for item in stream:
            if item.name in LOOKUPS:
                mine = of[data.matrices[item.index("matrix").base].name]
                named = {f.name: item.operand(f.name) for f in item.spec.fields}
                items.append(instr(item.name, **{**named, "idbits": id_bits(mine.table.rows)}))
            else:
                items.append(item)
        streams[tile] = tuple(items)
    return replace(segment, streams=streams)


def _folded(busy: Mapping[Unit, float], one: Target) -> tuple[dict[Unit, float], dict[Unit, float]]:
    """Busy times of the first chip, and of the second with the numbers of the first."""
    found: tuple[dict[Unit, float], dict[Unit, float]] = ({}, {})
    for unit, ns in busy.items():
        whole = 1 if unit.kind in ("host link", "dram") else one.tiles_per_chip
        second = unit.place >= whole
        number = unit.number - whole if unit.kind == "link" and second else unit.number
        found[second][Unit(unit.kind, unit.place - whole * second, number)] = ns
    return found


def _distinct(data: Data, matrix: Matrix) -> int:
    blocks = data.data[f"{matrix.name}.blocks"]
    return len(np.unique(blocks[:, (TILE, ARRAY)], axis=0))
