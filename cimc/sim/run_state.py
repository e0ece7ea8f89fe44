"""The state of one run; runs share nothing else than what is prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from cimc.interpreter.bags import Bags
from cimc.isa.program import Matrix
from cimc.sim.activity import Activity, Site
from cimc.sim.devices.noisy_mode import Noise
from cimc.sim.prepared import Prepared
from cimc.sim.scratchpads import Scratchpads

Mode = Literal["exact", "adc", "noisy"]
MODES: tuple[Mode, ...] = ("exact", "adc", "noisy")
Requests = dict[str, NDArray[Any]]
Observer = Callable[[Site, int, int, Matrix, Bags, str], None]
"""Told of every lookup: instruction, loop iteration, first request, table, ids of some requests, mode."""
Progress = Callable[[int, int], None]
"""Told (requests done, requests in all) of the chip segment under way."""


@dataclass
class Run:
    """One execution of a program.

    Attributes:
        prepared: what it shares with other runs.
        mode: how conversions are simulated.
        values: values of the program known so far, all requests of each.
        scratchpads: of this run alone.
        memory: budget in bytes of the scratchpads of all requests held at a time.
        threads: how many share every product and noisy lookup.
        noise: the cells of the device in mode ``noisy``.
        observer, progress: told what happens.
        activity: what lookups did so far.
        scores: all scores of each corpus that is searched, by its name; ``None`` where nobody asks for them.
    """

    prepared: Prepared
    mode: Mode
    values: Requests
    scratchpads: Scratchpads
    memory: int
    threads: int
    noise: Noise | None = None
    observer: Observer | None = None
    progress: Progress | None = None
    activity: Activity = field(default_factory=Activity)
    scores: Requests | None = None
