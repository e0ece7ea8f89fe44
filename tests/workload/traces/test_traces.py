"""Counting accesses: exact whatever the chunks and the budget, and the files they are kept in."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import CimcError, RequestError
from cimc.support.io.npz import Npz, write_npz
from cimc.support.row_bags import RowBags
from cimc.workload.traces import TableTrace, Trace, collect
from cimc.workload.traces.bag_sample import LONGEST
from cimc.workload.traces.frequencies import read_counts
from cimc.workload.traces.pair_counts import pairs_in
from cimc.workload.traces.recorded import BagInput, RecordedBags
from cimc.workload.traces.statistics import gini, statistics, top_shares, zipf_exponent


@dataclass(frozen=True)
class Given:
    """Bags from lists, in chunks of ``step`` bags."""

    bags: tuple[tuple[int, ...], ...]
    rows: int
    step: int = 3
    name: str = "t"

    @property
    def requests(self) -> int:
        return len(self.bags)

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(0, len(self.bags), self.step):
            part = self.bags[at : at + self.step]
            starts = np.cumsum([0, *map(len, part)])
            yield np.array([i for bag in part for i in bag], np.int64), starts.astype(np.int64)


BAGS = st.lists(st.lists(st.integers(0, 12), max_size=6).map(tuple), min_size=1, max_size=30).map(tuple)


@settings(max_examples=60, deadline=None)
@given(BAGS, st.integers(1, 7))
def test_counts_pairs_and_lengths_are_exact(bags: tuple[tuple[int, ...], ...], step: int) -> None:
    trace = collect([Given(bags, 13, step)]).tables["t"]
    rows = Counter(i for bag in bags for i in bag)
    assert dict(zip(trace.ids.tolist(), trace.counts.tolist(), strict=True)) == rows
    assert trace.ids.tolist() == sorted(rows)
    assert trace.kept is not None
    assert bags_of(trace.kept) == [sorted(set(bag)) for bag in bags if len(set(bag)) > 1]
    pairs = Counter(p for bag in bags for p in combinations(sorted(set(bag)), 2))
    assert pairs_in(trace.kept) == (len(pairs), max(pairs.values(), default=0))
    assert dict(trace.pooling.tolist()) == Counter(map(len, bags))
    assert (trace.requests, trace.bags, trace.lookups) == (len(bags), len(bags), rows.total())


def bags_of(kept: RowBags) -> list[list[int]]:
    return [kept.rows[i:j].tolist() for i, j in itertools.pairwise(kept.starts.tolist())]


@settings(max_examples=30, deadline=None)
@given(BAGS, st.integers(1, 40), st.integers(1, 7))
def test_of_too_many_bags_some_are_kept_whole(
    bags: tuple[tuple[int, ...], ...], limit: int, step: int
) -> None:
    found = [collect([Given(bags, 13, s)], bag_rows=limit).tables["t"].kept for s in (step, 30)]
    every = collect([Given(bags, 13)]).tables["t"].kept
    kept, again = found
    assert kept is not None
    assert again is not None
    assert every is not None
    assert bags_of(kept) == bags_of(again)  # whatever the chunks
    assert len(kept.rows) <= limit
    assert not Counter(map(tuple, bags_of(kept))) - Counter(map(tuple, bags_of(every)))
    if len(every.rows) <= limit:
        assert bags_of(kept) == bags_of(every)


def test_the_bags_that_are_kept_are_a_fair_share() -> None:
    bags = tuple((i, i + 1) for i in range(20_000))
    kept = collect([Given(bags, 20_001, 512)], bag_rows=12_000).tables["t"].kept
    assert kept is not None
    assert 4_000 < len(kept) <= 6_000  # a quarter of all
    assert np.histogram(kept.rows, 4, (0, 20_000))[0].min() > 2_000


def test_no_bags_are_kept_of_one_row_too_many_rows_or_none_wanted() -> None:
    long = (tuple(range(LONGEST + 1)), tuple(range(LONGEST)), (3,), (4, 4), ())
    kept = collect([Given(long, 5_000)]).tables["t"].kept
    assert kept is not None
    assert kept.lengths.tolist() == [LONGEST]
    assert collect([Given(long, 5_000)], bag_rows=0).tables["t"].kept is None


def test_pairs_of_version_0_1_are_read_as_bags_of_two(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "old.npz",
        **{
            "requests": np.array(9), "t.rows": np.array([1, 3, 4]), "t.counts": np.array([5, 6, 1]),
            "t.size": np.array(7), "t.hottest": np.array(3),
            "t.pairs": np.array([[1, 3], [3, 4]]), "t.pair_counts": np.array([4, 1]),
        },
    )  # fmt: skip
    trace = Trace.load(tmp_path / "old.npz")
    kept = trace.tables["t"].kept
    assert kept is not None
    assert (bags_of(kept), kept.weights.tolist()) == ([[1, 3], [3, 4]], [4, 1])
    trace.save(tmp_path / "new.npz")
    again = Trace.load(tmp_path / "new.npz").tables["t"].kept
    assert again is not None
    assert (bags_of(again), again.weights.tolist()) == (bags_of(kept), [4, 1])
    found = statistics(trace.tables["t"])
    assert (found.kept_bags, found.pairs, found.pair_share) == (0, 2, None)


def test_a_small_budget_counts_in_sorted_pairs_with_the_same_result() -> None:
    rng = np.random.default_rng(0)
    bags = tuple(tuple(rng.integers(0, 50, 4).tolist()) for _ in range(200))
    few = [Given(bags, 1 << 40)]  # an array of counts for so many rows fits no budget
    trace, other = collect(few).tables["t"], collect([Given(bags, 50)]).tables["t"]
    for have, want in ((trace.ids, other.ids), (trace.counts, other.counts)):
        np.testing.assert_array_equal(have, want)
    assert trace.kept is not None
    assert other.kept is not None
    assert bags_of(trace.kept) == bags_of(other.kept)


def test_what_does_not_fit_the_budget_is_refused() -> None:
    bags = (tuple(range(0, 2_000_000, 2)),)
    with pytest.raises(RequestError) as caught:
        collect([Given(bags, 1 << 40)], memory_limit=(1 << 26) + (1 << 20))
    assert caught.value.code == "trace.memory"
    tight = collect([Given(((1, 2, 3), (2, 3)), 4)], memory_limit=(1 << 26) + 4 * 20 + 3 * 16 + 40)
    assert tight.tables["t"].kept is not None
    assert len(tight.tables["t"].kept.rows) <= 3


def test_sources_of_one_table_add_up() -> None:
    first, second = Given(((1, 2),), 5), Given(((2, 2), (1, 2)), 5)
    trace = collect([first, second]).tables["t"]
    assert (trace.ids.tolist(), trace.counts.tolist(), trace.requests) == ([1, 2], [2, 4], 2)
    assert trace.kept is not None
    assert bags_of(trace.kept) == [[1, 2], [1, 2]]
    with pytest.raises(RequestError, match="5, 6"):
        collect([first, Given(((1,),), 6)])


def test_a_trace_survives_its_file(tmp_path: Path) -> None:
    trace = collect([Given(((1, 2), (2, 3, 1)), 5), Given((), 7, name="empty")])
    trace.save(tmp_path / "t.npz")
    again = Trace.load(tmp_path / "t.npz")
    for name, table in trace.tables.items():
        other = again.tables[name]
        for key, value in vars(table).items():
            if key != "kept":
                np.testing.assert_array_equal(getattr(other, key), value)
        assert table.kept is not None
        assert other.kept is not None
        assert bags_of(other.kept) == bags_of(table.kept)
    twice = [io.BytesIO(), io.BytesIO()]
    for stream, each in zip(twice, (trace, again), strict=True):
        each.write(stream)
    assert twice[0].getvalue() == twice[1].getvalue() == (tmp_path / "t.npz").read_bytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"t.counts": None}, "NAME.counts"),
        ({"requests": None}, "requests"),
        ({"t.rows": np.array([3, 1])}, "ascend"),
        ({"t.rows": np.array([1])}, "shape"),
        ({"t.rows": np.array([0.5, 1.5])}, "integers"),
        ({"t.counts": np.array([1, -1])}, "negative"),
        ({"t.counts": np.array([1 << 62, 1 << 62])}, "add up"),
        ({"t.pooling": np.array([[1 << 40, 1 << 40]])}, "add up"),
        ({"t.size": np.array(3)}, "row 3"),
        ({"t.bag_rows": np.array([1, 3, 1]), "t.bag_lengths": np.array([2])}, "add up"),
        ({"t.bag_rows": np.array([1, 3]), "t.bag_lengths": np.array([1, 1])}, "add up"),
        ({"t.bag_rows": np.array([1, 2]), "t.bag_lengths": np.array([2])}, "bags"),
        ({"t.bag_rows": np.array([3, 1]), "t.bag_lengths": np.array([2])}, "bags"),
        ({"t.bag_rows": np.array([1, 3])}, "bag_lengths"),
        ({"t.pairs": np.array([[3, 1]]), "t.pair_counts": np.array([1])}, "pairs"),
        ({"t.pairs": np.array([[1, 3]]), "t.pair_counts": np.array([0])}, "pairs"),
        ({"t.pooling": np.array([[2, 1], [1, 1]])}, "pooling"),
    ],
)
def test_damaged_traces_are_refused(tmp_path: Path, change: dict[str, np.ndarray | None], why: str) -> None:
    arrays = {"requests": np.array(9), "t.rows": np.array([1, 3]), "t.counts": np.array([5, 6])}
    np.savez(tmp_path / "good.npz", **arrays)
    assert Trace.load(tmp_path / "good.npz").tables["t"].lookups == 11
    np.savez(tmp_path / "bad.npz", **{k: v for k, v in (arrays | change).items() if v is not None})
    with pytest.raises(CimcError, match=why) as caught:
        Trace.load(tmp_path / "bad.npz")
    assert caught.value.code == "trace.bad-file"


def test_traces_beyond_a_limit_are_refused(tmp_path: Path) -> None:
    collect([Given(((1, 2),), 5)]).save(tmp_path / "t.npz")
    with pytest.raises(RequestError) as caught:
        Trace.load(tmp_path / "t.npz", max_bytes=10)
    assert caught.value.code == "request.too-large"


def test_no_npz_and_damaged_members(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(RequestError) as caught:
        Npz(tmp_path / "x.npz")
    assert caught.value.code == "request.not-npz"
    with pytest.raises(RequestError) as caught:
        Npz(tmp_path / "absent.npz")
    assert caught.value.code == "request.unreadable"
    np.savez(tmp_path / "o.npz", a=np.array([{}], object))
    with pytest.raises(RequestError) as caught:
        Npz(tmp_path / "o.npz")
    assert caught.value.code == "request.bad-array"


CUT = BagInput("t", 4, "ids", "o")


def write(path: Path, compressed: bool, **arrays: np.ndarray) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_recorded_bags_with_offsets(tmp_path: Path, compressed: bool, ends: bool) -> None:
    ids = np.array([9, 1, 2, 3, 3, 0], np.int32)
    offsets = np.array([1, 3, 3, 6] if ends else [1, 3, 3], np.int32)
    path = write(tmp_path / "r.npz", compressed, ids=ids, off=offsets)
    source = RecordedBags(path, BagInput("t", 4, "ids", "off", ends))
    assert source.requests == 3
    (chunk,) = source.chunks()
    assert (chunk[0].tolist(), chunk[1].tolist()) == ([1, 2, 3, 3, 0], [0, 2, 2, 5])


def test_recorded_bags_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cimc.workload.traces import recorded as requests

    monkeypatch.setattr(requests, "_IDS_AT_A_TIME", 5)
    monkeypatch.setattr(requests, "_BAGS_AT_A_TIME", 4)
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 9, 40)
    ids, starts = rng.integers(0, 100, lengths.sum()), np.concatenate([[0], np.cumsum(lengths)])
    for ends in (False, True):
        path = write(tmp_path / "r.npz", True, ids=ids, off=starts if ends else starts[:-1])
        chunks = list(RecordedBags(path, BagInput("t", 100, "ids", "off", ends)).chunks())
        assert len(chunks) > 10
        assert np.concatenate([c[0] for c in chunks]).tolist() == ids.tolist()
        assert np.concatenate([np.diff(c[1]) for c in chunks]).tolist() == lengths.tolist()
    even = rng.integers(0, 100, (11, 3))
    path = write(tmp_path / "e.npz", False, ids=even)
    chunks = list(RecordedBags(path, BagInput("t", 100, "ids")).chunks())
    assert np.concatenate([c[0] for c in chunks]).reshape(-1, 3).tolist() == even.tolist()
    assert sum(len(c[1]) - 1 for c in chunks) == 11


def test_padding_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "r.npz", False, ids=np.array([[1, -1], [-1, -1], [2, 3]]))
    (chunk,) = RecordedBags(path, BagInput("t", 4, "ids", padding=-1)).chunks()
    assert (chunk[0].tolist(), chunk[1].tolist()) == ([1, 2, 3], [0, 1, 1, 3])


@pytest.mark.parametrize(
    ("arrays", "bag", "code"),
    [
        ({"x": np.zeros(3, np.int64)}, BagInput("t", 4, "ids"), "request.missing-input"),
        ({"ids": np.zeros(3)}, BagInput("t", 4, "ids"), "request.bad-dtype"),
        ({"ids": np.array(3)}, BagInput("t", 4, "ids"), "request.bad-shape"),
        ({"ids": np.array([1, 4])}, BagInput("t", 4, "ids"), "request.id-out-of-range"),
        ({"ids": np.asfortranarray(np.ones((2, 2), int))}, BagInput("t", 4, "ids"), "request.bad-array"),
        (
            {"ids": np.ones(3, int), "o": np.array([0, 4])},
            BagInput("t", 4, "ids", "o"),
            "request.bad-offsets",
        ),
        (
            {"ids": np.ones(3, int), "o": np.array([2, np.iinfo(np.int64).min])},
            BagInput("t", 4, "ids", "o"),
            "request.bad-offsets",
        ),
        (
            {"ids": np.ones(3, int), "o": np.array([2, 1])},
            BagInput("t", 4, "ids", "o"),
            "request.bad-offsets",
        ),
        (
            {"ids": np.ones((3, 1), int), "o": np.array([0])},
            BagInput("t", 4, "ids", "o"),
            "request.bad-shape",
        ),
    ],
)
def test_requests_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], bag: BagInput, code: str
) -> None:
    path = write(tmp_path / "r.npz", False, **arrays)
    with pytest.raises(RequestError) as caught:
        list(RecordedBags(path, bag).chunks())
    assert caught.value.code == code


def test_frequency_files(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("id,count\n3,10\n1, 2\n\n3,5\n4,0\n")
    table = read_counts(path, "t", 0, 100)
    assert (table.ids.tolist(), table.counts.tolist(), table.requests) == ([1, 3], [2, 15], 100)
    for text in ("1,2\nx,3\n", "1\n", "-1,2\n", "1,-2\n", f"1,{1 << 62}\n1,{1 << 62}\n"):
        path.write_text(text)
        with pytest.raises(RequestError) as caught:
            read_counts(path, "t", 0, 100)
        assert caught.value.code == "trace.bad-file"


def test_statistics_by_hand() -> None:
    assert gini(np.array([1, 1, 1, 1]), 4) == 0.0
    assert gini(np.array([4]), 4) == pytest.approx(0.75)  # (n - 1) / n
    assert gini(np.array([3, 1]), 2) == pytest.approx(0.25)
    assert top_shares(np.array([6, 3, 1]), 1000)[:3] == (0.6, 0.6, 1.0)
    ranks = np.arange(1, 2001)
    for exponent in (0.5, 0.85, 1.3):
        found, used = zipf_exponent(np.rint(1e7 * ranks**-exponent / (ranks**-exponent).sum()).astype(int))
        assert found == pytest.approx(exponent, abs=0.005)
        assert used > 500
    assert zipf_exponent(np.array([9, 9, 9, 9])) == (None, 0)
    table = TableTrace(
        "t", 10, 4, np.array([1, 2]), np.array([3, 1]), pooling=np.array([[0, 1], [1, 2], [2, 1]])
    )
    found = statistics(table)
    assert (found.per_request, found.pooling) == (1.0, (1.0, 1, 2, 2))
    assert found.to_json()["top_share"]["0.1"] == 0.75


def test_npz_members_are_what_numpy_writes(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=">i4").reshape(2, 3),
        "b": np.array(7),
        "c": np.asfortranarray(np.eye(3)),
    }
    with (tmp_path / "w.npz").open("wb") as file:
        write_npz(file, arrays)
    with np.load(tmp_path / "w.npz") as theirs:
        assert all(np.array_equal(theirs[k], v) for k, v in arrays.items())
    np.savez(tmp_path / "n.npz", **arrays, text=np.array(["x"]))
    with Npz(tmp_path / "n.npz") as ours:
        assert sorted(ours.members) == ["a", "b", "c"]
        assert all(np.array_equal(ours.read(k), v) for k, v in arrays.items())
