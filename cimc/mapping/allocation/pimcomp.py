"""Replicators after PIMCOMP (Sun et al., DAC 2023), as its public code has them.

Taken over: the heap of ``balance`` with a margin that stays free, ``W0H0``, ``uniform``, the genetic search.
Ours: windows may be requests in flight, as a fully connected layer has one window and would never be copied;
``A_fc``, arrays that no replicated layer gets, are those of tables; a copy is added only where it fits (the
code does not count first copies, which a margin of half the machine hides); equal heads of the heap come in
the order of the layers.
"""

from __future__ import annotations

import numpy as np

from cimc.mapping.allocation.layer_copies import LayerCopies, LayerCopiesProblem
from cimc.mapping.allocation.pimcomp_genetic import Search
from cimc.mapping.allocation.replicators import balance, in_rounds, rounds
from cimc.mapping.assignment.strategy_registry import require

REPLICATORS = ("balance", "W0H0", "uniform", "genetic")
MARGIN = 0.5


def pimcomp(
    problem: LayerCopiesProblem,
    /,
    *,
    seed: int,
    windows: int = 1,
    replicator: str = "balance",
    margin: float = MARGIN,
    generations: int = 3,
    population: int = 200,
    fitness: str = "HT",
) -> LayerCopies:
    """Copies of each layer by one of PIMCOMP's replicators.

    Args:
        problem: the layers.
        seed: of ``genetic``.
        windows: requests in flight, each a window of every layer; 1: the policy as it is published.
        replicator: ``balance``, ``W0H0``, ``uniform`` or ``genetic``.
        margin: of ``balance``, the share of the arrays that stays free.
        generations, population: of ``genetic``; ``fitness``: ``HT`` (throughput) or ``LL`` (latency).
    """
    require(replicator in REPLICATORS, f"`replicator` is one of {', '.join(REPLICATORS)}, not {replicator}")
    uses = problem.windows(windows)
    if replicator == "balance":
        return LayerCopies(balance(problem, uses, margin))
    if replicator == "genetic":
        search = Search(problem, uses, fitness, population, seed)
        return search.run(generations)
    shares = np.ones(problem.layers, np.int64) if replicator == "uniform" else rounds(uses)
    return LayerCopies(in_rounds(problem, uses, shares))
