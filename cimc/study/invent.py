"""Request files for a model, with bags from synthetic traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError
from cimc.study.bag_inputs import Taken
from cimc.support.random.draws import normal, uniform
from cimc.support.random.splitmix import key_of
from cimc.workload.traces.recorded import BagInput
from cimc.workload.traces.synthetic import SyntheticBags

Arrays = dict[str, NDArray[Any]]


def invented(
    taken: Taken, bags: Mapping[BagInput, SyntheticBags], requests: int, seed: int, memory_limit: int
) -> Arrays:
    """Arrays of ``requests`` requests: ids as in ``bags``, weights of ids uniform in (0, 1), everything else
    normally distributed.

    Raises:
        RequestError: ``trace.memory``; ``trace.cannot-invent`` for inputs that are neither bags nor floating
            point, or whose shape does not fit the bags.
    """
    shapes = {name: (dtype, shape) for name, dtype, shape in taken.signature}
    out: Arrays = {}
    room = memory_limit
    for bag, source in bags.items():
        dtype, shape = shapes[bag.ids]
        ids, starts = _whole(source, room)
        room -= 3 * ids.nbytes
        if bag.offsets:
            ends = starts if bag.ends else starts[:-1]
            out[bag.offsets] = ends.astype(shapes[bag.offsets][0])
            out[bag.ids] = ids.astype(dtype)
        else:
            out[bag.ids] = _even(bag, ids, starts, shape).astype(dtype)
        if bag.weights:
            kind, _ = shapes[bag.weights]
            drawn = uniform(key_of(seed, "weights", bag.weights), np.arange(out[bag.ids].size))
            out[bag.weights] = drawn.reshape(out[bag.ids].shape).astype(kind)
    for name, (dtype, shape) in shapes.items():
        if name in out:
            continue
        if not dtype.startswith("float") or -1 in shape[1:] or not shape or shape[0] not in (-1, requests):
            shown = ", ".join("?" if d < 0 else str(d) for d in shape)
            raise RequestError(
                "trace.cannot-invent",
                f"input '{name}' ({dtype} [{shown}]) is neither a bag of ids nor numbers per request",
                hint="record requests of the model instead",
            )
        full = (requests, *shape[1:])
        at = np.arange(int(np.prod(full, dtype=np.int64)))
        out[name] = normal(key_of(seed, "input", name), at).reshape(full).astype(dtype)
    return {name: out[name] for name in shapes}


def _whole(source: SyntheticBags, room: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    parts, lengths, size = [], [], 0
    for ids, starts in source.chunks():
        size += 3 * ids.nbytes + starts.nbytes
        if size > room:
            raise RequestError(
                "trace.memory",
                f"requests with so many ids for table {source.name} do not fit the memory limit",
                hint="raise --memory-limit, or invent fewer --requests",
            )
        parts.append(ids)
        lengths.append(np.diff(starts))
    every = np.concatenate(lengths)
    return np.concatenate(parts), np.concatenate([np.zeros(1, np.int64), np.cumsum(every)])


def _even(
    bag: BagInput, ids: NDArray[np.int64], starts: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Ids as ``[requests]`` or ``[requests, length]``; shorter bags are padded where the model allows it."""
    lengths = np.diff(starts)
    length = shape[-1] if len(shape) == 2 and shape[-1] >= 0 else int(lengths.max(initial=0))
    wanted = 1 if len(shape) == 1 else length
    even = bool((lengths == wanted).all())
    if len(shape) > 2 or (not even and (bag.padding is None or int(lengths.max()) > wanted)):
        some = f"{int(lengths.min())} to {int(lengths.max())}" if len(lengths) else "none"
        raise RequestError(
            "trace.cannot-invent",
            f"input '{bag.ids}' takes {'one id' if len(shape) == 1 else f'{wanted} ids'} a request, the "
            f"synthetic bags of table {bag.table} have {some}",
            hint=f"describe this table with pooling={wanted}",
        )
    if even:
        return ids if len(shape) == 1 else ids.reshape(-1, wanted)
    assert bag.padding is not None
    out = np.full((len(lengths), wanted), bag.padding, np.int64)
    out[np.arange(wanted) < lengths[:, None]] = ids
    return out
