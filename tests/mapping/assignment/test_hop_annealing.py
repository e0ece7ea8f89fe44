"""Annealing on hops: its prices, its cooling, what it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.mapping.assignment.exchange import bin_loads
from cimc.mapping.assignment.hop_annealing import anneal_hops, geometric, typical_prices
from cimc.mapping.assignment.judge import evaluate
from cimc.mapping.assignment.methods.greedy import greedy
from tests.mapping.assignment.placement_instances import zipf


@pytest.mark.parametrize(
    ("first", "last", "count"), [(10.0, 1e-3, 60), (1.0, 300.0, 12), (2.0, 2.0, 3), (1.0, 4.0, 2)]
)
def test_geometric_ends_where_it_should(first: float, last: float, count: int) -> None:
    found = geometric(first, last, count)
    assert (len(found), found[0]) == (count, first)
    assert found[-1] == pytest.approx(last, rel=1e-9)
    np.testing.assert_allclose(np.diff(np.log(found)), np.log(last / first) / (count - 1), atol=1e-9)


def test_prices_by_hand() -> None:
    problem = zipf(30, 4)
    far = 2.0  # of a 2 x 2 mesh: from 1 to 3 hops
    found = typical_prices(problem)
    assert found.load == pytest.approx(2 * far * problem.traffic.sum() / problem.load.sum())
    assert found.size == pytest.approx(far * problem.traffic.sum() / 30)


def test_annealing_repeats_itself_and_keeps_capacities() -> None:
    problem = zipf(40, 9)
    start = greedy(problem, seed=0).assignment
    limit = 1.05 * float(bin_loads(problem, start).max())
    options = {"limit": limit, "prices": typical_prices(problem), "sweeps": 300, "effort": 10**6}
    one, again, other = (anneal_hops(problem, start, seed=s, **options) for s in (3, 3, 4))  # type: ignore[arg-type]
    assert one.assignment.tolist() == again.assignment.tolist()
    assert one.assignment.tolist() != other.assignment.tolist()
    assert not one.overfull
    found = evaluate(problem, one.assignment)
    assert found.violations == ()
    assert found.bottleneck <= limit
    assert found.hops < evaluate(problem, start).hops
    assert 0 < one.accepted <= one.proposals


def test_no_effort_is_no_change() -> None:
    problem = zipf(12, 4)
    start = greedy(problem, seed=0).assignment
    found = anneal_hops(problem, start, limit=1e9, prices=typical_prices(problem), sweeps=9, effort=0, seed=0)
    assert (found.proposals, found.assignment.tolist()) == (0, start.tolist())
