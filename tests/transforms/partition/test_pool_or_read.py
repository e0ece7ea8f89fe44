"""Pool or read: expected activations, prices against the cost model, decisions, and what the program gets."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimc
from cimc.errors import CimcError
from cimc.remarks import TablePooling
from cimc.sim.kernels.lookups.pooled_rows import adc_levels
from cimc.target import load_target, preset_names
from cimc.target.cell_encoding import max_weight
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from cimc.transforms.partition import pool_or_read
from cimc.transforms.partition.adc_steps import pool_rows
from cimc.transforms.passes import FRONTEND
from models.tiny import requests_for, tiny_dlrm

PIPELINE = (
    f"{FRONTEND},quantize{{weights=8 acts=8}},shard%s,choose-adc-steps,"
    f"place{{strategy=greedy}},schedule,lower"
)


def expected_by_enumeration(shares: list[Fraction], n: int, chunk: int) -> Fraction:
    """Over all ways to draw ``n`` ids: mean of the sum over blocks of ``ceil(rows / chunk)``."""
    total = Fraction(0)
    for draw in product(range(len(shares)), repeat=n):
        chance = math.prod((shares[b] for b in draw), start=Fraction(1))
        total += chance * sum(-(-draw.count(b) // chunk) for b in range(len(shares)))
    return total


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_expected_activations_equal_an_enumeration(weights: list[int], n: int, chunk: int) -> None:
    shares = [Fraction(w, sum(weights)) for w in weights]
    found = pool_or_read._activations(np.array(shares, np.float64), float(n), chunk)
    assert found == pytest.approx(float(expected_by_enumeration(shares, n, chunk)), rel=1e-9)
    distinct = pool_or_read._touched(np.array(shares, np.float64), float(n))
    assert distinct == pytest.approx(float(expected_by_enumeration(shares, n, max(n, 1))), rel=1e-9)


def test_a_mean_between_two_lengths_is_their_mixture() -> None:
    shares = np.array([0.5, 0.5])
    low, high = (pool_or_read._activations(shares, n, 2) for n in (2.0, 3.0))
    assert pool_or_read._activations(shares, 2.25, 2) == pytest.approx(0.75 * low + 0.25 * high)
    assert pool_or_read._activations(shares, 0.0, 2) == 0.0
    assert pool_or_read._activations(shares, 0.4, 2) == pytest.approx(0.4)


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_the_error_bound_holds_for_every_value(name: str, step: int) -> None:
    array = load_target(name).array
    bits = 8
    high = max_weight(array.encoding, array.cell_levels, bits)
    values = np.arange(-high, high + 1)
    seen = adc_levels(array, bits, step)[values & 255]
    assert np.abs(seen - values).max() <= pool_or_read.error_bound(array, bits, step)
    assert pool_or_read.error_bound(array, bits, 1) == 0


# --------------------------------------------------------------------------------------------------
# Through the compiler


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pooling")


@cache
def requests() -> dict[str, Any]:
    model, _ = tiny_dlrm(seed=0, tables=3)
    return requests_for(model, batch=64, seed=1)


def compiled(folder: Path, options: str = "", target: str | Target = "tsinghua28") -> cimc.Program:
    path = folder / "tiny.onnx"
    if not path.exists():
        onnx.save(tiny_dlrm(seed=0, tables=3)[0], path)
    return cimc.compile(path, target, requests(), PIPELINE % options)


def decisions(program: cimc.Program) -> dict[str, TablePooling]:
    return {each.table: each for each in program.data.remarks.sharding.pooling}


def test_bags_are_pooled_and_single_rows_read(folder: Path) -> None:
    program = compiled(folder)
    single, first, second = decisions(program).values()
    assert (single.decision, single.chunk_rows) == ("read", 1)
    assert "no lookup adds rows" in single.reason
    for bag in (first, second):
        assert (bag.decision, bag.chunk_rows, bag.step, bag.error_bound) == ("pool", 18, 1, 0)
        assert bag.pool.pj < bag.read.pj
        assert bag.pool.ns < bag.read.ns
    assert [m.pool_rows for m in program.data.matrices if m.kind == "table"] == [1, 18, 18]


def test_the_price_is_what_the_cost_model_charges(folder: Path) -> None:
    """Tables of one block: all ids of a bag meet in it, so that the expectation is what happens."""
    target = load_target("tsinghua28")
    for options in ("", '{pool="read"}'):
        program = compiled(folder, options)
        way = "pool" if not options else "read"
        run = program.run(requests(), "exact")
        prices = [getattr(each, way) or each.read for each in decisions(program).values()]
        array = target.array
        events = run.events
        charged = (
            events["array.rows_driven.lookup"] * float(array.row_pj)
            + events["array.steps.lookup"] * float(array.step_pj)
            + events["adc.conversions.lookup"] * float(array.conversion_pj)
        )
        digital = events["lookup.activations"] * 7 * (
            2 * float(target.tile.shift_add_pj) + 32 * float(target.tile.bus_pj_per_bit)
        ) + events["lookup.ids"] * 32 * float(target.tile.bus_pj_per_bit)
        # A bag may hold a row twice, which takes a step more than the expectation knows of.
        assert sum(p.pj for p in prices) == pytest.approx(charged + digital, rel=0.12)
        assert sum(p.activations for p in prices) == pytest.approx(events["lookup.activations"], rel=0.12)
        steps = events["array.steps.lookup"] * float(array.step_ns)
        assert sum(p.ns for p in prices) == pytest.approx(steps, rel=0.12)


def test_prices_follow_the_rows_to_where_group_puts_them(folder: Path) -> None:
    """Popular rows in four row blocks by their ids, in one once they are grouped: a bag is one activation."""
    target = with_overrides(load_target("tsinghua28"), {"array.rows": 16, "array.physical_rows": 16})
    rng, bags = np.random.default_rng(0), 200
    popular = np.array([16 * block + row for block in range(4) for row in (1, 6, 11)])
    model, _ = tiny_dlrm(seed=0, tables=1, rows=(64,), bags=("sum",))
    sent = requests_for(model, batch=bags, seed=1)
    sent["ids_0"] = np.concatenate([rng.choice(popular, 3, replace=False) for _ in range(bags)])
    sent["offsets_0"] = np.arange(bags) * 3
    path = folder / "grouped.onnx"
    onnx.save(model, path)
    found = {}
    for order in ("in_order", "frequency"):
        pipeline = PIPELINE.replace("shard", f"group{{policy={order}}},shard") % '{pool="pool"}'
        program = cimc.compile(path, target, sent, pipeline)
        (only,) = decisions(program).values()
        activations = program.run(sent, "exact").events["lookup.activations"]
        assert only.pool.activations == pytest.approx(activations, rel=0.15)
        found[order] = activations
    assert found["frequency"] == 1.0
    assert found["in_order"] > 2.0


def test_reading_when_asked_gives_the_same_results(folder: Path) -> None:
    pooled, read = compiled(folder), compiled(folder, '{pool="read"}')
    assert all(each.decision == "read" for each in decisions(read).values())
    one, other = pooled.run(requests(), "adc"), read.run(requests(), "adc")
    for name in one.outputs:
        np.testing.assert_array_equal(one.outputs[name], other.outputs[name])
    assert other.events["lookup.activations"] > one.events["lookup.activations"]


def test_a_converter_too_coarse_for_a_digit_reads(folder: Path) -> None:
    target = with_overrides(load_target("tsinghua28"), {"array.adc_bits": 3})
    program = compiled(folder, '{pool="pool"}', target)
    for each in decisions(program).values():
        assert (each.decision, each.chunk_rows, each.step) == ("read", 1, 3)
        assert each.error_bound == 16  # one level of each slice, which weigh 1 and 15
        assert each.pool is None
    assert any("read one at a time" in note for note in program.notes)


def test_pool_when_asked(folder: Path) -> None:
    found = decisions(compiled(folder, '{pool="pool"}'))
    assert [each.decision for each in found.values()] == ["read", "pool", "pool"]
    assert list(found.values())[1].reason == "asked for (pool=pool)"


def test_the_chunk_is_what_the_converter_holds(folder: Path) -> None:
    for name in ("isaac32", "neurram130"):
        target = load_target(name)
        for each in decisions(compiled(folder, "", target)).values():
            assert each.chunk_rows == (pool_rows(target.array)[0] if each.decision == "pool" else 1)


@pytest.mark.parametrize("option", ['{pool="sometimes"}', "{converter_parallelism=2}"])
def test_unknown_options(folder: Path, option: str) -> None:
    with pytest.raises(CimcError) as caught:
        compiled(folder, option)
    assert caught.value.code == "shard.bad-option"
