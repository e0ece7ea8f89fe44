"""What an allocation is to be good at, and its figures at a load.

With L requests in flight: a closed loop on a machine whose requests take ``latency`` and whose busiest unit
is busy for ``busy`` a request completes L requests in at most ``latency + (L - 1) busy``: the lower one of
the balanced job bounds (Zahorjan, Sevcik, Eager and Galler, CACM 25, 1982).  By Little's law that is also the
mean time that each of them takes.

With a rate of arrivals at random: the busiest unit is taken as the one that requests wait for, in a queue
M/D/1; they wait for ``rate busy^2 / (2 (1 - rate busy))`` in the mean, and one in a hundred for more than
``ln(100 rate busy)`` times as much as those that wait at all, as if that were exponentially distributed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

OBJECTIVES = ("throughput", "latency", "energy", "edp")
FULL = 0.95
"""Use of the busiest unit above which a rate is not served: queues are long, and bursts make them longer."""


@dataclass(frozen=True)
class Goal:
    """An objective at a load.

    Attributes:
        objective: ``throughput`` and ``latency``: least time of a request at the load, which with L in
            flight is the same; ``energy``: least energy of a request at the load, static power of what is
            used included; ``edp``: least product of the two.
        in_flight: L; counts where there is no ``rate``.
        rate: requests per ns that arrive.
        p99_ns: bound on the latency that one in a hundred exceeds; 0: none.
    """

    objective: str = "throughput"
    in_flight: int = 64
    rate: float = 0.0
    p99_ns: float = 0.0

    def serves(self, busy: float) -> bool:
        """Whether a machine with a busiest unit like this keeps up with the load."""
        return self.rate * busy <= FULL

    def waits(self, busy: float) -> float:
        """Mean wait of a request at the load, ns."""
        if not self.rate:
            return (self.in_flight - 1) * busy
        use = self.rate * busy
        return use * busy / (2 * (1 - use)) if use < 1 else math.inf

    def waits_p99(self, busy: float) -> float:
        """Wait that one in a hundred exceeds, ns."""
        use = self.rate * busy
        if not self.rate or use >= 1:
            return self.waits(busy)
        return max(self.waits(busy), busy / (2 * (1 - use)) * math.log(max(100 * use, 1.0)))

    def request_ns(self, busy: float, latency: float) -> float:
        """Mean time from one completed request to the next at the load, ns."""
        return 1 / self.rate if self.rate else (latency + self.waits(busy)) / self.in_flight

    def value(self, busy: float, latency: float, dynamic_pj: float, static_mw: float) -> float:
        """What is to be small: ns, pJ, or pJ x ns."""
        response = latency + self.waits(busy)
        if self.objective in ("throughput", "latency"):
            return response
        energy = dynamic_pj + static_mw * self.request_ns(busy, latency)
        return energy if self.objective == "energy" else energy * response
