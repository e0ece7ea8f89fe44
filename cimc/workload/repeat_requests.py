"""A batch several times over, where a run needs more requests than were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cimc.errors import RequestError
from cimc.workload.first_requests import JaggedInputs
from cimc.workload.request_rules import Arrays


def repeat_requests(
    arrays: Arrays, inputs: Sequence[str], jagged: Iterable[JaggedInputs], least: int
) -> Arrays:
    """All requests of ``arrays`` again and again, until there are ``least`` or more of them.

    Args:
        arrays: named after ``inputs``; others are left out.
        inputs: names of the model's inputs.
        jagged: those that have no row per request.
        least: requests that there must be.

    Raises:
        RequestError: ``request.cannot-repeat`` when it is not clear what belongs to a request.
    """
    bags = list(jagged)
    ids = {j.ids: j for j in bags} | {j.weights: j for j in bags if j.weights}
    ends = {j.offsets: (j.ids, int(j.layout == "offsets_end")) for j in bags}
    sizes = {
        len(arrays[name]) - ends.get(name, ("", 0))[1]
        for name in inputs
        if name not in ids and arrays[name].ndim
    }
    if len(sizes) != 1 or 0 in sizes:
        raise RequestError(
            "request.cannot-repeat",
            f"the inputs have different numbers of rows, or none ({', '.join(map(str, sorted(sizes)))}), so "
            "it is not clear how to have more requests",
        )
    (batch,) = sizes
    times = -(-least // batch)
    if times <= 1:
        return {name: arrays[name] for name in inputs}
    out = {}
    for name in inputs:
        array = arrays[name]
        if name in ends:
            of, end = ends[name]
            starts = array[: len(array) - end]
            shifts = np.repeat(np.arange(times, dtype=array.dtype) * len(arrays[of]), len(starts))
            whole = np.tile(starts, times) + shifts
            last = [np.array([times * len(arrays[of])], array.dtype)] if end else []
            out[name] = np.concatenate([whole, *last])
        else:
            out[name] = np.concatenate([array] * times) if array.ndim else array
    return out
