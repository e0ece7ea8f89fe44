"""Which share of a model's work the chip does: what time and energy are figures of.

Shares are of the whole model, whatever was recognised of it: a weight product or a looked-up value that the
host does counts against them.  Products of two activations have no weights to keep in arrays: the vector
unit does them, they are counted apart, and count against the share only where the host does them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cimc.cost.cost_model import steps
from cimc.ir.cim import COLS, ROWS
from cimc.isa.instructions import Instr
from cimc.isa.program import ChipSegment, HostSegment, Program
from cimc.remarks import HostWork, Remarks
from cimc.sim.activity import Activity

WHOLE = 0.99
"""A share below this is a part of the model."""


@dataclass(frozen=True)
class Split:
    """Work per request by where it is done; ``None``: not known (see :attr:`OnChip.not_counted`).

    Attributes:
        arrays: by arrays; of looked-up values: those of tables on chip, wherever they reside.
        vector: by the vector unit: products of activations, small constant tables in its memory.
        host: by the host.
    """

    arrays: float | None
    vector: float
    host: float | None

    @property
    def share(self) -> float | None:
        """``arrays / (arrays + host)``; 1 where the host does nothing, ``None`` where it is not known."""
        if self.host == 0:
            return 1.0
        if self.host is None or self.arrays is None:
            return None
        return self.arrays / (self.arrays + self.host)


@dataclass(frozen=True)
class OnChip:
    """The share of the work that is done on chip.

    Attributes:
        macs: multiplications of matrix products per request.
        lookups: values read from rows of tables per request.
        requests: over which they were counted; 0: from shapes alone, at compile time.
        not_counted: nodes on the host of which something is not known, each with the reason.
        first: the first node on the host that keeps a share below :data:`WHOLE`, and why it is there.
    """

    macs: Split
    lookups: Split
    requests: int = 0
    not_counted: tuple[str, ...] = ()
    first: tuple[str, str, str] | None = None

    @property
    def whole(self) -> bool:
        """Whether (nearly) all of the work is known to be done on chip."""
        return all(s is not None and s >= WHOLE for s in (self.macs.share, self.lookups.share))

    @property
    def warning(self) -> str:
        """What keeps work on the host, in a sentence; ``""`` if the chip does it all."""
        if self.whole or self.first is None:
            return ""
        node, op, reason = self.first
        return f"node '{node}' ({op}) works on the host: {reason}"

    def to_json(self) -> dict[str, Any]:
        """Shares, counts per request, and what is not counted."""
        return {
            "macs": self.macs.share,
            "lookups": self.lookups.share,
            "requests": self.requests,
            "counts": {
                name: {"arrays": split.arrays, "vector": split.vector, "host": split.host}
                for name, split in (("macs", self.macs), ("lookups", self.lookups))
            },
            "not_counted": list(self.not_counted),
            "first_on_host": None
            if self.first is None
            else dict(zip(("node", "op", "reason"), self.first, strict=True)),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OnChip:
        """What :meth:`to_json` wrote."""
        first = data["first_on_host"]
        return cls(
            Split(**data["counts"]["macs"]),
            Split(**data["counts"]["lookups"]),
            data["requests"],
            tuple(data["not_counted"]),
            None if first is None else (first["node"], first["op"], first["reason"]),
        )


def split_work(
    arrays: float,
    vector: float,
    tables: float | None,
    host: Sequence[HostWork],
    reasons: dict[str, str],
    *,
    gathered: float = 0.0,
    requests: int = 0,
) -> OnChip:
    """Shares, given what is done where per request.

    Args:
        arrays, vector: MACs of arrays and vector unit.
        tables: looked-up values of tables on chip; ``None`` if not known.
        host: work of nodes on the host.
        reasons: why nodes are on the host, by name and by operator.
        gathered: looked-up values of the vector unit.
        requests: over which all was counted, 0 at compile time.
    """
    macs = Split(arrays, vector, _sum([w.macs for w in host]))
    lookups = Split(tables, gathered, _sum([w.lookups for w in host]))
    guilty = [
        w
        for w in host
        if (w.macs != 0 and _part(macs)) or (w.lookups != 0 and _part(lookups))
    ]  # fmt: skip
    first = None
    if guilty:
        node = guilty[0]
        around = node.within or node.node
        found = (reasons.get(k) for k in (around, around.rpartition("/")[0], node.op))
        first = node.node, node.op, next((r for r in found if r), "it stays there")
    unknown = tuple(f"{w.node} ({w.op}): {w.why}" for w in host if w.why)
    return OnChip(macs, lookups, requests, unknown, first)


def on_chip_of_remarks(remarks: Remarks) -> OnChip:
    """The shares of a model that has been through ``outline-host``, by the remark that the pass left."""
    known = remarks.recognition
    if known is None or known.work is None:
        return split_work(0.0, 0.0, 0.0, (), {})
    chip = known.work.chip
    return split_work(chip.arrays, chip.vector, chip.tables, known.work.host, known.reasons)


def _part(split: Split) -> bool:
    return split.share is None or split.share < WHOLE


def _sum(counts: list[float | None]) -> float | None:
    known = [c for c in counts if c is not None]
    return sum(known) if len(known) == len(counts) else None


def on_chip(program: Program, activity: Activity | None = None) -> OnChip:
    """The shares of ``program``: as ``activity`` counted them, else as far as compilation knows them."""
    reasons = _reasons(program)
    arrays = vector = gathered = 0.0
    for segment in program.chip_segments:
        for stream in segment.streams.values():
            for step in steps(stream):
                item = step.item
                if item.name in ("mvm", "search"):
                    arrays += sum(_weights(item, i, program) for i in range(step.loop))
                elif item.name == "dots":
                    vector += step.loop * item.number("n") * item.number("dim")
                elif item.name == "matmul":
                    vector += step.loop * item.number("m") * item.number("k") * item.number("n")
                elif item.name == "gather" and item.ref("src").constant:
                    gathered += step.loop * item.number("n") * item.number("inner")
    if activity is None:
        said = program.remarks.recognition
        work = None if said is None else said.work
        host = [] if work is None else list(work.host)
        tables = None if work is None else work.chip.tables
        if work is None and any(isinstance(s, HostSegment) for s in program.segments):
            host = [HostWork("host segments", "-", None, None, "the program does not say what they do")]
        return split_work(arrays, vector, tables, host, reasons, gathered=gathered)
    requests = max(activity.requests, 1)
    return split_work(
        arrays,
        vector,
        _looked_up(program, activity) / requests,
        [_per_request(each, requests) for each in activity.host_work],
        reasons,
        gathered=gathered,
        requests=requests,
    )


def _weights(item: Instr, iteration: int, program: Program) -> int:
    """Weights that one ``mvm`` multiplies by."""
    matrix = program.matrices[item.index("matrix").at(iteration)]
    first, count = item.number("first"), item.number("count")
    blocks = program.data[f"{matrix.name}.blocks"][first : first + count].astype(np.int64)
    return int((blocks[:, ROWS] * blocks[:, COLS]).sum())


def _looked_up(program: Program, activity: Activity) -> int:
    """Values that all lookups of a run read."""
    total = 0
    for (number, tile, position), counted in activity.lookups.items():
        segment = program.segments[number]
        assert isinstance(segment, ChipSegment)
        item = segment.stream_of(tile)[position]
        total += counted.ids * program.matrices[item.index("matrix").at(0)].cols
    return total


def _per_request(work: HostWork, requests: int) -> HostWork:
    macs = None if work.macs is None else work.macs / requests
    lookups = None if work.lookups is None else work.lookups / requests
    return HostWork(work.node, work.op, macs, lookups, work.why, work.within)


def _reasons(program: Program) -> dict[str, str]:
    """Why nodes are on the host, by name, and by operator as far as host segments say it."""
    by_operator: dict[str, str] = {}
    for segment in program.segments:
        if isinstance(segment, HostSegment):
            for text in segment.reasons:
                operator, _, reason = text.partition(": ")
                by_operator.setdefault(operator, reason)
    said = program.remarks.recognition
    return by_operator if said is None else by_operator | said.reasons
