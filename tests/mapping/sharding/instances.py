"""Small problems of sharding, and the best plan of one by trying all."""

from __future__ import annotations

import itertools

import numpy as np

from cimc.mapping.sharding.sharding_problem import ShardingProblem


def drawn(
    seed: int,
    blocks: list[int],
    *,
    chips: int = 3,
    room: int = 4,
    link: float = 8.0,
    per_unit: int = 1,
    columns: bool = False,
) -> ShardingProblem:
    """Tables of so many blocks with falling reads; chip 0's link costs nothing."""
    random = np.random.default_rng(seed)
    table = np.repeat(np.arange(len(blocks)), blocks)
    seen = np.concatenate([np.sort(random.random(n))[::-1] for n in blocks]) if blocks else np.zeros(0)
    rates = np.full(chips, link)
    rates[0] = 1e12
    return ShardingProblem(
        table=table,
        column=np.arange(table.size) % 2 if columns else np.zeros(table.size, np.int64),
        busy_ns=seen * random.uniform(5, 50, len(blocks))[table],
        asked_bits=seen * 40.0,
        seen=seen,
        answer_bits=np.full(table.size, 300.0),
        result_bits=np.full(len(blocks), 400.0),
        per_unit=np.full(len(blocks), per_unit),
        capacity=np.full(chips, room),
        link_bits_per_ns=rates,
        tiles=4,
    )


def least(problem: ShardingProblem) -> float:
    """The best bottleneck over all chips of all blocks; infinity where nothing fits."""
    best = np.inf
    for chips in itertools.product(range(problem.chips), repeat=problem.table.size):
        chip = np.array(chips, np.int64)
        if np.all(problem.used(chip) <= problem.capacity):
            best = min(best, float(problem.times(chip).max()))
    return best
