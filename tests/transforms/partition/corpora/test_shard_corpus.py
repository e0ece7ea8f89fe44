"""Items on arrays: stacked along rows, a shard a tile, and the tree that merges their lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import PassError
from cimc.ir import cim
from cimc.isa.directory import lines_of
from cimc.target.load_target import load_target
from cimc.transforms.partition.corpora.shard_corpus import corpus_blocks, fan_in_of, stack_of
from tests.searching import corpus_of, searching

TARGET = load_target("tsinghua28")


@settings(max_examples=60, deadline=None)
@given(items=st.integers(1, 40_000), dim=st.sampled_from([1, 64, 100, 512, 513, 2000]))
def test_blocks_hold_each_number_of_each_item_once(items: int, dim: int) -> None:
    stack = stack_of(items, dim, 256, None, TARGET)
    blocks, shards = corpus_blocks(items, dim, stack, 256, TARGET)
    area = blocks[:, cim.ROWS].astype(np.int64) * blocks[:, cim.COLS]
    assert int(area.sum()) == items * dim
    order = np.lexsort((blocks[:, cim.COL0], blocks[:, cim.ROW0]))
    assert (order == np.arange(len(blocks))).all()
    assert [first for first, _ in shards] == np.cumsum([0, *(n for _, n in shards[:-1])]).tolist()
    assert sum(n for _, n in shards) == len(blocks)
    parts = -(-dim // 512)
    for first, count in shards:
        assert count
        assert count % parts == 0
        assert -(-count // stack) <= TARGET.tile.arrays
        if parts == 1 and first + count < len(blocks):
            assert count % stack == 0  # arrays are not shared by tiles
    sizes = [n for _, n in shards]
    assert max(sizes) - min(sizes) <= 2 * stack * parts


def test_eight_groups_of_64_share_the_columns_of_an_array_of_512_rows() -> None:
    assert stack_of(1_000_000, 64, 256, None, TARGET) == 8
    blocks, shards = corpus_blocks(100_000, 64, 8, 256, TARGET)
    assert (len(blocks), len(shards)) == (391, 7)
    assert -(-len(blocks) // 8) == 49  # arrays
    assert lines_of(9, 8, 64).tolist() == [0, 64, 128, 192, 256, 320, 384, 448, 0]


@pytest.mark.parametrize(("items", "stack"), [(256, 1), (2048, 1), (2049, 2), (16_384, 8), (100_000, 7)])
def test_a_corpus_takes_all_arrays_of_the_tiles_that_it_needs(items: int, stack: int) -> None:
    assert stack_of(items, 64, 256, None, TARGET) == stack
    tiles = [len(corpus_blocks(items, 64, n, 256, TARGET)[1]) for n in (stack, 8)]
    assert tiles[0] == tiles[1]


def test_a_million_items_of_64_fit_one_chip() -> None:
    blocks, shards = corpus_blocks(1_000_000, 64, 8, 256, TARGET)
    assert -(-len(blocks) // 8) == 489
    assert len(shards) == 62


def test_the_tree_is_as_deep_as_is_fastest() -> None:
    assert fan_in_of(1, 100, TARGET) == 2
    assert fan_in_of(2, 100, TARGET) == 2
    assert fan_in_of(63, 100, TARGET) == 2  # each list more takes a router as long as a level of two
    # short lists travel as fast as messages fly, so that fewer levels are better
    assert fan_in_of(63, 1, TARGET) > fan_in_of(63, 1000, TARGET)


@pytest.mark.parametrize(
    ("shard", "why"),
    [
        ("shard{stack=3}", "holds 1 to 2 groups"),
        ("shard{fan_in=1}", "two lists at least"),
        ("shard{score_bits=8}", "16 or 32 bits"),
    ],
)
def test_options_that_do_not_go(shard: str, why: str) -> None:
    queries = np.ones((2, 16), np.float32)
    with pytest.raises(PassError, match=why):
        searching(corpus_of(40, 16, 0), queries, 3, shard=shard)


def test_items_that_no_tile_holds_are_refused() -> None:
    queries = np.ones((2, 100), np.float32)
    with pytest.raises(PassError, match="4 arrays side by side") as caught:
        searching(corpus_of(40, 100, 0), queries, 3)  # 32 word lines, two arrays a tile
    assert caught.value.code == "shard.long-items"


def test_sums_of_sixteen_bits_lose_what_the_longest_sum_needs_more() -> None:
    queries = np.random.default_rng(0).normal(0, 1, (8, 16)).astype(np.float32)
    program, _ = searching(corpus_of(40, 16, 0), queries, 3, shard="shard{score_bits=16}")
    (item,) = [i for s in program.chip_segments[0].streams.values() for i in s if i.name == "search"]
    # 16 x 127 x 128 takes 18 bits and the sign
    assert (item.number("width"), item.number("shift")) == (16, 3)
