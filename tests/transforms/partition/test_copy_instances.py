"""How many instances the dense part gets."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.api import Program
from cimc.errors import InfeasibleError, PassError, Shortage
from cimc.ir import cim
from cimc.target.overrides import with_overrides
from cimc.transforms.partition.copy_instances import Copy
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests


def run(line: str, **overrides: object) -> tuple[Program, str]:
    module, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, {k.replace("__", "."): v for k, v in overrides.items()})
    fitted = Pipeline.parse(f"quantize,{line},lower").run(module, ctx)
    return Program(ctx.program, ctx.target), str(fitted)


def test_layers_get_copies_of_all_blocks_and_tables_none() -> None:
    module, ctx = dlrm()
    Pipeline.parse("quantize,shard,copy{instances=3}").run(module, ctx)
    assert cim.copies_of(module) == 3
    for matrix in cim.matrices_of(module):
        table = matrix.replica_table(ctx.store)
        if isinstance(matrix, cim.WeightsOp):
            assert np.bincount(table[:, 0]).tolist() == [2] * matrix.shards().count
        else:
            assert not len(table)


@pytest.mark.parametrize("copies", [0, -1, 1025])
def test_bad_numbers_are_refused(copies: int) -> None:
    with pytest.raises(PassError) as caught:
        run(f"shard,copy{{instances={copies}}},place,schedule")
    assert caught.value.code == "copy.option"


def test_it_decides_once() -> None:
    with pytest.raises(PassError) as caught:
        run("shard,copy{instances=2},copy{instances=2},place,schedule")
    assert caught.value.code == "pass.decided-already"


def test_half_as_many_are_tried_where_there_is_no_room() -> None:
    program, fitted = run("shard,copy{instances=40},place,schedule", chip__mesh=(4, 4))
    assert "copy{instances=10}" in fitted
    assert [s.copies[0].count for s in program.data.chip_segments] == [10]
    some = Shortage("tiles", 2, 1, "tiles")
    assert Copy(1).adjusted(some) is None
    with pytest.raises(InfeasibleError):
        run("shard,copy{instances=2},place,schedule", chip__mesh=(1, 1), tile__arrays=1)


@pytest.mark.parametrize(
    "line",
    [
        "shard,copy{instances=5},place,schedule",
        "shard,copy{instances=6},replicate{policy=uniform copies=3 budget=1.0},place{tiles=2},schedule",
        "shard,copy{instances=4},replicate{policy=bottleneck budget=0.5},place{array_slack=3},schedule",
        "group,shard{converter_parallelism=0.5},copy{instances=7},place{tiles=3},schedule",
    ],
)
def test_results_do_not_depend_on_copies(line: str) -> None:
    requests = dlrm_requests(50, 1)
    plain, _ = run("shard,place,schedule")
    made, _ = run(line)
    for mode in ("exact", "adc"):
        one, other = (p.run(requests, mode).outputs for p in (plain, made))
        assert all(value.tobytes() == other[name].tobytes() for name, value in one.items())


def test_instances_need_places() -> None:
    with pytest.raises(PassError):
        run("shard,copy{instances=2},schedule")


def test_equal_programs_are_equal_bytes() -> None:
    from cimc.isa.artifact import to_bytes

    line = "group,shard,copy{instances=6},replicate{policy=uniform copies=3 budget=1.0},place,schedule"
    assert to_bytes(run(line)[0].data) == to_bytes(run(line)[0].data)
