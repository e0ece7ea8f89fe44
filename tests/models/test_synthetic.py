from __future__ import annotations

import numpy as np

from models.click_log import ClickLog, TableSpec
from models.synthetic import ZIPF_EXPONENT, Split, Vocabulary, bag_lengths

TABLES = (TableSpec(50), TableSpec(2000, "sum", 1, 6, empty=0.25), TableSpec(80, "mean", 2, 3))


def log(seed: int = 0) -> ClickLog:
    return ClickLog(seed, TABLES, ((0, 1),), dense=3)


def test_popularity_falls_with_the_stated_exponent() -> None:
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(rng, 1000, topics=8)
    ids = vocabulary.draw(rng, rng.integers(0, 8, 400_000), focus=0.5)
    # Sums over groups of eight ranks: within such a group topics share the accesses out.
    by_rank = np.bincount(ids, minlength=1000)[vocabulary.id_of_rank].reshape(-1, 8).sum(axis=1)
    rank = np.arange(1000).reshape(-1, 8).mean(axis=1) + 1
    slope = np.polyfit(np.log(rank[1:]), np.log(by_rank[1:]), 1)[0]
    assert abs(-slope - ZIPF_EXPONENT) < 0.05


def test_focus_draws_ids_of_the_topic() -> None:
    rng = np.random.default_rng(1)
    vocabulary = Vocabulary(rng, 800, topics=8)
    topic = rng.integers(0, 8, 20_000)
    same = vocabulary.topic_of_id[vocabulary.draw(rng, topic, focus=0.5)] == topic
    assert abs(same.mean() - (0.5 + 0.5 / 8)) < 0.02


def test_bag_lengths_stay_in_range_with_the_stated_share_of_empty_bags() -> None:
    lengths = bag_lengths(np.random.default_rng(2), 20_000, 2, 5, 0.25)
    assert set(lengths.tolist()) == {0, 2, 3, 4, 5}
    assert abs((lengths == 0).mean() - 0.25) < 0.02


def test_a_batch_depends_on_seed_split_and_index_alone() -> None:
    one, again = log().batch(Split.TRAIN, 3, 50), log().batch(Split.TRAIN, 3, 50)
    assert np.array_equal(one.dense, again.dense)
    assert np.array_equal(one.labels, again.labels)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(one.bags, again.bags, strict=True))
    for other in (
        log().batch(Split.TRAIN, 4, 50),
        log().batch(Split.EVALUATE, 3, 50),
        log(1).batch(Split.TRAIN, 3, 50),
    ):
        assert not np.array_equal(one.dense, other.dense)
        assert not np.array_equal(one.bags[0].ids, other.bags[0].ids)


def test_labels_follow_the_planted_odds_but_are_noisy() -> None:
    batch = log().batch(Split.TRAIN, 0, 20_000)
    order = np.argsort(batch.odds)
    low, high = batch.labels[order[:5000]].mean(), batch.labels[order[-5000:]].mean()
    assert 0.0 < low < 0.15
    assert 0.5 < high < 1.0
