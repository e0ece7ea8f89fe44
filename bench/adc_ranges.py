"""How ADC ranges should be chosen: unit by unit, or jointly for a layer's output.

    python bench/adc_ranges.py

Per layer, the signal-to-error ratio of its output (before bias) on inputs that the choice has not seen, for
three choices: clip-free steps; the compiler's, each step of a block, slice and phase by its own squared
error; and a joint one, coordinate descent on the squared error of the whole output (all slices, phases and
row blocks together, columns weighted by their scales), started from the compiler's.  Of the 512 calibration
requests of the small models, every second one chooses, the others judge; so do halves of random inputs for
three random layers.  Layers that the presets convert without loss are left out.

Then the same question for tables: bags of random rows of one block, summed in chunks that the converter holds
at coarser and coarser steps; activations per bag, and the signal-to-error ratio of the sums.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    # figures are per core; must be set before numpy loads its BLAS, and what the user has set stands
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import cimc.transforms.quantise.calibration as calibration  # noqa: E402
from cimc.api import prepare  # noqa: E402
from cimc.ir import cim  # noqa: E402
from cimc.ir.types import symbol  # noqa: E402
from cimc.metrics.scores import sqnr_db  # noqa: E402
from cimc.target import load_target  # noqa: E402
from cimc.target.cell_encoding import encode_weights, input_phases, phase_plan  # noqa: E402
from cimc.target.spec import Target  # noqa: E402
from cimc.transforms.partition import adc_steps  # noqa: E402
from cimc.transforms.partition.shard import dense_blocks  # noqa: E402
from cimc.transforms.passes import FRONTEND  # noqa: E402

PRESETS = ("tsinghua28", "neurram130", "hermes14")
MODELS = ("dlrm_small", "twotower_small")
RANDOM = ((512, 64, False), (479, 64, True), (1024, 64, False))
NEIGHBOURS = 12  # candidates on either side of a step that the joint choice tries

Steps = NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """A quantised layer: ``weights [K, N]``, ``scales [N]``, inputs ``x [n, K]`` of 8 bits."""

    name: str
    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    x: NDArray[np.int32]
    signed: bool


def layers(target: Target) -> Iterator[Layer]:
    """The layers of the small models as quantised for ``target``, and random ones."""
    calibration.SAMPLES = 512
    for name in MODELS:
        with np.load(ROOT / f"models/{name}.calib.npz") as file:
            calib = dict(file)
        line = f"{FRONTEND},quantize{{weights=8 acts=8}}"
        module, ctx, passes = prepare(ROOT / f"models/{name}.onnx", target, calib, line)
        passes.run(module, ctx)
        for op in module.body.block.ops:
            if isinstance(op, cim.WeightsOp):
                data, scales = ctx.store[symbol(op.data)], ctx.store[symbol(op.scales)]
                sym = op.sym_name.data
                yield Layer(f"{name} {sym}", data, scales, ctx.samples[sym], op.inputs[1])
    rng, high = np.random.default_rng(0), target.max_weight(8)
    for rows, cols, signed in RANDOM:
        weights = np.clip(np.rint(rng.normal(0, high / 4, (rows, cols))), -high, high).astype(np.int8)
        x = np.rint(rng.normal(0, 40 if signed else 60, (512, rows)))
        x = np.clip(x, *((-128, 127) if signed else (0, 255))).astype(np.int32)
        yield Layer(
            f"random {rows}x{cols}", weights, rng.uniform(0.5, 1.5, cols).astype(np.float32), x, signed
        )


class Converters:
    """Column sums of a layer on some inputs, and what steps make of them."""

    def __init__(self, layer: Layer, x: NDArray[np.int32], target: Target) -> None:
        self.layer, self.x, self.array = layer, x, target.array
        array = target.array
        self.plan = phase_plan(8, layer.signed, array.dac_bits, array.signed_inputs)
        self.blocks, _ = dense_blocks(
            *layer.weights.shape, array.rows, target.weights_per_row(8), target.tile.arrays
        )
        drive = input_phases(x, self.plan)
        self.sums: list[Any] = []
        self.safe: list[Steps] = []
        for r0, rows, c0, cols in self.blocks[:, :4].tolist():
            part = layer.weights[r0 : r0 + rows, c0 : c0 + cols]
            code = encode_weights(part, array.encoding, array.cell_levels, 8)
            self.weight = code.digit_weights[:, None] * self.plan.weights
            self.sums.append(adc_steps.column_sums(drive[:, :, r0 : r0 + rows], code.digits))
            safe = adc_steps.clip_free_steps(code.digits, self.plan, array)
            self.safe.append(np.minimum(safe, array.adc_max_lsb))

    def lost(self, block: int, s: int, p: int, step: int) -> NDArray[np.int64]:
        """Weighted error of one unit's conversions, ``[n, cols]``."""
        sums = self.sums[block][s, p].reshape(len(self.x), -1)
        held = np.clip((sums + step // 2) // step, *self.array.adc_codes)
        return np.asarray((held * step - sums) * int(self.weight[s, p]))

    def error(self, steps: Steps) -> NDArray[np.int64]:
        """Error of the layer's accumulators, ``[n, N]``."""
        total = np.zeros((len(self.x), self.layer.weights.shape[1]), np.int64)
        for (b, s, p), step in np.ndenumerate(steps):
            c0, cols = self.blocks[b, 2:4]
            total[:, c0 : c0 + cols] += self.lost(b, s, p, int(step))
        return total

    def quality(self, steps: Steps) -> float:
        """SQNR of the output in dB."""
        exact = self.x.astype(np.int64) @ self.layer.weights.astype(np.int64)
        return sqnr_db(exact * self.layer.scales, (exact + self.error(steps)) * self.layer.scales)

    def joint(self, start: Steps) -> Steps:
        """Coordinate descent from ``start``, the most significant units first."""
        steps, error, scales = start.copy(), self.error(start), self.layer.scales.astype(np.float64)
        units = sorted(np.ndindex(*steps.shape), key=lambda u: -abs(int(self.weight[u[1], u[2]])))
        for b, s, p in units:
            c0, cols = self.blocks[b, 2:4]
            here = error[:, c0 : c0 + cols]
            rest = here - self.lost(b, s, p, int(steps[b, s, p]))
            tried = adc_steps._candidates(self.array.adc_min_lsb, self.safe[b])
            tried = tried[tried <= self.safe[b][s, p]]
            at = int(np.searchsorted(tried, steps[b, s, p]))
            tried = tried[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1]
            costs = [
                float((((rest + self.lost(b, s, p, int(t))) * scales[c0 : c0 + cols]) ** 2).sum())
                for t in tried
            ]
            steps[b, s, p] = tried[int(np.argmin(costs))]
            error[:, c0 : c0 + cols] = rest + self.lost(b, s, p, int(steps[b, s, p]))
        return steps


def pooled(target: Target, bag: int, step: int, bags: int = 200) -> tuple[float, float]:
    """Activations per bag of ``bag`` rows of one block, and the SQNR of its sums in dB."""
    array, rng, high = target.array, np.random.default_rng(0), target.max_weight(8)
    rows = np.clip(np.rint(rng.normal(0, high / 4, (array.rows, 64))), -high, high).astype(np.int8)
    code = encode_weights(rows, array.encoding, array.cell_levels, 8)
    chunk = min(array.rows, array.adc_codes[1] * step // array.digit_bounds[1])
    times = -(-bag // chunk)
    wanted, got = [], []
    for _ in range(bags):
        ids = rng.choice(array.rows, bag, replace=False)
        wanted.append(rows[ids].sum(axis=0, dtype=np.int64))
        total = np.zeros(64, np.int64)
        for part in (ids[t::times] for t in range(times)):
            sums = code.digits[:, part].sum(axis=1, dtype=np.int64)
            seen = np.clip((sums + step // 2) // step, *array.adc_codes) * step
            total += np.tensordot(code.digit_weights, seen, axes=1) - code.weight_offset * len(part)
        got.append(total)
    return float(times), sqnr_db(np.array(wanted), np.array(got))


def main() -> None:
    """Print a line per layer and the summary, then the same for tables."""
    gains = []
    print(f"{'target':<11} {'layer':<38} {'clip-free':>9} {'unit':>6} {'joint':>6}  (dB on unseen inputs)")
    for preset in PRESETS:
        target = load_target(preset)
        for layer in layers(target):
            chosen, judged = (Converters(layer, layer.x[half::2], target) for half in (0, 1))
            unit = adc_steps.choose_ranges(
                chosen.x, layer.weights, chosen.blocks, target.array, 8, 8, layer.signed
            ).astype(np.int64)
            if not judged.error(unit).any():
                continue
            qualities = [judged.quality(s) for s in (np.array(chosen.safe), unit, chosen.joint(unit))]
            gains.append(qualities[2] - qualities[1])
            shown = " ".join(f"{q:6.1f}" for q in qualities)
            print(f"{preset:<11} {layer.name:<38}    {shown}")
    print(
        f"joint over unit, {len(gains)} layers: mean {statistics.mean(gains):+.2f} dB, median "
        f"{statistics.median(gains):+.2f}, from {min(gains):+.2f} to {max(gains):+.2f}"
    )
    print("\ntarget       rows of a bag: step: activations, SQNR of the sums")
    for preset in (*PRESETS[:2], "isaac32"):
        for bag in (20, 80):
            shown = ", ".join(
                f"{step}: {times:.0f}, {quality:.1f} dB"
                for step in (1, 2, 3, 4, 8)
                for times, quality in [pooled(load_target(preset), bag, step)]
            )
            print(f"{preset:<12} {bag} rows: {shown}")


if __name__ == "__main__":
    main()
