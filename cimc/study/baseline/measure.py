"""``cimc.measure_baseline``: every way to compute the requests on the CPU at hand, timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.compare.reference import inputs_of
from cimc.errors import CimcError, RequestError
from cimc.frontend.read.load_model import load_model
from cimc.host.isolation import current_limits, host_limits
from cimc.host.runtime import HostRunner
from cimc.host.worker import timed
from cimc.study.baseline import cpu_at_hand
from cimc.study.baseline.cpu_power import meter
from cimc.study.baseline.fused_model import FusedModel, NotFused, recognised
from cimc.study.baseline.records import FUSED, INT8, ORT, Baseline, LeftOut, Row
from cimc.study.baseline.request_batches import RequestBatches, batches_of, digest_of
from cimc.support.blas import one_thread
from cimc.support.limits import Limits
from cimc.support.progress import Advance

Arrays = dict[str, NDArray[Any]]
Times = list[list[list[float]]]

ENGINES = (ORT, INT8, FUSED)
BATCHES = (1, 16, 256, 2048)
REPEATS = 5
METHOD = (
    "each row: calls around and around on up to 256 batches, the first fifth of its time cut as warm-up, the "
    "rest in {repeats} stretches; onnxruntime in a process of its own, timed there around the run alone "
    "(sequential execution, all optimisations, arrays in, arrays out); the fused reference in this process, "
    "one BLAS thread a stream; streams: calls under way at a time, each on the whole model"
)
TOLERANCE = 1e-4
"""Largest difference of a float output from onnxruntime's, relative to the output's largest magnitude."""


def measure_baseline(
    model: str | Path,
    requests: Mapping[str, Any],
    *,
    seconds: float = 60.0,
    batches: Sequence[int] = BATCHES,
    engines: Sequence[str] = ENGINES,
    cores: int | None = None,
    watts_per_core: float | None = None,
    limits: Limits | None = None,
    progress: Advance | None = None,
) -> Baseline:
    """Measure what the CPU at hand does with a model and requests.

    onnxruntime in fp32 and with its own dynamic int8 quantisation, and a reference whose embedding bags are
    fused, whose outputs are first checked to be onnxruntime's; each over batch sizes and cores, with the ids
    of the requests and with those of one request alone.  What cannot be measured is named in ``left_out``.

    Args:
        model: the ONNX file.
        requests: an array per input of the model, named after it; others are ignored.
        seconds: time for all rows together; each takes its equal share, and at least six calls.
        batches: batch sizes; larger ones than there are requests become all requests.
        engines: those that are measured.
        cores: most cores that are used; all that this process may use by default.
        watts_per_core: power of a core that works, W; by default energy counters, or else a cited figure.
        limits: caps on the model, and on what onnxruntime may use per row.
        progress: called with (rows done, rows in all, the row under way).

    Raises:
        ModelError: for a file that cannot be accepted.
        RequestError: when the arrays do not fit the model, or cannot be cut into requests.
        CimcError: ``baseline.option`` for times, sizes, cores or watts that are not positive, or an
            engine that is not known; ``host.*`` when
            onnxruntime fails on the model.
    """
    _check_options(seconds, batches, cores, watts_per_core)
    if not engines or not set(engines) <= set(ENGINES):
        raise CimcError(
            "baseline.option", f"engines are {', '.join(ENGINES)}, not {', '.join(engines) or 'none'}"
        )
    most = min(cores or cpu_at_hand.cores(), cpu_at_hand.cores())
    with host_limits(limits or current_limits()):
        return _measure(Path(model), requests, seconds, batches, engines, most, watts_per_core, progress)


def _check_options(seconds: float, batches: Sequence[int], cores: int | None, watts: float | None) -> None:
    for name, value in (("seconds", seconds), ("watts_per_core", 1.0 if watts is None else watts)):
        if not 0 < value < float("inf"):
            raise CimcError("baseline.option", f"{name} must be positive and finite, not {value:g}")
    if not batches or any(size < 1 for size in batches):
        raise CimcError("baseline.option", f"batch sizes must be positive, not {list(batches)}")
    if cores is not None and cores < 1:
        raise CimcError("baseline.option", f"cores must be positive, not {cores}")


@dataclass(frozen=True)
class _Way:
    """How calls are made: on how many threads inside, and how many at a time."""

    engine: str
    threads: int
    streams: int

    @property
    def cores(self) -> int:
        return self.threads * self.streams


def _measure(
    path: Path,
    requests: Mapping[str, Any],
    seconds: float,
    sizes: Sequence[int],
    engines: Sequence[str],
    most: int,
    watts_per_core: float | None,
    progress: Advance | None,
) -> Baseline:
    load = cpu_at_hand.load_average()
    loaded = load_model(path)
    arrays = inputs_of(loaded.proto.graph, {name: np.asarray(value) for name, value in requests.items()})
    module, ctx = recognised(loaded)
    cut = batches_of(module, arrays)
    left_out = [LeftOut(engine, "not asked for") for engine in ENGINES if engine not in engines]
    fused: FusedModel | None = None
    error: float | None = None
    int8_error: float | None = None
    if FUSED in engines:
        try:
            fused = FusedModel(module, ctx)
            error = _check(fused, path, cut)
        except (NotFused, RequestError) as reason:
            left_out.append(LeftOut(FUSED, str(reason)))
            fused = None
    if INT8 in engines:
        try:
            int8_error = _int8_error(path, cut)
        except CimcError as reason:
            left_out.append(LeftOut(INT8, f"onnxruntime's quantiser does not do it: {reason.message}"))
    ways = [
        _Way(engine, n, m)
        for engine in engines
        if engine not in {each.engine for each in left_out}
        for n, m in _cores(most)
        if engine != FUSED or n == 1
    ]
    if not ways:
        raise CimcError(
            "baseline.nothing",
            f"nothing to measure: {'; '.join(f'{each.engine}: {each.why}' for each in left_out)}",
            hint="leave out --engine: onnxruntime runs every model that cimc accepts",
        )
    work = list(_batches(cut, sizes))
    power, no_counters = meter(watts_per_core)
    rows: list[Row] = []
    share = seconds / (len(ways) * len(work))
    for ids, size, parts in work:
        for way in ways:
            if progress is not None:
                progress(len(rows), len(ways) * len(work), f"{way.engine}, batch {size}")
            power.start()
            times = _times(way, path, fused, parts, share)
            rows.append(_row(way, ids, size, times, power.watts(way.cores)))
    counted = max(row.watts for row in rows) / cpu_at_hand.cores()
    return Baseline(
        path.name,
        loaded.digest,
        tuple(sorted(cut.arrays)),
        cut.requests,
        digest_of({name: np.asarray(requests[name]) for name in cut.arrays}),
        cpu_at_hand.cpu_name(),
        cpu_at_hand.cores(),
        cpu_at_hand.versions(),
        load,
        power.source,
        power.text,
        no_counters,
        counted if power.source == "rapl" else rows[0].watts / (rows[0].threads * rows[0].streams),
        seconds,
        REPEATS,
        tuple(rows),
        tuple(left_out),
        error,
        int8_error,
        METHOD.format(repeats=REPEATS),
    )


def _cores(cores: int) -> Iterator[tuple[int, int]]:
    """Threads inside of a call, and calls at a time: 1, 2, 4, ... and all cores, each way."""
    counts = sorted({*(1 << n for n in range(cores.bit_length()) if 1 << n <= cores), cores})
    yield 1, 1
    for count in counts[1:]:
        yield count, 1
        yield 1, count


def _batches(cut: RequestBatches, sizes: Sequence[int]) -> Iterator[tuple[str, int, list[Arrays]]]:
    for size in cut.sizes(sizes):
        yield "recorded", size, cut.recorded(size)
        yield "hot", size, [cut.hot(size)]


def _times(way: _Way, path: Path, fused: FusedModel | None, parts: list[Arrays], seconds: float) -> Times:
    if way.engine != FUSED:
        runner = HostRunner(way.threads, deterministic=False, int8=way.engine == INT8)
        return runner.measure(path, parts, seconds, REPEATS, way.streams)
    assert fused is not None
    call: Callable[[int], object] = lambda n: fused(parts[n])  # noqa: E731
    with one_thread():
        return timed(call, len(parts), seconds, REPEATS, way.streams)


def _row(way: _Way, ids: str, size: int, times: Times, watts: float) -> Row:
    """The figures of one row; streams count together, stretch by stretch."""
    rates = [sum(size * len(stream[n]) / sum(stream[n]) for stream in times) for n in range(len(times[0]))]
    calls = np.concatenate([calls for stream in times for calls in stream])
    median = float(np.median(rates))
    p50, p99 = (float(np.percentile(calls, p, method="inverted_cdf")) for p in (50, 99))
    return Row(
        way.engine, ids, size, way.threads, way.streams,
        median, max(rates), min(rates), max(rates), p50, p99, len(calls), watts, median / watts,
    )  # fmt: skip


def _check(fused: FusedModel, path: Path, cut: RequestBatches) -> float:
    """Compare with onnxruntime, on all requests and on small batches; the largest relative difference.

    Raises:
        NotFused: where an output is not onnxruntime's within :data:`TOLERANCE`.
    """
    parts = [cut.arrays, cut.hot(cut.sizes([1])[0]), *cut.recorded(cut.sizes([16])[0])[:2]]
    return max(_difference(fused(part), HostRunner().run(path, part)) for part in parts)


def _int8_error(path: Path, cut: RequestBatches) -> float:
    """How far int8 is from fp32 on the first requests; whatever that is, it is measured.

    Raises:
        CimcError: ``host.onnxruntime`` where the quantiser, or the model that it makes, fails.
    """
    part = cut.recorded(cut.sizes([256])[0])[0]
    right, found = (HostRunner(int8=int8).run(path, part) for int8 in (False, True))
    worst = 0.0
    for name, reference in right.items():
        if reference.dtype.kind == "f" and reference.size:
            peak = float(np.nanmax(np.abs(reference)))
            worst = max(worst, float(np.nanmax(np.abs(found[name] - reference))) / peak if peak else 0.0)
    return worst


def _difference(found: Arrays, wanted: Arrays) -> float:
    worst = 0.0
    for name, reference in wanted.items():
        value = found[name]
        if value.shape != reference.shape:
            raise NotFused(f"output {name} is {list(value.shape)}, onnxruntime's {list(reference.shape)}")
        if reference.dtype.kind != "f":
            if not np.array_equal(value, reference):
                raise NotFused(f"output {name} is not equal to onnxruntime's")
            continue
        finite = np.isfinite(reference)
        if not np.array_equal(value[~finite], reference[~finite], equal_nan=True):
            raise NotFused(f"output {name} differs from onnxruntime's where that is not finite")
        peak = float(np.abs(reference[finite]).max(initial=0.0))
        error = float(np.abs(value[finite] - reference[finite]).max(initial=0.0))
        if not error <= TOLERANCE * peak:
            raise NotFused(f"output {name} differs from onnxruntime's by {error:.3g}, its peak is {peak:.3g}")
        worst = max(worst, error / peak if peak else 0.0)
    return worst
