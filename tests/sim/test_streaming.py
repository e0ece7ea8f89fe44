"""Large runs: blocks of requests within the memory budget, progress, tables whose rows stay on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.interpreter.bags import Bags
from cimc.isa.directory import RowDirectory
from cimc.isa.program import Header, Matrix, Program
from cimc.sim import chip
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.executor import Simulator
from cimc.sim.reading import TableReader
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests

BATCH = 61
MODES: dict[str, dict[str, Any]] = {
    "exact": {},
    "adc": {},
    "noisy": {"device": load_device("wan2022"), "age": 3600.0, "seed": 5},
}


def built() -> Simulator:
    made, ctx = dlrm()
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    assert ctx.program is not None
    assert ctx.target is not None
    return Simulator(ctx.program, ctx.target)


@pytest.fixture(scope="module")
def one() -> int:
    """Bytes of the scratchpads of one request."""
    simulator = built()
    simulator.run(dlrm_requests(1, 0), "exact")
    return simulator.spares.nbytes


@pytest.mark.parametrize("mode", MODES)
def test_blocks_within_the_budget_change_no_bit(mode: Any, one: int) -> None:
    requests = dlrm_requests(BATCH, 9)
    whole, activity = built().run(requests, mode, **MODES[mode])
    for held in (1, 7, 60):
        simulator, told = built(), []
        outputs, counted = simulator.run(
            requests, mode, lambda done, total, told=told: told.append((done, total)),
            memory=held * one + one - 1, **MODES[mode],
        )  # fmt: skip
        assert outputs["y0"].tobytes() == whole["y0"].tobytes()
        assert str(counted.lookups) == str(activity.lookups)
        assert simulator.spares.nbytes == held * one
        assert told == [(min(at + held, BATCH), BATCH) for at in range(0, BATCH, held)]


def test_a_budget_below_one_request_is_refused(one: int) -> None:
    simulator = built()
    with pytest.raises(ProgramError, match=f"take {one:,} bytes") as caught:
        simulator.run(dlrm_requests(2, 0), "exact", memory=one - 1)
    assert caught.value.code == "sim.memory-budget"


def test_blocks_stay_in_a_cache_where_the_budget_allows_more(one: int, monkeypatch: Any) -> None:
    simulator = built()
    monkeypatch.setattr(chip, "_CACHED", 5 * one)
    monkeypatch.setattr(chip, "_LEAST", 3)
    simulator.run(dlrm_requests(BATCH, 9), "exact")
    assert simulator.spares.nbytes == 5 * one


@pytest.mark.parametrize("adc_bits", [8, 3])  # digits as written, and altered by a coarse converter
def test_rows_nobody_asks_for_are_not_read(adc_bits: int, tmp_path: Path) -> None:
    """Forty million rows in a file with holes; to read or convert all of them would take gigabytes."""
    rows, dim = 40_000_000, 4
    target = with_overrides(load_target("tsinghua28"), {"array.adc_bits": adc_bits})
    table = np.memmap(tmp_path / "table", np.int8, "w+", shape=(rows, dim))
    table[[0, 17_000_000, rows - 1]] = [3, -7, 100, -100]
    height = target.array.rows
    first = np.arange(0, rows, height, dtype=np.int32)
    blocks = np.zeros((len(first), 7), np.int32)
    blocks[:, 0], blocks[:, 1], blocks[:, 3] = first, np.minimum(height, rows - first), dim
    matrix = Matrix("t", "table", rows, dim, 8, 2, height)
    step = 1 if adc_bits == 8 else 3
    data = {"t.data": np.asarray(table), "t.blocks": blocks, "t.ranges": np.full(1, step, np.int32)}
    header = Header("m", "d", target.name, target.digest, "{}", "", 0, ())
    program = Program(header, (), (matrix,), np.zeros(0, np.uint8), data)
    reader = TableReader(program, matrix, target, RowDirectory(program, matrix))
    ids = np.array([rows - 1, 0, 17_000_000, rows - 1])
    found, bags, _ = reader.read(Bags(ids, np.array([0, 2, 4]), None, (2,)), converted=True)
    seen = [3, -7, 100, -100] if adc_bits == 8 else found[bags.ids[1]].tolist()
    assert found[bags.ids].tolist() == [seen] * 4
    if adc_bits == 8:
        assert found is data["t.data"]
    else:
        assert found.shape == (3, dim)
        assert seen != [3, -7, 100, -100]
