"""Power of the CPU at hand: counters of the package where they can be read, else a stated figure a core."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_CORE = 350 / 64
WATTS_PER_CORE_SOURCE = (
    "350 W TDP over 64 cores of an Intel Xeon Platinum 8592+, the CPU of results for dlrm-v2 in MLPerf "
    "inference v4.1; not measured here; without DRAM, fans and power supply"
)


class Meter(Protocol):
    """Watts of stretches of work."""

    @property
    def source(self) -> str:
        """``rapl`` or ``stated``."""

    @property
    def text(self) -> str:
        """What the figure is, for people."""

    def start(self) -> None:
        """A stretch begins."""

    def watts(self, cores: int) -> float:
        """Mean power since :meth:`start`, of work on ``cores`` cores."""


@dataclass(frozen=True)
class StatedPower:
    """So many watts for each core that works."""

    per_core: float
    why: str
    source: str = "stated"

    @property
    def text(self) -> str:
        """What the figure is."""
        return f"{self.per_core:.3g} W a core that works, stated: {self.why}"

    def start(self) -> None:
        """Nothing to read."""

    def watts(self, cores: int) -> float:
        """The same whatever the work is."""
        return self.per_core * cores


class RaplPower:
    """Energy counters of the packages (RAPL): all cores, whoever uses them, and caches; not DRAM."""

    source = "rapl"

    def __init__(self, domains: list[Path]) -> None:
        self._domains = domains
        self._limits = [_read(d / "max_energy_range_uj") for d in domains]
        self._before = [0] * len(domains)
        self._begin = 0.0

    @property
    def text(self) -> str:
        """What the figure is."""
        names = ", ".join((domain / "name").read_text().strip() for domain in self._domains)
        return (
            f"energy counters (RAPL) of {names}: whole packages, idle cores and other users included, no DRAM"
        )

    def start(self) -> None:
        """Read the counters."""
        self._before, self._begin = [_read(d / "energy_uj") for d in self._domains], time.perf_counter()

    def watts(self, cores: int) -> float:
        """Of whole packages, however many cores work.  Counters that wrapped around once count on."""
        spent = time.perf_counter() - self._begin
        after = [_read(d / "energy_uj") for d in self._domains]
        pairs = zip(self._before, after, self._limits, strict=True)
        microjoules = sum(b - a if b >= a else b - a + limit for a, b, limit in pairs)
        return microjoules / 1e6 / spent


def _read(path: Path) -> int:
    return int(path.read_text())


def meter(watts_per_core: float | None, root: Path = POWERCAP) -> tuple[Meter, str | None]:
    """How power is known here, and why not from counters (``None``: it is).

    ``watts_per_core``: what the user states, which counts before counters.
    """
    if watts_per_core is not None:
        return StatedPower(watts_per_core, "by the user"), "watts per core were given"
    domains = sorted(root.glob("intel-rapl:[0-9]")) + sorted(root.glob("intel-rapl:[0-9][0-9]"))
    domains = [domain for domain in domains if _name(domain).startswith("package")]
    if not domains:
        why = f"there are no energy counters of a package (RAPL) in {root}"
    else:
        try:
            found = RaplPower(domains)
            found.start()
        except (OSError, ValueError) as error:
            why = f"the energy counters (RAPL) in {root} cannot be read: {error}"
        else:
            return found, None
    return StatedPower(WATTS_PER_CORE, WATTS_PER_CORE_SOURCE), why


def _name(domain: Path) -> str:
    try:
        return (domain / "name").read_text().strip()
    except OSError:
        return ""
