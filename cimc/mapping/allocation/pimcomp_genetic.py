"""PIMCOMP's genetic search over copies of layers and the cores of their array groups.

An individual says how many array groups of each layer a core has.  Taken over from the public code: the start
(``balance`` with margins of 0.10 to 0.89, half of it spread over the cores, half of it side by side), at most
32 layers a core, survival (the best 30 %, others with probability 0.2), five mutations (copy more, copy less,
split, merge, exchange), no crossover, and the two fitnesses.  Ours: the seed (there it is the clock), a start
that is never lost, and ``LL`` as the sum over a chain of layers, as of the printed recursion one term is left
where each layer waits for all of the one before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cimc.mapping.allocation.layer_copies import LayerCopies, LayerCopiesProblem
from cimc.mapping.allocation.replicators import balance
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.support.random.draws import Draws
from cimc.support.random.splitmix import key_of

FITNESSES = ("HT", "LL")
_GENES = 32
_KEPT, _LUCKY = 0.3, 0.2
_LEAST_MARGIN, _MARGINS = 0.10, 80
_TRIES = 8
"""Cores that a mutation looks at before it gives up."""


class Individual(NamedTuple):
    """Copies int64[n] of each layer, and array groups int64[cores, n]; the rows sum to copies x groups."""

    copies: IntArray
    held: IntArray


class Search:
    """The search; all draws are from one stream."""

    def __init__(
        self, problem: LayerCopiesProblem, windows: IntArray, fitness: str, population: int, seed: int
    ) -> None:
        require(fitness in FITNESSES, f"`fitness` is one of {', '.join(FITNESSES)}, not {fitness}")
        require(population >= 1, f"`population` must be at least 1, it is {population}")
        self.problem, self.windows, self.fitness, self.population = problem, windows, fitness, population
        # tables take the others, and a part of the last core
        self.cores = max(1, -(-problem.arrays // problem.core_arrays))
        self.room = np.full(self.cores, problem.core_arrays)
        self.room[-1] = problem.arrays - (self.cores - 1) * problem.core_arrays
        self.draws = Draws(key_of(seed, "pimcomp genetic"))
        self.mutations = 0

    def run(self, generations: int) -> LayerCopies:
        """The copies of the best individual of all generations; one copy each where none can be laid out."""
        require(generations >= 0, f"`generations` must not be negative, it is {generations}")
        found = self.start()
        if not found:
            return LayerCopies(np.ones(self.problem.layers, np.int64), {"generations": 0, "laid_out": 0})
        ranked = self._ranked(found)
        first = ranked[0][0]
        for _ in range(generations):
            kept = max(1, int(_KEPT * len(ranked)))
            alive = ranked[:kept] + [r for r in ranked[kept:] if self._chance(_LUCKY)]
            young = [
                self.mutated(alive[self.draws.integer(len(alive))][2])
                for _ in range(self.population - len(alive))
            ]
            ranked = sorted(alive + self._ranked(young, len(alive)), key=lambda r: r[:2])
        best = ranked[0]
        effort: dict[str, int | float] = {
            "generations": generations,
            "mutations": self.mutations,
            "laid_out": len(found),
            "fitness_at_start": first,
            "fitness": best[0],
        }
        return LayerCopies(best[2].copies, effort)

    def start(self) -> list[Individual]:
        """The first population: those of its members that can be laid out."""
        made: dict[tuple[int, bool], Individual | None] = {}
        found = []
        for number in range(self.population):
            key = self.draws.integer(_MARGINS), number % 2 == 0
            if key not in made:
                copies = balance(self.problem, self.windows, _LEAST_MARGIN + key[0] / 100)
                made[key] = self._laid_out(copies, spread=key[1])
            laid = made[key]
            if laid is not None:
                found.append(laid)
        return found

    def _laid_out(self, copies: IntArray, *, spread: bool) -> Individual | None:
        """Array groups dealt to cores in turn, or one core after another; ``None`` without room for all."""
        held = np.zeros((self.cores, self.problem.layers), np.int64)
        at = 0
        for layer, count in enumerate((copies * self.problem.groups).tolist()):
            for _ in range(count):
                tried = 0
                while not self._room(held, at, layer):
                    at, tried = (at + 1) % self.cores, tried + 1
                    if tried == self.cores:
                        return None
                held[at, layer] += 1
                at = (at + spread) % self.cores
        return Individual(copies, held)

    def _room(self, held: IntArray, core: int, layer: int) -> bool:
        """Whether one more array group of ``layer`` fits on ``core``."""
        taken = int(held[core] @ self.problem.group_arrays)
        if taken + int(self.problem.group_arrays[layer]) > self.room[core]:
            return False
        return held[core, layer] > 0 or int(np.count_nonzero(held[core])) < _GENES

    def cost(self, individual: Individual) -> float:
        """The fitness, ns; less is better.

        ``HT``: of the core that works longest.  With n array groups still busy a round of windows takes as
        long as an array works, or n times the inputs of one take on the core's bus.  ``LL``: all windows of
        one layer after another.
        """
        rounds = -(-self.windows // individual.copies)
        if self.fitness == "LL":
            return float(rounds.sum()) * self.problem.mvm_ns
        order = np.argsort(rounds, kind="stable")
        length = np.diff(rounds[order], prepend=0)
        # groups still busy while the k-th shortest layer goes on
        held = individual.held[:, order]
        busy = held[:, ::-1].cumsum(axis=1)[:, ::-1]
        pace = np.where(busy > 0, np.maximum(self.problem.mvm_ns, busy * self.problem.issue_ns), 0.0)
        return float((pace * length).sum(axis=1).max(initial=0.0))

    def _ranked(self, found: list[Individual], first: int = 0) -> list[tuple[float, int, Individual]]:
        return sorted(((self.cost(x), first + k, x) for k, x in enumerate(found)), key=lambda r: r[:2])

    def _chance(self, share: float) -> bool:
        return float(self.draws.uniform((1,))[0]) < share

    def mutated(self, parent: Individual) -> Individual:
        """One of five mutations; the parent itself where it finds nothing to do."""
        self.mutations += 1
        kind = self.draws.integer(5)
        layer = self.draws.integer(self.problem.layers)
        child = Individual(parent.copies.copy(), parent.held.copy())
        made = (self._more, self._less, self._split, self._merge, self._exchange)[kind](child, layer)
        return child if made else parent

    def _more(self, child: Individual, layer: int) -> bool:
        if child.copies[layer] >= self.windows[layer]:
            return False
        for _ in range(int(self.problem.groups[layer])):
            core = self._core_with_room(child.held, layer)
            if core is None:
                return False
            child.held[core, layer] += 1
        child.copies[layer] += 1
        return True

    def _less(self, child: Individual, layer: int) -> bool:
        if child.copies[layer] == 1:
            return False
        for _ in range(int(self.problem.groups[layer])):
            having = np.flatnonzero(child.held[:, layer])
            child.held[having[self.draws.integer(having.size)], layer] -= 1
        child.copies[layer] -= 1
        return True

    def _split(self, child: Individual, layer: int) -> bool:
        """Half of a core's groups of a layer go to another one."""
        core = self._core_of(child.held, layer, 2)
        if core is None:
            return False
        for _ in range(int(child.held[core, layer]) // 2):
            other = self._core_with_room(child.held, layer, core)
            if other is None:
                return False
            child.held[core, layer] -= 1
            child.held[other, layer] += 1
        return True

    def _merge(self, child: Individual, layer: int) -> bool:
        """A core's groups of a layer go to another one that has some."""
        core = self._core_of(child.held, layer, 1)
        if core is None:
            return False
        others = [c for c in np.flatnonzero(child.held[:, layer]).tolist() if c != core]
        if not others:
            return False
        other = others[self.draws.integer(len(others))]
        while child.held[core, layer]:
            if not self._room(child.held, other, layer):
                return False
            child.held[core, layer] -= 1
            child.held[other, layer] += 1
        return True

    def _exchange(self, child: Individual, layer: int) -> bool:
        """One group of a layer, and one of another on another core, change places."""
        second = self.draws.integer(self.problem.layers)
        one, other = self._core_of(child.held, layer, 1), self._core_of(child.held, second, 1)
        if one is None or other is None or one == other or layer == second:
            return False
        child.held[one, layer] -= 1
        child.held[other, second] -= 1
        if not (self._room(child.held, other, layer) and self._room(child.held, one, second)):
            return False
        child.held[other, layer] += 1
        child.held[one, second] += 1
        return True

    def _core_of(self, held: IntArray, layer: int, least: int) -> int | None:
        having = np.flatnonzero(held[:, layer] >= least)
        return int(having[self.draws.integer(having.size)]) if having.size else None

    def _core_with_room(self, held: IntArray, layer: int, but: int = -1) -> int | None:
        for _ in range(_TRIES):
            core = self.draws.integer(self.cores)
            if core != but and self._room(held, core, layer):
                return core
        return next((c for c in range(self.cores) if c != but and self._room(held, c, layer)), None)
