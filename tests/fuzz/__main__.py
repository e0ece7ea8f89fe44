"""``python -m tests.fuzz --mutants 10000 --seed 0``: a long campaign; exits 1 when it finds a bug."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.campaign import run
from tests.fuzz.judge import BUGS, OUTCOMES
from tests.fuzz.seeds import all_seeds


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--mutants", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--only", help="numbers of single mutants, by commas")
    parser.add_argument("--keep", type=Path, help="keep the files of the mutants in this folder")
    parser.add_argument("--log", type=Path, help="write a JSON line per mutant")
    args = parser.parse_args()
    numbers = range(args.first, args.first + args.mutants)
    chosen = [int(n) for n in args.only.split(",")] if args.only else numbers
    log = args.log.open("w", encoding="utf-8") if args.log else None
    counts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    slowest = (0.0, -1)
    start = time.monotonic()
    for done, found in enumerate(_timed(run(all_seeds(), args.seed, list(chosen), args.keep)), 1):
        result, seconds = found
        slowest = max(slowest, (seconds, result.number))
        counts[result.outcome] += 1
        if result.code:
            codes[f"{result.outcome}: {result.code}"] += 1
        if log is not None:
            log.write(json.dumps({**asdict(result), "seconds": round(seconds, 3)}) + "\n")
            log.flush()
        if result.outcome in BUGS or args.only:
            print(
                f"#{result.number} {result.seed} {'+'.join(result.history)}: {result.outcome} {result.code}"
            )
            print("    " + result.detail.strip().replace("\n", "\n    "), flush=True)
        if done % 500 == 0:
            print(f"{done} mutants, {time.monotonic() - start:.0f} s: {dict(counts)}", flush=True)
    for outcome in OUTCOMES:
        print(f"{outcome:16} {counts[outcome]}")
    for code, count in sorted(codes.items()):
        print(f"    {code:60} {count}")
    print(f"{time.monotonic() - start:.0f} s; slowest mutant {slowest[0]:.1f} s (number {slowest[1]})")
    return int(any(counts[bug] for bug in BUGS))


def _timed(results):  # type: ignore[no-untyped-def]
    start = time.monotonic()
    for result in results:
        yield result, time.monotonic() - start
        start = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
