"""The loops look at many scores together before they look at one."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.sim.kernels.availability import backend
from cimc.sim.kernels.searches.running_best import Running

if backend() != "numba":
    pytest.skip("of compiled loops", allow_module_level=True)

from cimc.sim.kernels.searches import best_loops


def test_a_block_larger_than_what_is_compared_at_once() -> None:
    n = 3 * best_loops._AT_ONCE + 1
    run = Running(1, 2)
    run.add(np.arange(n, dtype=np.int32)[None, :], 5, None, None)
    assert run.ids.tolist() == [[n + 4, n + 3]]
