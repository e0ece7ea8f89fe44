"""What ``cimc.compile`` tried stands in the program, whose pipeline gives it again at the first attempt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

import cimc
from cimc import api
from cimc.errors import InfeasibleError
from cimc.ir.context import CompilerContext
from cimc.target.load_target import load_target
from tests.cli.tiny_files import Tiny, write_tiny
from tests.tight_models import CASES


class Retries(cimc.instrument.Instrument):
    """The passes from which a compilation went on."""

    def __init__(self) -> None:
        self.again: list[str] = []

    def retry(
        self, module: ModuleOp, ctx: CompilerContext, number: int, again: ModulePass, error: InfeasibleError
    ) -> None:
        self.again.append(again.name)


@pytest.mark.parametrize("case", CASES)
def test_the_pipeline_of_a_program_gives_it_at_the_first_attempt(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, target, passes, text = CASES[case]
    model = make()
    onnx.save(model.proto(18), tmp_path / "m.onnx")
    read: list[Path] = []

    def load(path: Path, *rest: object) -> object:
        read.append(path)
        return real(path, *rest)  # type: ignore[arg-type]

    real = api.load_model
    monkeypatch.setattr(api, "load_model", load)
    tried, direct = Retries(), Retries()
    program = cimc.compile(tmp_path / "m.onnx", target, model.requests, instrument=[tried])
    assert passes <= set(tried.again) <= passes | {"allocate", "place"}  # which make room for others first
    assert len(read) == 1
    assert text in program.pipeline
    assert any("on the host" in note for note in program.notes) == ("demote" in passes)
    again = cimc.compile(tmp_path / "m.onnx", target, model.requests, program.pipeline, instrument=[direct])
    assert direct.again == []
    program.save(tmp_path / "a")
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("api"))


def test_instruments_see_every_pass_and_the_calls_of_after_agree(tiny: Tiny) -> None:
    times, after = cimc.instrument.Timings(), []
    with np.load(tiny.calib) as calib:
        cimc.compile(
            tiny.model,
            calib=dict(calib),
            instrument=[times],
            after=lambda each, module, ctx, seconds: after.append((each.name, seconds)),
        )
    assert [(row.name, row.seconds) for row in times.rows] == after
    assert (after[0][0], after[-1][0]) == ("canonicalize", "lower")


def test_a_machine_grows_to_the_model(tiny: Tiny) -> None:
    target = load_target("tsinghua28{chip.mesh=2x1 chip.ports=0x0 tile.arrays=2}")
    tried = Retries()
    with np.load(tiny.calib) as calib:
        requests = dict(calib)
    line = f"system{{grow=true}},{cimc.Pipeline.parse()}"
    program = cimc.compile(tiny.model, target, requests, line, instrument=[tried])
    chips = program.target.system.chips
    assert set(tried.again) == {"system"}
    assert program.pipeline.startswith(f"system{{chips={chips} grow=true}},")
    assert any(f"system{{chips={chips}}}" in note for note in program.notes)
    direct = Retries()
    again = cimc.compile(tiny.model, target, requests, program.pipeline, instrument=[direct])
    assert direct.again == []
    assert again.data.header == program.data.header
