"""Quadratic placement on planted meshes: `python bench/mapping/quadratic.py [--side N ...] [--density F]`.

Blocks of a hidden arrangement exchange data with their neighbours only (log-normal flows, each link of the
mesh present with the given probability) and arrive shuffled.  Different sites are at least one hop apart, so
the sum of the flows is a lower bound on the cost, and the hidden arrangement reaches it.  CPU seconds
depend on the machine; everything else is reproducible.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cimc.mapping.mesh import QuadraticProblem, solve_quadratic

METHODS = ("row_major", "greedy", "assignment", "anneal", "multilevel")


def planted(side: int, *, seed: int, density: float = 1.0) -> tuple[QuadraticProblem, float]:
    """A shuffled mesh of ``side`` x ``side`` blocks, one per site, and its least cost."""
    random = np.random.default_rng(seed)
    number = np.arange(side * side).reshape(side, side)
    links = np.concatenate(
        [
            np.stack((number[:-1].reshape(-1), number[1:].reshape(-1)), axis=1),
            np.stack((number[:, :-1].reshape(-1), number[:, 1:].reshape(-1)), axis=1),
        ]
    )
    links = links[random.random(len(links)) < density]
    flow = random.lognormal(0.0, 1.0, len(links))
    one = np.ones(side * side, dtype=np.int64)
    problem = QuadraticProblem(
        pairs=random.permutation(side * side)[links],
        flow=flow,
        size=one,
        capacity=one,
        position=np.argwhere(number >= 0),
    )
    return problem, float(flow.sum())


def main() -> None:
    """Print one line per instance and method."""
    parser = argparse.ArgumentParser(description="Place shuffled meshes whose least cost is known.")
    parser.add_argument("--side", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", nargs="+", default=list(METHODS))
    arguments = parser.parse_args()
    for method in arguments.method:  # loops compile on first use
        solve_quadratic(planted(4, seed=0)[0], method)
    print("| mesh | links | method | over the optimum | gap to the bound | CPU s | produced by |")
    print("|---|---|---|---|---|---|---|")
    for side in arguments.side:
        problem, least = planted(side, seed=arguments.seed, density=arguments.density)
        for method in arguments.method:
            start = time.process_time()
            found = solve_quadratic(problem, method, seed=arguments.seed)
            seconds = time.process_time() - start
            print(
                f"| {side}x{side} | {arguments.density:.0%} | {method} "
                f"| {max(found.evaluation.cost / least - 1, 0.0):.2%} | {found.evaluation.gap:.2%} "
                f"| {seconds:.2f} | {found.produced_by} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
