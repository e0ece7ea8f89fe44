"""``cimc baseline`` against a loop around onnxruntime written by hand, on the same model and requests.

    python -m bench.baseline [--model MODEL] [--inputs REQ.npz] [--rounds N]

Both take turns, so that what else the machine does meets both.  Prints, for each batch size on one thread,
requests per second of both (medians over rounds) and the median ratio of a round: what isolation and
bookkeeping cost is its distance from 1.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime

import cimc

SECONDS = 1.0
"""Of one measurement of either kind."""


def by_hand(model: Path, requests: dict[str, np.ndarray], batch: int) -> float:
    """Requests per second of a loop over batches of recorded requests; bags start at ``offsets_K``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    batches = [cut(requests, at, at + batch) for at in range(0, len(requests["dense"]) - batch + 1, batch)]
    batches = batches[:: max(1, len(batches) // 256)]
    done, begin = -max(1, len(batches) // 4), 0.0
    while done <= 0 or time.perf_counter() - begin < SECONDS:
        if done == 0:  # all before warmed up
            begin = time.perf_counter()
        session.run(None, batches[done % len(batches)])
        done += 1
    return done * batch / (time.perf_counter() - begin)


def cut(requests: dict[str, np.ndarray], first: int, last: int) -> dict[str, np.ndarray]:
    """Requests ``first`` to ``last - 1``."""
    out = {}
    for name, array in requests.items():
        number = name.removeprefix("ids_")
        offsets = requests.get(f"offsets_{number}")
        if name.startswith("offsets_"):
            out[name] = array[first:last] - array[first]
        elif name.startswith("ids_") and offsets is not None:
            end = offsets[last] if last < len(offsets) else len(array)
            out[name] = array[offsets[first] : end]
        else:
            out[name] = array[first:last]
    return out


def measured(model: Path, requests: dict[str, np.ndarray], batch: int) -> float:
    """The same row of ``cimc.measure_baseline``."""
    found = cimc.measure_baseline(
        model, requests, seconds=2 * SECONDS, batches=(batch,), engines=["onnxruntime fp32"], cores=1
    )
    return next(row.requests_per_s for row in found.rows if row.ids == "recorded")


def main() -> None:
    """Print a line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/dlrm_small.onnx"))
    parser.add_argument("--inputs", type=Path, default=Path("models/dlrm_small.requests.npz"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with np.load(options.inputs) as file:
        requests = {name: file[name] for name in file.files if name != "labels"}
    print("batch   by hand  cimc baseline  ratio")
    for batch in (1, 16, 256, 2048):
        pairs = [
            (by_hand(options.model, requests, batch), measured(options.model, requests, batch))
            for _ in range(options.rounds)
        ]
        hand, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{batch:5} {hand:9,.0f}  {ours:13,.0f}  {ratio:5.3f}")


if __name__ == "__main__":
    main()
