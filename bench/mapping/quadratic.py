"""Quadratic placement: `python bench/mapping/quadratic.py [--side N ...] [--seeds N] [--method M ...]`.

Two kinds of instances.  *Layered*: what real models make, all blocks of a layer exchanging data with all of
the next, as many as fill nine tenths of a mesh with eight arrays a tile.  *Planted*: blocks of a hidden
mesh exchange data with their neighbours only (log-normal flows) and arrive shuffled; different sites are at
least one hop apart, so the sum of the flows is the least cost.  CPU seconds depend on the machine; everything
else is reproducible.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cimc.mapping.mesh import QuadraticProblem, quadratic_methods, solve_quadratic

_ARRAYS = 8


def layered(side: int, *, seed: int, fill: float = 0.9) -> QuadraticProblem:
    """Layers of 8 to 64 blocks on a mesh of ``side`` x ``side`` tiles; the first is fed by a port."""
    random = np.random.default_rng(seed)
    blocks = int(fill * _ARRAYS * side * side)
    widths: list[int] = []
    while sum(widths) < blocks:
        widths.append(min(int(random.choice([8, 16, 32, 64])), blocks - sum(widths)))
    ends = np.cumsum(widths)
    pairs, flow = [], []
    for width, more, end in zip(widths, widths[1:], ends, strict=False):
        own, following = np.arange(end - width, end), np.arange(end, end + more)
        pairs.append(np.stack(np.meshgrid(own, following, indexing="ij"), axis=-1).reshape(-1, 2))
        # the outputs of a block, 64 columns of 8 bits, go to all who read them
        flow.append(np.full(width * more, 512.0))
    first = np.arange(widths[0])
    pairs.append(np.stack([first, np.full(first.size, blocks)], axis=1))
    flow.append(np.full(first.size, 512.0))
    return QuadraticProblem(
        pairs=np.concatenate(pairs),
        flow=np.concatenate(flow),
        size=np.ones(blocks, dtype=np.int64),
        capacity=np.full(side * side, _ARRAYS),
        position=np.argwhere(np.ones((side, side), dtype=np.bool_)),
        terminals=np.array([[-1, 0]]),
    )


def planted(side: int, *, seed: int) -> QuadraticProblem:
    """A shuffled mesh of ``side`` x ``side`` blocks, one a site; the least cost is the sum of the flows."""
    random = np.random.default_rng(seed)
    number = np.arange(side * side).reshape(side, side)
    links = np.concatenate(
        [
            np.stack((number[:-1].reshape(-1), number[1:].reshape(-1)), axis=1),
            np.stack((number[:, :-1].reshape(-1), number[:, 1:].reshape(-1)), axis=1),
        ]
    )
    one = np.ones(side * side, dtype=np.int64)
    return QuadraticProblem(
        pairs=random.permutation(side * side)[links],
        flow=random.lognormal(0.0, 1.0, len(links)),
        size=one,
        capacity=one,
        position=np.argwhere(number >= 0),
    )


def main() -> None:
    """Print one line per kind, size and method: means over seeds."""
    parser = argparse.ArgumentParser(description="Place layers, and shuffled meshes of known least cost.")
    parser.add_argument("--side", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--method", nargs="+", default=list(quadratic_methods()))
    arguments = parser.parse_args()
    for method in arguments.method:  # loops compile on first use
        solve_quadratic(planted(4, seed=0), method)
    print("| instance | blocks | method | cost over `anneal` | gap to the bound | CPU s |")
    print("|---|---|---|---|---|---|")
    for kind in (layered, planted):
        for side in arguments.side:
            problems = [kind(side, seed=seed) for seed in range(arguments.seeds)]
            reference = [solve_quadratic(p, "anneal").evaluation.cost for p in problems]
            for method in arguments.method:
                start = time.process_time()
                found = [solve_quadratic(p, method).evaluation for p in problems]
                seconds = (time.process_time() - start) / len(problems)
                over = np.mean([f.cost / r for f, r in zip(found, reference, strict=True)]) - 1
                print(
                    f"| {kind.__name__} {side}x{side} | {problems[0].n_blocks} | {method} | {over:.2%} "
                    f"| {np.mean([f.gap for f in found]):.2%} | {seconds:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
