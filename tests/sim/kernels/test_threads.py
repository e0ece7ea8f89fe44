"""Threads change no bit: shares of the work, kernels of every mode, whole programs."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.devices.noisy_lookups import NoisyTable
from cimc.sim.executor import Simulator
from cimc.sim.kernels import threads
from cimc.sim.kernels.dense.mvm import DenseKernel
from cimc.target.cell_encoding import phase_plan
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests
from tests.sim.devices.devices_setup import grid, inputs_for, make_array, make_dense, steps_for, weights_for

ARRAYS = [("offset", 4, 1), ("differential", 4, 1), ("offset", 16, 4), ("differential", 8, 4)]
"""Encoding, levels, bits of a phase: tables of bytes, of words, products."""


@given(batch=st.integers(0, 300), cols=st.integers(1, 400), count=st.integers(1, 9))
def test_shares_cover_every_result_once(batch: int, cols: int, count: int) -> None:
    parts, blocks = threads.shares(batch, cols, count)
    assert [i for part in parts for i in range(batch)[part]] == list(range(batch))
    assert [c for block in blocks for c in range(cols)[block]] == list(range(cols))
    assert all(block.start % threads.COLUMNS == 0 for block in blocks)
    assert len(parts) == 1 or len(parts) * len(blocks) <= count + len(blocks)


def test_batch_is_cut_first_and_columns_where_it_is_small() -> None:
    assert [len(part) for part in threads.shares(2048, 256, 4)] == [4, 1]
    assert [len(part) for part in threads.shares(1, 256, 4)] == [1, 4]
    assert [len(part) for part in threads.shares(1, 64, 4)] == [1, 1]
    assert [len(part) for part in threads.shares(64, 128, 4)] == [2, 2]


def test_tasks_run_in_threads_and_errors_are_raised() -> None:
    names: set[str] = set()
    both = threading.Barrier(2, timeout=10)  # passed only by two at a time

    def task() -> None:
        both.wait()
        names.add(threading.current_thread().name)

    threads.run([task, task], 2)
    assert len(names) == 2
    assert threading.current_thread().name not in names
    with pytest.raises(ZeroDivisionError):
        threads.run([lambda: None, lambda: 1 // 0], 2)  # type: ignore[list-item]


work = st.tuples(
    st.sampled_from(ARRAYS), st.sampled_from(["offset", "sign-phases"]), st.booleans(), st.integers(1, 40),
    st.integers(1, 200), st.integers(1, 90), st.integers(2, 5), st.integers(0, 99),
)  # fmt: skip


def _case(drawn: Any) -> Any:
    (encoding, levels, dac), scheme, signed, rows, cols, batch, count, seed = drawn
    array = make_array(encoding, levels, dac, 8, scheme)
    rng = np.random.default_rng(seed)
    plan = phase_plan(8, signed, dac, scheme)
    x = inputs_for(plan, (batch, rows), rng)
    cut = int(rng.integers(0, batch + 1))
    return array, signed, rows, cols, x, cut, count, seed, plan, rng


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@settings(max_examples=40, deadline=None)
@given(drawn=work)
def test_exact_and_adc(backend: str, drawn: Any) -> None:
    array, signed, rows, cols, x, cut, count, _, plan, rng = _case(drawn)
    blocks = grid(rows, cols, 17, 50)
    weights = weights_for(array, 8, (rows, cols), rng)
    steps = steps_for(array, blocks, 8, plan, rng, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMC_KERNELS", backend)
        kernel = DenseKernel(weights, blocks, steps, array, 8, 8, signed)
    for product in (kernel.exact, kernel.adc):
        whole = product(x, 0, len(blocks))
        assert (product(x, 0, len(blocks), threads=count) == whole).all()
        parts = [product(part, 0, len(blocks), threads=count) for part in (x[:cut], x[cut:])]
        assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("compiled", [True, False])
@settings(max_examples=40, deadline=None)
@given(drawn=work, device=st.sampled_from(["wan2022", "falcone2025"]))
def test_noisy(compiled: bool, drawn: Any, device: str) -> None:
    array, signed, rows, cols, x, cut, count, seed, _, _ = _case(drawn)
    conditions = Conditions(load_device(device), 3600.0, seed)
    kernel, _ = make_dense(
        array, (rows, cols), (17, 50), conditions, signed=signed, seed=seed, compiled=compiled
    )
    blocks = len(kernel.blocks)
    whole = kernel.noisy(x, 0, blocks, 7)
    assert (kernel.noisy(x, 0, blocks, 7, threads=count) == whole).all()
    parts = [kernel.noisy(x[:cut], 0, blocks, 7, threads=count), kernel.noisy(x[cut:], 0, blocks, 7 + cut)]
    assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("mode", ["exact", "adc", "noisy"])
@pytest.mark.parametrize("target", ["tsinghua28", "isaac32"])
def test_programs(mode: str, target: str) -> None:
    made, ctx = dlrm(target=target)
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    more: Any = {"device": load_device("wan2022"), "age": 86400.0, "seed": 3} if mode == "noisy" else {}
    for batch in (1, 150):
        requests = dlrm_requests(batch, 9)
        found = []
        for count in (1, 2, 5):
            simulator = Simulator(ctx.program, ctx.target)  # type: ignore[arg-type]
            outputs, activity = simulator.run(requests, mode, threads=count, **more)  # type: ignore[arg-type]
            found.append((outputs["y0"].tobytes(), activity.requests, str(activity.lookups)))
        assert found[0] == found[1] == found[2]


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 6), bags=st.integers(0, 30), seed=st.integers(0, 99), pool=st.integers(1, 18))
def test_noisy_lookups(count: int, bags: int, seed: int, pool: int) -> None:
    rng = np.random.default_rng(seed)
    array = make_array()
    conditions = Conditions(load_device("wan2022"), 3600.0, seed)
    kernel = NoisyTable("t", weights_for(array, 8, (90, 6), rng), array, 8, 1, 6, conditions)
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 9, bags))]).astype(np.int64)
    ids = rng.integers(0, 90, int(starts[-1]))
    whole = kernel.pooled(ids, starts, ids // 32, pool, 5)
    assert (kernel.pooled(ids, starts, ids // 32, pool, 5, threads=count) == whole).all()
    n = np.arange(len(ids))
    assert (kernel.rows(ids, n, n, threads=count) == kernel.rows(ids, n, n)).all()
