"""The generator: the published one, in every form to the bit; balance of its bits; keys."""

import numpy as np
import pytest

from cimc.support.random import splitmix

EDGES = (0, 1, 5, 1 << 63, (1 << 64) - 1)


def published(key: int, index: int) -> int:
    """Word ``index`` of a stream as the paper has it: a state that grows, and a finaliser."""
    mask = (1 << 64) - 1
    z = (key + (index + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_words_are_those_of_splitmix64():
    # first outputs of the reference implementation seeded with 1234567
    assert splitmix.words(1234567, np.arange(3)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    assert splitmix.fold(1234567, 2) == 9817491932198370423


@pytest.mark.parametrize("key", EDGES)
def test_all_forms_give_the_same_words(key):
    index = np.arange(300)
    want = [published(key, i) for i in range(300)]
    assert splitmix.words(key, index).tolist() == want
    assert splitmix.run(key, 0, 300).tolist() == want
    assert splitmix.run(key, 290, 10).tolist() == want[290:]
    assert [splitmix.fold(key, i) for i in range(300)] == want


@pytest.mark.parametrize("key", EDGES)
def test_the_compiled_form_is_the_same(key):
    pytest.importorskip("numba")
    from numba import njit

    from cimc.support.random import splitmix_jit

    @njit
    def first(keys, n):
        out = np.empty((len(keys), n), np.uint64)
        for i in range(len(keys)):
            for j in range(n):
                out[i, j] = splitmix_jit.word_at(keys[i], j)
        return out

    keys = np.array([key], np.uint64)
    assert first(keys, 9).tolist() == [[published(key, i) for i in range(9)]]
    state = splitmix_jit.state_of(key)
    drawn = [splitmix_jit.below(state, 1000) for _ in range(9)]
    assert drawn == [(published(key, i) >> 32) * 1000 >> 32 for i in range(9)]


def test_streams_of_published_figures_keep_their_bits():
    assert splitmix.name_key(3, "w") == 7193037466072707297
    assert splitmix.key_of(3, "rows", "t") == 15994106294962740770


def test_bits_are_balanced_and_keys_change_half_of_them():
    words = splitmix.words(splitmix.fold(0, 1), np.arange(1 << 14))
    bits = (words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(1 << 14)
    other = splitmix.words(splitmix.fold(0, 2), np.arange(1 << 14))
    flipped = ((words ^ other)[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(flipped.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(1 << 14)


def test_names_and_seeds_give_different_keys():
    keys = {splitmix.name_key(seed, name) for seed in range(50) for name in ("a", "b", "emb.0", "emb.1")}
    assert len(keys) == 200
