"""Arrays that a held-out bag touches, by grouping policy: ``python -m bench.mapping.grouping [--json]``.

Bags of a trace order the rows of one table, other bags of the same source are judged.  Sources: clusters and
latent taste, in which rows are read together; independent ids, the control in which no grouping can win; and
the bags of the two models of ``models/``.  Policies: those of :mod:`cimc.mapping.grouping`; ``capped``, the
same greedy growth on what version 0.1 kept of a trace (65,536 pairs of the 4,096 most read rows); and page
copies after ``shp`` (:mod:`bench.mapping.page_copies`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.mapping.page_copies import copied_pages, pages_read
from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.grouping import group
from cimc.support.row_bags import RowBags
from cimc.workload.traces import TableTrace, collect
from cimc.workload.traces.synthetic import SyntheticBags, parse
from models.dlrm import DlrmSpec
from models.synthetic import Bags, Split
from models.twotower import TwoTowerSpec

HELD_OUT = 4000
COPIES = (0.1, 0.4)
SOURCES = {
    "clusters": ("rows=20000,zipf=0.85,pooling=41,clusters=500,affinity=0.6", 20_000),
    "latent taste": ("rows=20000,zipf=0.85,pooling=48,dimensions=4,taste=8", 8_000),
    "independent": ("rows=20000,zipf=0.85,pooling=41", 8_000),
}
MODELS = {"twotower history": 60_000, "dlrm_small table 2": 60_000}


@dataclass(frozen=True)
class Given:
    """Bags at hand: a :class:`~cimc.workload.traces.collect.BagSource`."""

    name: str
    rows: int
    ids: IntArray
    starts: IntArray

    @property
    def requests(self) -> int:
        """Bags."""
        return len(self.starts) - 1

    def chunks(self) -> Iterator[tuple[IntArray, IntArray]]:
        """All of them at once."""
        yield self.ids, self.starts


def drawn(source: str, seed: int) -> tuple[TableTrace, RowBags]:
    """The trace of a source's training bags, and its held-out bags."""
    if source in SOURCES:
        text, count = SOURCES[source]
        _, what = parse(f"t:{text}")
        trace = collect([SyntheticBags("t", what.rows, what, count, seed)])
        later = SyntheticBags("t", what.rows, what, count + HELD_OUT, seed)
        held = Given("t", what.rows, *later.bags(count, count + HELD_OUT))
    else:
        rows, draw = _model(source, seed)
        trace = collect([_given(rows, draw(Split.TRAIN, MODELS[source]))])
        held = _given(rows, draw(Split.EVALUATE, HELD_OUT))
    kept = collect([held]).tables["t"].kept
    assert kept is not None
    return trace.tables["t"], kept


def _model(source: str, seed: int) -> tuple[int, Callable[[Split, int], Bags]]:
    if source == "twotower history":
        spec = TwoTowerSpec()
        clicks = spec.log(seed)
        rows = len(clicks.catalogue["item_id"])
        return rows, lambda split, size: clicks.batch(split, 0, size).history
    model = DlrmSpec()
    log = model.log(seed)
    return model.tables[2].rows, lambda split, size: log.batch(split, 0, size).bags[2]


def _given(rows: int, bags: Bags) -> Given:
    return Given("t", rows, bags.ids.astype(np.int64), bags.offsets.astype(np.int64))


