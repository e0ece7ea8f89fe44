"""What mode ``noisy`` costs beside ``adc``: layers on every preset, and whole requests of a model.

``python bench/devices.py [PROGRAM.cimc REQUESTS.npz]``; medians of CPU time, one thread, one process.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    # figures are per core; must be set before numpy loads its BLAS, and what the user has set stands
    os.environ.setdefault(_name, "1")

import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from statistics import median  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cimc.api import Program  # noqa: E402
from cimc.sim.devices.model.load_device import load_device  # noqa: E402
from cimc.sim.devices.noisy_dense import Conditions, NoisyDense  # noqa: E402
from cimc.sim.kernels.dense.mvm import DenseKernel  # noqa: E402
from cimc.target.load_target import load_target  # noqa: E402
from cimc.target.overrides import with_overrides  # noqa: E402
from cimc.transforms.partition.adc_steps import choose_ranges  # noqa: E402
from cimc.transforms.partition.shard import dense_blocks  # noqa: E402

ROWS, COLS, BATCHES, REPEATS = 512, 256, (1, 2048), 5
LAYERS: tuple[tuple[str, dict[str, int]], ...] = (
    ("tsinghua28", {}),
    ("neurram130", {}),
    ("hermes14", {}),
    ("isaac32", {"array.adc_bits": 7}),
    ("isaac32", {}),
)


def seconds(function: Callable[[], Any]) -> float:
    """Median CPU time of a call, after one to warm up."""
    function()
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return median(found)


def layer(name: str, changes: dict[str, int]) -> None:
    """One line per batch: a layer of normal weights at a quarter of full scale, 8-bit inputs."""
    target = with_overrides(load_target(name), changes)
    rng = np.random.default_rng(0)
    high = target.max_weight(8)
    weights = np.clip(np.rint(rng.normal(0, high / 4, (ROWS, COLS))), -high, high).astype(np.int8)
    blocks, _ = dense_blocks(ROWS, COLS, target.array.rows, target.weights_per_row(8), 1 << 20)
    x = np.clip(rng.normal(0, 64, (max(BATCHES), ROWS)), 0, 255).astype(np.uint8)
    ranges = choose_ranges(x[:64], weights, blocks, target.array, 8, 8, False)
    exact = DenseKernel(weights, blocks, ranges, target.array, 8, 8, False)
    conditions = Conditions(load_device("wan2022"), 86400.0)
    noisy = NoisyDense("layer", weights, blocks, ranges, target.array, 8, 8, False, conditions)
    count = len(blocks)
    title = " ".join([name, *(f"{key}={value}" for key, value in changes.items())])
    for batch in BATCHES:
        part = x[:batch]
        plain = seconds(lambda part=part: exact.adc(part, 0, count))  # type: ignore[misc]
        real = seconds(lambda part=part: noisy.noisy(part, 0, count, 0))  # type: ignore[misc]
        each = 1e9 / (batch * exact.conversions(0, count))
        print(f"| {title} | {batch} | {plain * each:.2f} | {real * each:.2f} | {real / plain:.1f} |")


def model(program: str, requests: str) -> None:
    """Requests per second of a program in every mode."""
    loaded = Program.load(program)
    with np.load(requests) as file:
        arrays = {name: file[name] for name in file.files}
    total = loaded.run(arrays, "adc").activity.requests
    print("\n| mode | requests/s |\n|---|---|")
    for mode, conditions in (
        ("exact", {}),
        ("adc", {}),
        ("noisy", {"device": "wan2022", "age": 86400.0}),
    ):
        taken = seconds(lambda m=mode, c=conditions: loaded.run(arrays, m, **c))  # type: ignore[misc]
        print(f"| {mode} | {total / taken:,.0f} |")


if __name__ == "__main__":
    print("| layer 512 x 256 | batch | adc, ns/conversion | noisy, ns/conversion | noisy / adc |")
    print("|---|---|---|---|---|")
    for each_name, each_changes in LAYERS:
        layer(each_name, each_changes)
    if len(sys.argv) == 3:
        model(sys.argv[1], sys.argv[2])
