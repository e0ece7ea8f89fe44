"""Remarks on how much of the machine every part of a model got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cimc.remarks.remark import Remark


@dataclass(frozen=True, repr=False)
class AllocationRemarks(Remark):
    """Of ``allocate``; times are what it expects, per request.

    Attributes:
        objective: ``throughput``, ``latency``, ``energy`` or ``edp``.
        load: requests in flight; at a rate as many as ``throughput`` takes for it, else it does not count.
        instances: of the dense part; ``places``: of the hottest blocks of tables; ``tiles``: of an instance,
            at least.
        busy_ns: of the busiest unit; ``latency_ns``: of a request alone.
        period_ns: ``load`` requests complete in no more, by the balanced job bound.
        bound_ns: ``bound``, of the objectives that are times, else 0.
        gap: ``value / bound - 1``.
        produced_by: ``cp-sat`` or ``greedy``.
        rate_rps: requests a second that the decision is for; ``None``: for ``load`` in flight.
        p99_us: the bound on latency that was asked for.
        response_ns: mean time of a request at the load; ``energy_pj``: of it, static power of what is used
            included; ``None``: the load is not served.
        value: what was to be small, in ns, pJ or pJ x ns; ``bound``: lower bound on it, over all allocations.
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
    rate_rps: float | None = None
    p99_us: float | None = None
    response_ns: float | None = None
    energy_pj: float | None = None
    value: float | None = None
    bound: float | None = None
