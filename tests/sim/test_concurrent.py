"""One program in many threads at once: every run gives what it gives alone, bit for bit."""

from __future__ import annotations

import copy
import functools
import json
import multiprocessing
import pickle
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc import Program
from cimc.errors import CimcError
from cimc.isa.program import ChipSegment, HostSegment
from cimc.sim.kernels import threads
from cimc.support.once import Once
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests
from tests.transforms.onnx.test_recurrent import recurrent

CALLERS = 4
Job = dict[str, Any]
"""Arguments of ``Program.run``."""


@pytest.fixture(autouse=True)
def many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@functools.cache
def bags() -> tuple[bytes, Callable[[int, int], dict[str, Any]]]:
    made, ctx = dlrm()
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    assert ctx.target is not None
    return pickle.dumps(Program(ctx.program, ctx.target)), dlrm_requests


def from_onnx(model: onnx.ModelProto, inputs: Callable[[int, int], dict[str, Any]], folder: Path) -> bytes:
    path = folder / "m.onnx"
    onnx.save(model, path)
    return pickle.dumps(cimc.compile(path, calib=inputs(8, 0)))


def normal(*shape: int) -> Callable[[int, int], dict[str, Any]]:
    return lambda n, seed: {"x": np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)}


def host(folder: Path) -> tuple[bytes, Callable[[int, int], dict[str, Any]]]:
    """Chip, host, chip; the host adds up along the batch, so that nobody else's rows may be among them."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[B,8] x) => (float[B,2] y) '
        "{ h = MatMul(x,w) s = CumSum(h,a) r = Relu(s) y = MatMul(r,v) }"
    )
    rng = np.random.default_rng(1)
    for name, array in {
        "w": rng.normal(size=(8, 4)).astype(np.float32),
        "v": rng.normal(size=(4, 2)).astype(np.float32),
        "a": np.array(0),
    }.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return from_onnx(model, normal(8), folder), normal(8)


def gru(folder: Path) -> tuple[bytes, Callable[[int, int], dict[str, Any]]]:
    model, _ = recurrent("GRU", steps=4, wide=8, hidden=8)
    return from_onnx(model, normal(4, 8), folder), normal(4, 8)


def _one(program: Program) -> int:
    """Bytes of the scratchpads of one request."""
    prepared = program._simulator().prepared
    return max(
        sum(prepared.streams(number).sizes.values())
        for number, segment in enumerate(program.data.segments)
        if isinstance(segment, ChipSegment)
    )


def jobs(program: Program, requests: Callable[[int, int], dict[str, Any]]) -> list[Job]:
    """Runs in all modes, of several sizes, with and without threads and blocks; some are refused."""
    one = _one(program)
    wan: dict[str, Any] = {"mode": "noisy", "device": "wan2022", "age": 3600.0}
    found: list[Job] = []
    for n, (batch, how) in enumerate(
        (batch, how)
        for batch in (1, 70)
        for how in ({"mode": "exact"}, {"mode": "adc"}, {**wan, "seed": 1}, {**wan, "seed": 2})
    ):
        found.append({"requests": requests(batch, n), **how, "threads": 1 + n % 3})
        found.append({"requests": requests(batch, n + 50), **how, "memory": 3 * one})
    few = requests(5, 99)
    name, array = next((k, v) for k, v in few.items() if v.dtype.kind == "f")
    found += [
        {"requests": few, "mode": "adc", "memory": one - 1},
        {"requests": few, "mode": "adc", "seed": 3},
        {"requests": few, "mode": "noisy"},
        {"requests": few, "mode": "adc", "threads": 0},
        {"requests": {**few, name: array * np.float32(np.nan)}, "mode": "exact"},
    ]
    ids = next((k for k, v in few.items() if v.dtype.kind == "i"), None)
    if ids is not None:
        found.append({"requests": {**few, ids: few[ids] + 10**6}, "mode": "adc", "threads": 2})
    return found


def outcome(program: Program, job: Job) -> str:
    """All that a run gives, as text; or its error."""
    told: list[tuple[int, int]] = []
    try:
        result = program.run(**job, progress=lambda done, total: told.append((done, total)))
    except CimcError as error:
        return f"{error.code}: {error.message}"
    return json.dumps({
        "outputs": {name: [a.dtype.name, a.shape, a.tobytes().hex()] for name, a in result.outputs.items()},
        "lookups": repr(result.activity.lookups),
        "requests": result.activity.requests,
        "events": result.events,
        "cost": result.cost.to_json(),
        "notes": result.notes,
        "told": told,
    })  # fmt: skip


def in_threads(tasks: list[Callable[[], Any]]) -> list[Any]:
    """What each of ``tasks`` gives; all start at the same time, in a thread each."""
    ready = threading.Barrier(len(tasks))

    def start(task: Callable[[], Any]) -> Any:
        ready.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [f.result() for f in [pool.submit(start, task) for task in tasks]]


@pytest.mark.parametrize(
    ("model", "kernels"), [("bags", "numba"), ("bags", "numpy"), ("host", "numba"), ("gru", "numba")]
)
def test_runs_at_the_same_time_give_what_they_give_alone(
    model: str, kernels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels == "numba":
        pytest.importorskip("numba")
    monkeypatch.setenv("CIMC_KERNELS", kernels)
    stored, requests = bags() if model == "bags" else {"host": host, "gru": gru}[model](tmp_path)
    alone: Program = pickle.loads(stored)
    assert (model == "host") == any(isinstance(s, HostSegment) for s in alone.data.segments)
    work = jobs(alone, requests)
    expected = [outcome(alone, job) for job in work]
    refused = sum(not text.startswith("{") for text in expected)
    assert refused == (6 if model == "bags" else 5)

    shared: Program = pickle.loads(stored)  # nothing is prepared: the threads compete for that, too

    def all_of_them(seed: int) -> list[str]:
        order = list(range(len(work)))
        random.Random(seed).shuffle(order)
        found = {n: outcome(shared, work[n]) for n in order}
        return [found[n] for n in range(len(work))]

    for found in in_threads([functools.partial(all_of_them, seed) for seed in range(CALLERS)]):
        for job, one, other in zip(work, found, expected, strict=True):
            assert one == other, {k: v for k, v in job.items() if k != "requests"}


def test_runs_save_and_simulate_at_the_same_time(tmp_path: Path) -> None:
    stored, requests = bags()
    alone: Program = pickle.loads(stored)
    alone.save(tmp_path / "alone.cimc")
    few = requests(9, 1)
    expected = outcome(alone, {"requests": few})
    simulated = alone.simulate(few).to_json()
    shared: Program = pickle.loads(stored)

    def save(n: int) -> bytes:
        shared.save(tmp_path / f"{n % 2}.cimc")  # two write the same file
        return (tmp_path / f"{n % 2}.cimc").read_bytes()

    found = in_threads([
        *(functools.partial(outcome, shared, {"requests": few}) for _ in range(3)),
        *(functools.partial(lambda: shared.simulate(few).to_json()) for _ in range(3)),
        *(functools.partial(save, n) for n in range(4)),
    ])  # fmt: skip
    assert found[:3] == [expected] * 3
    assert found[3:6] == [simulated] * 3
    assert found[6:] == [(tmp_path / "alone.cimc").read_bytes()] * 4


def test_a_callback_may_run_the_program_itself() -> None:
    stored, requests = bags()
    program: Program = pickle.loads(stored)
    outer, inner = requests(9, 1), requests(4, 2)
    expected = [outcome(program, {"requests": r, "mode": "adc"}) for r in (outer, inner)]
    within: list[str] = []
    result = program.run(
        outer,
        "adc",
        lambda done, total: within.append(outcome(program, {"requests": inner, "mode": "adc"})),
        memory=2 * _one(program),
    )
    assert len(within) == 5
    assert set(within) == {expected[1]}
    assert json.loads(expected[0])["outputs"]["y0"][2] == result.outputs["y0"].tobytes().hex()


def test_a_simulator_has_no_settings_of_a_run() -> None:
    simulator = pickle.loads(bags()[0])._simulator()
    for name in ("memory", "threads", "noise", "observer", "memories"):
        with pytest.raises(AttributeError):
            setattr(simulator, name, None)


# --------------------------------------------------------------------------------------------------
# Copies and other processes


@pytest.mark.parametrize("way", ["pickle", "copy", "deepcopy", "of a file"])
def test_copies_give_the_same(way: str, tmp_path: Path) -> None:
    stored, requests = bags()
    program: Program = pickle.loads(stored)
    expected = outcome(program, {"requests": requests(9, 1)})
    if way == "of a file":
        program.save(tmp_path / "p.cimc")
        program = Program.load(tmp_path / "p.cimc")
    other: Program = {"copy": copy.copy, "deepcopy": copy.deepcopy}.get(
        way, lambda p: pickle.loads(pickle.dumps(p))
    )(program)
    assert outcome(other, {"requests": requests(9, 1)}) == expected


def test_child_processes(tmp_path: Path) -> None:
    """Forked while other threads run and prepare, or spawned: children give the same."""
    made: list[tuple[bytes, Any]] = [bags(), host(tmp_path)]
    for stored, requests in made:
        few = requests(40, 1)
        expected = outcome(pickle.loads(stored), {"requests": few, "threads": 2})
        program: Program = pickle.loads(stored)
        methods = multiprocessing.get_all_start_methods()
        for method in ("fork",) if requests is dlrm_requests else ("fork", "spawn"):
            if method not in methods:
                continue
            context = multiprocessing.get_context(method)
            stop = threading.Event()

            def busy(stop: threading.Event = stop, stored: bytes = stored, few: Any = few) -> None:
                while not stop.is_set():
                    pickle.loads(stored).run(few, threads=2)

            others = [threading.Thread(target=busy)]
            for each in others:
                each.start()
            try:
                with context.Pool(2) as pool:
                    found = pool.starmap_async(_child, [(program, few)] * 2).get(timeout=120)
            finally:
                stop.set()
                for each in others:
                    each.join()
            assert found == [expected] * 2


def _child(program: Program, requests: dict[str, Any]) -> str:
    return outcome(program, {"requests": requests, "threads": 2})


def test_a_fork_while_a_value_is_made_leaves_no_lock() -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork")
    once: Once[str, int] = Once()
    started, go_on = threading.Event(), threading.Event()

    def slow(key: str) -> int:
        started.set()
        go_on.wait(60)
        return 1

    maker = threading.Thread(target=lambda: once.get("a", slow))
    maker.start()
    started.wait(60)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(once.get("a", lambda key: 2)))
    child.start()
    child.join(30)
    go_on.set()
    maker.join()
    stuck = child.is_alive()
    child.kill()
    assert not stuck
    assert answers.get() == 2
    assert once.get("a", slow) == 1


# --------------------------------------------------------------------------------------------------
# The parts


def test_a_value_is_made_once() -> None:
    once: Once[int, object] = Once()
    made: list[int] = []

    def make(key: int) -> object:
        made.append(key)
        return object()

    found = in_threads([lambda: [once.get(n, make) for n in range(50)] for _ in range(8)])
    assert sorted(made) == list(range(50))
    assert all(values == found[0] for values in found)
    with pytest.raises(ZeroDivisionError):
        once.get(-1, lambda key: 1 // 0)
    assert once.get(-1, lambda key: "made after all") == "made after all"


def test_tasks_have_ended_when_one_of_them_fails() -> None:
    """Else one could still write to memory that belongs to another run by then."""
    ended = threading.Event()

    def fail() -> None:
        raise ValueError("first")

    def slow() -> None:
        ended.wait(0.2)
        ended.set()

    with pytest.raises(ValueError, match="first"):
        threads.run([fail, slow], 2)
    assert ended.is_set()


def test_tasks_may_share_their_work_themselves() -> None:
    done: list[int] = []

    def outer() -> None:
        threads.run([lambda: done.append(1) for _ in range(4)], 2)

    caller = threading.Thread(target=lambda: threads.run([outer] * 4, 2), daemon=True)
    caller.start()
    caller.join(30)
    assert not caller.is_alive()
    assert len(done) == 16
