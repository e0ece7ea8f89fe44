"""How fast accesses are counted, and in how much memory.

    python bench/mapping/traces.py                 # 100,000,000 lookups in one table of 10,000,000 rows
    python bench/mapping/traces.py --lookups 1e6   # quicker

Writes requests of a known distribution to a file (uncompressed ``.npz``), then counts them in a process of
its own: rows, bag lengths and co-accessed pairs.  Prints lookups per CPU second and the largest resident set.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cimc.workload.traces import collect
from cimc.workload.traces.recorded import BagInput, RecordedBags
from cimc.workload.traces.statistics import statistics
from cimc.workload.traces.synthetic import SyntheticBags, parse


def write(path: Path, lookups: int, rows: int, pooling: int) -> float:
    """Write ``lookups`` ids in bags of ``pooling``; the CPU seconds that inventing them took."""
    _, what = parse(f"t:rows={rows},zipf=0.85,pooling={pooling},clusters=10000,affinity=0.3")
    bags = lookups // pooling
    source = SyntheticBags("t", rows, what, bags, 0)
    ids = np.lib.format.open_memmap(path / "ids.npy", "w+", np.int64, (bags, pooling))
    start, at = time.process_time(), 0
    for part, starts in source.chunks():
        ids[at : at + len(starts) - 1] = part.reshape(-1, pooling)
        at += len(starts) - 1
    spent = time.process_time() - start
    ids.flush()
    np.savez(path / "requests.npz", ids=ids)
    return spent


def peak_mib() -> float:
    """Largest resident set of this process so far (getrusage would include the parent's at the fork)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def count(path: Path, rows: int, limit: int) -> dict[str, float]:
    """Count a file; figures of this process."""
    before = peak_mib()
    start = time.process_time()
    trace = collect([RecordedBags(path, BagInput("t", rows, "ids"))], memory_limit=limit)
    spent = time.process_time() - start
    found = statistics(trace.tables["t"])
    return {
        "lookups": trace.lookups,
        "cpu_seconds": spent,
        "base_mib": before,
        "peak_mib": peak_mib(),
        "zipf": found.zipf or 0.0,
        "pairs": found.pairs,
    }


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lookups", type=float, default=1e8)
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--pooling", type=int, default=20)
    parser.add_argument("--memory-limit", type=float, default=1 << 30)
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = int(options.rows)
    if options.count is not None:
        print(json.dumps(count(options.count, rows, int(options.memory_limit))))
        return
    with tempfile.TemporaryDirectory() as folder:
        spent = write(Path(folder), int(options.lookups), rows, options.pooling)
        print(f"inventing  {options.lookups / spent:12,.0f} lookups per CPU second")
        again = [sys.executable, __file__, "--rows", str(rows), "--memory-limit", str(options.memory_limit)]
        again += ["--count", str(Path(folder) / "requests.npz")]
        found = json.loads(subprocess.run(again, check=True, capture_output=True, text=True).stdout)
    print(f"counting   {found['lookups'] / found['cpu_seconds']:12,.0f} lookups per CPU second")
    print(f"memory     {found['peak_mib']:12,.0f} MiB at most, {found['base_mib']:,.0f} before it began")
    print(f"found      Zipf exponent {found['zipf']:.3f}, {found['pairs']:,} pairs")


if __name__ == "__main__":
    main()
