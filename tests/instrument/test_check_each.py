"""Execution after every pass, from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

import cimc
from cimc.api import prepare
from cimc.errors import CheckFailed, CimcError
from cimc.instrument import CheckEach
from cimc.ir.context import compiler_context
from cimc.transforms.passes import DEFAULT_PIPELINE
from models.tiny import requests_for, tiny_dlrm
from tests.tight_models import CASES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("check") / "m.onnx"
    made, _ = tiny_dlrm(seed=0, tables=2)
    onnx.save(made, path)
    return path


def test_every_step_and_the_program(model: Path) -> None:
    checks = CheckEach(model)
    calib = requests_for(onnx.load(model), batch=8, seed=1)
    cimc.compile(str(model), calib=calib, instrument=[checks])
    passes = [each.name for each in cimc.Pipeline.parse(DEFAULT_PIPELINE).passes]
    assert [check["pass"] for check in checks.checks] == ["import", *passes, "program"]
    assert all(check["passed"] for check in checks.checks)


class Renames(ModulePass):
    """Gives ``@main`` another name."""

    name = "renames"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        main = op.body.block.first_op
        assert main is not None
        main.properties["sym_name"] = StringAttr("other")


def test_the_pass_after_which_nothing_can_be_executed_is_named(model: Path) -> None:
    line = cimc.Pipeline.parse(DEFAULT_PIPELINE).passes
    broken = cimc.Pipeline((*line[:2], Renames(), *line[2:]))
    calib = requests_for(onnx.load(model), batch=8, seed=1)
    with pytest.raises(CimcError) as caught:
        cimc.compile(model, calib=calib, pipeline=broken, instrument=[CheckEach(model)])
    assert "when the IR was executed after pass 'renames'" in caught.value.__notes__


def test_without_requests_there_is_nothing_to_check(model: Path) -> None:
    calib = requests_for(onnx.load(model), batch=8, seed=1)
    module, ctx, line = prepare(model, "tsinghua28", calib, "frontend")
    ctx.calibration = None
    with pytest.raises(CimcError) as caught:
        line.run(module, ctx, [CheckEach(model)])
    assert caught.value.code == "check.no-calibration"


def test_the_columns_of_its_lines_stand_below_each_other(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = requests_for(onnx.load(model), batch=8, seed=1)
    cimc.compile(model, calib=calib, instrument=[CheckEach(model)])
    lines = [line for line in capsys.readouterr().err.splitlines() if " ok" in line]
    assert len(lines) > 10
    assert len({line.index("prob:") for line in lines}) == 1


class Breaks(ModulePass):
    """Doubles a weight."""

    name = "breaks"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = compiler_context(ctx, self.name).store
        name = next(n for n in store if store[n].ndim == 2 and store[n].dtype == np.float32)
        store.put(name, -8 * store[name])


def test_the_pass_that_breaks_the_model_is_named(model: Path) -> None:
    line = cimc.Pipeline.parse(DEFAULT_PIPELINE).passes
    broken = cimc.Pipeline((*line[:2], Breaks(), *line[2:]))
    checks = CheckEach(model)
    calib = requests_for(onnx.load(model), batch=8, seed=1)
    with pytest.raises(CheckFailed, match="pass 'breaks' broke the model"):
        cimc.compile(model, calib=calib, pipeline=broken, instrument=[checks])
    assert [check["pass"] for check in checks.checks] == ["import", "canonicalize", "expand-composites"]


def test_checks_are_those_of_the_attempt_that_fitted(tmp_path: Path) -> None:
    make, target, _, _ = CASES["less for values"]
    made = make()
    onnx.save(made.proto(18), tmp_path / "m.onnx")
    checks = CheckEach(tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", target, made.requests, instrument=[checks])
    passes = [each.name for each in cimc.Pipeline.parse(program.pipeline).passes]
    assert [check["pass"] for check in checks.checks] == ["import", *passes, "program"]
