"""Which rows of a table share an array: an order of the rows from how often, and with which, they are read.

Row r of a table goes to storage row ``slots[r]``; the array of a row is ``slots[r] // block_rows``.  Rows
that one request reads together cost one access if they share an array, so a good order makes requests
touch few arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cimc.errors import PassError
from cimc.mapping.assignment.problem import bad_problem
from cimc.mapping.assignment.strategy_registry import callable_
from cimc.mapping.dtypes import IntArray
from cimc.support.registry import Registry, guarded


@dataclass(frozen=True, eq=False)
class GroupingProblem:
    """What is known about the reads of one table.

    Attributes:
        rows: rows of the table, >= 0.
        ids: int64[u], rows that were read, distinct.
        counts: int64[u], requests that read each of them, >= 0.
        pairs: int64[p, 2], pairs of different rows that some request read together.
        pair_counts: int64[p], requests that read both rows of a pair, >= 0.
        block_rows: rows of an array, >= 1.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes or values are not as above.
    """

    rows: int
    ids: IntArray
    counts: IntArray
    pairs: IntArray
    pair_counts: IntArray
    block_rows: int

    def __post_init__(self) -> None:
        for name, columns in (("ids", 1), ("counts", 1), ("pairs", 2), ("pair_counts", 1)):
            value = np.asarray(getattr(self, name))
            if value.size and value.dtype.kind not in "iu":
                raise bad_problem(f"`{name}` must hold integers, its dtype is {value.dtype}")
            shape = (-1, 2) if columns == 2 else (-1,)
            if value.size % columns:
                raise bad_problem(f"`{name}` must have shape [p, 2], it has {value.shape}")
            object.__setattr__(self, name, value.astype(np.int64).reshape(shape))
        if self.rows < 0 or self.block_rows < 1:
            raise bad_problem(f"rows={self.rows} must be >= 0 and block_rows={self.block_rows} >= 1")
        if self.ids.size != self.counts.size or self.pairs.shape[0] != self.pair_counts.size:
            raise bad_problem("`ids` and `counts`, and `pairs` and `pair_counts`, must have one entry each")
        for name, rows in (("ids", self.ids), ("pairs", self.pairs)):
            if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= self.rows):
                raise bad_problem(f"`{name}` must lie in [0, {self.rows})")
        for name, counted in (("counts", self.counts), ("pair_counts", self.pair_counts)):
            if counted.size and int(counted.min()) < 0:
                raise bad_problem(f"`{name}` must not be negative")
        if np.unique(self.ids).size != self.ids.size:
            raise bad_problem("`ids` must be distinct")

    @property
    def blocks(self) -> int:
        """Arrays that the rows fill, the last one perhaps in part."""
        return -(-self.rows // self.block_rows)


class Grouping(Protocol):
    """A grouping policy: all rows in storage order, int64[rows]; position k holds the row of slot k."""

    __module__: str

    def __call__(self, problem: GroupingProblem, /, *, seed: int) -> IntArray:
        """The order; a permutation of ``arange(rows)``."""


GROUPINGS: Registry[Grouping] = Registry(
    "grouping policy", duplicate="mapping.duplicate-strategy", fits=callable_
)
"""What :func:`group` accepts, by name."""

register_grouping = GROUPINGS.register
groupings = GROUPINGS.names


def group(
    policy: str,
    rows: int,
    counts: tuple[IntArray, IntArray],
    pairs: IntArray | None = None,
    pair_counts: IntArray | None = None,
    *,
    block_rows: int,
    seed: int = 0,
    **options: int | float | str,
) -> npt.NDArray[np.int32]:
    """The storage slot of every row, by a named policy.

    Args:
        policy: one of :func:`groupings`.
        rows: rows of the table.
        counts: int64[u] row ids and int64[u] requests that read each.
        pairs: int64[p, 2] rows read together; none where that is not known.
        pair_counts: int64[p], requests that read both.
        block_rows: rows of an array.
        seed: of policies that draw at random.
        options: the policy's own options.

    Returns:
        int32[rows]: ``slots[r]`` is the slot of row r, a permutation.

    Raises:
        PassError: ``mapping.unknown-strategy``; ``mapping.bad-problem``; ``mapping.invalid-solution``
            when the policy did not return a permutation.
    """
    function = GROUPINGS[policy]
    GROUPINGS.check_options(policy, options)
    none = np.zeros(0, np.int64)
    problem = GroupingProblem(
        rows,
        *counts,
        none if pairs is None else pairs,
        none if pair_counts is None else pair_counts,
        block_rows,
    )
    if rows > np.iinfo(np.int32).max:
        raise bad_problem(f"a table of {rows} rows has more than int32 slots")
    with guarded(function):
        order = np.asarray(function(problem, seed=seed, **options))
    slots = np.full(rows, -1, dtype=np.int32)
    if order.shape == (rows,) and (rows == 0 or (order.min() >= 0 and order.max() < rows)):
        slots[order] = np.arange(rows, dtype=np.int32)
    if rows and int(slots.min()) < 0:
        raise PassError(
            "mapping.invalid-solution", f"grouping policy `{policy}` did not return each row exactly once"
        )
    return slots


@register_grouping("in_order")
def in_order(problem: GroupingProblem, /, *, seed: int) -> IntArray:
    """Rows as the model has them."""
    return np.arange(problem.rows, dtype=np.int64)


@register_grouping("frequency")
def frequency(problem: GroupingProblem, /, *, seed: int) -> IntArray:
    """Most read rows first, equal ones by row; the rows that were never read follow in their order."""
    hot = problem.ids[np.lexsort((problem.ids, -problem.counts))]
    return np.concatenate((hot, _others(problem.rows, hot)))


@register_grouping("co_occurrence")
def co_occurrence(problem: GroupingProblem, /, *, seed: int) -> IntArray:
    """Rows that are read together into the same array, in the manner of ReCross.

    An array starts with the most read row that has no place yet and takes, one by one, the row that is
    read most often together with the rows already there (sum of pair counts; ties to the more read
    row, then to the lower id).  Where no such row is left, it goes on with the most read row.  Time and
    memory are those of sorting the pairs.
    """
    hot = problem.ids[np.lexsort((problem.ids, -problem.counts))]
    rank = np.full(problem.rows, -1, dtype=np.int64)
    rank[hot] = np.arange(hot.size)
    # Rows in the order of their ranks; pairs with a row that has no count are of no use.
    left, right = rank[problem.pairs[:, 0]], rank[problem.pairs[:, 1]]
    known = (left >= 0) & (right >= 0) & (left != right) & (problem.pair_counts > 0)
    if not known.any():
        return frequency(problem, seed=seed)
    from cimc.mapping.kernels.grouping_loops import grow

    start, neighbour, weight = adjacency(hot.size, left[known], right[known], problem.pair_counts[known])
    order = hot[grow(start, neighbour, weight, problem.block_rows)]
    return np.concatenate((order, _others(problem.rows, order)))


def _others(rows: int, placed: IntArray) -> IntArray:
    rest = np.ones(rows, dtype=np.bool_)
    rest[placed] = False
    return np.flatnonzero(rest)


def adjacency(
    n: int, left: IntArray, right: IntArray, weight: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Both directions of a list of pairs in compressed rows: start int64[n + 1], neighbour and weight."""
    source, target = np.concatenate((left, right)), np.concatenate((right, left))
    order = np.argsort(source, kind="stable")
    start = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=n)))).astype(np.int64)
    return start, target[order], np.concatenate((weight, weight))[order]


