"""``search`` and ``merge`` against the definition in plain numpy, bit for bit, in every mapping and batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import ProgramError
from cimc.sim.executor import Simulator
from cimc.target.load_target import load_target
from tests.searching import SMALL, corpus_of, expected, found_by, searching


@settings(max_examples=15, deadline=None)
@given(
    items=st.integers(1, 260),
    dim=st.sampled_from([1, 5, 16, 20, 40]),  # of 32 word lines: stacked, alone, cut in two
    k=st.integers(1, 40),
    levels=st.sampled_from([0, 1]),
    biased=st.booleans(),
    each=st.sampled_from(["", "{item_scales=true}", "{item_scales=false}"]),
    shard=st.sampled_from(["shard", "shard{stack=1 fan_in=2}", "shard{score_bits=16}", "shard{fan_in=16}"]),
    mode=st.sampled_from(["exact", "adc"]),
    seed=st.integers(0, 1000),
)
def test_the_best_items_are_those_of_the_definition(
    items: int, dim: int, k: int, levels: int, biased: bool, each: str, shard: str, mode: str, seed: int
) -> None:
    if mode == "adc":  # the definition of a conversion is a plain loop
        items = items % (1200 // dim) % 80 + 1
    k = min(k, items)
    corpus = corpus_of(items, dim, seed, levels)
    rng = np.random.default_rng(seed + 1)
    queries = rng.normal(0, 1, (3, dim)).astype(np.float32)
    bias = rng.integers(-2, 3, items) if biased else None
    program, target = searching(corpus, queries, k, bias=bias, quantize=f"quantize{each}", shard=shard)
    scores, ids = found_by(program, target, queries, mode)  # type: ignore[arg-type]
    wanted_scores, wanted = expected(program, target, queries, k, mode)  # type: ignore[arg-type]
    np.testing.assert_array_equal(ids, wanted)
    np.testing.assert_array_equal(scores, wanted_scores)
    assert ids.dtype == np.int64


def test_every_mapping_and_every_split_of_a_batch_finds_the_same() -> None:
    corpus = corpus_of(250, 16, 3, levels=1)  # many items are equal
    queries = np.random.default_rng(4).normal(0, 1, (40, 16)).astype(np.float32)
    found = []
    for shard in ("shard", "shard{stack=1}", "shard{stack=1 fan_in=2}", "shard{fan_in=16}"):
        program, target = searching(corpus, queries, 25, shard=shard, ranges="clip-free")
        simulator = Simulator(program, target)
        for batch in (40, 7, 1):
            parts = [
                simulator.run({"x": queries[a : a + batch]}, "exact")[0]
                for a in range(0, len(queries), batch)
            ]
            found.append([np.concatenate([p[name] for p in parts]) for name in ("y0", "y1")])
    for scores, ids in found[1:]:
        np.testing.assert_array_equal(scores, found[0][0])
        np.testing.assert_array_equal(ids, found[0][1])


@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_all_kernels_find_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(300, 16, 5, levels=1)
    queries = np.random.default_rng(6).normal(0, 1, (9, 16)).astype(np.float32)
    program, target = searching(corpus, queries, 12, bias=np.arange(300) % 3)
    one = found_by(program, target, queries, mode)  # type: ignore[arg-type]
    monkeypatch.setenv("CIMC_KERNELS", "numpy")
    other = found_by(program, target, queries, mode)  # type: ignore[arg-type]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lists_longer_than_a_shard_are_filled_by_the_others() -> None:
    corpus = corpus_of(200, 16, 7)
    queries = np.random.default_rng(8).normal(0, 1, (3, 16)).astype(np.float32)
    program, target = searching(corpus, queries, 200)
    assert sum(i.name == "search" for s in program.chip_segments[0].streams.values() for i in s) > 1
    _, ids = found_by(program, target, queries)
    assert (np.sort(ids, axis=1) == np.arange(200)).all()


def test_a_list_without_enough_items_ends_in_minus_one() -> None:
    from cimc.sim.kernels.searches.running_best import Running

    run = Running(2, 5)
    run.add(np.array([[3, 1, 2], [-4, -4, -9]], np.int32), 10, None, None)
    lists = run.lists()
    assert lists[:, 5:].tolist() == [[10, 12, 11, -1, -1], [10, 11, 12, -1, -1]]
    assert np.isneginf(lists[:, 3:5].view(np.float32)).all()


def test_cells_of_a_device_are_refused() -> None:
    corpus = corpus_of(70, 16, 9)
    queries = np.random.default_rng(1).normal(0, 1, (3, 16)).astype(np.float32)
    program, _ = searching(corpus, queries, 4)
    from cimc.sim.devices.model.load_device import load_device

    with pytest.raises(ProgramError, match="searches are not simulated") as caught:
        Simulator(program, load_target(SMALL)).run({"x": queries}, "noisy", device=load_device("wan2022"))
    assert caught.value.code == "sim.noisy-search"
