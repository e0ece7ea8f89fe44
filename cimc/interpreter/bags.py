"""Embedding bags of a batch: from ids and offsets to flat ids and the start of every bag."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError

Ids = NDArray[np.int64]


class RowScales(NamedTuple):
    """Scales of a table's rows: integers ``q`` of row ``r`` stand for ``q * factors[r] + addends[r]``.

    Attributes:
        factors: ``float32[rows]``.
        addends: ``float32[rows]`` or ``None``.
    """

    factors: NDArray[np.float32]
    addends: NDArray[np.float32] | None = None

    def of(self, rows: NDArray[Any], ids: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Rows ``[n, dim]`` (any numbers that float32 holds) with ids ``[n]`` as ``float32[n, dim]``.

        The product and the sum are each rounded to float32.
        """
        out: NDArray[np.float32] = rows.astype(np.float32) * self.factors[ids][:, None]
        if self.addends is not None:
            out += self.addends[ids][:, None]
        return out


class Bags(NamedTuple):
    """Ids of all bags back to back.

    Attributes:
        ids: ``int64[n]``.
        starts: ``int64[bags + 1]``: bag ``i`` holds ``ids[starts[i]:starts[i + 1]]``.
        weights: ``float32[n]`` or ``None``.
        shape: leading shape of the pooled result, whose product is the number of bags.
    """

    ids: Ids
    starts: Ids
    weights: NDArray[np.float32] | None
    shape: tuple[int, ...]


def bags_of(
    ids: NDArray[Any],
    offsets: NDArray[Any] | None,
    weights: NDArray[Any] | None,
    layout: str,
    mode: str,
    subject: str,
    padding: int | None = None,
) -> Bags:
    """Normalise one of the layouts of ``rec.embedding_bag``; ids equal to ``padding`` are left out.

    ``subject`` names the table in errors.

    Raises:
        RequestError: ``request.bad-offsets`` when offsets decrease or leave the ids.
    """
    flat = np.ascontiguousarray(ids).reshape(-1).astype(np.int64, copy=False)
    flat_weights = None if weights is None else np.asarray(weights, np.float32).reshape(-1)
    if flat_weights is not None and flat_weights.size != flat.size:
        raise RequestError(
            "request.bad-weights",
            f"table {subject}: {flat_weights.size} per-sample weights for {flat.size} ids",
        )
    if layout == "fixed":
        length = 1 if ids.ndim == 1 or mode == "none" else ids.shape[-1]
        shape = ids.shape if ids.ndim == 1 or mode == "none" else ids.shape[:-1]
        count = int(np.prod(shape, dtype=np.int64))
        bags = Bags(flat, np.arange(count + 1, dtype=np.int64) * length, flat_weights, tuple(shape))
        return bags if padding is None else without(bags, padding)
    assert offsets is not None
    starts = offsets.astype(np.int64, copy=False)
    if layout == "offsets":
        starts = np.append(starts, flat.size)
    if starts.size == 0:
        starts = np.zeros(1, np.int64)
    falls = starts[1:] < starts[:-1]  # a difference could leave int64
    if starts[0] < 0 or starts[-1] > flat.size or falls.any():
        wrong = int(np.argmax(falls)) if falls.any() else starts.size - 1
        raise RequestError(
            "request.bad-offsets",
            f"table {subject}: offsets must grow from 0 to at most {flat.size} (the ids given); "
            f"request {wrong} breaks this",
            hint="offsets hold the start of each request's ids, in order",
        )
    bags = Bags(flat, starts, flat_weights, (starts.size - 1,))
    return bags if padding is None else without(bags, padding)


def without(bags: Bags, padding: int) -> Bags:
    """The same bags less the ids that equal ``padding``, and less their weights."""
    kept = bags.ids != padding
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    weights = None if bags.weights is None else bags.weights[kept]
    return Bags(bags.ids[kept], before[bags.starts], weights, bags.shape)


def chosen(bags: Bags, which: Ids) -> Bags:
    """The bags with numbers ``which``, int64 ``[n]``, in this order."""
    counts = np.diff(bags.starts)[which]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    at = np.repeat(bags.starts[:-1][which] - starts[:-1], counts) + np.arange(int(starts[-1]))
    weights = None if bags.weights is None else bags.weights[at]
    return Bags(bags.ids[at], starts, weights, (len(which),))


def check_ids(bags: Bags, rows: int, subject: str, first: int = 0) -> None:
    """Raise RequestError ``request.id-out-of-range`` unless all ids are in ``0 .. rows - 1``.

    ``first`` is the number of the request that the first bag belongs to.
    """
    used = bags.ids[bags.starts[0] : bags.starts[-1]]
    if used.size == 0 or (int(used.min()) >= 0 and int(used.max()) < rows):
        return
    at = int(np.argmax((used < 0) | (used >= rows))) + int(bags.starts[0])
    request = int(np.searchsorted(bags.starts, at, side="right")) - 1
    if len(bags.shape) > 1:
        request //= int(np.prod(bags.shape[1:], dtype=np.int64))
    raise RequestError(
        "request.id-out-of-range",
        f"table {subject}: id {int(bags.ids[at])} in request {first + request} is outside of 0..{rows - 1}",
        hint="check the preprocessing of this feature, or clip or hash ids before the model",
    )


def pooled_integers(table: NDArray[np.int8], bags: Bags) -> NDArray[np.int32]:
    """Sum of the rows of every bag, ``int32[bags, dim]``; an empty bag gives zeros."""
    count = bags.starts.size - 1
    out = np.zeros((count, table.shape[1]), np.int32)
    lengths = np.diff(bags.starts)
    for step in range(int(lengths.max(initial=0))):
        live = np.flatnonzero(lengths > step)
        out[live] += table[bags.ids[bags.starts[live] + step]]
    return out


def pooled_rows(
    table: NDArray[Any], scale: np.float32 | RowScales | None, bags: Bags, mode: str
) -> NDArray[np.float32]:
    """Pooled float rows, ``float32[bags, dim]`` (or one row per id in mode ``none``), in bag order.

    ``scale`` multiplies each row first (integer tables), or each row has its own; ``None`` leaves float
    tables as they are.
    """

    def rows(ids: Ids) -> NDArray[np.float32]:
        if isinstance(scale, RowScales):
            return scale.of(table[ids], ids)
        chosen: NDArray[np.float32] = table[ids].astype(np.float32, copy=False)
        return chosen if scale is None else chosen * scale

    if mode == "none":
        return rows(bags.ids)
    count = bags.starts.size - 1
    lengths = np.diff(bags.starts)
    out = np.zeros((count, table.shape[1]), np.float32)
    for step in range(int(lengths.max(initial=0))):
        live = np.flatnonzero(lengths > step)
        at = bags.starts[live] + step
        part = rows(bags.ids[at])
        if bags.weights is not None:
            part = bags.weights[at, None] * part
        if mode == "max" and step > 0:
            out[live] = np.maximum(out[live], part)
        elif mode == "max":
            out[live] = part
        else:
            out[live] += part
    return averaged(out, lengths) if mode == "mean" else out


def averaged(total: NDArray[np.float32], lengths: Ids) -> NDArray[np.float32]:
    """Sums of bags divided by their lengths; an empty bag stays zero."""
    return total / np.maximum(lengths, 1).astype(np.float32)[:, None]
