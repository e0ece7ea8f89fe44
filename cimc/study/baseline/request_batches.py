"""Batches of recorded requests: the requests as they came, or one of them again and again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument

from cimc.errors import RequestError
from cimc.interpreter.bags import bags_of
from cimc.interpreter.evaluate import input_signature, main_function, signature
from cimc.ir import rec
from cimc.workload.first_requests import JaggedInputs
from cimc.workload.request_rules import Arrays

Numbers = NDArray[np.int64]
KEPT = 256
"""Batches of one size that are kept, at most: evenly over all requests."""


@dataclass(frozen=True)
class RequestBatches:
    """Requests that can be cut into batches.

    Attributes:
        arrays: of the model's inputs.
        requests: how many.
        rows: inputs with a row per request.
        bags: inputs that hold ids of all requests back to back.
        fixed: the model takes this many requests at a time and no other number.
    """

    arrays: Arrays
    requests: int
    rows: tuple[str, ...]
    bags: tuple[JaggedInputs, ...]
    fixed: bool

    def sizes(self, wanted: Iterable[int]) -> list[int]:
        """The batch sizes among ``wanted`` that can be had; larger ones become all requests."""
        if self.fixed:
            return [self.requests]
        return sorted({min(size, self.requests) for size in wanted})

    def take(self, chosen: Numbers) -> Arrays:
        """The requests with numbers ``chosen``, in that order, as one batch."""
        out = dict(self.arrays)
        for name in self.rows:
            out[name] = np.ascontiguousarray(self.arrays[name][chosen])
        for bag in self.bags:
            starts, ends = self._extents(bag)
            begin, length = starts[chosen], (ends - starts)[chosen]
            after = np.cumsum(length)
            places = np.arange(int(after[-1])) + np.repeat(begin - (after - length), length)
            for name in filter(None, (bag.ids, bag.weights)):
                out[name] = self.arrays[name][places]
            offsets = np.concatenate([np.zeros(1, np.int64), after])
            kept = offsets if bag.layout == "offsets_end" else offsets[:-1]
            out[bag.offsets] = kept.astype(self.arrays[bag.offsets].dtype)
        return out

    def recorded(self, size: int) -> list[Arrays]:
        """Batches of ``size`` requests as they came, at most :data:`KEPT`, none of them short."""
        count = max(1, self.requests // size)
        kept = np.unique(np.linspace(0, count - 1, min(count, KEPT)).astype(np.int64))
        return [self.take(np.arange(n * size, min((n + 1) * size, self.requests))) for n in kept]

    def hot(self, size: int) -> Arrays:
        """One request ``size`` times: that with the median number of ids in its bags (the first of them)."""
        ids = np.zeros(self.requests, np.int64)
        for bag in self.bags:
            starts, ends = self._extents(bag)
            ids += ends - starts
        chosen = int(np.argsort(ids, kind="stable")[(self.requests - 1) // 2]) if self.bags else 0
        return self.take(np.full(size, chosen, np.int64))

    def _extents(self, bag: JaggedInputs) -> tuple[Numbers, Numbers]:
        starts = self.arrays[bag.offsets].astype(np.int64)
        if bag.layout == "offsets_end":
            return starts[:-1], starts[1:]
        return starts, np.append(starts[1:], self.arrays[bag.ids].shape[0])


def batches_of(module: ModuleOp, arrays: Arrays) -> RequestBatches:
    """How ``arrays`` fall into requests for a module whose bags are recognised.

    Raises:
        RequestError: ``request.cannot-limit`` where that is not clear, ``request.none`` where there are none,
            ``request.bad-offsets`` or ``request.bad-weights`` where a bag has no ids or weights to take.
    """
    function = main_function(module)
    names, _ = signature(function)
    bags = {(bag.ids, bag.offsets): bag for bag in _jagged(module, names, arrays)}
    jagged = {bag.ids for bag in bags.values()} | {bag.weights for bag in bags.values() if bag.weights}
    ends = {bag.offsets: int(bag.layout == "offsets_end") for bag in bags.values()}
    varies = {name: bool(shape) and shape[0] < 0 for name, _, shape in input_signature(function)}
    sizes = {n: len(arrays[n]) - ends.get(n, 0) for n in names if n not in jagged and arrays[n].ndim}
    fixed = any(not varies[name] for name in sizes)
    if fixed:
        sizes = {name: size for name, size in sizes.items() if not varies[name]} or sizes
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise RequestError(
            "request.cannot-limit",
            f"the inputs have different numbers of rows ({shown}), so it is not clear what a request is",
            hint="bags whose ids the model computes, or that are left to onnxruntime, cannot be cut",
        )
    requests = next(iter(sizes.values()))
    if not requests:
        raise RequestError("request.none", "no requests, nothing to measure", hint="give some")
    rows = tuple(name for name in sizes if name not in ends)
    return RequestBatches({n: arrays[n] for n in names}, requests, rows, tuple(bags.values()), fixed)


def _jagged(module: ModuleOp, names: tuple[str, ...], arrays: Arrays) -> Iterable[JaggedInputs]:
    """The bags whose ids and offsets are inputs, each checked to fit its ``arrays``."""
    for op in main_function(module).body.block.ops:
        if not isinstance(op, rec.EmbeddingBagOp) or op.offsets is None:
            continue
        ids, offsets, weights = op.ids, op.offsets, op.weights
        if isinstance(ids, BlockArgument) and isinstance(offsets, BlockArgument):
            weight = names[weights.index] if isinstance(weights, BlockArgument) else ""
            bag = JaggedInputs(names[ids.index], names[offsets.index], weight, op.layout.data)
            of_ids, table = arrays[weight] if weight else None, op.table.root_reference.data
            bags_of(arrays[bag.ids], arrays[bag.offsets], of_ids, bag.layout, op.mode.data, table)
            yield bag


def digest_of(arrays: Arrays) -> str:
    """SHA-256 over names, types, shapes and bytes of ``arrays``, in the order of their names."""
    import hashlib

    digest = hashlib.sha256()
    for name in sorted(arrays):
        array: NDArray[Any] = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    return digest.hexdigest()
