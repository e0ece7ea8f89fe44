"""The Python interface: ``cimc.compile``, ``Program.run``, and what they return."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.analysis.access import accesses_of
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.cost import Cost, estimate
from cimc.cost.on_chip import OnChip, on_chip
from cimc.errors import CimcError, PassError, ProgramError, RequestError
from cimc.frontend.append_search import IDS, SCORES, CorpusFile, append_search
from cimc.frontend.import_graph import import_model
from cimc.frontend.preflight import judge
from cimc.frontend.read.load_model import LoadedModel, load_model
from cimc.frontend.select_outputs import drop_unneeded_inputs, select_outputs
from cimc.host.choices import Recorder
from cimc.host.isolation import current_limits, host_limits
from cimc.interpreter.evaluate import input_signature, main_function
from cimc.ir.context import CompilerContext, Requests
from cimc.ir.text import new_context
from cimc.isa.artifact import load_program, save_program
from cimc.isa.program import Program as Data
from cimc.remarks import Remarks, SourceRemarks
from cimc.sim.activity import Activity
from cimc.sim.devices.model.device import Device
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_mode import conditions_of
from cimc.sim.executor import MEMORY, Mode, Simulator
from cimc.support.io.claims import Output, claimed, reading, recording
from cimc.support.limits import Limits
from cimc.support.once import Once
from cimc.support.plugins.origin import Origin, noting
from cimc.support.shown import Entries, Shown, counted, some
from cimc.target.load_target import load_target
from cimc.target.spec import Target
from cimc.target.validate import validate
from cimc.timing import Arrivals, Dispatch, Simulation, simulate
from cimc.transforms.instrumentation import Instrument
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.transforms.pipeline import Pipeline
from cimc.workload.request_rules import checked_arrays
from cimc.workload.traces import Trace

if TYPE_CHECKING:
    from cimc.cost.flow.dataflow import Dataflow

AfterPass = Callable[[ModulePass, ModuleOp, CompilerContext, float], None]


class Placement(Entries):
    """Where every matrix lives, and how good the mapping is: see ``docs/cli.md``."""


class EventCounts(Entries):
    """Counted events per request."""


@dataclass(frozen=True, repr=False)
class Result(Shown):
    """What a run gives.

    Attributes:
        outputs: the model's outputs by name, a row per request.
        activity: what the lookups of these requests did.
        cost: time, energy and area; ``cost.events`` are the counted events.
        placement: where every matrix lives.
        notes: what noisy mode assumed beyond the published figures of the device.
    """

    outputs: Requests
    activity: Activity
    cost: Cost
    placement: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def events(self) -> dict[str, float]:
        """Counted events per request."""
        return EventCounts(self.cost.events)

    def _brief(self) -> str:
        outputs = some([f"{name} {_kind(value)}" for name, value in self.outputs.items()])
        cost = self.cost
        return (
            f"of {counted(self.activity.requests, 'request')}: {outputs}; {cost.latency_ns:.4g} ns and "
            f"{cost.energy_pj:.4g} pJ for one on {cost.target}"
        )

    def _repr_html_(self) -> str:
        from cimc.report.html import page
        from cimc.report.summary import cost_blocks, output_block

        return page([output_block(self.outputs), *cost_blocks(self.cost)])

    @property
    def on_chip(self) -> OnChip:
        """The share of the model's work that the chip did for these requests."""
        return self.cost.on_chip


def _kind(value: Any) -> str:
    from cimc.host.values import described

    found = described(value)
    return f"{found['dtype']}{found['shape']}"


