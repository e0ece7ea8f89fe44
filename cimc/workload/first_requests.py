"""The first few requests of a batch: rows of most inputs, but ids of bags as their offsets say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cimc.errors import RequestError
from cimc.workload.request_rules import Arrays


@dataclass(frozen=True)
class JaggedInputs:
    """Inputs that hold the ids of all bags back to back, and what goes with them (``""``: nothing)."""

    ids: str
    offsets: str
    weights: str
    layout: str


def first_requests(
    arrays: Arrays, inputs: Sequence[str], jagged: Iterable[JaggedInputs], limit: int
) -> Arrays:
    """The first ``limit`` requests of ``arrays``; all of them when there are fewer.

    Args:
        arrays: named after ``inputs`` (others, such as labels, are cut to the same number of rows).
        inputs: names of the model's inputs.
        jagged: those that have no row per request.
        limit: how many requests to keep.

    Raises:
        RequestError: ``request.cannot-limit`` when it is not clear what belongs to a request.
    """
    jagged = list(jagged)
    ids = {j.ids for j in jagged} | {j.weights for j in jagged if j.weights}
    ends = {j.offsets: int(j.layout == "offsets_end") for j in jagged}
    sizes = {
        name: arrays[name].shape[0] - ends.get(name, 0)
        for name in inputs
        if name in arrays and name not in ids and arrays[name].ndim
    }
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise RequestError(
            "request.cannot-limit",
            f"the inputs have different numbers of rows ({shown}), so it is not clear what the first {limit} "
            "requests are",
            hint="cut the arrays yourself, and leave --limit out",
        )
    batch = next(iter(sizes.values()))
    if batch <= limit:
        return arrays
    out = {}
    for name, array in arrays.items():
        end = ends.get(name, 0)
        if name not in ids:
            out[name] = array[: limit + end] if array.ndim and array.shape[0] - end == batch else array
    for bag in jagged:
        stop = int(arrays[bag.offsets][limit])
        for name in filter(None, (bag.ids, bag.weights)):
            out[name] = arrays[name][: max(stop, 0)]
    return out
