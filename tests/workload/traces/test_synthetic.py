"""Synthetic bags follow the distributions they claim, and do not depend on how they are cut."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.support.random.draws import permuted, uniform
from cimc.workload.traces import collect
from cimc.workload.traces.pair_counts import pairs_in
from cimc.workload.traces.statistics import statistics
from cimc.workload.traces.synthetic import Pooling, Synthetic, SyntheticBags, parse
from cimc.workload.traces.zipf import zipf


def chi_square(seen: np.ndarray, expected: np.ndarray) -> float:
    """Chi-square in standard deviations above its mean (cells of fewer than 5 expected together)."""
    big = expected >= 5
    cells = [(seen[big], expected[big])]
    if (~big).any() and expected[~big].sum() >= 5:
        cells.append((np.array([seen[~big].sum()]), np.array([expected[~big].sum()])))
    total = sum(float(((s - e) ** 2 / e).sum()) for s, e in cells)
    freedom = sum(len(e) for _, e in cells) - 1
    return (total - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize("shift", [1.0, 0.3, 0.002])
@pytest.mark.parametrize("exponent", [0.0, 0.85, 1.0, 1.7])
def test_zipf_samples_follow_the_law(exponent: float, shift: float) -> None:
    count, draws = 60, 100_000
    chance = (np.arange(count) + shift) ** -exponent
    drawn = zipf(11, np.arange(draws), exponent, count, shift)
    assert chi_square(np.bincount(drawn, minlength=count), draws * chance / chance.sum()) < 4


def test_zipf_over_many_rows_and_one() -> None:
    drawn = zipf(1, np.arange(20_000), 1.05, 1 << 40)
    assert drawn.min() == 0
    assert (1 << 20) < drawn.max() < 1 << 40
    assert not zipf(1, np.arange(5), 1.0, 1).any()


def test_numbers_depend_on_their_position_alone() -> None:
    at = np.arange(1000)
    assert np.array_equal(uniform(5, at)[300:], uniform(5, at[300:]))
    assert np.array_equal(zipf(5, at, 0.9, 70)[300:], zipf(5, at[300:], 0.9, 70))
    assert abs(float(uniform(5, np.arange(100_000)).mean()) - 0.5) < 0.005


@pytest.mark.parametrize("size", [1, 2, 3, 64, 1000, 4097])
def test_permutation(size: int) -> None:
    found = permuted(9, np.arange(size), size)
    assert sorted(found.tolist()) == list(range(size))
    if size > 64:
        assert not np.array_equal(found, np.arange(size))
        assert not np.array_equal(found, permuted(10, np.arange(size), size))


@pytest.mark.parametrize(
    ("text", "mean", "variance"),
    [
        ("7", 7, 0),
        ("poisson/6", 6, 6),
        ("geometric/4", 4, 20),  # m (1 + m)
        ("uniform/2/8", 5, 4),  # ((b - a + 1)^2 - 1) / 12
        ("lognormal/20/0.5", 20, 400 * (np.exp(0.25) - 1)),
    ],
)
def test_bag_lengths(text: str, mean: float, variance: float) -> None:
    lengths = Pooling.parse(text).lengths(3, np.arange(40_000))
    assert lengths.min() >= 0
    assert lengths.mean() == pytest.approx(mean, rel=0.03)
    assert lengths.var() == pytest.approx(variance, rel=0.06, abs=0.1)


def bags(**changes: object) -> SyntheticBags:
    return SyntheticBags("t", 300, Synthetic(300, 0.9, Pooling("poisson", 6.0), **changes), 20_000, 4)  # type: ignore[arg-type]


def test_clusters_keep_every_rows_popularity() -> None:
    source = bags(clusters=30, affinity=0.7, ranked=True)
    trace = collect([source]).tables["t"]
    seen = np.zeros(300)
    seen[trace.ids] = trace.counts
    chance = np.arange(1, 301) ** -0.9
    # ids of a bag depend on each other, so the spread is wider than that of independent draws
    assert np.abs(seen / trace.lookups - chance / chance.sum()).max() < 0.004
    assert statistics(trace).zipf == pytest.approx(0.9, abs=0.03)


def test_affinity_makes_pairs_of_one_cluster_frequent() -> None:
    def inside(source: SyntheticBags) -> float:
        kept = collect([replace(source, requests=3000)]).tables["t"].kept
        assert kept is not None
        same = together = 0
        for i, j in itertools.pairwise(kept.starts.tolist()):
            sizes = np.bincount(kept.rows[i:j] % 30)
            same += int((sizes * (sizes - 1) // 2).sum())
            together += (j - i) * (j - i - 1) // 2
        return same / together

    loose, tight = bags(ranked=True), bags(clusters=30, affinity=0.7, ranked=True)
    assert inside(loose) < 0.08 < 0.3 < inside(tight)


def test_a_taste_keeps_popularity_nearly_and_makes_rows_meet_again() -> None:
    def pairs(source: SyntheticBags) -> int:
        kept = collect([replace(source, requests=600)]).tables["t"].kept
        assert kept is not None
        return pairs_in(kept)[0]

    source = replace(bags(dimensions=2, taste=5.0, ranked=True), requests=4000)
    assert statistics(collect([source]).tables["t"]).zipf == pytest.approx(0.9, abs=0.1)
    assert pairs(source) < 0.85 * pairs(bags(ranked=True))


@pytest.mark.parametrize(
    "what", [{"clusters": 30, "affinity": 0.5}, {"dimensions": 3, "taste": 4.0}], ids=["clusters", "taste"]
)
def test_chunks_do_not_matter(what: dict[str, float]) -> None:
    source = bags(**what)
    ids, starts = source.bags(0, 100)
    late, _ = source.bags(60, 100)
    assert np.array_equal(ids[starts[60] :], late)
    assert not np.array_equal(ids, replace(source, seed=5).bags(0, 100)[0][: len(ids)])
    assert not np.array_equal(ids, replace(source, stream="b").bags(0, 100)[0][: len(ids)])


def test_descriptions() -> None:
    name, what = parse(
        "emb:x.0:rows=1e6,zipf=1.1,pooling=lognormal/20/0.5,clusters=50,affinity=0.3,order=ranked"
    )
    assert name == "emb:x.0"
    assert what == Synthetic(1_000_000, 1.1, Pooling("lognormal", 20, 0.5), 50, 0.3, True)
    assert parse("*:zipf=0.85") == ("*", Synthetic())
    assert parse("*:dimensions=4,taste=2.5") == ("*", Synthetic(dimensions=4, taste=2.5))


@pytest.mark.parametrize(
    "text",
    [
        "t", "rows=5", ":rows=5", "t:rows=0", "t:rows=1.5", "t:rows=x", "t:zipf=-1", "t:zipf=nan",
        "t:affinity=2", "t:taste=9", "t:dimensions=0", "t:dimensions=65", "t:taste=1,affinity=0.5",
        "t:pooling=poisson", "t:pooling=poisson/800", "t:pooling=uniform/3/1", "t:pooling=1e9", "t:what=1",
        "t:rows=5,rows=6", "t:order=x", "t:pooling=inf",
    ],
)  # fmt: skip
def test_descriptions_that_make_no_sense(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert caught.value.code == "trace.bad-spec"
