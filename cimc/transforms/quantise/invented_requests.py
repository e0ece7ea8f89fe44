"""Invented calibration requests, for users who give none.

The model itself says what its inputs are (``analysis/provenance.py``): ids get random rows of the smallest
table that they index, boundaries cut them into short bags, everything else is normally distributed.  Ranges
set from such requests are guesses; the caller says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from cimc.analysis.provenance import Jagged, Meaning, Source, meaning_of
from cimc.errors import CimcError, Location
from cimc.frontend.read.load_model import LoadedModel
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir.context import CompilerContext, Requests
from cimc.ir.onnx.tensors import stored_bytes
from cimc.ir.types import DYNAMIC, element_of, element_to_dtype, is_float, shape_of
from cimc.support.random.draws import Draws
from cimc.support.random.splitmix import key_of
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline

Array = NDArray[Any]

_TRIED_BYTES = 1 << 26
"""Larger weights are not handed to onnxruntime: it would map them all."""

MAX_BAG = 5
"""Ids per bag: 1 to this many."""
OTHER_EXTENT = 5
"""Extent of a dynamic dimension that is neither the batch nor a total of ids."""


def synthetic_requests(
    loaded: LoadedModel, module: ModuleOp, ctx: CompilerContext, seed: int, count: int = 64
) -> Requests:
    """Random requests that the model accepts.

    Args:
        loaded: the model, on which the requests are tried.
        module: the same as imported; left as it is.
        ctx: its context; left as it is.
        seed: of the random numbers; the same seed gives the same requests.
        count: requests, where the model leaves their number open.

    Raises:
        CimcError: ``calib.cannot-synthesize`` when an input has no meaning that the graph shows, or
            onnxruntime rejects the requests (for models of large or generated weights: the fused model does).
    """
    clone, own = module.clone(), ctx.clone()
    Pipeline.parse(FRONTEND).run(clone, own)
    inputs = _inputs(module)
    drawn = _Draw(inputs, meaning_of(clone, own), count, Draws(key_of(seed, "calibration"))).all()
    try:
        asked = {v.name for v in loaded.proto.graph.input} - {t.name for t in loaded.proto.graph.initializer}
        if asked <= drawn.keys() and _tried_in_onnxruntime(loaded):
            run_onnx(loaded.path, drawn)
        else:
            evaluate(clone, own, drawn)
    except CimcError as error:
        raise _failed(f"the model rejects the requests that were tried: {error.message}", loaded) from None
    return drawn


def _tried_in_onnxruntime(loaded: LoadedModel) -> bool:
    """Whether onnxruntime can run the file, and does so within the memory that compiling needs anyway."""
    if loaded.generated is not None and loaded.generated.tensors:
        return False
    outside = [t for t in loaded.proto.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    return sum(stored_bytes(t.data_type, math.prod(t.dims)) for t in outside) <= _TRIED_BYTES


def _failed(why: str, loaded: LoadedModel | None = None, tensor: str | None = None) -> CimcError:
    return CimcError(
        "calib.cannot-synthesize",
        f"calibration requests were not given and cannot be invented: {why}",
        location=Location(file=str(loaded.path) if loaded else None, tensor=tensor),
        hint="record some requests (numpy.savez, arrays named after the inputs) and give them with --calib",
    )


@dataclass
class _Input:
    """An input: its type, and for each dimension its extent or the name of a dynamic one."""

    name: str
    type: Attribute
    dims: list[int | str]

    @property
    def dtype(self) -> np.dtype[Any]:
        element = element_of(self.type)
        if element is None or shape_of(self.type) is None:
            raise _failed("its type is not a tensor of known rank", tensor=self.name)
        return element_to_dtype(element)


def _inputs(module: ModuleOp) -> dict[str, _Input]:
    function = next(op for op in module.body.block.ops if isinstance(op, FuncOp))
    names, dims = function.attributes["onnx.inputs"], function.attributes["onnx.dims"]
    assert isinstance(names, ArrayAttr)
    assert isinstance(dims, ArrayAttr)
    out = {}
    for name, labels, argument in zip(names, dims, function.body.block.args, strict=True):
        known = shape_of(argument.type) or ()
        texts = [str(label.data) for label in labels] + [""] * len(known)
        mixed: list[int | str] = [
            extent if extent != DYNAMIC else text or f"{name.data}/{axis}"
            for axis, (extent, text) in enumerate(zip(known, texts, strict=False))
        ]
        out[str(name.data)] = _Input(str(name.data), argument.type, mixed)
    return out


@dataclass
class _Draw:
    inputs: dict[str, _Input]
    meaning: Meaning
    count: int
    drawn: Draws
    extents: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, Array] = field(default_factory=dict)
    arrays: Requests = field(default_factory=dict)

    def all(self) -> Requests:
        """An array per input, in the graph's order."""
        self.settle_batch()
        for ids in dict.fromkeys(j.ids for j in self.meaning.jagged):
            self.settle_total(ids)
        for name, entry in self.inputs.items():
            self.arrays[name] = self.plain(entry)
        for bag in self.meaning.jagged:
            self.bound(bag)
        return self.arrays

    # -- extents ------------------------------------------------------------------------------------

    def settle_batch(self) -> None:
        """Every dynamic leading dimension is the batch, but those of jagged ids and their weights."""
        loose = {j.ids for j in self.meaning.jagged} | set(self.meaning.weights)
        ends = {j.boundary.name for j in self.meaning.jagged if j.layout == "offsets_end"}
        for name, entry in self.inputs.items():
            if name not in loose and entry.dims:
                # boundaries of several bags stand one row each; their last dimension is the batch
                jagged = any(j.boundary.name == name for j in self.meaning.jagged)
                dim = entry.dims[-1 if jagged else 0]
                if isinstance(dim, str):
                    self.extents.setdefault(dim, self.count + (name in ends and len(entry.dims) == 1))

    def settle_total(self, ids: str) -> None:
        """The number of ids in all: drawn, where it is open."""
        bag = next(j for j in self.meaning.jagged if j.ids == ids)
        dim = self.inputs[ids].dims[0]
        slots = self.slots(bag)
        if isinstance(dim, str) and dim not in self.extents:
            self.lengths[ids] = 1 + self.drawn.below(MAX_BAG, (slots,))
            self.extents[dim] = int(self.lengths[ids].sum())
        for weight, of in self.meaning.weights.items():
            if of == ids and isinstance(self.inputs[weight].dims[0], str):
                self.extents.setdefault(str(self.inputs[weight].dims[0]), self.extent(dim))

    def slots(self, bag: Jagged) -> int:
        """Bags that the boundary of ``bag`` delimits."""
        size = np.zeros(self.shape(self.inputs[bag.boundary.name]))[_boundary(bag, self.inputs)].size
        return max(int(size) - self.closed(bag, int(size)), 1)

    def closed(self, bag: Jagged, size: int) -> int:
        """1 where the boundary also states the final end, else 0."""
        if bag.layout == "lengths":
            return 0
        total = self.inputs[bag.ids].dims[0]
        if isinstance(total, int) and size > 1:
            # both extents are fixed: the host may hide the layout, but arithmetic shows it
            return int(total % size != 0 and total % (size - 1) == 0)
        return int(bag.layout == "offsets_end")

    def extent(self, dim: int | str) -> int:
        return dim if isinstance(dim, int) else self.extents.setdefault(dim, OTHER_EXTENT)

    def shape(self, entry: _Input) -> tuple[int, ...]:
        return tuple(self.extent(dim) for dim in entry.dims)

    # -- contents -----------------------------------------------------------------------------------

    def plain(self, entry: _Input) -> Array:
        """Ids where they select rows, else normal numbers; boundaries are filled in later."""
        shape, dtype = self.shape(entry), entry.dtype
        sources = self.meaning.ids.get(entry.name, [])
        element = element_of(entry.type)
        assert element is not None
        if is_float(element):
            array = self.drawn.normal(shape).astype(dtype)
        elif dtype.kind == "b":
            array = self.drawn.below(2, shape).astype(bool)
        elif any(j.boundary.name == entry.name for j in self.meaning.jagged):
            return np.zeros(shape, dtype)
        elif not any(s.limit for s in sources):
            raise _failed("the graph does not show what this integer input means", tensor=entry.name)
        else:
            array = np.zeros(shape, dtype)
        # the loosest limits first, so that where several apply the tightest one stands
        for source in sorted(sources, key=lambda s: -(s.limit or 0)):
            if source.limit:
                part = _part(source, array.ndim)
                array[part] = self.drawn.below(source.limit, array[part].shape).astype(dtype)
        return array

    def bound(self, bag: Jagged) -> None:
        """Write the boundaries of ``bag``; where the number of ids was given, they are dealt evenly."""
        array = self.arrays[bag.boundary.name]
        part = _boundary(bag, self.inputs)
        total, size = self.arrays[bag.ids].shape[0], array[part].size
        slots = size - self.closed(bag, size)
        lengths = self.lengths.get(bag.ids)
        if lengths is None or len(lengths) != slots:
            lengths = np.diff(np.arange(slots + 1) * total // max(slots, 1))
        edges = np.concatenate([[0], np.cumsum(lengths)])
        values = lengths if bag.layout == "lengths" else edges[:size]
        array[part] = values.reshape(array[part].shape).astype(array.dtype)


def _part(source: Source, rank: int) -> Any:
    """Index of the elements of an array of ``rank`` dimensions that a source stands for."""
    if source.select is None:
        return ...
    axis, positions = source.select
    index: list[Any] = [slice(None)] * rank
    index[axis] = list(positions)
    return tuple(index)


def _boundary(bag: Jagged, inputs: dict[str, _Input]) -> Any:
    """Index of the part of an input that delimits the bags; a vector is one boundary, however it is cut."""
    rank = len(inputs[bag.boundary.name].dims)
    return _part(bag.boundary, rank) if rank > 1 else ...
