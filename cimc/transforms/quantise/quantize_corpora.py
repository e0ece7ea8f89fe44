"""Searches in a corpus of floats become searches in integers: scales of items, and of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from cimc.errors import Location, PassError
from cimc.ir import cim, rec
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import symbol, tensor
from cimc.support.io.streaming import blocks
from cimc.transforms.quantise.calibration import LARGEST
from cimc.transforms.quantise.imported_scales import Drive
from cimc.transforms.quantise.scale_rows import SMALLEST

UNEVEN = 1.5
"""Items whose largest elements differ by more than this (largest over median) get a factor each."""


def peaks_of(corpus: NDArray[Any], name: str) -> NDArray[np.float32]:
    """The largest magnitude of each item of ``corpus [items, dim]``, float32 ``[items]``.

    Raises:
        PassError: ``quantize.not-finite``, ``quantize.overflow``.
    """
    found = np.empty(len(corpus), np.float32)
    for start, part in blocks(corpus):
        found[start : start + len(part)] = np.abs(part).max(axis=1, initial=0.0)
    where = Location(tensor=name)
    if not np.isfinite(found).all():  # a maximum of NaN is NaN
        raise PassError("quantize.not-finite", "the corpus contains NaN or infinity", location=where)
    if found.max(initial=0.0) > LARGEST:
        raise PassError("quantize.overflow", f"the corpus exceeds {LARGEST:g}", location=where)
    return found


def factors_of(peaks: NDArray[np.float32], largest: int, each: bool | None) -> NDArray[np.float32]:
    """What an integer of each item stands for, float32: ``[items]`` where ``each`` has one, else ``[1]``.

    ``each``: ``None`` to decide by how uneven the items are (:data:`UNEVEN`).  Items of zeros have 1.
    """
    whole = float(peaks.max(initial=0.0))
    if each is None:
        each = whole > UNEVEN * float(np.median(peaks))
    wanted = peaks if each else np.array([whole], np.float32)
    return np.where(wanted >= largest * SMALLEST, wanted / np.float32(largest), np.float32(1)).astype(
        np.float32
    )


def integers_of(corpus: NDArray[Any], factors: NDArray[np.float32], largest: int) -> NDArray[np.int8]:
    """``corpus [items, dim]`` as integers ``-largest .. largest``, block by block."""
    found = np.empty(corpus.shape, np.int8)
    for start, part in blocks(corpus):
        scaled = part.astype(np.float32)
        scaled /= factors[start : start + len(part), None] if len(factors) > 1 else factors
        np.rint(scaled, out=scaled)
        found[start : start + len(part)] = np.clip(scaled, -largest, largest, out=scaled)
    return found


def declared(
    op: rec.SearchOp,
    name: str,
    store: TensorStore,
    drive: Drive,
    *,
    bits: tuple[int, int],
    largest: int,
    each: bool | None,
) -> cim.CorpusOp:
    """The corpus of a search as a matrix of integers; ``bits`` of items and of queries.

    A factor goes with each item where the items are uneven, or have biases: those count in units of the
    query's scale then, so that scores are true but for that scale.
    """
    source = store[symbol(op.corpus)]
    corpus = source.T if op.transposed.value.data else source
    factors = factors_of(peaks_of(corpus, symbol(op.corpus)), largest, True if op.bias is not None else each)
    integers = integers_of(corpus, factors, largest)
    one, own, biases = factors, None, None
    if len(factors) > 1 or op.bias is not None:
        one = np.ones(1, np.float32)
        own = store.add(f"{name}.row_scales", np.array(np.broadcast_to(factors, (len(corpus),))))
    if op.bias is not None:
        counted = store[symbol(op.bias)].astype(np.float64) / drive.scale
        biases = store.add(f"{name}.row_biases", counted.astype(np.float32))
    return cim.CorpusOp(
        name, (corpus.shape[0], corpus.shape[1]), bits[0],
        store.add(f"{name}.int", integers), store.add(f"{name}.scales", one),
        inputs=(bits[1], drive.signed), row_scales=own, row_biases=biases,
    )  # fmt: skip


def searching(op: rec.SearchOp, matrix: cim.CorpusOp, drive: Drive) -> list[Operation]:
    """What takes the place of ``op``: its query as integers, and the search."""
    driven = cim.QuantizeOp(op.x, drive.scale, matrix.inputs[0], drive.signed)
    return [driven, cim.SearchOp(driven.result, matrix.symbol, op.k.value.data)]


def rescaled(op: Operation, factor: float, store: TensorStore, name: str) -> list[Operation]:
    """Scores of hits of ``op`` times ``factor``: what they are in floats."""
    array = np.array([[factor]], np.float32)
    constant = rec.ConstantOp(store.add(f"{name}.score", array), tensor(array.shape))
    return [constant, rec.BinaryOp("mul", op.results[0], constant.result)]
