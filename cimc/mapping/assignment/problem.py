"""The data of a placement problem and of its solution; no algorithm lives here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cimc.errors import PassError
from cimc.mapping.dtypes import FloatArray, IntArray

# Sums of sizes and capacities must stay exact in int64, with room for one addition more.
_LARGEST_SUM = 1 << 61


def bad_problem(message: str, hint: str | None = None) -> PassError:
    """``mapping.bad-problem``, the error of every kind of problem whose data contradict each other."""
    return PassError("mapping.bad-problem", message, hint=hint)


def _vector(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 1:
        raise bad_problem(f"`{name}` must have one dimension, it has shape {array.shape}")
    # An empty list has no dtype of its own, so numpy's default for it says nothing about the caller.
    if array.size and array.dtype.kind not in "iuf":
        raise bad_problem(f"`{name}` must hold numbers, its dtype is {array.dtype}")
    return array


def finite_floats(name: str, value: npt.ArrayLike) -> FloatArray:
    """``value`` as a read-only float64 vector, refused unless finite and not negative."""
    array = _vector(name, value).astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if wrong.size:
        raise bad_problem(f"`{name}[{wrong[0]}]` is {array[wrong[0]]}, it must be finite and not negative")
    array.setflags(write=False)
    return array


def whole_numbers(name: str, value: npt.ArrayLike, least: int) -> IntArray:
    """``value`` as a read-only int64 vector, refused unless each is at least ``least``."""
    given = _vector(name, value)
    if given.size and given.dtype.kind == "f":
        raise bad_problem(f"`{name}` must hold integers, its dtype is {given.dtype}")
    # Checked before the conversion: a uint64 beyond int64 would wrap to a negative number.
    wrong = np.flatnonzero((given < least) | (given > _LARGEST_SUM)) if given.size else given
    if wrong.size:
        raise bad_problem(f"`{name}[{wrong[0]}]` is {given[wrong[0]]}, it must lie in [{least}, 2**61]")
    array = given.astype(np.int64)
    # A float64 sum is off by far less than the factor of two that separates 2**61 from overflow.
    if array.size and float(array.astype(np.float64).sum()) > _LARGEST_SUM:
        raise bad_problem(f"the sum of `{name}` exceeds 2**61", "use a larger capacity unit")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class PlacementProblem:
    """Place ``n`` items on ``m`` bins; every item goes, whole, to exactly one bin.

    Arrays are converted to the dtypes below, copied and made read-only.

    Attributes:
        load: float64[n], expected busy time (any one unit) that an item causes per request, >= 0.
        size: int64[n], capacity units that an item takes, >= 1.
        traffic: float64[n], bits per request moved between an item and its consumer, >= 0.
        capacity: int64[m], capacity units of each bin, >= 0; ``m >= 1``.
        distance: float64[m], hops from each bin to the consumer, >= 0.
        item_unit: plural word for one capacity unit, used in messages.
        resource: what the capacity units are units of, used in messages.
        labels: names of the items for messages; empty, or one per item.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes, dtypes or values are not as above.
    """

    load: FloatArray
    size: IntArray
    traffic: FloatArray
    capacity: IntArray
    distance: FloatArray
    item_unit: str = "arrays"
    resource: str = "crossbar storage"
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("load", "traffic", "distance"):
            object.__setattr__(self, name, finite_floats(name, getattr(self, name)))
        object.__setattr__(self, "size", whole_numbers("size", self.size, least=1))
        object.__setattr__(self, "capacity", whole_numbers("capacity", self.capacity, least=0))
        object.__setattr__(self, "labels", tuple(self.labels))
        n, m = self.load.size, self.capacity.size
        for name, other, expected in (
            ("size", "load", n),
            ("traffic", "load", n),
            ("distance", "capacity", m),
        ):
            found = getattr(self, name).size
            if found != expected:
                raise bad_problem(f"`{name}` has {found} entries, `{other}` has {expected}")
        if m == 0:
            raise bad_problem("there is no bin to place items on")
        if self.labels and len(self.labels) != n:
            raise bad_problem(f"`labels` has {len(self.labels)} entries, `load` has {n}")

    @property
    def n_items(self) -> int:
        """The number of items, ``n``."""
        return int(self.load.size)

    @property
    def n_bins(self) -> int:
        """The number of bins, ``m``."""
        return int(self.capacity.size)

    def label(self, item: int) -> str:
        """The name of ``item`` for messages."""
        return self.labels[item] if self.labels else f"item {item}"


@dataclass(frozen=True)
class Evaluation:
    """What an assignment costs, next to what no assignment can undercut.

    Attributes:
        bottleneck: largest load of a bin, in the unit of ``load``.
        bottleneck_bound: lower bound on it, over all assignments.
        gap: ``bottleneck / bottleneck_bound - 1``; 0 where the bound is 0.
        hops: sum of ``traffic * distance``, bit-hops per request.
        hops_bound: lower bound on it, over all assignments (balanced or not).
        utilisation: capacity units taken, as a share of all of them.
        load_min, load_mean, load_std: statistics of the load over the bins.
        bins_used: bins that hold at least one item.
        violations: one sentence for each broken constraint; empty for a valid assignment.
    """

    bottleneck: float
    bottleneck_bound: float
    gap: float
    hops: float
    hops_bound: float
    utilisation: float
    load_min: float
    load_mean: float
    load_std: float
    bins_used: int
    violations: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prices:
    """Multipliers from which a bound on the hops under a balance limit follows.

    Attributes:
        limit: the largest load that a bin may have.
        load: float64[m], price of one unit of load on each bin, >= 0.
        size: float64[m], price of one capacity unit of each bin, >= 0.
    """

    limit: float
    load: FloatArray
    size: FloatArray


@dataclass(frozen=True)
class HopsCertificate:
    """``hops_bound`` <= the hops of every assignment whose bottleneck is at most ``limit``."""

    limit: float
    hops_bound: float


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a strategy returns; :func:`cimc.mapping.assignment.solve` checks it before anyone sees it.

    Attributes:
        assignment: int64[n], the bin of each item.
        produced_by: which method gave the assignment; empty means the strategy's own name.
        effort: deterministic counts of the work done (never seconds).
        prices: multipliers for a bound on the hops, from strategies that have them.
        proven: a bound that a solver proved, from strategies that ask one.
    """

    assignment: IntArray
    produced_by: str = ""
    effort: Mapping[str, int | float] = field(default_factory=dict)
    prices: Prices | None = None
    proven: HopsCertificate | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """A verified assignment: every item placed, every capacity respected.

    Attributes:
        assignment: int64[n], the bin of each item, read-only.
        evaluation: its cost, computed outside the strategy.
        strategy: the name that was asked for.
        produced_by: which method gave the assignment, and why where that is not the one asked for.
        effort: deterministic counts of the work done (never seconds).
        certificate: bound on the hops at a balance limit, where the strategy provides one.
    """

    assignment: IntArray
    evaluation: Evaluation
    strategy: str
    produced_by: str
    effort: dict[str, int | float]
    certificate: HopsCertificate | None = None
