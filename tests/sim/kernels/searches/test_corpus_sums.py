"""Sums of a corpus come part by part, whatever the parts are."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.sim.kernels.searches import corpus_sums
from cimc.sim.kernels.searches.corpus_sums import Corpus
from cimc.sim.kernels.searches.running_best import Running
from tests.searching import corpus_of, searching


@pytest.mark.parametrize("dim", [16, 40])
@pytest.mark.parametrize("items", [1, 64, 10_000])
def test_parts_of_any_size_give_the_same(dim: int, items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = np.random.default_rng(2).normal(0, 1, (8, dim)).astype(np.float32)
    program, target = searching(corpus_of(120, dim, 1), queries, 6)
    x = np.random.default_rng(3).integers(-127, 128, (5, dim)).astype(np.int8)
    monkeypatch.setattr(corpus_sums, "ITEMS", items)
    (matrix,) = program.matrices
    best = Running(len(x), 7)
    blocks = len(program.data["items.blocks"])
    Corpus(program, matrix, target).search(x, 0, blocks, [best], "exact")
    sums = x.astype(np.int64) @ program.data["items.data"].astype(np.int64).T
    scores = sums.astype(np.float32) * program.data["items.row_scales"]
    np.testing.assert_array_equal(best.ids, np.argsort(-scores, axis=1, kind="stable")[:, :7])
