"""Expected activations of blocks, against bags that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.study.planning.expected_activity import activated


@pytest.mark.parametrize("chunk", [1, 2, 3, 8])
def test_activations_are_those_of_drawn_bags(chunk: int) -> None:
    rng = np.random.default_rng(chunk)
    share = np.array([0.5, 0.3, 0.15, 0.05])
    lengths = ((3.0, 0.6), (7.0, 0.4))
    drawn = np.zeros(len(share))
    bags = 20_000
    for ids, part in lengths:
        counts = rng.multinomial(int(ids), share, int(bags * part))
        drawn += np.ceil(counts / chunk).sum(axis=0) / bags
    np.testing.assert_allclose(activated(share, lengths, chunk), drawn, rtol=0.04)


def test_one_row_at_a_time_is_one_activation_a_read() -> None:
    share = np.array([0.75, 0.25])
    np.testing.assert_allclose(activated(share, ((4.0, 1.0),), 1), [3.0, 1.0])
