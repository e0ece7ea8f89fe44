"""The arrays that stand beside dumped IR, with what passes learnt from calibration, in one file.

Names of the tensor store are used as they are; samples and accesses get names that no ONNX tensor has a
reason to have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, SymbolRefAttr
from xdsl.ir import Attribute

from cimc.ir.context import Access, CompilerContext
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import symbol

_SAMPLES, _IDS, _COUNTS, _REQUESTS, _PAIRS, _PAIR_COUNTS = (
    f"cimc:{part}:" for part in ("samples", "ids", "counts", "requests", "pairs", "pair-counts")
)


def save_arrays_of(ctx: CompilerContext, arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write ``arrays`` (names of the store) and the calibration results of ``ctx``, atomically.

    Raises:
        CimcError: ``io.cannot-write``.
    """
    store = TensorStore()
    for name, array in arrays.items():
        store.put(name, array)
    for name, samples in ctx.samples.items():
        store.put(_SAMPLES + name, samples)
    for name, access in ctx.access.items():
        store.put(_IDS + name, access.ids)
        store.put(_COUNTS + name, access.counts)
        store.put(_REQUESTS + name, np.array([access.requests], np.int64))
        if len(access.pairs):
            store.put(_PAIRS + name, access.pairs)
            store.put(_PAIR_COUNTS + name, access.pair_counts)
    store.save(path)


def symbols_of(module: ModuleOp) -> set[str]:
    """Every ``@symbol`` that a module names."""
    found: set[str] = set()
    work: list[Attribute] = []
    for op in module.walk():
        work += [*op.attributes.values(), *op.properties.values()]
    while work:
        attr = work.pop()
        if isinstance(attr, SymbolRefAttr):
            found.add(symbol(attr))
        elif isinstance(attr, ArrayAttr):
            work += attr.data
        elif isinstance(attr, DictionaryAttr):
            work += attr.data.values()
    return found


def load_arrays_into(ctx: CompilerContext, path: Path, names: set[str]) -> None:
    """Read what :func:`save_arrays_of` wrote into the store, samples and accesses of ``ctx``.

    Of the arrays only those in ``names`` are taken: a dump holds those of all its steps.

    Raises:
        PassError: ``ir.bad-store``.
    """
    found = TensorStore.load(path)
    for name in found:
        array = found[name]
        if name.startswith(_SAMPLES):
            ctx.samples[name.removeprefix(_SAMPLES)] = array
        elif name.startswith(_IDS):
            key = name.removeprefix(_IDS)
            together = (found[_PAIRS + key], found[_PAIR_COUNTS + key]) if _PAIRS + key in found else ()
            ctx.access[key] = Access(array, found[_COUNTS + key], int(found[_REQUESTS + key][0]), *together)
        elif name in names:
            ctx.store.put(name, array)
