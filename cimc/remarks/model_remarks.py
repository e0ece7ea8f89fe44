"""Remarks on the model: what it was made of, what was simplified, and where its nodes went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from cimc.remarks.host_work import HostWork
from cimc.remarks.record import OMIT, Record, called
from cimc.remarks.remark import Remark, beside


@dataclass(frozen=True, repr=False)
class SourceRemarks(Remark):
    """Of the import, where the model is not whole.

    Attributes:
        generated_weights: ``generated:SEED``: weights that the model lacks were made up, and outputs mean
            nothing.
    """

    name: ClassVar[str] = "source"
    generated_weights: str = field(metadata=beside("generated_weights"))


@dataclass(frozen=True, repr=False)
class SimplificationRemarks(Remark):
    """Of ``canonicalize``.

    Attributes:
        applied: how often each rule was applied, by its name; without those that never were.
    """

    name: ClassVar[str] = "simplification"
    applied: Mapping[str, int] = field(metadata=beside("canonicalize"))


@dataclass(frozen=True, repr=False)
class HostNode(Record):
    """A node of the model that stays on the host: its operator, its name, and why it stays."""

    op: str
    node: str
    reason: str


@dataclass(frozen=True, repr=False)
class ModelTable(Record):
    """An embedding table: ``rows`` x ``dim`` elements, read by ``bags`` lookups."""

    name: str
    rows: int
    dim: int
    bags: int


@dataclass(frozen=True, repr=False)
class ModelLayer(Record):
    """A use of a weight matrix of ``inputs`` x ``outputs`` elements, by ``node``."""

    name: str
    node: str | None
    inputs: int = field(metadata=called("in"))
    outputs: int = field(metadata=called("out"))


@dataclass(frozen=True, repr=False)
class NearMiss(Record):
    """A pattern that a node on the host resembles: which recogniser's, and the condition that failed."""

    recogniser: str
    node: str
    reason: str


@dataclass(frozen=True, repr=False)
class ChipWork(Record):
    """Work of the chip per request, from shapes alone.

    Attributes:
        arrays, vector: multiplications of crossbar arrays and of vector units.
        tables: values read from tables; ``None`` where bags hold a varying number of ids.
    """

    arrays: float
    vector: float
    tables: float | None


@dataclass(frozen=True, repr=False)
class Work(Record):
    """Multiplications and looked-up values per request: of the chip, and of each node on the host."""

    chip: ChipWork
    host: tuple[HostWork, ...]


@dataclass(frozen=True, repr=False)
class RecognitionRemarks(Remark):
    """Of ``outline-host``: where every node of the model went.

    Attributes:
        nodes: how many there are after ``canonicalize``: ``chip + folded + len(host)``.
        chip: those that a recogniser replaced.
        folded: those that others absorbed, or that nothing needs.
        recognised: nodes by recogniser.
        host: those that stay on the host.
        segments: host segments.
        batch: name or extent of the batch; ``None`` where there is none.
        tables: embedding tables.
        linear: uses of weight matrices.
        misses: what nearly matched.
        work: multiplications and looked-up values; ``None`` in programs from before they were counted.
    """

    name: ClassVar[str] = "frontend"
    nodes: int
    chip: int
    folded: int
    recognised: Mapping[str, int]
    host: tuple[HostNode, ...]
    segments: int
    batch: str | None
    tables: tuple[ModelTable, ...]
    linear: tuple[ModelLayer, ...]
    misses: tuple[NearMiss, ...] = field(metadata=beside("misses"))
    work: Work | None = field(default=None, metadata=beside("work") | OMIT)

    @property
    def reasons(self) -> dict[str, str]:
        """Why nodes are on the host, by their name."""
        return {each.node: each.reason for each in self.host}
