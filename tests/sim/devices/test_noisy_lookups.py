"""Noisy lookups: equal to plain loops to the bit, to ``adc`` in ideal cells; untouched rows cost nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.devices.noisy_lookups import NoisyTable
from cimc.sim.kernels.lookups.pooled_rows import pooled_sum
from cimc.transforms.partition.adc_steps import pool_rows
from tests.sim.devices import devices_oracle as oracle
from tests.sim.devices.devices_setup import changed, make_array, weights_for
from tests.sim.single_rows import through_adc

arrays = st.builds(
    make_array,
    encoding=st.sampled_from(["offset", "differential"]),
    levels=st.sampled_from([2, 4, 8, 16]),
    adc_bits=st.integers(3, 10),
    rows=st.sampled_from([4, 16, 64]),
)
DEVICES = ["ideal", "wan2022", "falcone2025"]


def bags_of(rng, rows, bags, longest):
    lengths = rng.integers(0, longest + 1, bags)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return rng.integers(0, rows, starts[-1]).astype(np.int64), starts


@settings(max_examples=25)
@given(
    array=arrays, bits=st.integers(2, 8), dim=st.integers(1, 9), device=st.sampled_from(DEVICES),
    age=st.sampled_from([0.0, 86400.0]), seed=st.integers(0, 99), request=st.integers(0, 1 << 40),
)  # fmt: skip
def test_pools_are_those_of_plain_loops(array, bits, dim, device, age, seed, request):
    rng = np.random.default_rng(seed)
    table = weights_for(array, bits, (30, dim), rng)
    ids, starts = bags_of(rng, 30, 4, 9)
    permitted, lsb = pool_rows(array)
    kernel = NoisyTable("t", table, array, bits, lsb, dim, Conditions(load_device(device), age, seed))
    found = kernel.pooled(ids, starts, ids // array.rows, permitted, request, use=7)
    expected = oracle.pool(
        kernel.levels, array, bits, lsb, table, ids, starts, array.rows, permitted,
        oracle.name_key(seed, "t"), request, 7,
    )  # fmt: skip
    assert found.tolist() == expected
    kernel.compiled = False
    assert (kernel.pooled(ids, starts, ids // array.rows, permitted, request, use=7) == found).all()


@settings(max_examples=25)
@given(
    array=arrays, bits=st.integers(2, 8), dim=st.integers(1, 9), device=st.sampled_from(DEVICES),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_rows_are_those_of_plain_loops(array, bits, dim, device, seed):
    rng = np.random.default_rng(seed)
    table = weights_for(array, bits, (30, dim), rng)
    ids, requests, places = (rng.integers(0, 30, 6).astype(np.int64) for _ in range(3))
    copies = rng.integers(0, 3, 6).astype(np.int64)
    _, lsb = pool_rows(array)
    kernel = NoisyTable("t", table, array, bits, lsb, dim, Conditions(load_device(device), 1.0, seed))
    found = kernel.rows(ids, requests, places, 3, copies)
    root, word = oracle.name_key(seed, "t"), oracle.word
    for n in range(6):
        branch = word(word(word(word(word(root, 2), int(requests[n])), 3), 1), int(places[n]))
        cells = word(word(root, 0), int(copies[n]))
        shown = oracle.table_step(kernel.levels, array, bits, lsb, table, [int(ids[n])], cells, branch)
        assert found[n].tolist() == shown
    kernel.compiled = False
    assert (kernel.rows(ids, requests, places, 3, copies) == found).all()


@settings(max_examples=30)
@given(array=arrays, bits=st.integers(2, 8), seed=st.integers(0, 99))
def test_ideal_cells_read_as_in_adc(array, bits, seed):
    rng = np.random.default_rng(seed)
    table = weights_for(array, bits, (50, 6), rng)
    ids, starts = bags_of(rng, 50, 8, 20)
    permitted, lsb = pool_rows(array)
    kernel = NoisyTable("t", table, array, bits, lsb, 6, Conditions(load_device("ideal")))
    seen = through_adc(table, array, bits, lsb)
    assert (
        kernel.pooled(ids, starts, ids // array.rows, permitted, 0) == pooled_sum(seen, ids, starts)
    ).all()
    n = np.arange(len(ids))
    assert (kernel.rows(ids, n, n) == seen[ids]).all()


def test_pools_do_not_depend_on_the_batch_split():
    rng = np.random.default_rng(0)
    array = make_array()
    table = weights_for(array, 8, (3000, 16), rng)
    ids, starts = bags_of(rng, 3000, 50, 30)
    kernel = NoisyTable("t", table, array, 8, 1, 16, Conditions(load_device("wan2022"), 1.0, 2))
    whole = kernel.pooled(ids, starts, ids // 512, 18, 1000)
    for a in range(0, 50, 7):
        b = min(50, a + 7)
        part = ids[starts[a] : starts[b]]
        found = kernel.pooled(part, starts[a : b + 1] - starts[a], part // 512, 18, 1000 + a)
        assert (found == whole[a:b]).all()


def test_the_order_of_a_bag_does_not_matter():
    rng = np.random.default_rng(1)
    array = make_array()
    table = weights_for(array, 8, (400, 4), rng)
    ids = rng.integers(0, 400, 40)
    kernel = NoisyTable("t", table, array, 8, 1, 4, Conditions(load_device("wan2022"), 1.0, 2))
    starts = np.array([0, 40])
    a = kernel.pooled(ids, starts, ids // 512, 18, 0)
    mixed = rng.permutation(ids)
    assert (kernel.pooled(mixed, starts, mixed // 512, 18, 0) == a).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_rows_nobody_asks_for_cost_nothing(compiled, tmp_path):
    """Forty million rows in a file with holes: unpacking or drawing them all would take gigabytes."""
    table = np.memmap(tmp_path / "table", np.int8, "w+", shape=(40_000_000, 4))
    table[[0, 17_000_000, 39_999_999]] = [3, -7, 100, -100]
    table = np.asarray(table)
    array = make_array()
    shaky = changed(load_device("wan2022"), read__of_high=0.1)
    kernel = NoisyTable("t", table, array, 8, 1, 4, Conditions(shaky, 1.0), compiled)
    ids = np.array([39_999_999, 0, 17_000_000, 39_999_999])
    starts = np.array([0, 2, 4])
    found = kernel.pooled(ids, starts, ids // 512, 18, 0)
    assert found.shape == (2, 4)
    assert (found[:, 2] > 100).all()  # two rows of 100 each
    n = np.arange(4)
    rows = kernel.rows(ids, n, n)
    assert (rows[0] != rows[3]).any()  # the same cells, another read
    quiet = changed(load_device("wan2022"), read__of_high=0.0)
    kernel = NoisyTable("t", table, array, 8, 1, 4, Conditions(quiet, 86400.0), compiled)
    rows = kernel.rows(ids, n, n)
    assert (rows[0] == rows[3]).all()
    assert (rows[0] != rows[1]).any()  # other cells of the same bytes
    copies = kernel.rows(ids[[0, 0]], n[:2], n[:2], copies=np.array([0, 1]))
    assert (copies[0] != copies[1]).any()


def test_an_empty_batch_is_empty():
    array = make_array()
    table = weights_for(array, 8, (10, 4), np.random.default_rng(0))
    kernel = NoisyTable("t", table, array, 8, 1, 4, Conditions(load_device("wan2022")))
    none = np.zeros(0, np.int64)
    assert kernel.rows(none, none, none).shape == (0, 4)
    assert (kernel.pooled(none, np.zeros(4, np.int64), none, 18, 0) == np.zeros((3, 4))).all()


def test_reads_of_a_row_have_the_spread_of_its_cells():
    array = make_array("differential", 8, adc_bits=8)
    table = np.full((1, 1), 49, np.int8)  # digits 4 and 3 of base 15
    device = changed(load_device("ideal"), window__low=1.0)
    data = device.model_dump(mode="json")
    data["read"] = {"kind": "constant", "of_high": {**data["window"]["low"], "value": 0.1, "unit": "1"}}
    noisy = type(device).model_validate(data)
    kernel = NoisyTable("t", table, array, 8, 1, 1, Conditions(noisy))
    n = np.arange(20_000)
    found = kernel.rows(np.zeros_like(n), n, n)[:, 0]
    # sigma of a device: 4 uS of 39/7 uS a level; the off devices at 1 uS are cut at 0
    s = 4.0 / (39 / 7)
    cut = np.maximum(1.0 + 4.0 * np.random.default_rng(0).standard_normal(400_000), 0.0) / (39 / 7)
    expected = np.sqrt((s**2 + cut.var()) * (15**2 + 1) + (15**2 + 1) / 12)
    assert found.std() == pytest.approx(expected, rel=0.03)
