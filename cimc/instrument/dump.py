"""IR in files after every pass, with the arrays that stand beside it and what passes learnt, in one file.

Names of the tensor store are used as they are; samples and accesses get names that no ONNX tensor has a
reason to have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, SymbolRefAttr
from xdsl.ir import Attribute
from xdsl.passes import ModulePass

from cimc.errors import CimcError, InfeasibleError
from cimc.ir.cim import stored_names
from cimc.ir.context import Access, CompilerContext
from cimc.ir.tensor_store import TensorStore
from cimc.ir.text import print_ir
from cimc.ir.types import symbol
from cimc.support.io.files import write_atomically
from cimc.support.row_bags import RowBags
from cimc.transforms.instrumentation import Instrument

_SAMPLES, _IDS, _COUNTS, _REQUESTS, _BAG_ROWS, _BAG_STARTS, _BAG_WEIGHTS = (
    f"cimc:{part}:"
    for part in ("samples", "ids", "counts", "requests", "bag-rows", "bag-starts", "bag-weights")
)


class DumpIR(Instrument):
    """Writes ``00-import.mlir``, ``01-NAME.mlir``, ... with locations, and ``data.safetensors``.

    The arrays are those of all steps, so that ``cimc opt`` can resume any of them.  Files of an attempt that
    did not fit the target are removed when the next one starts.

    Args:
        folder: where; made if absent.

    Raises:
        CimcError: ``io.cannot-write``.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._steps: list[tuple[Path, dict[str, NDArray[Any]]]] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CimcError(
                "io.cannot-write", f"cannot make the folder {self._folder}: {error.strerror or error}"
            ) from None

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        self._steps = []
        self._dump("import", module, ctx)

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        self._dump(each.name, module, ctx)

    def retry(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        number: int,
        again: ModulePass,
        error: InfeasibleError,
    ) -> None:
        for path, _ in self._steps[number + 1 :]:
            path.unlink(missing_ok=True)
        del self._steps[number + 1 :]

    def after_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        # passes drop arrays that later ones do not need; a dump can be resumed from any of them
        arrays = {name: array for _, held in self._steps for name, array in held.items()}
        save_arrays_of(ctx, arrays, self._folder / "data.safetensors")

    def _dump(self, name: str, module: ModuleOp, ctx: CompilerContext) -> None:
        path = self._folder / f"{len(self._steps):02}-{name}.mlir"
        write_atomically(path, print_ir(module, locations=True))
        self._steps.append((path, {key: ctx.store[key] for key in ctx.store}))


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
        if access.bags is not None:
            store.put(_BAG_ROWS + name, access.bags.rows)
            store.put(_BAG_STARTS + name, access.bags.starts)
            store.put(_BAG_WEIGHTS + name, access.bags.weights)
    store.save(path)


def symbols_of(module: ModuleOp) -> set[str]:
    """Every ``@symbol`` that a module names."""
    found: set[str] = set()
    work: list[Attribute] = []
    for op in module.walk():
        work += [*op.attributes.values(), *op.properties.values()]
        found.update(stored_names(op))
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
            bags = None
            if _BAG_ROWS + key in found:
                bags = RowBags(*(found[part + key] for part in (_BAG_ROWS, _BAG_STARTS, _BAG_WEIGHTS)))
            ctx.access[key] = Access(array, found[_COUNTS + key], int(found[_REQUESTS + key][0]), bags)
        elif name in names:
            ctx.store.put(name, array)
