"""Scales of items: one for all, or one each."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import PassError
from cimc.transforms.quantise.quantize_corpora import factors_of, integers_of, peaks_of
from tests.searching import corpus_of, found_by, searching

QUERIES = np.random.default_rng(2).normal(0, 1, (64, 16)).astype(np.float32)


def test_integers_times_factors_are_the_items() -> None:
    corpus = corpus_of(50, 16, 1) * np.geomspace(1e-3, 10, 50, dtype=np.float32)[:, None]
    corpus[7] = 0
    for each in (True, False):
        factors = factors_of(peaks_of(corpus, "c"), 112, each)
        assert len(factors) == (50 if each else 1)
        integers = integers_of(corpus, factors, 112)
        assert int(np.abs(integers).max()) == 112
        wide = np.broadcast_to(factors, 50)[:, None]
        assert (np.abs(integers * wide - corpus) <= wide * 0.5000001).all()


@pytest.mark.parametrize(("spread", "each"), [(1.0, False), (3.0, True)])
def test_uneven_items_get_a_factor_each(spread: float, each: bool) -> None:
    corpus = np.ones((50, 16), np.float32)
    corpus[0] *= spread
    program, _ = searching(corpus, QUERIES, 3)
    assert ("items.row_scales" in program.data) == each


def test_scores_are_those_of_floats() -> None:
    corpus = corpus_of(200, 16, 3)
    bias = np.linspace(-4, 4, 200)
    for quantize, raised in (("quantize{item_scales=false}", None), ("quantize", bias)):
        program, target = searching(corpus, QUERIES, 10, bias=raised, quantize=quantize)
        scores, ids = found_by(program, target, QUERIES)
        wanted = QUERIES @ corpus.T + (0 if raised is None else raised)
        best = -np.sort(-wanted, axis=1)[:, :10]
        assert np.abs(scores - best).max() < 0.2
        assert np.abs(np.take_along_axis(wanted, ids, axis=1) - scores).max() < 0.2


def test_a_transposed_corpus_is_the_same_corpus() -> None:
    corpus = corpus_of(100, 16, 4)
    one, _ = searching(corpus, QUERIES, 5)
    other, _ = searching(corpus, QUERIES, 5, transposed=True)
    for name, array in one.data.items():
        np.testing.assert_array_equal(array, other.data[name])


@pytest.mark.parametrize(
    ("value", "code"), [(np.nan, "not-finite"), (np.inf, "not-finite"), (1e31, "overflow")]
)
def test_items_of_no_use_are_refused(value: float, code: str) -> None:
    corpus = corpus_of(100, 16, 4)
    corpus[99, 3] = value
    with pytest.raises(PassError) as caught:
        searching(corpus, QUERIES, 5)
    assert caught.value.code == f"quantize.{code}"
