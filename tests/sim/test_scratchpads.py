"""Memory of tiles: zeroed for every block, kept between runs, never lent twice."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.sim.kernels.aligned import aligned
from cimc.sim.scratchpads import Scratchpads, Spares


def test_the_same_memory_for_every_block_zeroed() -> None:
    pads = Scratchpads()
    first = pads.zeroed(0, 3, 4, 8)
    assert (first.shape, first.any(), pads.nbytes) == ((4, 8), False, 32)
    first[:] = 7
    again = pads.zeroed(0, 3, 2, 8)
    assert np.shares_memory(first, again)
    assert not again.any()
    assert first[2:].all()  # what is not asked for is left alone
    larger = pads.zeroed(0, 3, 5, 8)
    assert not np.shares_memory(first, larger)
    assert not np.shares_memory(larger, pads.zeroed(1, 3, 5, 8))
    assert pads.nbytes == 80


def test_sets_are_lent_to_one_run_at_a_time_and_used_again() -> None:
    spares = Spares()
    with spares.lent() as one:
        one.zeroed(0, 0, 1, 8)
        with spares.lent() as other:
            assert other is not one
    assert spares.nbytes == 8
    with spares.lent() as again:
        assert again in (one, other)


def test_a_run_that_fails_gives_nothing_back() -> None:
    spares = Spares()

    def run() -> None:
        with spares.lent() as pads:
            pads.zeroed(0, 0, 1, 8)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert spares.nbytes == 0


@pytest.mark.parametrize("shape", [(3,), (7, 65), (0, 4)])
def test_aligned_copies(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)[::-1]
    found = aligned(values)
    assert found.ctypes.data % 64 == 0 or not found.size
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, values)
    assert not np.shares_memory(found, values)
