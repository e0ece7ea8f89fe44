"""What the ADC kernel costs: against a plain numpy loop, and against the bare matrix products it needs.

    python bench/kernels.py [--batch 1 64 512] [--repeats 5]

Every figure of a row is measured in one process, the variants taking turns, as medians of CPU time on one
BLAS thread; the ratios are what carries over to other machines.  The plain loop and the kernel are compared
for equality before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy loads its BLAS

import sys  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cimc.passes.ranges import choose_ranges  # noqa: E402
from cimc.passes.shard import dense_blocks  # noqa: E402
from cimc.sim.kernels.dense import DenseKernel  # noqa: E402
from cimc.target import load_target, preset_names  # noqa: E402
from cimc.target.cells import encode_weights, input_phases  # noqa: E402

LAYERS = [(512, 256), (479, 1024)]


def plain_loop(kernel: DenseKernel, x: NDArray[np.uint8]) -> NDArray[np.int64]:
    """One float32 product and one conversion per (block, slice, phase): what one would write first."""
    array = kernel.array
    code = encode_weights(kernel.weights, array.encoding, array.cell_levels, kernel.weight_bits)
    digits = code.digits.astype(np.float32)
    drive = input_phases(x, kernel.plan).astype(np.float32)
    acc = np.zeros((len(x), kernel.weights.shape[1]), dtype=np.int64)
    for block, steps in zip(kernel.blocks.tolist(), kernel.ranges.tolist(), strict=True):
        r0, rows, c0, cols = block[:4]
        here = acc[:, c0 : c0 + cols]
        for s, weight in enumerate(code.digit_weights.tolist()):
            for p, phase in enumerate(kernel.plan.phases):
                sums = drive[p, :, r0 : r0 + rows] @ digits[s, r0 : r0 + rows, c0 : c0 + cols]
                lsb = steps[s][p]
                codes = np.clip((sums.astype(np.int32) + lsb // 2) // lsb, *array.adc_codes)
                here += phase.weight * weight * lsb * codes.astype(np.int64)
        here -= code.weight_offset * x[:, r0 : r0 + rows].sum(axis=1, dtype=np.int64)[:, None]
    return acc


def bare_products(kernel: DenseKernel, batch: int) -> Callable[[], None]:
    """The float32 products of the ADC path alone: phases x slices, one product per range of rows."""
    rng = np.random.default_rng(0)
    phases = len(kernel.plan.phases)
    width = kernel.weights.shape[1] * kernel.slices
    jobs = []
    for rows in {(b[0], b[1]): b[1] for b in kernel.blocks.tolist()}.values():
        jobs.append((
            rng.integers(0, 2, (batch * phases, rows)).astype(np.float32),
            rng.integers(0, 4, (rows, width)).astype(np.float32),
        ))  # fmt: skip
    out = np.empty((batch * phases, width), dtype=np.float32)

    def run() -> None:
        for drive, planes in jobs:
            np.matmul(drive, planes, out=out)

    return run


def medians(variants: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Median CPU seconds of each variant; they take turns, each is warmed up once."""
    taken: list[list[float]] = [[] for _ in variants]
    for turn in range(repeats + 1):
        for variant, times in zip(variants, taken, strict=True):
            begin, calls = time.process_time(), 0
            while calls == 0 or time.process_time() - begin < 0.02:
                variant()
                calls += 1
            if turn:
                times.append((time.process_time() - begin) / calls)
    return [statistics.median(times) for times in taken]


def measure(name: str, shape: tuple[int, int], batch: int, repeats: int, certified: bool) -> list[str]:
    """One row of the table."""
    array = load_target(name).array
    target = load_target(name)
    rng = np.random.default_rng(1)
    limit = target.max_weight(8)
    weights = np.clip(np.rint(rng.normal(0, limit / 4, shape)), -limit, limit).astype(np.int8)
    if not certified:  # a positive mean takes the clip-free certificate away
        weights = np.clip(weights.astype(np.int16) + limit // 3, -limit, limit).astype(np.int8)
    x = np.clip(rng.normal(0, 80, (max(batch, 64), shape[0])), 0, 255).astype(np.uint8)
    blocks, _ = dense_blocks(*shape, array.rows, target.weights_per_row(8), 1 << 16)
    begin = time.process_time()
    ranges = choose_ranges(x[:256], weights, blocks, array, 8, 8, False)
    calibration = time.process_time() - begin
    kernel = DenseKernel(weights, blocks, ranges, array, 8, 8, False)
    x, every = x[:batch], len(blocks)
    if not np.array_equal(kernel.adc(x, 0, every), plain_loop(kernel, x)):
        raise AssertionError("the kernel and the plain loop disagree")
    adc, loop, bare, exact = medians(
        [
            lambda: kernel.adc(x, 0, every),
            lambda: plain_loop(kernel, x),
            bare_products(kernel, batch),
            lambda: kernel.exact(x, 0, every),
        ],
        repeats,
    )
    rate = kernel.conversions(0, every) * batch / adc
    return [
        name,
        f"{shape[0]}x{shape[1]}",
        "zero" if certified else "positive",
        str(batch),
        f"{batch / adc:,.0f}",
        f"{rate / 1e6:,.0f}",
        f"{loop / adc:.1f}",
        f"{adc / bare:.2f}",
        f"{adc / exact:.0f}",
        f"{calibration * 1e3:.0f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--targets", nargs="+", default=list(preset_names()))
    args = parser.parse_args()
    head = ["target", "layer", "weight mean", "batch", "MVM/s", "Mconv/s", "loop/adc", "adc/products",
            "adc/exact", "ranges ms"]  # fmt: skip
    rows = [
        measure(name, shape, batch, args.repeats, certified)
        for name in args.targets
        for shape in LAYERS
        for certified in (True, False)
        for batch in args.batch
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main()
