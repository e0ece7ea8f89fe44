"""Remarks on searches: which node of the model chooses what is searched for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from cimc.remarks.record import Record
from cimc.remarks.remark import Remark, beside


@dataclass(frozen=True, repr=False)
class Searched(Record):
    """A choice of the model that is a search on the chip.

    Attributes:
        node: the node that chooses; ``op``: its operator.
        corpus: name of the matrix.
        items, k: how many items, and how many of them are kept.
        ids: the value of the program that holds the ids.
        scale: what the node chooses by is this times the scores of the search, then the functions ``after``.
    """

    node: str
    op: str
    corpus: str
    items: int
    k: int
    ids: str
    scale: float
    after: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class CorpusRemarks(Remark):
    """Of ``lower``.

    Attributes:
        searches: those whose ids leave the chip, one a corpus.
    """

    name: ClassVar[str] = "corpus"
    searches: tuple[Searched, ...] = field(metadata=beside("corpus_searches"))