def capped(trace: TableTrace, rows: int = 4096, pairs: int = 65_536) -> RowBags:
    """What version 0.1 kept: the most frequent pairs of the most read rows."""
    assert trace.kept is not None
    hot = np.sort(trace.ids[np.lexsort((trace.ids, -trace.counts))[:rows]])
    name = np.full(trace.rows, -1, np.int64)
    name[hot] = np.arange(len(hot))
    bags = trace.kept.renamed(name)
    seen = []
    for length in np.unique(bags.lengths).tolist():
        of = bags.starts[:-1][bags.lengths == length]
        held = bags.rows[of[:, None] + np.arange(length)]
        first, second = np.triu_indices(length, 1)
        seen.append((held[:, first] * len(hot) + held[:, second]).reshape(-1))
    pair, counts = np.unique(np.concatenate(seen), return_counts=True)
    best = np.argsort(-counts, kind="stable")[:pairs]
    pair = np.stack([pair[best] // len(hot), pair[best] % len(hot)], axis=1)
    return RowBags.of_pairs(hot[pair], counts[best])


def touched(slots: IntArray, height: int, bags: RowBags) -> FloatArray:
    """Arrays that each bag touches."""
    arrays = slots[bags.rows] // height
    distinct = np.unique(bags.bag_of * (int(arrays.max()) + 1) + arrays)
    found: FloatArray = np.bincount(distinct // (int(arrays.max()) + 1), minlength=len(bags)).astype(float)
    return found


def measured(source: str, height: int, seed: int) -> Iterator[dict[str, object]]:
    """One row per policy."""
    trace, held = drawn(source, seed)
    assert trace.kept is not None
    about = {"source": source, "rows_of_array": height, "seed": seed}
    about |= {"rows_per_bag": float(held.lengths.mean()), "training_bags": len(trace.kept)}
    for name, policy, bags in (
        ("frequency", "frequency", None),
        ("capped", "co_occurrence", capped(trace)),
        ("co_occurrence", "co_occurrence", trace.kept),
        ("shp", "shp", trace.kept),
    ):
        start = time.process_time()
        slots = group(policy, trace.rows, (trace.ids, trace.counts), bags, block_rows=height, seed=seed)
        spent = time.process_time() - start
        slots = slots.astype(np.int64)
        yield _row(about, name, touched(slots, height, held), touched(slots, height, trace.kept), spent)
    for share in COPIES:
        start = time.process_time()
        pages = copied_pages(slots, height, trace.kept, share)
        spent = time.process_time() - start
        some = trace.kept.renamed(np.arange(trace.rows))
        few = RowBags.of_lengths(some.rows[: some.starts[1000]], some.lengths[:1000])
        yield _row(
            about, f"shp, {share:.0%} copies", pages_read(slots, height, pages, held),
            pages_read(slots, height, pages, few), spent,
        )  # fmt: skip


def _row(
    about: dict[str, object], policy: str, found: FloatArray, training: FloatArray, spent: float
) -> dict[str, object]:
    return about | {
        "policy": policy,
        "arrays": float(found.mean()),
        "standard_error": float(found.std(ddof=1) / len(found) ** 0.5),
        "arrays_in_training": float(training.mean()),
        "cpu_seconds": spent,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--source", action="append", choices=[*SOURCES, *MODELS], help="default: all")
    parser.add_argument("--height", action="append", type=int, help="rows of an array; default: 64 and 256")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one object a line")
    given = parser.parse_args(arguments)
    for source in given.source or [*SOURCES, *MODELS]:
        for height in given.height or [64, 256]:
            rows = [row for seed in range(given.seeds) for row in measured(source, height, seed)]
            if given.json:
                print(*map(json.dumps, rows), sep="\n", flush=True)
                continue
            print(f"\n{source}, arrays of {height} rows, {rows[0]['rows_per_bag']:.1f} rows a bag")
            for policy in dict.fromkeys(str(row["policy"]) for row in rows):
                mine = [row for row in rows if row["policy"] == policy]
                value, training, error, spent = (
                    np.array([row[key] for row in mine], float)
                    for key in ("arrays", "arrays_in_training", "standard_error", "cpu_seconds")
                )
                print(
                    f"  {policy:20} {value.mean():7.2f} +- {error.mean():.2f}, seeds {value.min():.2f} to "
                    f"{value.max():.2f}, in training {training.mean():.2f}, {spent.mean():.1f} CPU s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
