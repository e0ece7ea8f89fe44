"""The best of several pipelines is the program, always the same one, and what was tried stands in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cimc
from cimc.errors import CheckFailed, CimcError, PassError
from cimc.remarks import SearchRemarks
from cimc.search import search_pipelines
from cimc.search.candidate_pipelines import Candidate, Passes
from cimc.search.search_pipelines import search_best, with_goal
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.place.place import Place
from tests.build import dlrm
from tests.cli.tiny_files import Tiny, call, write_tiny

LINE = Pipeline.parse("quantize,group,allocate{load=16 most=4},shard,copy,place,schedule,lower")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("searched"))


def test_the_best_that_was_simulated_is_chosen() -> None:
    module, ctx = dlrm()
    before, told = str(module), []
    line, said = search_best(LINE, module, ctx, 3, lambda done, total, what: told.append((done, total, what)))
    assert str(module) == before
    assert ctx.program is None
    assert len(said.tried) == 3
    assert (said.objective, said.in_flight) == ("throughput", 16)
    played = [each for each in said.tried if each.simulated is not None]
    assert 1 <= len(played) <= 4
    (chosen,) = [each for each in said.tried if each.chosen]
    assert chosen in played
    assert chosen.simulated is not None
    assert chosen.simulated.value == min(each.simulated.value for each in played if each.simulated)
    assert str(line) == chosen.pipeline
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert search_best(LINE, module, ctx, 3) == (line, said)
    assert SearchRemarks.from_json(said.to_json()) == said


def bad_second(base: Passes, *_: object) -> list[Candidate]:
    worse = tuple(replace(p, array_slack=0.5) if isinstance(p, Place) else p for p in base)
    return [Candidate("", base), Candidate("place{array_slack=0.5}", worse)]


def test_a_candidate_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    module, ctx = dlrm()
    monkeypatch.setattr(search_pipelines, "candidates", bad_second)
    _, said = search_best(LINE, module, ctx, 2)
    good, bad = said.tried
    assert good.chosen
    assert bad.failed is not None
    assert "array_slack=0" in bad.failed
    assert bad.estimated is None
    assert not bad.chosen


def test_a_bound_that_nothing_keeps_is_refused_with_the_nearest() -> None:
    module, ctx = dlrm()
    with pytest.raises(CheckFailed, match=r"none of 2 .* of 0\.1 us; the nearest has") as caught:
        search_best(with_goal(LINE, None, None, None, 0.1), module, ctx, 2)
    assert caught.value.code == "candidates.p99"
    kept, said = search_best(with_goal(LINE, None, None, None, 1000.0), module, ctx, 1)
    assert "p99_us=1000" in str(kept)
    assert said.p99_ns == 1e6


def test_options_replace_those_of_allocate() -> None:
    base = Pipeline.parse(DEFAULT_PIPELINE)
    assert with_goal(base, None, None, None, None) is base
    one = with_goal(base, "energy", None, 2e6, 5.0)
    assert 'allocate{objective="energy" rate=2000000.0 p99_us=5.0 most=256}' in str(one)
    assert "load=8" in str(with_goal(one, None, 8, None, None))
    assert "rate=" not in str(with_goal(one, None, 8, None, None))
    with pytest.raises(PassError) as caught:
        with_goal(Pipeline.parse("shard,place"), "energy", None, None, None)
    assert caught.value.code == "candidates.no-allocate"


def test_programs_are_the_same_every_time(tiny: Tiny) -> None:
    calib = {name: value for name, value in np.load(tiny.calib).items() if name != "labels"}
    made = [cimc.compile(tiny.model, calib=calib, load=8, search=3) for _ in range(2)]
    paths = [tiny.folder / f"{n}.cimc" for n in range(2)]
    for each, path in zip(made, paths, strict=True):
        each.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    said = made[0].remarks.search
    assert said is not None
    assert len(said.tried) == 3
    # the pipeline of the program gives the same program, but for what was tried
    again = cimc.compile(tiny.model, calib=calib, pipeline=made[0].pipeline)
    assert again.data.segments == made[0].data.segments
    assert replace(made[0].remarks, search=None) == again.remarks
    with pytest.raises(PassError):
        cimc.compile(tiny.model, calib=calib, search=0)


def test_one_candidate_is_the_pipeline_itself(tiny: Tiny) -> None:
    calib = dict(np.load(tiny.calib))
    plain, one = cimc.compile(tiny.model, calib=calib), cimc.compile(tiny.model, calib=calib, search=1)
    assert one.remarks.search is None
    assert plain.data.header == one.data.header
    assert plain.data.segments == one.data.segments


def test_the_command_line_says_the_same(tiny: Tiny) -> None:
    out = tiny.folder / "cli.cimc"
    line = ["compile", tiny.model, "-o", out, "--calib", tiny.calib, "--load", 8]
    done = call(*line, "--search", 2, "--json")
    assert done.code == 0, done.err
    assert done.json["search"]["tried"][0]["changes"] == ""
    assert "load=8" in done.json["program"]["pipeline"]
    shown = call(*line, "--search", 1, "--p99-us", 1000, "--details").out
    assert "Search: throughput with 8 in flight" in shown
    assert "search" in [
        text.split()[0] for text in shown[shown.rindex(" on tsinghua28") :].splitlines() if text
    ]
    refused = call(*line, "--p99-us", 0.01, "--json")
    assert refused.code == 1
    assert refused.json["error"]["code"] == "candidates.p99"
    assert call(*line, "--rate", 5).code == 2
    assert call(*line, "--objective", "speed").code == 2


def test_without_requests_there_is_nothing_to_judge_by() -> None:
    module, ctx = dlrm()
    ctx.calibration = None
    with pytest.raises(CimcError) as caught:
        search_best(LINE, module, ctx, 2)
    assert caught.value.code == "candidates.no-requests"


def test_numbers_of_numpy_are_numbers(tiny: Tiny) -> None:
    line = Pipeline.parse("allocate")
    assert str(with_goal(line, None, np.int64(3), None, np.float32(5))) == str(
        with_goal(line, None, 3, None, 5.0)
    )  # type: ignore[arg-type]
    with pytest.raises(PassError, match=r"search=1\.5"):
        cimc.compile(tiny.model, search=1.5)  # type: ignore[arg-type]
