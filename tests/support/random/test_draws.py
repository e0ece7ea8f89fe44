"""Numbers by position and in sequence: their distributions, their bits, and what they do not depend on."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.support.random import draws, splitmix
from cimc.support.random.draws import Draws

# 1 in 10,000 of good generators would exceed this many standard deviations
_FAR = 4.0


def digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def chi_square(seen: NDArray[np.int64]) -> float:
    """Chi-square of equal chances, in standard deviations above its mean."""
    expected = seen.sum() / seen.size
    total = float(((seen - expected) ** 2 / expected).sum())
    return (total - (seen.size - 1)) / np.sqrt(2 * (seen.size - 1))


def test_streams_of_published_traces_keep_their_bits() -> None:
    assert draws.bits(7, np.arange(2)).tolist() == [9062745002702063798, 216982803229803379]
    assert draws.uniform(7, np.arange(2)).tolist() == [0.49129239103058636, 0.011762661332687385]
    assert draws.permuted(7, np.arange(8), 10).tolist() == [0, 1, 7, 6, 9, 3, 2, 5]
    assert digest(draws.bits(splitmix.key_of(1, "a"), np.arange(1 << 16) + 5)) == "3df5befef4ee"
    assert digest(draws.permuted(9, np.arange(5000), 5000)) == "235ab94aeb7c"


def test_a_sequence_is_a_stream_of_words_however_it_is_cut() -> None:
    whole = Draws(5).words(100)
    assert whole.tolist() == splitmix.words(5, np.arange(100)).tolist()
    cut = Draws(5)
    assert np.concatenate([cut.words(30), cut.words(0), cut.words(70)]).tolist() == whole.tolist()


def test_the_bits_of_every_kind_of_draw() -> None:
    drawn = Draws(splitmix.key_of(1, "pinned"))
    assert drawn.words(2).tolist() == [7274634003363023621, 9525511697836205097]
    assert drawn.uniform((2,)).tolist() == [0.17607330226181778, 0.8623753867498147]
    assert drawn.below(1000, (2, 2)).tolist() == [[329, 46], [343, 752]]
    assert drawn.integer(1 << 40) == 98556433091
    assert drawn.permutation(8).tolist() == [5, 1, 0, 6, 3, 2, 7, 4]
    assert drawn.normal((3,)).tolist() == [-0.11732009798288345, -0.4024183750152588, -1.460784912109375]


@pytest.mark.parametrize("limit", [1, 2, 7, 1000, (1 << 32) + 5, (1 << 63) - 1])
def test_integers_are_the_high_half_of_a_product(limit: int) -> None:
    words = Draws(3).words(500)
    found = Draws(3).below(limit, (500,))
    assert found.tolist() == [int(w) * limit >> 64 for w in words]
    assert found.dtype == np.int64


def test_integers_have_equal_chances() -> None:
    for limit in (3, 100, 4097):
        found = Draws(11).below(limit, (limit * 200,))
        assert abs(chi_square(np.bincount(found, minlength=limit))) < _FAR
    for limit in (0, -1, 1 << 63):
        with pytest.raises(ValueError, match="integers below"):
            Draws(0).below(limit)


def test_permutations_have_equal_chances() -> None:
    drawn = Draws(2)
    seen = np.zeros((4, 4, 4, 4), np.int64)
    for _ in range(24 * 200):
        one = drawn.permutation(4)
        assert sorted(one.tolist()) == [0, 1, 2, 3]
        seen[tuple(one)] += 1
    assert abs(chi_square(seen[seen > 0])) < _FAR
    assert (seen > 0).sum() == 24
    assert drawn.permutation(0).tolist() == []


def test_fractions_and_deviates_have_their_moments() -> None:
    n = 100_000
    drawn = Draws(8)
    u = drawn.uniform((n,))
    assert ((u > 0) & (u < 1)).all()
    assert abs(u.mean() - 0.5) < _FAR / np.sqrt(12 * n)
    for z in (drawn.normal((n // 5, 5)).astype(np.float64).ravel(), draws.normal(8, np.arange(n))):
        assert abs(z.mean()) < _FAR / np.sqrt(n)
        assert abs(z.var() - 1) < _FAR * np.sqrt(2 / n)
        assert abs(np.mean(z[1:] * z[:-1])) < _FAR / np.sqrt(n)
