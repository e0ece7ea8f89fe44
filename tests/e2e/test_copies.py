"""Programs whose tiles exist several times give the same results, and cost a mean over their instances."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.api import Program
from cimc.timing import Arrivals
from cimc.transforms.passes import FRONTEND
from models.tiny import mlp, requests_for, tiny_dlrm
from tests.copied import copied

ONE_OF_EACH = f"{FRONTEND},quantize,group,shard,choose-adc-steps,place,schedule,lower"
MODEL, BATCH = tiny_dlrm(seed=3, tables=3)
REQUESTS = requests_for(MODEL, batch=37, seed=5)


def compiled(model: onnx.ModelProto, calib: dict[str, np.ndarray]) -> Program:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        return cimc.compile(path, target="tsinghua28", calib=calib, pipeline=ONE_OF_EACH)


@cache
def plain() -> Program:
    return compiled(MODEL, BATCH)


@cache
def several(count: int | tuple[int, ...]) -> Program:
    made = plain()
    tiles = sorted({t for s in made.data.chip_segments for t in s.streams})
    each = count if isinstance(count, int) else dict(zip(tiles, count * len(tiles), strict=False))
    return Program(copied(made.data, made.target, each), made.target)


COUNTS = [2, 3, 4, (2, 3), (1, 4, 2)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", ["exact", "adc"])
@pytest.mark.parametrize("memory", [1 << 28, 1 << 19])
def test_outputs_do_not_depend_on_copies(count: int | tuple[int, ...], mode: str, memory: int) -> None:
    one, other = (p.run(REQUESTS, mode, memory=memory) for p in (plain(), several(count)))  # type: ignore[arg-type]
    assert one.outputs.keys() == other.outputs.keys()
    for name, value in one.outputs.items():
        assert value.tobytes() == other.outputs[name].tobytes()


@pytest.mark.parametrize("count", COUNTS)
def test_a_request_does_the_same_work_on_every_instance(count: int | tuple[int, ...]) -> None:
    """All but the way of its messages; units of copied tiles share it."""
    one, other = (p.run(REQUESTS, "exact") for p in (plain(), several(count)))
    for event, amount in one.cost.events.items():
        if event not in ("router.hop_bits", "messages"):  # a lookup's home may be its rows' own tile
            assert other.cost.events[event] == pytest.approx(amount), event
    for kind in ("vector unit", "bus"):
        totals = [sum(ns for unit, ns in r.cost.busy.items() if unit.endswith(kind)) for r in (one, other)]
        assert totals[0] == pytest.approx(totals[1])
    assert other.cost.area.counts["tiles_used"] > one.cost.area.counts["tiles_used"]
    assert other.cost.static.used_watts > one.cost.static.used_watts
    looked_up = [sum(x.ids for x in r.activity.lookups.values()) for r in (one, other)]
    assert looked_up[0] == looked_up[1]


def test_instances_of_noisy_layers_have_cells_of_their_own() -> None:
    model, batch = mlp((40, 70, 5), seed=1)
    one_of, same = compiled(model, batch), {"x": np.repeat(batch["x"][:1], 12, axis=0)}
    three_of = Program(copied(one_of.data, one_of.target, 3), one_of.target)

    def outputs(program: Program, memory: int = 1 << 28) -> np.ndarray:
        found = program.run(same, "noisy", device="wan2022", seed=1, memory=memory).outputs
        return next(iter(found.values()))

    one, three = outputs(one_of), outputs(three_of)
    assert np.array_equal(one[0::3], three[0::3])  # instance 0 has the cells of the program without copies
    assert not np.array_equal(one[1::3], three[1::3])
    assert not np.array_equal(one[2::3], three[2::3])
    assert three.tobytes() == outputs(three_of, 1 << 12).tobytes()


@pytest.mark.parametrize("count", COUNTS)
def test_the_mean_of_busy_times_is_what_the_simulation_sees(count: int | tuple[int, ...]) -> None:
    program = several(count)
    cost = program.run(REQUESTS, "exact").cost
    found = program.simulate(REQUESTS, Arrivals(in_flight=8))
    seen = {load.name: load.busy_ns / found.requests for load in found.loads}
    for unit, ns in cost.busy.items():
        assert seen[unit] == pytest.approx(ns, rel=1e-6), unit
    assert seen.keys() == cost.busy.keys()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", ["exact", "adc", "noisy"])
def test_a_run_of_no_request_does_nothing_on_every_instance(count: int | tuple[int, ...], mode: str) -> None:
    device = "wan2022" if mode == "noisy" else None
    nothing = {name: array[:0] for name, array in REQUESTS.items()}
    found = several(count).run(nothing, mode, device=device)  # type: ignore[arg-type]
    assert all(len(value) == 0 for value in found.outputs.values())
    assert sum(done.ids for done in found.activity.lookups.values()) == 0
    assert found.cost.events.keys() == several(count).run(REQUESTS, "exact").cost.events.keys()


def test_copies_raise_throughput() -> None:
    plenty = requests_for(MODEL, batch=300, seed=6)
    rates = [p.simulate(plenty, Arrivals(in_flight=64)).throughput_rps for p in (plain(), several(4))]
    assert rates[0] is not None
    assert rates[1] is not None
    assert rates[1] > 1.3 * rates[0]
