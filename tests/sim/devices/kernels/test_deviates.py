"""Deviates as vector code are those of numpy to the bit, in numpy kernels and compiled ones."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.support.random.quantiles import deviate, lane
from cimc.support.random.splitmix import run

numba = pytest.importorskip("numba")


def test_every_lane_of_every_word() -> None:
    from cimc.sim.devices.kernels.deviates import LANES, WORDS, fill

    @numba.njit
    def filled(key, word, count):  # type: ignore[no-untyped-def]
        out = np.empty(LANES * count, np.float32)
        fill(key, word, count, out)
        return out

    count = 3
    for key in (0, 1, 2**64 - 1, 0x9E3779B97F4A7C15):
        for word in (0, 7, 2**40):
            found = filled(np.uint64(key), word, count)
            words = run(key, word, WORDS * count)
            expected = deviate(np.stack([lane(words, k) for k in range(4)], axis=1).ravel())
            np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))
