"""What the input ports of a segment carry: arrays of requests, checked and as they cross the host link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError
from cimc.interpreter.bags import Bags, bags_of, check_ids
from cimc.isa.program import Matrix, Port
from cimc.workload.request_rules import Arrays


@dataclass
class Inputs:
    """What the input ports of a segment carry, for all requests."""

    dense: dict[int, NDArray[Any]] = field(default_factory=dict)
    bags: dict[int, Bags] = field(default_factory=dict)
    batch: int = 0


def bind(ports: tuple[Port, ...], values: Arrays, tables: dict[int, Matrix]) -> Inputs:
    """Values at the input ports; all must agree on the number of requests.

    Raises:
        RequestError: ``request.batch-mismatch``, or ids that do not fit their table.
    """
    found = Inputs()
    sizes: dict[str, int] = {}
    for number, port in enumerate(ports):
        if port.kind == "bag":
            matrix = tables.get(number)
            subject = matrix.name if matrix else port.value
            bags = bags_of(
                values[port.value],
                values[port.offsets] if port.offsets else None,
                values[port.weights] if port.weights else None,
                port.layout,
                "sum",
                subject,
                port.padding,
            )
            if matrix is not None:
                check_ids(bags, matrix.rows, subject)
            _check_longest(values[port.value], port)
            found.bags[number] = bags
            sizes[port.offsets or port.value] = bags.starts.size - 1
        else:
            array = values[port.value]
            found.dense[number] = _on_link(array, port)
            sizes[port.value] = array.shape[0]
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name}: {size}" for name, size in sorted(sizes.items()))
        raise RequestError(
            "request.batch-mismatch", f"the arrays disagree about the number of requests ({shown})"
        )
    found.batch = next(iter(sizes.values()), 0)
    return found


def _check_longest(ids: NDArray[Any], port: Port) -> None:
    """Where a port says how many ids a bag has, every bag has so many."""
    length = 1 if ids.ndim == 1 else ids.shape[-1]
    if port.longest is not None and length != port.longest:
        raise RequestError(
            "request.bad-shape",
            f"'{port.value}' has {length} ids per request, the program takes {port.longest}",
        )


def _on_link(array: NDArray[Any], port: Port) -> NDArray[Any]:
    """An array as it crosses the host link: float32, or int32 where every integer fits."""
    if array.shape[1:] != port.shape:
        raise RequestError(
            "request.bad-shape",
            f"'{port.value}' has {list(array.shape[1:])} per request, the program takes {list(port.shape)}",
        )
    if port.dtype == "f32":
        return array.astype(np.float32, copy=False)
    if array.size and array.dtype.itemsize > 4 and np.abs(array).max() > 2**31 - 1:
        raise RequestError("request.id-out-of-range", f"'{port.value}' holds integers beyond 32 bits")
    return array.astype(np.int32, copy=False)
