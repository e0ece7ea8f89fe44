"""How many copies each block gets: hot blocks are written several times and share their requests.

With k copies a block's load splits into k equal parts, each on another bin.  Copies cost room, of which
the target has only so much to spare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cimc.errors import PassError
from cimc.mapping.assignment.problem import bad_problem, finite_floats, whole_numbers
from cimc.mapping.assignment.strategy_registry import callable_, require
from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.registry import Registry, guarded

_HALVINGS = 200


@dataclass(frozen=True, eq=False)
class ReplicationProblem:
    """Blocks, what they cost, and the room for further copies.

    Attributes:
        load: float64[n], load of each block, >= 0.
        size: int64[n], capacity units of one copy, >= 1.
        spare: capacity units for copies beyond the first of each block, >= 0.
        bins: bins that share the load; a block has at most one copy on each, >= 1.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes, dtypes or values are not as above.
    """

    load: FloatArray
    size: IntArray
    spare: int
    bins: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "load", finite_floats("load", self.load))
        object.__setattr__(self, "size", whole_numbers("size", self.size, least=1))
        if self.load.size != self.size.size:
            raise bad_problem(f"`load` has {self.load.size} entries, `size` has {self.size.size}")
        if self.spare < 0 or self.bins < 1:
            raise bad_problem(f"spare={self.spare} must be >= 0 and bins={self.bins} >= 1")

    @property
    def mean(self) -> float:
        """Load of a bin when all bins carry the same: no placement of any copies has a lower bottleneck."""
        return float(self.load.sum()) / self.bins


@dataclass(frozen=True, eq=False)
class Replication:
    """A verified plan.

    Attributes:
        copies: int64[n], copies of each block, the first one included, in [1, bins]; read-only.
        heaviest: the largest load of one copy.
        bound: lower bound on the bottleneck of a bin, over all plans and placements.
        gap: ``max(heaviest, mean) / bound - 1``: what the plan alone loses.
        spent: capacity units of the further copies.
        policy: the policy's name.
        effort: deterministic counts of the work done.
    """

    copies: IntArray
    heaviest: float
    bound: float
    gap: float
    spent: int
    policy: str
    effort: Mapping[str, int | float] = field(default_factory=dict)


class ReplicationPolicy(Protocol):
    """A replication policy: int64[n] copies of each block, and what it took."""

    __module__: str

    def __call__(self, problem: ReplicationProblem, /) -> tuple[IntArray, dict[str, int | float]]:
        """Copies within ``spare`` and ``bins``."""


REPLICATIONS: Registry[ReplicationPolicy] = Registry(
    "replication policy", duplicate="mapping.duplicate-strategy", fits=callable_
)
"""What :func:`replicate` accepts, by name."""

register_replication = REPLICATIONS.register
replications = REPLICATIONS.names


def replicate(problem: ReplicationProblem, policy: str = "bottleneck", **options: float) -> Replication:
    """Copies of every block by a named policy, verified, next to the bound on the bottleneck.

    Raises:
        PassError: ``mapping.unknown-strategy``; ``mapping.bad-option``; ``mapping.invalid-solution``,
            when the policy spends more than there is or leaves [1, bins].
    """
    function = REPLICATIONS[policy]
    REPLICATIONS.check_options(policy, options)
    with guarded(function):
        copies, effort = function(problem, **options)
        copies = np.array(copies, dtype=np.int64)
    spent = int(np.sum((copies - 1) * problem.size))
    if copies.shape != problem.load.shape or np.any((copies < 1) | (copies > problem.bins)):
        raise PassError("mapping.invalid-solution", f"replication policy `{policy}` left [1, {problem.bins}]")
    if spent > problem.spare:
        raise PassError(
            "mapping.invalid-solution",
            f"replication policy `{policy}` spends {spent} units, there are {problem.spare}",
        )
    copies.setflags(write=False)
    heaviest = float(np.max(problem.load / copies, initial=0.0))
    bound = replication_bound(problem)
    reached = max(heaviest, problem.mean)
    return Replication(
        copies=copies,
        heaviest=heaviest,
        bound=bound,
        gap=max(reached / bound - 1.0, 0.0) if bound > 0 else 0.0,
        spent=spent,
        policy=policy,
        effort=effort,
    )


def replication_bound(problem: ReplicationProblem) -> float:
    """Lower bound on the bottleneck of a bin: the mean load, or the lightest heaviest copy possible."""
    if problem.load.size == 0:
        return 0.0
    copies, _ = least_heaviest(problem, 0.0)
    return max(problem.mean, float(np.max(problem.load / copies)))


def least_heaviest(problem: ReplicationProblem, floor: float) -> tuple[IntArray, int]:
    """The copies for the smallest L >= floor such that ``ceil(load / L)`` copies of every block fit.

    Bisection on L, then the exact end: the blocks whose copies are the heaviest get one copy more as
    long as that fits.  When it no longer does, no plan has a lighter heaviest copy, since every such
    plan has at least these copies and one more of each of those blocks.

    Returns:
        int64[n] copies, and the plans that were looked at.
    """
    load, ones = problem.load, np.ones(problem.load.size, dtype=np.int64)
    heaviest = float(load.max(initial=0.0))
    if heaviest <= floor or heaviest == 0.0:
        return ones, 0
    high, low, best, steps = heaviest, max(floor, heaviest / problem.bins * (1 - 1e-15)), ones, 0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        steps += 1
        copies = _copies(load, middle)
        if _fits(problem, copies):
            high, best = middle, copies
            if float(np.max(load / copies)) <= low:
                break
        else:
            low = middle
    while True:
        part = load / best
        top = float(part.max())
        more = best + (part == top)
        steps += 1
        if top <= floor or not _fits(problem, more):
            return best, steps
        best = more


def _copies(load: FloatArray, limit: float) -> IntArray:
    """ceil(load / limit) such that no copy exceeds the limit in float64 either."""
    copies = np.maximum(np.ceil(load / limit), 1.0)
    copies += load / copies > limit
    return np.minimum(copies, float(1 << 62)).astype(np.int64)


def _fits(problem: ReplicationProblem, copies: IntArray) -> bool:
    if int(copies.max()) > problem.bins:
        return False
    # In float64 first: a product of many copies and large sizes may leave int64.
    if float(np.sum((copies - 1.0) * problem.size)) > 2.0 * problem.spare + 1:
        return False
    return int(np.sum((copies - 1) * problem.size)) <= problem.spare


@register_replication("none")
def none(problem: ReplicationProblem, /) -> tuple[IntArray, dict[str, int | float]]:
    """One copy of everything."""
    return np.ones(problem.load.size, dtype=np.int64), {}


@register_replication("bottleneck")
def bottleneck(
    problem: ReplicationProblem, /, *, floor: float = 0.25
) -> tuple[IntArray, dict[str, int | float]]:
    """The lightest heaviest copy that fits; exact.

    Args:
        problem: the problem.
        floor: do not cut below this share of the mean load of a bin: finer parts than that balance
            no better, and they cost room.
    """
    require(0 <= floor < np.inf, f"`floor` must be finite and not negative, it is {floor}")
    copies, plans = least_heaviest(problem, floor * problem.mean)
    return copies, {"plans": plans}


@register_replication("log_frequency")
def log_frequency(
    problem: ReplicationProblem, /, *, scale: float = 0.0
) -> tuple[IntArray, dict[str, int | float]]:
    """Copies in proportion to the logarithm of a block's load, hottest blocks first.

    Skewed loads span decades; the logarithm keeps the hottest few from taking all of the room.  A block of
    load x gets ``1 + floor(scale x log2(x / mean))`` copies where that is more than one; the logarithm is
    linear between powers of two, which rounds alike on every machine.  The formula is ours: of ReCross's,
    for which ``log_copies`` stands, nothing but a logarithm is known here, and that from memory.

    Args:
        problem: the problem.
        scale: copies per doubling; 0 takes the largest of 64 x 0.8^k that fits the room.
    """
    require(0 <= scale < np.inf, f"`scale` must be finite and not negative, it is {scale}")
    n = problem.load.size
    mean = float(problem.load.mean()) if n else 0.0
    mantissa, exponent = np.frexp(np.maximum(problem.load / mean, 1.0)) if mean > 0 else np.frexp(np.ones(n))
    doublings = (exponent - 1) + (2.0 * mantissa - 1.0)
    scales = [scale] if scale > 0 else [64.0 * 0.8**k for k in range(40)]
    plans = 0
    copies = np.ones(n, dtype=np.int64)
    for factor in scales:
        plans += 1
        copies = np.minimum(1 + np.floor(factor * doublings), problem.bins).astype(np.int64)
        if n == 0 or _fits(problem, copies):
            break
    return _hottest_first(problem, copies), {"plans": plans}


@register_replication("proportional")
def proportional(problem: ReplicationProblem, /) -> tuple[IntArray, dict[str, int | float]]:
    """Copies in proportion to a block's share of all accesses, hottest blocks first.

    A block of load x asks for ``ceil(x / mean load of a bin)`` copies, so that none is busier than a bin.
    """
    if problem.mean == 0.0:
        return np.ones(problem.load.size, dtype=np.int64), {}
    wanted = np.minimum(_copies(problem.load, problem.mean), problem.bins)
    return _hottest_first(problem, wanted), {"plans": 1}


@register_replication("uniform")
def uniform(problem: ReplicationProblem, /, *, copies: int = 2) -> tuple[IntArray, dict[str, int | float]]:
    """The same number of copies of the blocks that are read most for the room they take.

    With as many copies as a program has instances each of those has the block at hand.

    Args:
        problem: the problem.
        copies: of each block, the first one included.
    """
    require(1 <= copies <= problem.bins, f"`copies` must lie in 1..{problem.bins}, it is {copies}")
    order = np.argsort(-problem.load / problem.size, kind="stable")
    room = np.cumsum((copies - 1) * problem.size[order]) <= problem.spare
    found = np.ones(problem.load.size, dtype=np.int64)
    found[order[room]] = copies
    return found, {"plans": 1}


def _hottest_first(problem: ReplicationProblem, wanted: IntArray) -> IntArray:
    """``wanted`` copies, granted to the hottest blocks first while there is room."""
    order = np.argsort(-problem.load, kind="stable")
    copies = np.ones(wanted.size, dtype=np.int64)
    left = problem.spare
    for block in order[wanted[order] > 1].tolist():
        more = min(int(wanted[block]) - 1, left // int(problem.size[block]))
        copies[block] += more
        left -= more * int(problem.size[block])
    return copies


def split(load: npt.NDArray[np.float64], copies: IntArray) -> FloatArray:
    """float64[sum of copies]: the load of each copy, the copies of a block next to each other."""
    return np.repeat(load / copies, copies)
