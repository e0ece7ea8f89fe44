"""Runs a sweep of accuracy: compiles each variant, simulates it in each way, measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cimc.api import Program, compile
from cimc.compare.reference import part_outputs, reference_outputs
from cimc.errors import CimcError, InfeasibleError, PassError, RequestError
from cimc.isa.jagged import jagged_in_program
from cimc.metrics.intervals import multiplicity
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_mode import conditions_of
from cimc.study.accuracy_measures import Answers, Metrics, Point, Study, Task, measure, over, sample
from cimc.study.accuracy_task import Asked, task_of
from cimc.study.sweep_axes import Variant, parse_axes, variants
from cimc.support.progress import Advance
from cimc.target.load_target import load_target
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.transforms.pipeline import Pipeline
from cimc.workload.first_requests import first_requests
from cimc.workload.request_file import load_requests
from cimc.workload.request_rules import Arrays


@dataclass(frozen=True)
class Sources:
    """The files and options that say what is compiled and run."""

    model: Path
    inputs: Path
    items: Path | None
    reference: Path | None
    item_program: Path | None
    target: str
    calib: Path | None
    pipeline: str | None
    sweep: tuple[str, ...]
    seed: int
    limit: int | None
    max_bytes: int
    threads: int = 1

    @property
    def is_onnx(self) -> bool:
        """Whether the model is compiled here."""
        return self.model.suffix.lower() == ".onnx"

    def check(self) -> None:
        """Refuse options that do not go with the kind of model.

        Raises:
            click.UsageError: with what to do instead.
        """
        if self.is_onnx:
            if self.reference is not None or self.item_program is not None:
                raise click.UsageError(
                    "--reference and --item-program go with a program, MODEL is an ONNX file"
                )
            return
        if self.sweep:
            raise click.UsageError("--sweep compiles anew: give the ONNX file instead of the program")
        if self.calib is not None or self.pipeline is not None:
            raise click.UsageError(
                "--calib and --pipeline are for compiling an ONNX file, MODEL is a program"
            )
        if (self.items is None) != (self.item_program is None):
            raise click.UsageError("--items and --item-program go together: the items and their tower")


@dataclass(frozen=True)
class Way:
    """One way to simulate a program: settings by name, and the seeds to average (none: nothing is random)."""

    mode: Any
    device: str | None = None
    age: float | None = None
    seeds: tuple[int, ...] = ()

    def settings(self, noisy: bool) -> dict[str, Any]:
        """Settings by name; device and age only where some mode has them (``noisy``)."""
        found: dict[str, Any] = {"mode": self.mode}
        return found | ({"device": self.device, "age": self.age} if noisy else {})


def runs(modes: Sequence[str], devices: Sequence[str], ages: str, seed: int, seeds: int) -> tuple[Way, ...]:
    """All ways to simulate, in the order of the options.

    Raises:
        click.UsageError: for ages that are no numbers, or mode noisy without a device.
        DeviceError: for a device, an age or a seed that cannot be used.
    """
    try:
        when = [float(text) for text in ages.split(",")]
    except ValueError:
        raise click.UsageError(f"--age {ages}: seconds, separated by commas, are expected") from None
    if not all(0 <= age < float("inf") for age in when):
        raise click.UsageError(f"--age {ages}: an age is a number of seconds from 0")
    if "noisy" in modes and not devices:
        raise click.UsageError("--mode noisy needs --device")
    if "noisy" not in modes and (devices or any(when) or seeds > 1):
        raise click.UsageError("--device, --age and --seeds belong to --mode noisy")
    found: list[Way] = []
    for mode in dict.fromkeys(modes):
        if mode != "noisy":
            found.append(Way(mode))
            continue
        numbers = tuple(range(seed, seed + seeds))
        for name in devices:  # before anything is compiled
            conditions_of(True, load_device(name), max(when), numbers[-1])
        found += [Way(mode, d, age, numbers) for d in dict.fromkeys(devices) for age in dict.fromkeys(when)]
    return tuple(found)


@dataclass(frozen=True)
class Towers:
    """A program for the requests, and one for the items where these are a file of their own."""

    main: Program
    items: Program | None = None


def study(sources: Sources, asked: Asked, ways: Sequence[Way], advance: Advance) -> Study:
    """Compile, simulate and measure everything.

    Raises:
        CimcError: for files or options that cannot be used; also the first reason, where no variant of the
            sweep is possible.
    """
    arrays = load_requests(sources.inputs, sources.max_bytes)
    items = None if sources.items is None else load_requests(sources.items, sources.max_bytes)
    axes = parse_axes(sources.sweep)
    compiled = list(_variants(sources, axes))
    work = _Work(
        sources, asked, arrays, items, len(compiled) * sum(max(1, len(w.seeds)) for w in ways), advance
    )
    noisy = any(way.mode == "noisy" for way in ways)
    points: list[Point] = []
    for variant in compiled:
        try:
            towers = work.towers(variant)
        except CimcError as error:
            if variant is None or not _impossible(error):
                raise
            if len(compiled) == 1:
                raise
            work.failed = work.failed or error
            points += [
                Point(variant.settings | way.settings(noisy), {}, error=error.to_json()) for way in ways
            ]
            continue
        chosen = {} if variant is None else variant.settings
        points += [work.point(towers, chosen | way.settings(noisy), way) for way in ways]
    if work.task is None:
        assert work.failed is not None
        raise work.failed
    many = multiplicity(sum(point.error is None for point in points))
    notes = (*work.notes, many) if many else tuple(work.notes)
    return Study(work.about(), work.reference, tuple(points), _axes(points), notes)


def _variants(sources: Sources, axes: Sequence[Any]) -> Iterator[Variant | None]:
    """What to compile; for a program nothing."""
    if not sources.is_onnx:
        yield None
        return
    line = Pipeline.parse(sources.pipeline or DEFAULT_PIPELINE)
    yield from variants(axes, load_target(sources.target), line)


def _impossible(error: CimcError) -> bool:
    """Whether a combination cannot be, which is a result of a sweep, and not a mistake of the user."""
    return isinstance(error, InfeasibleError) or (
        isinstance(error, PassError) and error.code.startswith("shard.")
    )


def _axes(points: Sequence[Point]) -> dict[str, tuple[Any, ...]]:
    names = dict.fromkeys(name for point in points for name in point.settings)
    found = {n: tuple(dict.fromkeys(p.settings[n] for p in points if n in p.settings)) for n in names}
    return {n: values for n, values in found.items() if len([v for v in values if v is not None]) > 1}


class _Work:
    """A sweep under way: the task and the reference are made when the first program is there."""

    def __init__(
        self,
        sources: Sources,
        asked: Asked,
        arrays: Arrays,
        items: Arrays | None,
        runs: int,
        advance: Advance,
    ) -> None:
        self.sources, self.asked, self.arrays, self.items = sources, asked, arrays, items
        self.runs, self.done, self.advance = runs, 0, advance
        self.calib = None if sources.calib is None else load_requests(sources.calib, sources.max_bytes)
        self.task: Task | None = None
        self.answers: Answers | None = None
        self.reference: Metrics = {}
        self.requests = 0
        self.model = self.target = ""
        self.notes: list[str] = []
        self.failed: CimcError | None = None

    def towers(self, variant: Variant | None) -> Towers:
        """The programs of a variant."""
        s = self.sources
        if variant is None:
            found = Towers(
                Program.load(s.model), None if s.item_program is None else Program.load(s.item_program)
            )
            if found.main.remarks.source is not None:
                raise RequestError(
                    "request.no-reference",
                    "the program holds generated weights: its outputs mean nothing",
                    hint="compile with the data files beside the model",
                )
        else:
            self.advance(self.done, self.total, _text("compiling", variant.settings))
            main = compile(s.model, variant.target, self.calib, variant.pipeline, seed=s.seed)
            tower = None
            if self.items is not None and not self.asked.scores:
                tower = compile(
                    s.model,
                    variant.target,
                    self.calib,
                    variant.pipeline,
                    seed=s.seed,
                    outputs=[self.asked.item],
                )
            found = Towers(main, tower)
        self.notes += [note for note in found.main.notes if note not in self.notes]
        if self.task is None:
            self._prepare(found)
        return found

    def _prepare(self, towers: Towers) -> None:
        """Cut the requests, run the float model, and find out what is measured."""
        names = [name for name, _, _ in towers.main.data.header.inputs]
        if self.sources.limit is not None:
            jagged = jagged_in_program(towers.main.data)
            self.arrays = first_requests(self.arrays, names, jagged, self.sources.limit)
        if all(self.arrays[name].shape[:1] == (0,) for name in names if name in self.arrays):
            raise CimcError(
                "accuracy.nothing-to-measure",
                "the request file holds no requests",
                hint="give a file whose inputs have some rows",
            )
        model = self.sources.model if self.sources.is_onnx else self.sources.reference
        wanted = [name for name, _ in towers.main.data.header.outputs]
        if model is None:
            outputs = towers.main.run(self.arrays, "exact").outputs
        else:
            self.advance(0, self.total, "float model")
            outputs, digest = reference_outputs(model, self.arrays, wanted)
            if digest != towers.main.data.header.model_digest:
                self.notes.append(f"{model} is not the file that this program was compiled from")
        self.task = task_of(self.asked, self.arrays, names, outputs, self.items)
        self.requests = len(next(iter(outputs.values())))
        self.model, self.target = towers.main.data.header.model, towers.main.target.name
        if model is not None:
            corpus = None
            if self.items is not None and not self.asked.scores:
                corpus = part_outputs(model, self.items, [self.asked.item])[self.asked.item]
            self.answers = Answers(outputs, corpus)
            self.reference = measure(self.task, self.answers, None)
            if self.task.labels is not None and "log_loss" not in self.reference:
                self._no_loss()
        elif self.task.labels is None and self.task.retrieval is None:
            raise CimcError(
                "accuracy.nothing-to-measure",
                "there are neither labels nor a float model to compare with",
                hint="name the labels with --labels, or give --reference MODEL.onnx",
            )

    def _no_loss(self) -> None:
        assert self.task is not None
        self.notes.append(
            f"scores of '{self.task.output}' leave 0..1: no log loss; if they are log-odds, add --logits"
        )

    def point(self, towers: Towers, settings: dict[str, Any], way: Way) -> Point:
        """Simulate one combination, with every seed."""
        assert self.task is not None
        found = []
        for seed in way.seeds or (None,):
            text = _text("", settings if seed is None else {**settings, "seed": seed})
            outputs = self._run(towers.main, self.arrays, way, seed, text)
            corpus = None
            if towers.items is not None and self.items is not None:
                corpus = self._run(towers.items, self.items, way, seed, text)[self.asked.item]
            found.append(sample(self.task, Answers(outputs, corpus), self.answers))
            self.done += 1
        each = tuple(over([one]) for one in found) if way.seeds else ()
        return Point(settings, over(found), way.seeds, each)

    @property
    def total(self) -> int:
        """Requests to simulate in all; of every run as many as the requests, before they are counted 1."""
        return self.runs * max(self.requests, 1)

    def _run(self, program: Program, arrays: Arrays, way: Way, seed: int | None, text: str) -> Arrays:
        base = self.done * max(self.requests, 1)

        def progress(done: int, total: int) -> None:
            share = done / max(total, 1)
            self.advance(base + int(share * max(self.requests, 1)), self.total, text)

        if way.mode != "noisy":
            return program.run(arrays, way.mode, progress, threads=self.sources.threads).outputs
        result = program.run(
            arrays, "noisy", progress,
            threads=self.sources.threads, device=way.device, age=way.age, seed=seed,
        )  # fmt: skip
        self.notes += [note for note in result.notes if note not in self.notes]
        return result.outputs

    def about(self) -> dict[str, Any]:
        """What the sweep is about."""
        assert self.task is not None
        labels, retrieval = self.task.labels, self.task.retrieval
        return {
            "model": self.model,
            "target": self.target if not self.sources.is_onnx else self.sources.target,
            "seed": self.sources.seed,
            "requests": self.requests,
            "output": self.task.output,
            "positives": None if labels is None else int(labels.sum()),
            "queries": None if retrieval is None else len(retrieval.queries),
            "items": None if retrieval is None else len(retrieval.ids),
        }


def _text(verb: str, settings: dict[str, Any]) -> str:
    shown = " ".join(f"{k}={v}" for k, v in settings.items() if v is not None)
    return f"{verb} {shown}".strip()
