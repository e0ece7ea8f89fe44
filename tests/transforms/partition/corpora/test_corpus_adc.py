"""Steps of converters fitted to the items that win, and what that is worth."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.metrics.ranking import recall
from cimc.target.load_target import load_target
from cimc.transforms.partition.adc_steps import choose_ranges
from cimc.transforms.partition.corpora.corpus_adc import Corpus, clip_free, fit_steps, queries_of, winners
from tests.searching import found_by, searching

ARRAY = load_target("tsinghua28").array


def uneven(items: int, dim: int, seed: int) -> np.ndarray:
    """Mostly short items, and one in fifty that is long: popular ones, among which the best are."""
    rng = np.random.default_rng(seed)
    norms = np.where(np.arange(items) % 50 == 7, 1.0, 0.1)[:, None]
    return np.asarray(rng.normal(0, 1, (items, dim)) * norms, np.float32)


def test_winners_are_the_best_by_factor_and_bias() -> None:
    corpus = Corpus(
        np.array([[1, 0], [2, 0], [3, 0], [4, 0]], np.int8),
        np.array([1, 1, 1, 0.5], np.float32),
        np.array([0, 9, 0, 0], np.float32),
    )
    assert winners(np.array([[10, 0]], np.int32), corpus, 3).tolist() == [[2, 1, 3]]


def test_fewer_queries_count_in_a_larger_corpus() -> None:
    samples = np.arange(600, dtype=np.int32)[:, None]
    assert len(queries_of(samples, 100)) == 256
    assert len(queries_of(samples, 1_000_000)) == 67
    assert len(queries_of(samples, 100_000_000)) == 32
    assert len(queries_of(samples[:5], 100)) == 5


def test_steps_without_queries_cannot_clip() -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(-112, 113, (300, 16)).astype(np.int8)
    fit = fit_steps(None, Corpus(integers, None, None), slice(0, 16), 5, ARRAY, 8, (8, True))
    blocks = np.array([[0, 16, 0, 300, 0, 0, 0]], np.int32)
    layer = choose_ranges(None, np.ascontiguousarray(integers.T), blocks, ARRAY, 8, 8, True)
    np.testing.assert_array_equal(fit.steps, layer[0])
    assert (fit.queries, fit.sqnr_db, fit.clipped) == (0, None, None)


def test_the_clip_free_step_holds_for_all_items_of_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from cimc.target.cell_encoding import phase_plan

    plan = phase_plan(8, True, ARRAY.dac_bits, ARRAY.signed_inputs)
    integers = np.zeros((50, 16), np.int8)
    integers[40] = 112  # one item needs them coarse
    whole = clip_free(integers, plan, ARRAY, 8)
    monkeypatch.setattr("cimc.transforms.partition.corpora.corpus_adc._AT_A_TIME", 7)
    np.testing.assert_array_equal(clip_free(integers, plan, ARRAY, 8), whole)
    assert (whole > clip_free(integers[:40], plan, ARRAY, 8)).any()


def test_only_the_sums_of_the_best_items_decide() -> None:
    rng = np.random.default_rng(5)
    best = rng.integers(60, 113, (64, 64)).astype(np.int8)
    others = rng.integers(-4, 5, (20_000, 64)).astype(np.int8)
    queries = rng.integers(1, 128, (40, 64)).astype(np.int32)

    def fit(integers: np.ndarray) -> np.ndarray:
        return fit_steps(queries, Corpus(integers, None, None), slice(0, 64), 32, ARRAY, 8, (8, True)).steps

    def layer(integers: np.ndarray) -> np.ndarray:
        blocks = np.array([[0, 64, 0, len(integers), 0, 0, 0]], np.int32)
        weights = np.ascontiguousarray(integers.T)
        return choose_ranges(queries[:8], weights, blocks, ARRAY, 8, 8, True)[0]

    many = np.concatenate([others, best])
    np.testing.assert_array_equal(fit(many), fit(best))
    assert (layer(many) != layer(best)).any()


def test_converters_cost_little_recall() -> None:
    items = uneven(3000, 32, 1)
    queries = np.random.default_rng(2).normal(0, 1, (128, 32)).astype(np.float32)
    calib, held = queries[::2], queries[1::2]
    program, target = searching(items, calib, 10, target="tsinghua28")
    wanted = np.argsort(-(held @ items.T), axis=1, kind="stable")[:, :10]
    found = {
        mode: float(recall(found_by(program, target, held, mode)[1], wanted).mean())  # type: ignore[arg-type]
        for mode in ("exact", "adc")
    }
    assert found["exact"] > 0.97, found
    assert found["adc"] > found["exact"] - 0.03, found
