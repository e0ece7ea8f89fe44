"""Remarks on pipelines that were tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cimc.remarks.record import Record
from cimc.remarks.remark import Remark


@dataclass(frozen=True, repr=False)
class EstimatedFigures(Record):
    """What the cost model expects of a program at the load.

    Attributes:
        throughput_rps: bound on requests a second.
        latency_ns: of a request alone; ``p99_ns``: expected at the load.
        energy_pj: of a request at the load, static power of what is used included.
        value: what is to be small, in ns, pJ or pJ x ns.
            ``None``: the load is not served.
    """

    throughput_rps: float
    latency_ns: float
    p99_ns: float | None
    energy_pj: float | None
    value: float | None


@dataclass(frozen=True, repr=False)
class SimulatedFigures(Record):
    """What a simulation of calibration requests at the load showed.

    Attributes:
        throughput_rps: requests a second; ``latency_ns``, ``p99_ns``: mean and 99th percentile.
        energy_pj: of a request, static power of what is used included.
        value: what is to be small, in ns, pJ or pJ x ns.
        requests: simulated; ``steady``: whether a steady state was reached.
    """

    throughput_rps: float
    latency_ns: float
    p99_ns: float
    energy_pj: float
    value: float
    requests: int
    steady: bool


@dataclass(frozen=True, repr=False)
class TriedPipeline(Record):
    """One candidate.

    Attributes:
        changes: what differs from the pipeline that was given; ``""``: nothing.
        pipeline: all passes, as they fitted.
        instances: of the dense part.
        failed: why there is no program; ``None``: there is.
        estimated, simulated: its figures; ``None``: it failed, or was not among the best.
        chosen: whether it is the program.
    """

    changes: str
    pipeline: str
    instances: int
    failed: str | None
    estimated: EstimatedFigures | None
    simulated: SimulatedFigures | None
    chosen: bool


@dataclass(frozen=True, repr=False)
class SearchRemarks(Remark):
    """Of a search: what was tried, in that order.

    Attributes:
        objective: what the candidates were judged by.
        in_flight: requests in flight; ``rate_rps``: requests a second that arrive, instead of them.
        p99_ns: the bound on latency; ``None``: none.
        tried: the candidates.
    """

    name: ClassVar[str] = "search"
    objective: str
    in_flight: int
    rate_rps: float | None
    p99_ns: float | None
    tried: tuple[TriedPipeline, ...]
