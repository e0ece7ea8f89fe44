"""When requests arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError
from cimc.support.random.splitmix import name_key, words

_LATEST = 1e13
"""Last arrival in ns: float64 tells times apart by 0.002 ns up to here."""


@dataclass(frozen=True)
class Arrivals:
    """How requests arrive.

    Attributes:
        kind: ``closed``: ``in_flight`` requests are always under way; ``fixed``: one every 1 / ``rate``
            seconds; ``poisson``: at random, independent of each other, ``rate`` a second on average.
        in_flight: of ``closed``.
        rate: requests per second.
        seed: of ``poisson``.
    """

    kind: Literal["closed", "fixed", "poisson"] = "closed"
    in_flight: int = 1
    rate: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind == "closed" and self.in_flight < 1:
            raise RequestError("simulate.bad-arrivals", "at least one request is in flight")
        if self.kind != "closed" and not 0 < self.rate <= 1e12:
            raise RequestError("simulate.bad-arrivals", f"a rate of {self.rate:g} requests per second")

    def times(self, count: int) -> NDArray[np.float64] | None:
        """Arrival of each of ``count`` requests in ns, ascending; ``None`` for a closed loop.

        Raises:
            RequestError: ``simulate.bad-arrivals`` for arrivals so late that times are no longer exact.
        """
        if self.kind == "closed":
            return None
        gap = 1e9 / self.rate
        if self.kind == "fixed":
            times = np.arange(count, dtype=np.float64) * gap
        else:
            times = np.asarray(np.cumsum(gap * _exponential(self.seed, count)), np.float64)
        if count and times[-1] > _LATEST:
            raise RequestError(
                "simulate.bad-arrivals",
                f"at {self.rate:g} requests per second the last of {count} arrives after "
                f"{times[-1] / 1e9:.3g} s; times are exact to a hundredth of a ns up to {_LATEST / 1e9:g} s",
                hint="at such a rate no request meets another: --in-flight 1 says the same",
            )
        return times


def _exponential(seed: int, count: int) -> NDArray[np.float64]:
    """Exponential deviates of mean 1, a function of seed and position: longer streams begin as shorter ones.

    Minus the logarithm of a uniform deviate, (k + 1/2) / 2**52, so the logarithm of 0 is never taken.
    """
    key = name_key(seed, "poisson arrivals")
    uniform = ((words(key, np.arange(count)) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return np.array([-math.log(u) for u in uniform.tolist()], np.float64)
