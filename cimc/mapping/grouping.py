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
from cimc.support.row_bags import RowBags


@dataclass(frozen=True, eq=False)
class GroupingProblem:
    """What is known about the reads of one table.

    Attributes:
        rows: rows of the table, >= 0.
        ids: int64[u], rows that were read, distinct.
        counts: int64[u], requests that read each of them, >= 0.
        bags: rows that requests read together; of some requests or all of them.
        block_rows: rows of an array, >= 1.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes or values are not as above.
    """

    rows: int
    ids: IntArray
    counts: IntArray
    bags: RowBags
    block_rows: int

    def __post_init__(self) -> None:
        for name in ("ids", "counts"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        bags = self.bags
        parts = (_whole(f"bags.{n}", getattr(bags, n)) for n in ("rows", "starts", "weights"))
        object.__setattr__(self, "bags", RowBags(*parts))
        if self.rows < 0 or self.block_rows < 1:
            raise bad_problem(f"rows={self.rows} must be >= 0 and block_rows={self.block_rows} >= 1")
        if self.ids.size != self.counts.size:
            raise bad_problem("`ids` and `counts` must have one entry each")
        starts, weights = self.bags.starts, self.bags.weights
        if starts.size != weights.size + 1 or starts[0] != 0 or starts[-1] != self.bags.rows.size:
            raise bad_problem(
                "`bags.starts` must go from 0 to the rows of all bags, one for each weight and the end"
            )
        if np.any(np.diff(starts) < 0) or np.any(weights < 1):
            raise bad_problem("`bags.starts` must not fall, and `bags.weights` must be at least 1")
        for name, rows in (("ids", self.ids), ("bags.rows", self.bags.rows)):
            if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= self.rows):
                raise bad_problem(f"`{name}` must lie in [0, {self.rows})")
        if self.counts.size and int(self.counts.min()) < 0:
            raise bad_problem("`counts` must not be negative")
        if np.unique(self.ids).size != self.ids.size:
            raise bad_problem("`ids` must be distinct")

    @property
    def hot(self) -> IntArray:
        """Rows with a count, most read first, equal ones by row."""
        return self.ids[np.lexsort((self.ids, -self.counts))]

    @property
    def blocks(self) -> int:
        """Arrays that the rows fill, the last one perhaps in part."""
        return -(-self.rows // self.block_rows)


def _whole(name: str, given: object) -> IntArray:
    value = np.asarray(given)
    if value.size and value.dtype.kind not in "iu":
        raise bad_problem(f"`{name}` must hold integers, its dtype is {value.dtype}")
    return value.astype(np.int64, copy=False).reshape(-1)


class Grouping(Protocol):
    """A grouping policy: all rows in storage order, int64[rows]; position k holds the row of slot k."""

    __module__: str

    def __call__(self, problem: GroupingProblem, /, *, seed: int) -> IntArray:
        """The order; a permutation of ``arange(rows)``."""


GROUPINGS: Registry[Grouping] = Registry(
    "grouping policy",
    {"shp": "cimc.mapping.social_hash:shp"},
    duplicate="mapping.duplicate-strategy",
    fits=callable_,
)
"""What :func:`group` accepts, by name."""

BY_BAGS = frozenset({"co_occurrence", "shp"})
"""Policies that order rows by how often they are read where nothing is known of what is read together."""

register_grouping = GROUPINGS.register
groupings = GROUPINGS.names


def group(
    policy: str,
    rows: int,
    counts: tuple[IntArray, IntArray],
    bags: RowBags | None = None,
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
        bags: rows read together; none where that is not known.
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
    problem = GroupingProblem(rows, *counts, RowBags.none() if bags is None else bags, block_rows)
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
    return and_others(problem, problem.hot)


@register_grouping("co_occurrence")
def co_occurrence(problem: GroupingProblem, /, *, seed: int) -> IntArray:
    """Rows that are read together into the same array; greedy, over all pairs of rows that bags hold.

    An array starts with the most read row that has no place yet and takes, one by one, the row that is
    read most often together with the rows already there (sum over these of the bags that hold both; ties
    to the more read row, then to the lower id).  Where no such row is left, it goes on with the most read
    row.  Memory is that of the bags; time grows with the sum of the squares of their lengths.
    """
    hot = problem.hot
    bags = among(problem, hot)
    if not len(bags):
        return and_others(problem, hot)
    from cimc.mapping.kernels.grouping_loops import grow

    order = grow(bags.starts, bags.rows, bags.weights, *bags.by_row(hot.size), problem.block_rows)
    return and_others(problem, hot[order])


def among(problem: GroupingProblem, rows: IntArray) -> RowBags:
    """The bags of a problem with each row called by its position in ``rows``; others are left out."""
    rank = np.full(problem.rows, -1, dtype=np.int64)
    rank[rows] = np.arange(rows.size)
    return problem.bags.renamed(rank)


def and_others(problem: GroupingProblem, first: IntArray) -> IntArray:
    """``first`` and then all other rows, ascending."""
    rest = np.ones(problem.rows, dtype=np.bool_)
    rest[first] = False
    return np.concatenate((first, np.flatnonzero(rest)))


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


def touched_bound(
    problem: GroupingProblem, pairs: IntArray, pair_counts: IntArray, *, unlisted: int = 0
) -> float:
    """Lower bound on the sum over requests of the arrays they touch, from counts alone.

    A request that reads n rows of an array pays 1/n for each of them, so the sum is that of 1/n over
    all reads.  Row r was read c times, and over those reads the n sum up to c plus its pair counts within
    its array, at most its block_rows - 1 largest ones: by Jensen's inequality it pays at least
    c^2 / (c + those pair counts).  (For one array this is the inequality of de Caen, 1997.)

    Args:
        problem: its counts; its bags are not looked at.
        pairs: int64[p, 2], pairs of different rows; one that is not listed counts as ``unlisted``.
        pair_counts: int64[p], requests that read both rows of a pair.
        unlisted: upper limit on the requests of a pair that is not listed (0: the list is complete).
    """
    count = problem.counts.astype(np.float64)
    rank = np.full(problem.rows, -1, dtype=np.int64)
    rank[problem.ids] = np.arange(problem.ids.size)
    left, right = rank[pairs[:, 0]], rank[pairs[:, 1]]
    known = (left >= 0) & (right >= 0) & (left != right)
    row = np.concatenate((left[known], right[known]))
    weight = np.concatenate((pair_counts[known], pair_counts[known])).astype(np.float64)
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
