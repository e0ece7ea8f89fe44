"""Compiled lists of hits against those of the interpreter, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.interpreter import hits
from cimc.sim.kernels.availability import backend
from cimc.sim.kernels.searches.running_best import Running, merged

pytestmark = pytest.mark.skipif(backend() != "numba", reason="compares compiled loops")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    items=st.integers(1, 300),
    k=st.integers(1, 70),
    levels=st.sampled_from([1, 4, 2**20]),
    own=st.integers(0, 2),
    bus=st.sampled_from([(32, 0), (16, 0), (16, 6)]),
    size=st.integers(1, 200),
)
def test_lists_are_those_of_the_interpreter(
    seed: int, items: int, k: int, levels: int, own: int, bus: tuple[int, int], size: int
) -> None:
    rng = np.random.default_rng(seed)
    sums = rng.integers(-levels, levels + 1, (3, items)).astype(np.int32)
    factors = None if own == 0 else rng.choice([0.5, 1.0, 3e38], items).astype(np.float32)  # some overflow
    biases = None if own < 2 else rng.integers(-2, 3, items).astype(np.float32)
    run, wanted = Running(3, k, *bus), hits.empty(3, k)
    with np.errstate(over="ignore"):
        scores = hits.as_scores(hits.as_sums(sums, *bus), factors, biases)
    for part in hits.parts(range(items), size):
        own_here = (None if of is None else of[part] for of in (factors, biases))
        run.add(np.ascontiguousarray(sums[:, part]), part.start, *own_here)
        wanted = hits.merged(wanted, hits.best(scores[:, part], part.start, k))
    np.testing.assert_array_equal(run.lists(), wanted)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), k=st.integers(1, 30), levels=st.sampled_from([1, 30]), n=st.integers(0, 40)
)
def test_merging_is_that_of_the_interpreter(seed: int, k: int, levels: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (4, n)).astype(np.float32)
    cut = int(rng.integers(0, n + 1))
    one, other = hits.best(scores[:, :cut], 0, k), hits.best(scores[:, cut:], cut, k)
    for a, b in ((one, other), (other, one)):
        np.testing.assert_array_equal(merged(a, b), hits.merged(a, b))
