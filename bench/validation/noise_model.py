"""What noise does to a model, anew: ``dlrm_small`` in plain numpy, cells and reads included.

Shares no code with mode ``noisy``: another generator, floats instead of integers, errors drawn from the
published spread as one Gaussian.  Left out here: the steps of the converters of layers (those of lookups are
1), calibrated scales (the largest magnitude of the calibration requests is taken) and the shape of
write-verify.  So means over chips can be compared, not single chips.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

import cimc
from bench.validation.rows import Row, Section
from cimc.metrics.scores import auc, normalised_entropy
from cimc.transforms.passes import DEFAULT_PIPELINE
from models.dlrm import TABLES

F64 = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]
MODELS = Path(__file__).resolve().parents[2] / "models"
CHIPS = 8
DAY = 86_400.0
LEVELS, DIGITS, FULL = 8, 15, 112  # of a device; values of a pair; two balanced digits of base 15
STUCK = 0.001  # at either end


@dataclass(frozen=True)
class Cells:
    """A device after one day: window, spread and shift of a target conductance, spread of a read, in uS."""

    low: float
    high: float
    spread: Callable[[F64], F64]
    shift: float
    read: Callable[[F64], F64]

    @property
    def unit(self) -> float:
        """Conductance of one level."""
        return (self.high - self.low) / (LEVELS - 1)


WAN = (0.701, 22.086, -50.773, 47.095, -16.458)
DEVICES = {
    "wan2022": Cells(
        1.0, 40.0, lambda g: sum((c * (g / 40) ** i for i, c in enumerate(WAN)), np.zeros_like(g)), 0.0,
        lambda g: np.full_like(g, 0.4),
    ),
    "falcone2025": Cells(
        9.0, 88.19, lambda g: np.hypot(0.01129 * g + 0.0112, 0.042 * math.log(DAY) + 0.412),
        -0.089 * math.log(DAY),
        lambda g: 0.0277 * np.log10(np.maximum(g, 1.0)) * math.sqrt(math.log((DAY + 1e-6) / 2e-6)),
    ),
}  # fmt: skip


class Programmed:
    """A matrix of weights ``[R, C]`` in pairs of devices: what each digit conducts, and how reads of it vary.

    ``scale``: the weight of one unit, per column or for all.
    """

    def __init__(
        self, weights: F64, scale: F64 | float, cells: Cells | None, rng: np.random.Generator
    ) -> None:
        self.scale = scale
        whole = np.rint(weights / scale)
        low = np.mod(whole + 7, DIGITS) - 7
        self.digits: list[F64] = []
        self.variances: list[F64] = []
        for digit in (low, (whole - low) / DIGITS):
            mean, variance = (digit, np.zeros_like(digit)) if cells is None else _pair(digit, cells, rng)
            self.digits.append(mean)
            self.variances.append(variance)

    def product(self, x: F64, rng: np.random.Generator) -> F64:
        """``x [B, R]``, integers of 8 bits, times the weights: nibbles of either sign are read apart."""
        out = np.zeros((len(x), self.digits[0].shape[1]))
        for sign in (1.0, -1.0):
            part = np.maximum(sign * x, 0)
            if not part.any():
                continue
            for weight, nibble in ((1, np.mod(part, 16)), (16, np.floor(part / 16))):
                for s, (digit, variance) in enumerate(zip(self.digits, self.variances, strict=True)):
                    spread = np.sqrt(nibble**2 @ variance)
                    read = nibble @ digit + spread * rng.standard_normal(spread.shape)
                    out += sign * weight * DIGITS**s * read
        return np.asarray(out * self.scale)

    def pooled(self, ids: NDArray[np.int64], offsets: NDArray[np.int64], rng: np.random.Generator) -> F64:
        """Sums of rows, converted to whole levels once per bag and digit."""
        total = np.zeros((len(offsets), self.digits[0].shape[1]))
        whose = np.repeat(np.arange(len(offsets)), np.diff(offsets, append=len(ids)))
        for s, (digit, variance) in enumerate(zip(self.digits, self.variances, strict=True)):
            sums, spreads = np.zeros_like(total), np.zeros_like(total)
            np.add.at(sums, whose, digit[ids])
            np.add.at(spreads, whose, variance[ids])
            total += DIGITS**s * np.rint(sums + np.sqrt(spreads) * rng.standard_normal(sums.shape))
        return np.asarray(total * self.scale)


def _pair(digit: F64, cells: Cells, rng: np.random.Generator) -> tuple[F64, F64]:
    """Mean and variance of reads of pairs that hold ``digit``, in levels: the devices of each sign."""
    mean, variance = np.zeros_like(digit), np.zeros_like(digit)
    for sign in (1.0, -1.0):
        g = cells.low + cells.unit * np.maximum(sign * digit, 0)
        aged = np.maximum(g + cells.shift + cells.spread(g) * rng.standard_normal(g.shape), 0.0)
        luck = rng.random(g.shape)
        aged = np.where(luck < STUCK, cells.low, np.where(luck > 1 - STUCK, cells.high, aged))
        mean += sign * aged / cells.unit
        variance += (cells.read(aged) / cells.unit) ** 2
    return mean, variance


class Dlrm:
    """The model, its weights quantised, in the cells of one chip (``cells`` none: quantised alone)."""

    def __init__(self, weights: dict[str, F64], reach: list[float], cells: Cells | None, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 99])
        self.reach = reach
        self.tables = []
        for k in range(len(TABLES)):
            table = weights[f"emb_l.{k}.weight"]
            scale = float(np.abs(table).max()) / FULL
            self.tables.append(Programmed(table, scale, cells, self.rng))
        self.layers = []
        for name in ("bot_l.0", "bot_l.2", "bot_l.4", "top_l.0", "top_l.2", "top_l.4"):
            w = weights[f"{name}.weight"].T
            scales = np.abs(w).max(axis=0) / FULL
            self.layers.append((Programmed(w, scales, cells, self.rng), weights[f"{name}.bias"]))

    def _layer(self, number: int, x: F64) -> F64:
        matrix, bias = self.layers[number]
        signed = number in (0, 3)
        step = self.reach[number] / (127 if signed else 255)
        whole = np.clip(np.rint(x / step), -127 if signed else 0, 127 if signed else 255)
        return np.asarray(step * matrix.product(whole, self.rng) + bias)

    def __call__(self, requests: Arrays) -> F64:
        """Log-odds ``[B]``."""
        x = requests["dense"].astype(np.float64)
        for number in range(3):
            x = np.maximum(self._layer(number, x), 0.0)
        vectors = [x]
        for k, table in enumerate(self.tables):
            ids = requests[f"ids_{k}"].astype(np.int64)
            offsets = requests.get(f"offsets_{k}", np.arange(len(x))).astype(np.int64)
            found = table.pooled(ids, offsets, self.rng)
            if TABLES[k].bag == "mean":
                found /= np.diff(offsets, append=len(ids))[:, np.newaxis]
            vectors.append(found)
        joined = interaction(x, np.stack(vectors, axis=1))
        for number in (3, 4):
            joined = np.maximum(self._layer(number, joined), 0.0)
        return np.asarray(self._layer(5, joined)[:, 0])


def interaction(x: F64, vectors: F64) -> F64:
    """The dense vector, and the inner products of all pairs of vectors ``[B, F, D]``."""
    pairs = np.tril_indices(vectors.shape[1], -1)
    return np.concatenate([x, (vectors @ vectors.transpose(0, 2, 1))[:, *pairs]], axis=1)


def plain(weights: dict[str, F64], requests: Arrays) -> tuple[F64, list[float]]:
    """The model in float64: log-odds ``[B]``, and the largest magnitude of the input of each layer."""
    x, reach = requests["dense"].astype(np.float64), []

    def layer(name: str, x: F64) -> F64:
        reach.append(float(np.abs(x).max()))
        return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    for name in ("bot_l.0", "bot_l.2", "bot_l.4"):
        x = np.maximum(layer(name, x), 0.0)
    vectors = [x]
    for k in range(len(TABLES)):
        ids = requests[f"ids_{k}"].astype(np.int64)
        offsets = requests.get(f"offsets_{k}", np.arange(len(x))).astype(np.int64)
        lengths = np.diff(offsets, append=len(ids))
        found = np.zeros((len(x), 16))
        np.add.at(found, np.repeat(np.arange(len(x)), lengths), weights[f"emb_l.{k}.weight"][ids])
        vectors.append(found / lengths[:, np.newaxis] if TABLES[k].bag == "mean" else found)
    joined = interaction(x, np.stack(vectors, axis=1))
    for name in ("top_l.0", "top_l.2"):
        joined = np.maximum(layer(name, joined), 0.0)
    return layer("top_l.4", joined)[:, 0], reach


def read_alone(weights: dict[str, F64], requests: Arrays) -> tuple[dict[str, F64], Arrays]:
    """Tables cut to the rows that are read, and the requests in their numbers."""
    weights, requests = dict(weights), dict(requests)
    for k in range(len(TABLES)):
        rows, place = np.unique(requests[f"ids_{k}"], return_inverse=True)
        # scales are those of the whole table
        table = weights[f"emb_l.{k}.weight"]
        largest = np.abs(table).max(axis=1).argmax()
        weights[f"emb_l.{k}.weight"] = table[np.append(rows, largest).astype(np.int64)]
        requests[f"ids_{k}"] = place.ravel()
    return weights, requests


def load(part: str) -> Arrays:
    """A file of requests of the model."""
    with np.load(MODELS / f"dlrm_small.{part}.npz") as file:
        return dict(file)


def section() -> Section:
    """AUC and normalised entropy of both, means over chips one day after they were written."""
    model = onnx.load(MODELS / "dlrm_small.onnx")
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    requests, calib = load("requests"), load("calib")
    labels = requests["labels"]
    odds, _ = plain(weights, requests)
    reach = plain(weights, calib)[1]
    # the numpy model has one set of cells, which all requests meet
    once = DEFAULT_PIPELINE.replace("allocate,", "").replace("copy,", "")
    program = cimc.compile(MODELS / "dlrm_small.onnx", "tsinghua28", calib, once)
    exact = auc(labels, program.run(requests, "adc").outputs["prob"])
    rows = [
        Row("no noise: AUC in mode `adc`, and of the numpy model in floats", exact, auc(labels, odds), 0.002,
            "8-bit integers against float64", absolute=True),
    ]  # fmt: skip
    read, places = read_alone(weights, requests)
    for name, cells in DEVICES.items():
        ours = [
            program.run(requests, "noisy", device=name, age=DAY, seed=seed).outputs["prob"].ravel()
            for seed in range(CHIPS)
        ]
        theirs = [1 / (1 + np.exp(-Dlrm(read, reach, cells, seed)(places))) for seed in range(CHIPS)]
        for measure, label in ((auc, "AUC"), (normalised_entropy, "normalised entropy")):
            a, b = (np.array([measure(labels, p) for p in chips]) for chips in (ours, theirs))
            error = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / CHIPS)
            rows.append(Row(f"`{name}`, 1 day, {CHIPS} chips each: mean {label}", float(a.mean()),
                            float(b.mean()), 3 * error, f"plain numpy; standard error {error:.4f}",
                            absolute=True))  # fmt: skip
    about = (
        "`dlrm_small` on `tsinghua28` with its 2,048 requests, beside a model of the same cells in plain "
        "numpy (`bench/validation/noise_model.py`). The tolerance is three standard errors of the difference "
        "of means over chips; the requests are the same."
    )
    return Section("Noise against an independent model", about, tuple(rows))
