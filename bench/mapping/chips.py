"""Tables to chips, proven optimal: `python bench/mapping/chips.py [--seeds N]`.

Twenty-six tables whose row counts are those of Criteo Kaggle, and synthetic ones with log-normal rows, on
eight chips that are 80 % full.  A table computes in proportion to the arrays that a request touches and
sends its pooled vector.  CPU seconds depend on the machine; everything else is reproducible.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cimc.mapping.chips import ChipProblem, place_on_chips

# Rows per categorical feature of the Criteo Kaggle display advertising data.
KAGGLE = (
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194,
    27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)  # fmt: skip


def tables(rows: np.ndarray, chips: int, *, seed: int, fill: float = 0.8) -> ChipProblem:
    """Tables of 16 to 128 columns with 1 to 20 accesses per request."""
    random = np.random.default_rng(seed)
    columns = random.choice([16, 32, 64, 128], rows.size)
    accesses = random.integers(1, 21, rows.size)  # wider, and one table alone would be the bottleneck
    size = np.maximum(1, rows // 128 * columns // 64)
    # The largest table fits on one chip, whatever the average is.
    capacity = max(int(np.ceil(size.sum() / chips / fill)), int(size.max()) + int(np.median(size)))
    return ChipProblem(
        compute_ns=accesses * (100.0 + columns * random.uniform(0.5, 1.5, rows.size)),
        traffic_bits=columns * 32.0 + accesses * 32.0,
        size=size,
        capacity=np.full(chips, capacity),
        link_bits_per_ns=np.full(chips, 64.0),
    )


def main() -> None:
    """Print one line per instance."""
    parser = argparse.ArgumentParser(description="Place tables on chips and prove the result.")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    place_on_chips(tables(np.full(4, 1000), 2, seed=0))  # the solver library loads on first use
    print(
        "| instance | tables | chips | seed | time of the slowest chip | bound | gap | proven | CPU s | by |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for seed in range(arguments.seeds):
        synthetic = np.random.default_rng(seed).lognormal(10.0, 2.5, 26).astype(np.int64) + 1
        for name, rows in (("Criteo Kaggle rows", np.array(KAGGLE)), ("log-normal rows", synthetic)):
            problem = tables(rows, 8, seed=seed)
            start = time.process_time()
            found = place_on_chips(problem, seed=seed)
            seconds = time.process_time() - start
            print(
                f"| {name} | {rows.size} | 8 | {seed} "
                f"| {found.bottleneck_ns:,.1f} ns | {found.bound_ns:,.1f} ns | {found.gap:.4%} "
                f"| {'yes' if found.optimal else 'no'} | {seconds:.2f} | {found.produced_by} |"
            )


if __name__ == "__main__":
    main()