@dataclass(frozen=True)
class GroupingEvaluation:
    """Arrays of one table that a request touches, on average over requests that were seen.

    Attributes:
        touched: arrays touched per request.
        bound: lower bound on it over all orders of the rows.
        gap: ``touched / bound - 1``; 0 where nothing is read.
    """

    touched: float
    bound: float

    @property
    def gap(self) -> float:
        return self.touched / self.bound - 1.0 if self.bound > 0 else 0.0


def evaluate_grouping(
    slots: npt.NDArray[np.int32], block_rows: int, request: IntArray, row: IntArray, requests: int
) -> GroupingEvaluation:
    """Arrays touched per request under ``slots``, on a sample of requests.

    Args:
        slots: int32[rows], the slot of each row.
        block_rows: rows of an array.
        request: int64[k], the request of each read, in [0, requests).
        row: int64[k], the row that it reads.
        requests: requests in the sample, >= 1.

    Returns:
        The exact mean over the sample, and a bound that is exact arithmetic on the same sample.
    """
    blocks = -(-slots.size // block_rows)
    touched = np.unique(request * blocks + slots[row] // block_rows).size
    distinct = np.unique(request * slots.size + row)
    reads = np.bincount(distinct // max(slots.size, 1), minlength=requests)
    bound = int(np.sum(-(-reads // block_rows)))
    return GroupingEvaluation(touched / requests, bound / requests)


def touched_bound(problem: GroupingProblem, *, unlisted: int = 0) -> float:
    """Lower bound on the sum over requests of the arrays they touch, from counts and pairs alone.

    A request that reads n rows of an array pays 1/n for each of them, so the sum is that of 1/n over
    all reads.  Row r was read c times, and over those reads the n sum up to c plus its pair counts within
    its array, at most its block_rows - 1 largest ones: by Jensen's inequality it pays at least
    c^2 / (c + those pair counts).  (For one array this is the inequality of de Caen, 1997.)

    Args:
        problem: counts and pairs; a pair that is not listed counts as ``unlisted``.
        unlisted: upper limit on the requests of a pair that is not listed (0: the list is complete).
    """
    count = problem.counts.astype(np.float64)
    rank = np.full(problem.rows, -1, dtype=np.int64)
    rank[problem.ids] = np.arange(problem.ids.size)
    left, right = rank[problem.pairs[:, 0]], rank[problem.pairs[:, 1]]
    known = (left >= 0) & (right >= 0) & (left != right)
    row = np.concatenate((left[known], right[known]))
    weight = np.concatenate((problem.pair_counts[known], problem.pair_counts[known])).astype(np.float64)
    order = np.lexsort((-weight, row))
    row, weight = row[order], weight[order]
    degree = np.bincount(row, minlength=problem.ids.size)
    place = np.arange(row.size) - np.repeat(np.cumsum(degree) - degree, degree)
    near = place < problem.block_rows - 1
    together = np.bincount(row[near], weights=np.maximum(weight[near], unlisted), minlength=problem.ids.size)
    more = np.maximum(min(problem.block_rows, problem.rows) - 1 - degree, 0) * np.minimum(unlisted, count)
    read = count > 0
    paid = count[read] ** 2 / (count + together + more)[read]
    return float(np.sum(paid))
