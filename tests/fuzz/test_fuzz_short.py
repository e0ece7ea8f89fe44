"""A short campaign over models made here, always the same mutants; the other tests judge the judge."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import replace

import onnx
import pytest

from tests.fuzz.campaign import HOST, make, run
from tests.fuzz.child import in_child, lend
from tests.fuzz.judge import BUGS
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.seeds import own_seeds
from tests.fuzz.subject import Subject

MUTANTS = 100
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children and their limits are Linux")


def test_no_mutant_is_a_bug() -> None:
    results = list(run(own_seeds(), 1, range(MUTANTS)))
    bugs = [(r.number, r.seed, r.history, r.outcome, r.code, r.detail) for r in results if r.outcome in BUGS]
    assert not bugs, bugs
    counts = Counter(r.outcome for r in results)
    assert counts["agrees"] >= MUTANTS // 8  # mutants still go all the way through
    assert counts["refused"] >= MUTANTS // 8


def test_mutants_depend_on_their_number_alone() -> None:
    seeds = own_seeds()
    first = [make(seeds, 5, n)[1] for n in range(40)]
    again = [make(seeds, 5, n)[1] for n in reversed(range(40))][::-1]
    for one, other in zip(first, again, strict=True):
        assert one.history == other.history
        assert one.bytes() == other.bytes()
        assert one.files == other.files


def test_every_mutation_changes_something() -> None:
    """On at least one of the seeds, each leaves another model, other files or links behind."""
    seeds = own_seeds()
    inferred = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(seeds[0].model))
    seeds.append(replace(seeds[0], model=inferred.SerializeToString()))
    for name, mutate in MUTATIONS.items():
        changed = False
        for seed in seeds:
            for attempt in range(4):
                subject = Subject.of(seed, random.Random(attempt))
                before = onnx.ModelProto.FromString(seed.model).SerializeToString()
                mutate(subject)
                changed |= subject.bytes() != before or subject.files != seed.files or bool(subject.links)
        assert changed, name


@pytest.mark.parametrize(
    ("work", "outcome"),
    [
        (lambda: {"outcome": "agrees", "code": "", "detail": ""}, "agrees"),
        (lambda: bytearray(1 << 34), "memory"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "crash"),
        (lambda: os._exit(3), "crash"),
        (lambda: 1 // 0, "crash"),
    ],
)  # fmt: skip
def test_what_a_child_does_is_noticed(work: object, outcome: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert HOST.host_seconds < 10
    assert in_child(work, lend())["outcome"] == outcome  # type: ignore[arg-type]
    capfd.readouterr()  # the traceback of the child


def test_a_child_without_end_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.child.WALL_SECONDS", 0.3)
    assert in_child(lambda: time.sleep(60), lend())["outcome"] == "hang"  # type: ignore[arg-type,return-value]
