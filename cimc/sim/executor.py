"""The functional simulator: executes a program on a batch of requests, in any number of threads at once."""

from __future__ import annotations

import time

import numpy as np

from cimc.errors import RequestError
from cimc.host.choices import Recorder
from cimc.host.runtime import HostRunner
from cimc.isa.program import ChipSegment, HostSegment, Program
from cimc.isa.verify import verify_program
from cimc.sim.activity import Activity
from cimc.sim.chip import ChipRun
from cimc.sim.devices.model.device import Device
from cimc.sim.devices.noisy_mode import conditions_of
from cimc.sim.host_counts import HostCounts
from cimc.sim.kernels.searches.choices_of_searches import searched_choices
from cimc.sim.prepared import Prepared
from cimc.sim.run_state import MODES, Mode, Observer, Progress, Requests, Run
from cimc.sim.scratchpads import Spares
from cimc.target.spec import Target
from cimc.workload.request_rules import checked_arrays

__all__ = ["MEMORY", "MODES", "Mode", "Observer", "Requests", "Simulator"]

MEMORY = 1 << 28
"""Default budget of a run in bytes: scratchpads of all tiles times the requests held at a time."""


class Simulator:
    """Executes one program; what is prepared for it is kept between runs.

    Threads may run it at the same time: each run has its own state (:class:`~cimc.sim.run_state.Run`).

    Args:
        program: a program compiled for ``target``; it is verified here, and must not change any more.
        target: the machine.

    Attributes:
        prepared: what its runs share.
        spares: scratchpads that no run uses.

    Raises:
        ProgramError: when the program does not verify on the target.
    """

    __slots__ = ("_host", "_host_counts", "prepared", "program", "spares", "target")

    def __init__(self, program: Program, target: Target) -> None:
        verify_program(program, target)
        self.program, self.target = program, target
        self.prepared = Prepared(program, target)
        self.spares = Spares()
        self._host = HostRunner()
        self._host_counts = HostCounts(program.data, self._host)

    def run(
        self,
        requests: Requests,
        mode: Mode,
        progress: Progress | None = None,
        *,
        memory: int = MEMORY,
        threads: int = 1,
        device: Device | None = None,
        age: float | None = None,
        seed: int | None = None,
        observer: Observer | None = None,
        choices: Recorder | None = None,
    ) -> tuple[Requests, Activity]:
        """Outputs of all requests, and what the lookups did.

        Args:
            requests: an array per input of the program.
            mode: how conversions are simulated.
            progress: called with (requests done, requests in all) of the chip segment under way.
            memory: bytes that the scratchpads of all requests held at a time may take: a larger batch is
                executed in blocks, which changes no result.  Kernels take some 20 MB beside it.
            threads: how many share every product and noisy lookup; any number gives the same results.
            device, age, seed: for mode ``noisy``; ``age`` in seconds since programming.
            observer: told of every lookup.
            choices: records what the host segments choose.

        Texts are ``str`` objects.

        Raises:
            RequestError: arrays missing or of wrong dtype or shape, ids out of range, NaN.
            DeviceError: noisy mode without a device, or conditions that do not fit.
            ProgramError: ``sim.memory-budget`` when not even one request fits the budget.
        """
        if mode not in MODES:
            raise RequestError("request.bad-mode", f"mode '{mode}' is none of {', '.join(MODES)}")
        if threads < 1:
            raise RequestError("request.bad-threads", f"{threads} threads", hint="give 1 or more")
        conditions = conditions_of(mode == "noisy", device, age, seed)
        noise = None if conditions is None else self.prepared.noise(conditions)
        segments = self.program.chip_segments
        entering = {name for s in segments for p in s.inputs for name in (p.value, p.weights)}
        values = checked_arrays(self.program.header.inputs, requests, finite=entering)
        with self.spares.lent() as scratchpads:
            run = Run(
                self.prepared, mode, values, scratchpads, memory, threads, noise, observer, progress
            )  # fmt: skip
            run.scores = None if choices is None else {}
            for number, segment in enumerate(self.program.segments):
                if isinstance(segment, ChipSegment):
                    ChipRun(run, number).run()
                else:
                    self._run_host(segment, run, choices)
        if choices is not None:
            choices.found += searched_choices(self.program, run.scores or {}, values)
        outputs = {name: values[value] for name, value in self.program.header.outputs}
        if not segments:
            run.activity.requests = _common_rows(outputs)
        return outputs, run.activity

    def _run_host(self, segment: HostSegment, run: Run, choices: Recorder | None) -> None:
        start, values = time.perf_counter(), run.values
        model = self.program.data[segment.model].tobytes()
        execute = self._host.run if choices is None else choices.wrap(self._host.run)
        given = {inner: values[outer] for inner, outer in segment.inputs}
        outputs = execute(model, given, [o for o, _ in segment.outputs])
        for inner, outer in segment.outputs:
            values[outer] = outputs[inner]
        run.activity.host_seconds += time.perf_counter() - start
        run.activity.host_work += self._host_counts.of(segment.model, given)


def _common_rows(outputs: Requests) -> int:
    """Requests of a run without chip segments: the rows of the outputs, or 1 if they do not agree."""
    rows = {array.shape[0] for array in outputs.values() if isinstance(array, np.ndarray) and array.ndim}
    return rows.pop() if len(rows) == 1 else 1
