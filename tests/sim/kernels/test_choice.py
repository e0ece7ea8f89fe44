"""Which kernels a single run takes."""

from __future__ import annotations

import sys

import pytest

from cimc.sim.kernels import availability, choice
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests


def test_small_runs_do_not_load_compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    made, ctx = dlrm(target="tsinghua28")
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    program, target = ctx.program, ctx.target
    assert program is not None
    assert target is not None
    monkeypatch.delenv(availability.VARIABLE, raising=False)
    few, many = dlrm_requests(2, 0), dlrm_requests(20, 0)
    cells = sum(
        m.rows * m.cols * 2 * 2 * (1 + m.input_signed) for m in program.matrices if m.kind != "table"
    )  # two slices, two phases of four bits, for each sign
    found = choice.operations(program, target, few, "adc")
    assert found >= 2 * cells
    assert choice.operations(program, target, many, "adc") > 9 * found
    assert choice.operations(program, target, few, "noisy") == 8 * found

    with choice.for_one_run(program, target, few, "adc") as used:
        assert used == "numba"  # already here
    monkeypatch.delitem(sys.modules, "numba")
    with choice.for_one_run(program, target, few, "adc") as used:
        assert used == availability.backend() == "numpy"
    assert availability.backend() == "numba"
    monkeypatch.setattr(choice, "WORTH", found)
    with choice.for_one_run(program, target, few, "adc") as used:
        assert used == "numba"
    monkeypatch.setenv(availability.VARIABLE, "numba")
    monkeypatch.setattr(choice, "WORTH", 1 << 60)
    with choice.for_one_run(program, target, few, "adc") as used:
        assert used == "numba"
