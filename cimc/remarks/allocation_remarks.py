"""Remarks on how much of the machine every part of a model got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cimc.remarks.remark import Remark


@dataclass(frozen=True, repr=False)
class AllocationRemarks(Remark):
    """Of ``allocate``; times are what it expects, per request.

    Attributes:
        objective: ``throughput`` or ``latency``.
        load: requests in flight that throughput is of.
        instances: of the dense part; ``places``: of the hottest blocks of tables; ``tiles``: of an instance,
            at least.
        busy_ns: of the busiest unit; ``latency_ns``: of a request alone.
        period_ns: ``load`` requests complete in no more, by the balanced job bound.
        bound_ns: lower bound on it, over all allocations.
        gap: ``period_ns / bound_ns - 1``.
        produced_by: ``cp-sat`` or ``greedy``.
    """

    name: ClassVar[str] = "allocation"
    objective: str
    load: int
    instances: int
    places: int
    tiles: int
    busy_ns: float
    latency_ns: float
    period_ns: float
    bound_ns: float
    gap: float
    produced_by: str
