"""What crosses between chips, and how tables and reduction tiles are placed so that little does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from cimc.cost import estimate
from cimc.ir import rec
from cimc.ir.types import i64, tensor
from cimc.sim.executor import Simulator
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.place.assign_chips import assign_chips
from cimc.transforms.place.interchip_traffic import Demand, interchip_traffic
from cimc.transforms.place.shard_list import Places
from tests.build import Builder, module

TARGET = load_target("tsinghua28")
TWELVE_ARRAYS = {"chip.mesh": (2, 1), "tile.arrays": 2, "array.cols": 256, "system.chips": 3}


def tables_read(blocks: int, reads: Sequence[float]) -> tuple[Places, Demand]:
    """Tables of ``blocks`` blocks an array wide, each block read half as often as the one before."""
    share = 0.5 ** np.arange(blocks)
    uses = np.concatenate([r * share / share.sum() for r in reads])
    number = np.arange(len(uses))
    places = Places(
        tuple("abc"[: len(reads)]), number // blocks, number % blocks, number, np.zeros(len(uses), np.int8),
        np.full(len(uses), 256, np.int64), np.full(len(uses), 1024), uses, uses * (32 + 640),
    )  # fmt: skip
    return places, Demand(np.array(reads), np.full(len(reads), 32), np.full(len(reads), 672.0))


@pytest.mark.parametrize(
    ("reads", "kept", "chips"),
    [
        ((1.0, 1.0), 0, [0, 0, 1, 1] * 2),  # the hot halves of both on the first chip
        ((80.0, 80.0), 2, [0] * 4 + [1] * 4),
        ((1.0, 80.0, 80.0), 2, [0] * 4 + [1] * 4 + [2] * 4),
    ],
)
def test_tables_of_many_reads_stay_together_beside_hot_rows(
    reads: tuple[float, ...], kept: int, chips: list[int]
) -> None:
    """Three chips of four arrays; tables of four blocks."""
    target = with_overrides(TARGET, TWELVE_ARRAYS)
    places, demand = tables_read(4, reads)
    demand.result_bits[0] *= 3  # two more lookups
    items = np.arange(places.count)
    found = assign_chips("near", places, items, [], target, 0, demand)
    assert found.remark.tables_together == kept
    assert found.of_item.tolist() == chips
    crossing = interchip_traffic(places, items, found.of_item, demand, target).apart
    assert found.remark.crossing_bits == pytest.approx(crossing.sum())


def test_bags_of_many_rows_are_added_up_on_the_chip_of_their_table() -> None:
    """Where arrays are the bottleneck, too, so that no router asks for it; a single row is not worth it."""
    slow = {
        "chip.mesh": (2, 1), "tile.arrays": 1, "array.cols": 64, "array.step_ns": 1e6, "system.chips": 3
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for reads, moved in ((1, 0), (40, 1)):

        def body(b: Builder, args: list[SSAValue], reads: int = reads) -> list[SSAValue]:
            bags = [
                b.add(rec.EmbeddingBagOp(b.table(f"t{n}", 3000, 16), 3000, 16, ids))
                for n, ids in enumerate(args)
            ]
            return [b.add(rec.ConcatOp(bags, 1))]

        ids = {f"ids{n}": rng.integers(0, 3000, (32, reads)) for n in range(2)}
        found = []
        for reduction_tiles in ("consumer", "spread"):
            made, ctx = module({name: tensor((-1, reads), i64) for name in ids}, body)
            ctx.calibration, ctx.target = ids, with_overrides(TARGET, slow)
            Pipeline.parse(
                f"quantize,shard,choose-adc-steps,place{{chips=near}},schedule{{reduction_tiles={reduction_tiles}}},lower"
            ).run(made, ctx)
            out, activity = Simulator(ctx.program, ctx.target).run(ids, "exact")
            cost = estimate(ctx.program, ctx.target, activity)
            with_host = 2 * reads * 12 + 32 * 32  # ids of both bags, the output; headers stay
            found.append((out["y0"].tobytes(), cost.events["host_link.bits"] - with_host))
        assert ctx.remarks.schedule.reduction_tiles.moved == moved
        assert ctx.remarks.placement.chips.tables_together == 2 * moved
        (result, before), (same, after) = found
        assert result == same
        assert (after < 0.8 * before) if moved else (after == before)


def test_traffic_between_chips_is_ids_answers_and_results() -> None:
    """One table, two blocks: 3 of 4 reads go to the first, on chip 0 or 1, the other is on chip 2."""
    target = with_overrides(TARGET, TWELVE_ARRAYS)
    uses = np.array([3.0, 1.0])
    places = Places(
        ("t",), np.zeros(2, np.int64), np.arange(2), np.arange(2), np.zeros(2, np.int8),
        np.full(2, 16, np.int64), np.full(2, 8), uses, uses * (32 + 512),
    )  # fmt: skip
    demand = Demand(np.array([4.0]), np.array([9]), np.array([544.0]))
    far = 9 + (1 - 0.75**4) * (32 + 544)
    here = interchip_traffic(places, np.arange(2), np.array([0, 2]), demand, target)
    assert here.apart.tolist() == pytest.approx([far])
    there = interchip_traffic(places, np.arange(2), np.array([1, 2]), demand, target)
    assert there.apart.tolist() == there.whole.tolist() == pytest.approx([far + 544])
    # all on another chip: asked from the first one row by row, or answered there and sent once
    demand = Demand(np.array([4.0]), np.array([9]), np.array([1e6]))
    away = interchip_traffic(places, np.arange(2), np.array([1, 1]), demand, target)
    assert away.apart.tolist() == pytest.approx([36 + (2 - 0.25**4 - 0.75**4) * (32 + 544)])


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_near_crosses_no_more_than_blocks_by_traffic_alone(data: st.DataObject) -> None:
    blocks = data.draw(st.integers(1, 6))
    reads = data.draw(st.tuples(st.floats(0, 100), st.floats(0, 100)))
    places, demand = tables_read(blocks, reads)
    items = np.arange(2 * blocks)
    target = with_overrides(TARGET, TWELVE_ARRAYS)
    plain = assign_chips("near", places, items, [], target, 0).of_item
    chosen = assign_chips("near", places, items, [], target, 0, demand).of_item
    bits = [interchip_traffic(places, items, chip, demand, target).apart.sum() for chip in (chosen, plain)]
    assert bits[0] <= bits[1]
