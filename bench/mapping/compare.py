"""Compare the placement strategies on synthetic shards: `python bench/mapping/compare.py [--large] [--huge]`.

Tables of log-normal sizes with Zipf accesses are cut into array-sized shards.  A shard's load is the
probability that a request touches it; shards above a quarter of the mean bin load are split into equal
copies first, as replication does.  Planted instances cut bins of equal load at random, so the least
bottleneck is known; their traffic follows the load.  Bins form a square mesh with the consumer in a
corner.  Gaps are relative to the lower bounds: of the bottleneck, and of the hops of any assignment whose
bottleneck is within 5 % of its bound (certified by the prices of `ortools`).  CPU seconds are this
process's and depend on the machine; everything else is reproducible.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cimc.mapping import PlacementProblem, solve

STRATEGIES = (
    "round_robin",
    "first_fit",
    "pimcomp_sequential",
    "lpt_by_cost",
    "frequency_deal",
    "hottest_to_idlest",
    "greedy",
    "anneal",
    "ortools",
)
# Beyond this many items only these: the others differ as they do on smaller instances.
FEW, MANY = ("round_robin", "greedy", "ortools"), 200_000
ROWS_PER_SHARD = 2048


def shards(count: int, bins: int, *, seed: int, fill: float = 0.87) -> PlacementProblem:
    """About ``count`` unit-size shards, before hot ones are split, over ``bins`` equal bins."""
    random = np.random.default_rng(seed)
    cuts = random.lognormal(0.0, 1.5, max(4, count // 40))
    cuts = np.maximum(1, np.rint(cuts / cuts.sum() * count)).astype(np.int64)
    loads, traffics = [], []
    for pieces in cuts.tolist():
        pooling = int(random.choice([1, 1, 2, 5, 20]))
        exponent = 1.0 - random.uniform(0.8, 1.3)
        # The share of accesses up to row r of a continuous Zipf law is (r^e - 1) / (R^e - 1).
        cumulative = ((np.arange(pieces + 1) * ROWS_PER_SHARD + 1.0) ** exponent - 1.0) / exponent
        share = np.diff(cumulative) / cumulative[-1]
        loads.append(1.0 - (1.0 - share) ** pooling)
        traffics.append(loads[-1] * random.choice([16, 32, 64, 128]) * 8)
    load, traffic = np.concatenate(loads), np.concatenate(traffics)
    copies = np.maximum(1, np.ceil(load / (load.sum() / bins / 4))).astype(np.int64)
    load, traffic = np.repeat(load / copies, copies), np.repeat(traffic / copies, copies)
    return on_mesh(load, np.ones(load.size, dtype=np.int64), traffic, bins, fill)


def mixed(count: int, bins: int, *, seed: int, fill: float = 0.97) -> PlacementProblem:
    """Items of six sizes and heavy-tailed load, on bins that they nearly fill."""
    random = np.random.default_rng(seed)
    size = random.choice([1, 2, 3, 5, 8, 13], count, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    load = random.zipf(1.6, count).clip(0, 2000) ** 0.7 * random.uniform(0.5, 1.0, count)
    return on_mesh(load, size, load * random.choice([16, 32, 64, 128], count), bins, fill)


def planted(bins: int, per_bin: int, *, seed: int, fill: float = 0.85) -> PlacementProblem:
    """Unit-size items, ``per_bin`` to a bin, whose loads are a random cut of 1: the least bottleneck is 1."""
    random = np.random.default_rng(seed)
    ends = np.sort(random.random((bins, per_bin - 1)), axis=1)
    load = np.diff(ends, prepend=0.0, append=1.0, axis=1).reshape(-1)
    load = random.permutation(load)
    traffic = load * random.choice([16, 32, 64, 128], load.size) * 8
    return on_mesh(load, np.ones(load.size, dtype=np.int64), traffic, bins, fill)


def on_mesh(
    load: np.ndarray, size: np.ndarray, traffic: np.ndarray, bins: int, fill: float
) -> PlacementProblem:
    """Equal bins on a square mesh, filled to at most ``fill``, with the consumer beside bin 0."""
    side = int(np.ceil(np.sqrt(bins)))
    return PlacementProblem(
        load=load,
        size=size,
        traffic=traffic,
        capacity=np.full(bins, int(np.ceil(size.sum() / bins / fill))),
        distance=(1 + np.arange(bins) // side + np.arange(bins) % side).astype(np.float64),
    )


def main() -> None:
    """Print one line per instance and strategy."""
    parser = argparse.ArgumentParser(description="Compare placement strategies on synthetic shards.")
    parser.add_argument("--large", action="store_true", help="add 100,000 shards on 8,000 bins")
    parser.add_argument("--huge", action="store_true", help="add 1,000,000 shards on 80,000 bins")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cases = [
        ("Zipf", shards(100, 8, seed=arguments.seed)),
        ("Zipf", shards(1_000, 80, seed=arguments.seed)),
        ("Zipf", shards(10_000, 800, seed=arguments.seed)),
        ("mixed sizes", mixed(856, 64, seed=arguments.seed)),
        ("planted", planted(800, 12, seed=arguments.seed)),
    ]
    if arguments.large:
        cases.append(("Zipf", shards(100_000, 8_000, seed=arguments.seed)))
    if arguments.huge:
        cases.append(("Zipf", shards(1_000_000, 80_000, seed=arguments.seed)))
    # The solver library loads on first use; that is no part of any strategy's time.
    solve(cases[0][1], "ortools")
    print("| instance | items | bins | full | strategy | balance gap | hops gap | CPU s | produced by |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, problem in cases:
        timed = {}
        for strategy in STRATEGIES if problem.n_items < MANY else FEW:
            start = time.process_time()
            solution = solve(problem, strategy, seed=arguments.seed)
            timed[strategy] = solution, time.process_time() - start
        certificate = timed["ortools"][0].certificate
        assert certificate is not None
        for strategy, (solution, seconds) in timed.items():
            found = solution.evaluation
            print(
                f"| {name} | {problem.n_items:,} | {problem.n_bins:,} | {found.utilisation:.0%} | {strategy} "
                f"| {found.gap:.2%} | {found.hops / certificate.hops_bound - 1:.2%} | {seconds:.2f} "
                f"| {solution.produced_by} |"
            )


if __name__ == "__main__":
    main()
