"""Train the small models and write their files: ``python -m models.build [NAME] [--seed N] [--out DIR]``.

Per model ``NAME.onnx``, ``NAME.requests.npz`` (held-out requests with labels), ``NAME.calib.npz`` (others
for calibration), ``NAME.tuning.npz`` (others again, to choose defaults on), ``NAME.trace.npz`` (rows read by
training requests, with counts); for a model with a catalogue of items ``NAME.items.npz``.  Same seed on the
same machine: the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

# One thread: sums in another order would give other weights.  Takes effect only before numpy is loaded.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402

from cimc.metrics.scores import auc  # noqa: E402
from models.dlrm import Dlrm, DlrmSpec  # noqa: E402
from models.requests import Requests  # noqa: E402
from models.synthetic import Array, Split  # noqa: E402
from models.twotower import TwoTower, TwoTowerSpec  # noqa: E402

EVALUATED, CALIBRATED, TUNED, TRACED = 2048, 512, 2048, 65_536
REPORT_EVERY = 100


class Log(Protocol):
    """A source of request batches; what a batch is, only the log and its model know."""

    def batch(self, split: Split, index: int, size: int) -> Any: ...


class Model(Protocol):
    """A model that learns from the batches of its log."""

    def train(self, batches: Iterator[Any], steps: int) -> Iterator[float]: ...
    def logits(self, batch: Any) -> Array: ...
    def to_onnx(self) -> onnx.ModelProto: ...
    def feeds(self, batch: Any) -> Requests: ...
    def accesses(self, batch: Any) -> dict[str, Array]: ...


@dataclass(frozen=True)
class Recipe:
    """How to make one model from a seed, and how long to train it."""

    log: Log
    model: Model
    batch: int
    steps: int
    items: dict[str, Array] | None = None


def dlrm_recipe(seed: int, spec: DlrmSpec | None = None) -> Recipe:
    spec = spec or DlrmSpec()
    return Recipe(spec.log(seed), Dlrm.initial(spec, seed), spec.batch, spec.steps)


def twotower_recipe(seed: int, spec: TwoTowerSpec | None = None) -> Recipe:
    spec = spec or TwoTowerSpec()
    log = spec.log(seed)
    return Recipe(log, TwoTower.initial(spec, seed), spec.batch, spec.steps, log.catalogue)


RECIPES: dict[str, Callable[[int], Recipe]] = {"dlrm_small": dlrm_recipe, "twotower_small": twotower_recipe}


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    """A compressed ``.npz``; numpy dates every member alike, so equal arrays give equal bytes."""
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy types the keywords as allow_pickle
    return buffer.getvalue()


def score(model: bytes, feeds: Requests) -> Array:
    """The first output of an ONNX file under onnxruntime."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


def trace(recipe: Recipe, requests: int) -> dict[str, Array]:
    """Rows read by the first ``requests`` training requests, and how often, per weight initialiser."""
    read: dict[str, list[Array]] = {}
    batches = -(-requests // recipe.batch)
    for index in range(batches):
        batch = recipe.log.batch(Split.TRAIN, index, recipe.batch)
        for table, ids in recipe.model.accesses(batch).items():
            read.setdefault(table, []).append(ids)
    arrays: dict[str, Array] = {"requests": np.array(batches * recipe.batch, np.int64)}
    for table, parts in read.items():
        rows, counts = np.unique(np.concatenate(parts), return_counts=True)
        arrays[f"{table}.rows"] = rows.astype(np.int32)
        arrays[f"{table}.counts"] = counts.astype(np.int32)
    return arrays


def write(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename: a reader sees the old file or the new one."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)


def build(
    name: str, recipe: Recipe, out: Path, *, traced: int = TRACED, say: Callable[[str], None] = print
) -> list[Path]:
    """Train ``recipe`` and write its files into ``out``; ``say`` gets progress and results, line by line."""
    started = time.perf_counter()
    log, model = recipe.log, recipe.model
    batches = (log.batch(Split.TRAIN, i, recipe.batch) for i in range(recipe.steps))
    recent: list[float] = []
    for step, loss in enumerate(model.train(batches, recipe.steps), start=1):
        recent.append(loss)
        if step % REPORT_EVERY == 0 or step == recipe.steps:
            took = time.perf_counter() - started
            say(f"{name}: step {step}/{recipe.steps}, loss {np.mean(recent):.4f}, {took:.1f} s")
            recent.clear()

    evaluation = log.batch(Split.EVALUATE, 0, EVALUATED)
    calibration = log.batch(Split.CALIBRATE, 0, CALIBRATED)
    tuning = log.batch(Split.TUNE, 0, TUNED)
    onnx_bytes = model.to_onnx().SerializeToString(deterministic=True)
    files = {
        "onnx": onnx_bytes,
        "requests.npz": npz_bytes({**model.feeds(evaluation), "labels": evaluation.labels}),
        "calib.npz": npz_bytes({**model.feeds(calibration), "labels": calibration.labels}),
        "tuning.npz": npz_bytes({**model.feeds(tuning), "labels": tuning.labels}),
        "trace.npz": npz_bytes(trace(recipe, traced)),
    }
    if recipe.items is not None:
        files["items.npz"] = npz_bytes(recipe.items)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, data in files.items():
        paths.append(out / f"{name}.{suffix}")
        write(paths[-1], data)
        say(f"{name}: {paths[-1].name} {len(data):,} bytes")

    seen = log.batch(Split.TRAIN, 0, recipe.batch)
    more = log.batch(Split.EVALUATE, 1, 16 * EVALUATED)
    probability = score(onnx_bytes, model.feeds(evaluation))
    say(
        f"{name}: AUC {auc(evaluation.labels, probability):.4f} on the {EVALUATED} held-out requests "
        f"(onnxruntime), {auc(more.labels, model.logits(more)):.4f} on {16 * EVALUATED} more, "
        f"{auc(seen.labels, model.logits(seen)):.4f} on {recipe.batch} seen in training; "
        f"the planted odds reach {auc(more.labels, more.odds):.4f}"
    )
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.build", description="Build the small models.")
    parser.add_argument("name", nargs="?", default="all", choices=[*RECIPES, "all"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("models"))
    args = parser.parse_args(argv)
    for name in RECIPES if args.name == "all" else [args.name]:
        build(name, RECIPES[name](args.seed), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