class Program(Shown):
    """A compiled model, ready to run, save and inspect.

    Threads may use one program at the same time; a copy for another process (``pickle``) holds all its data.
    """

    def __init__(self, data: Data, target: Target | None = None) -> None:
        self.data = data
        try:
            description = json.loads(data.header.target_json) if target is None else None
        except ValueError as error:
            raise ProgramError("program.corrupt", f"the target in the program is no JSON: {error}") from None
        self.target = target or validate(description, "the program")
        if self.target.digest != data.header.target_digest:
            raise ProgramError("program.corrupt", "the target in the program does not match its digest")
        self._simulators: Once[str, Simulator] = Once()
        self._sources: dict[Path, str] = {}

    def _simulator(self) -> Simulator:
        return self._simulators.get("", lambda _: Simulator(self.data, self.target))

    @property
    def placement(self) -> dict[str, Any]:
        """Where every matrix lives, and how good the mapping is."""
        found = self.remarks.placement
        return Placement({} if found is None else found.mapping())

    @property
    def remarks(self) -> Remarks:
        """What passes found out and decided while it was compiled: ``remarks.placement.gap``."""
        return self.data.remarks

    def _brief(self) -> str:
        return self.data._brief()

    def _repr_html_(self) -> str:
        from cimc.report import placement
        from cimc.report.html import page
        from cimc.report.summary import program_block

        return page([program_block(self.data), *placement.blocks(self.data, self.target)])

    @property
    def on_chip(self) -> OnChip:
        """The share of the model's work that the chip does, as far as shapes tell before any request."""
        return on_chip(self.data)

    @property
    def pipeline(self) -> str:
        """The passes with all options, as they fitted: gives the same program at the first attempt."""
        return self.data.header.pipeline

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions and fallbacks that compilation took."""
        return self.data.header.notes

    def run(
        self,
        requests: Requests,
        mode: Mode = "adc",
        progress: Callable[[int, int], None] | None = None,
        *,
        memory: int = MEMORY,
        threads: int = 1,
        device: str | Path | Device | None = None,
        age: float | None = None,
        seed: int | None = None,
        limits: Limits | None = None,
        choices: Recorder | None = None,
    ) -> Result:
        """Execute the program on a batch of requests.

        Args:
            requests: an array per input of the model, named after it; others are ignored.
            mode: ``exact`` (integers), ``adc`` (bit slices, input phases and ADC, bit-exact) or ``noisy`` (as
                ``adc``, in the cells of a device).
            progress: called with (requests done, requests in all).
            memory: budget in bytes for the scratchpads of all requests held at a time; a larger batch is
                executed in blocks, with the same results.
            threads: how many share each product of a layer and each noisy lookup; any number gives the same
                results.
            device: for ``noisy``: name of a preset, path of a YAML description, or a :class:`Device`.
            age: for ``noisy``: seconds since the cells were written (0 if absent).
            seed: for ``noisy``: seed of everything random (0 if absent).
            limits: caps on the time and memory that onnxruntime may use for each host segment.
            choices: records what ``TopK``, ``ArgMax`` and ``ArgMin`` choose, for :func:`cimc.compare.check`.

        Raises:
            RequestError: when the arrays do not fit the model, or for less than one thread.
            DeviceError: when the device, its age or the seed cannot be used.
            ProgramError: ``sim.memory-budget`` when one request exceeds the budget.
        """
        found = load_device(device) if isinstance(device, (str, Path)) else device
        with host_limits(limits or current_limits()):
            outputs, activity = self._simulator().run(
                requests,
                mode,
                progress,
                memory=memory,
                threads=threads,
                device=found,
                age=age,
                seed=seed,
                choices=choices,
            )
        cost = estimate(self.data, self.target, activity)
        conditions = conditions_of(mode == "noisy", found, age, seed)
        notes = () if conditions is None else tuple(conditions.notes(self.target.name))
        return Result(outputs, activity, cost, self.placement, notes)

    def search(
        self, queries: Any, k: int | None = None, mode: Mode = "adc"
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best items: ``scores`` float32 ``[B, k]`` and ``ids`` int64 ``[B, k]``, best first.

        Args:
            queries: an array per input of the model, or one array where it has one input; a single query may
                lack the axis of requests.
            k: how many, up to as many as the program keeps; all of these if absent.
            mode: as for :meth:`run`.

        Raises:
            RequestError: ``corpus.none`` where nothing is searched, ``corpus.too-many`` for another ``k``.
        """
        inputs = self.data.header.inputs
        if {name for name, _ in self.data.header.outputs} != {SCORES, IDS}:
            raise RequestError(
                "corpus.none", "the program gives no scores and ids", hint="compile it with a corpus"
            )
        if not isinstance(queries, dict):
            name, _, shape = inputs[0]
            array = np.asarray(queries)
            queries = {name: array[None] if array.ndim == len(shape) - 1 else array}
        outputs = self.run(queries, mode).outputs
        kept = outputs[IDS].shape[1]
        if k is not None and not (isinstance(k, (int, np.integer)) and 1 <= k <= kept):
            raise RequestError(
                "corpus.too-many", f"k={k}: the program keeps the best {kept}", hint="compile for more"
            )
        return outputs[SCORES][:, :k], outputs[IDS][:, :k]

    def simulate(
        self,
        requests: Requests,
        arrivals: Arrivals | None = None,
        *,
        dispatch: Dispatch = "turn",
        scratchpad_gbps: float | None = None,
        link_buffer: int | None = None,
        timeline: int = 0,
    ) -> Simulation:
        """Simulate requests that share the machine; see :func:`cimc.timing.simulate`.

        Args:
            requests: as for :meth:`run`; their ids decide who is asked.
            arrivals: how they arrive; one at a time if absent.
            dispatch: which instances they use: one after the other (``turn``), or those with the fewest
                requests under way (``least``).
            scratchpad_gbps: rate of each scratchpad's port; ``None``: no limit.
            link_buffer: messages that the buffer of each mesh link holds; ``None``: any number.
            timeline: keep the uses of units by the first so many requests.

        Raises:
            RequestError: when the arrays do not fit the model.
        """
        found, _ = simulate(
            self.data,
            self.target,
            requests,
            arrivals,
            dispatch=dispatch,
            scratchpad_gbps=scratchpad_gbps,
            link_buffer=link_buffer,
            timeline=timeline,
        )
        return found

    def dataflow(self, activity: Activity | None = None) -> Dataflow:
        """The stages of a request and the bits between them, for networkx.

        See :func:`cimc.cost.flow.dataflow.dataflow`.  ``activity`` of a run says what lookups take; a program
        without lookups needs none.

        Raises:
            CostError: ``cost.no-activity``.
        """
        from cimc.cost.flow.dataflow import dataflow

        return dataflow(self.data, self.target, activity)

    def save(self, path: str | Path) -> None:
        """Write the program to a file, atomically.

        Raises:
            CimcError: ``io.cannot-write``; ``io.same-file`` for one of the files it was compiled from.
        """
        with claimed([Output("the program", Path(path))]):
            for source, what in self._sources.items():
                reading(source, what)
        save_program(self.data, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Program:
        """Read a program written by :meth:`save`; digests are checked."""
        return cls(load_program(Path(path)))


def compile(
    model: str | Path,
    target: str | Target = "tsinghua28",
    calib: Requests | None = None,
    pipeline: str | Pipeline = DEFAULT_PIPELINE,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    weights: str | None = None,
    outputs: Sequence[str] | None = None,
    corpus: CorpusFile | None = None,
    trace: str | Path | Trace | None = None,
    after: AfterPass | None = None,
    instrument: Sequence[Instrument] = (),
    objective: str | None = None,
    load: int | None = None,
    rate: float | None = None,
    p99_us: float | None = None,
    search: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Program:
    """Compile an ONNX model for a target.

    Args:
        model: path of the ONNX file.
        target: name of a preset, path of a YAML description, or a :class:`Target`.
        calib: requests whose activations set quantisation and ADC ranges; invented from ``seed`` if absent,
            which a note of the program says.
        pipeline: passes with their options.
        seed: seed of everything random.
        limits: caps on what is accepted as a model, and on what onnxruntime may use while compiling.
        weights: ``generated:SEED`` for a model whose data files are missing: weights are generated, which a
            note of the program says; outputs then mean nothing, sizes and costs do.
        outputs: compile only what these outputs of the model need, one tower of a two-tower file say; all of
            them if absent.  The program then takes only the inputs that they need.
        corpus: item vectors to search with the one output, a vector a request; the program then gives
            ``scores`` and ``ids`` of the best, see :meth:`Program.search`.
        trace: accesses of the tables, or the file that ``cimc trace`` wrote of them; they decide where rows
            are placed instead of those of the calibration requests.
        after: called after each pass with the pass, the module, the context and the seconds taken.
        instrument: what watches the passes: dumps, checks, timings, or your own; see :mod:`cimc.instrument`.
        objective: ``throughput``, ``latency``, ``energy`` or ``edp`` (energy times latency): what
            ``allocate`` decides for, instead of what its options in ``pipeline`` say; so are the next three.
        load: requests in flight.
        rate: requests a second that arrive at random, instead of ``load``.
        p99_us: what one request in a hundred may exceed; the program is simulated, and refused where it does.
        search: candidates, the pipeline the first of them, of which the best is the program
            (:mod:`cimc.search`); ``remarks.search`` says what was tried.
        progress: told of the search: candidates done, in all, and what is under way.

    Where the target cannot hold the model, passes that can ask for less do so; the pipeline of the program
    says with which options it fitted, and gives the same program at the first attempt.

    Raises:
        CimcError: for a model, target or pipeline that cannot be used.
        CheckFailed: ``candidates.p99``, where no candidate keeps the bound on latency.
        InternalError: when the compiler refuses what it made of the model: a bug.
    """
    from cimc.compare.blame import blaming_requests
    from cimc.search.search_pipelines import judges, search_best, with_goal

    if not (isinstance(search, (int, np.integer)) and search >= 1):
        raise PassError(
            "candidates.option", f"search={search!r}: at least one candidate, the pipeline itself"
        )
    if any(each is not None for each in (objective, load, rate, p99_us)):
        line = pipeline if isinstance(pipeline, Pipeline) else Pipeline.parse(pipeline)
        pipeline = with_goal(line, objective, load, rate, p99_us)
    watching = [*instrument, *([] if after is None else [_Calls(after)])]
    with host_limits(limits or current_limits()), recording() as sources:
        module, ctx, line = prepare(
            model, target, calib, pipeline,
            seed=seed, limits=limits, weights=weights, outputs=outputs, corpus=corpus, trace=trace,
        )  # fmt: skip
        with blaming_requests(Path(model), None if outputs or weights or corpus else calib):
            if judges(line, search):
                line, tried = search_best(line, module, ctx, search, progress)
                ctx.pipeline = str(line)
                ctx.remark(tried)
            line = line.run(module, ctx, watching)
    if ctx.program is None:
        raise ProgramError(
            "pass.no-program", f"pipeline '{line}' builds no program", hint="end it with schedule,lower"
        )
    assert ctx.target is not None
    program = Program(ctx.program, ctx.target)
    program._sources = sources
    return program


class _Calls(Instrument):
    """Calls a function after each pass."""

    def __init__(self, function: AfterPass) -> None:
        self._function = function

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        self._function(each, module, ctx, seconds)


def prepare(
    model: str | Path,
    target: str | Target,
    calib: Requests | None,
    pipeline: str | Pipeline,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    weights: str | None = None,
    outputs: Sequence[str] | None = None,
    corpus: CorpusFile | None = None,
    trace: str | Path | Trace | None = None,
) -> tuple[ModuleOp, CompilerContext, Pipeline]:
    """Everything up to the first pass: the imported module, its context and the parsed pipeline."""
    plugins: dict[Origin, None] = {}
    with noting(plugins):
        line = Pipeline.parse(pipeline) if isinstance(pipeline, str) else pipeline
        chosen = target if isinstance(target, Target) else load_target(target)
    loaded = load_model(Path(model), limits or current_limits(), weights)
    notes = judge(loaded)
    ctx = new_context()
    ctx.notes += notes
    ctx.target, ctx.seed = chosen, seed
    ctx.plugins.update(plugins)
    if trace is not None:
        ctx.trace = accesses_of(trace if isinstance(trace, Trace) else Trace.load(Path(trace)))
    module = import_model(loaded, ctx)
    ctx.model, ctx.model_digest, ctx.pipeline = Path(model).name, loaded.digest, str(line)
    if loaded.generated is not None:
        ctx.notes.append(loaded.generated.note)
        if loaded.generated.tensors and weights is not None:
            ctx.remark(SourceRemarks(weights))
    if unneeded := drop_unneeded_inputs(module, ctx):
        ctx.notes.append(f"inputs that no output depends on are not asked for: {', '.join(unneeded)}")
    if calib is None:
        ShapeAnalysis(main_function(module), ctx).refine_inputs()
        _synthesize(loaded, module, ctx)
    if outputs:
        select_outputs(module, outputs, ctx)
        ctx.notes.append(f"compiled for these outputs alone: {', '.join(outputs)}")
    if corpus is not None:
        append_search(module, corpus, ctx)
    if calib is not None:
        use_calibration(module, ctx, calib)
    return module, ctx, line


def use_calibration(module: ModuleOp, ctx: CompilerContext, calib: Requests) -> None:
    """Make ``calib`` the calibration requests of ``ctx``.

    Raises:
        RequestError: when the arrays do not fit the inputs of ``module``.
    """
    signature = input_signature(main_function(module))
    # which inputs reach the chip is not known yet; layers refuse what is not finite
    ctx.calibration = checked_arrays(signature, calib, "calibration input", finite=())


def _synthesize(loaded: LoadedModel, module: ModuleOp, ctx: CompilerContext) -> None:
    """Invent calibration requests; where that fails, remember why."""
    from cimc.transforms.quantise.invented_requests import synthetic_requests

    try:
        ctx.calibration = synthetic_requests(loaded, module, ctx, seed=ctx.seed)
    except CimcError as error:
        if error.code != "calib.cannot-synthesize":
            raise
        ctx.no_calibration = error  # fatal only where something is to be quantised
        return
    ctx.calibration_synthetic = True
    ctx.notes.append(
        "calibrated on synthetic requests: quantisation and ADC ranges, and expected table accesses, "
        "are guesses; give real ones with --calib"
    )
