"""Generated weights, in place of data files that are missing: the graph alone is enough to compile.

Sizes, placement and cost of a model do not depend on what its weights are, so a model whose terabyte of
tables stays where it is can be studied from its graph.  Element ``i`` of a tensor is a function of the seed,
the tensor's name and ``i`` alone: tables are generated block by block, where and when they are read.

Values look like trained ones: bell-shaped (the sum of four uniform bytes, which is within 3.5 standard
deviations), tables with standard deviation 0.1, weights of layers with ``1 / sqrt(fan in)``, factors of
normalisations around 1.  Results computed from them mean nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cimc.errors import CimcError, Location, ModelError, printable
from cimc.frontend.structure import all_nodes
from cimc.frontend.tensors import Array
from cimc.ir.lazy import LazyArray

MAX_ELEMENTS = 1 << 36
"""Elements of all generated tensors together; a graph of a kilobyte can ask for any number."""

_HELD_BYTES = 1 << 20
"""Smaller tensors are generated at once."""

_BLOCK = 1 << 16
"""Elements that are generated together."""

_BYTE_SUM_MEAN = 510
_BYTE_SUM_DEVIATION = math.sqrt(4 * (256**2 - 1) / 12)
_KINDS = {
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE,
    TensorProto.INT8, TensorProto.UINT8,
}  # fmt: skip


class Spread(NamedTuple):
    """Mean and standard deviation of generated elements."""

    mean: float
    deviation: float


class GeneratedArray(LazyArray):
    """A tensor of bell-shaped random elements, made from a counter; see the module's text.

    Args:
        name: what tells this tensor from others of the same seed.
        seed: of the random numbers.
        shape: at least one dimension.
        dtype: a floating-point type, or ``int8`` or ``uint8``.
        spread: of floating-point elements; integers fill most of their range.
    """

    def __init__(
        self, name: str, seed: int, shape: tuple[int, ...], dtype: np.dtype[Any], spread: Spread
    ) -> None:
        self.shape, self.dtype = shape, dtype
        if dtype.kind in "iu":
            spread = Spread(0.0 if dtype.kind == "i" else 128.0, 32.0)
        self.recipe = f"generated:{seed} {spread.mean!r} {spread.deviation!r} {name}"
        self._key = np.frombuffer(hashlib.sha256(f"{seed} {name}".encode()).digest()[:16], "<u8")
        self._mean = np.float32(spread.mean)
        self._step = np.float32(spread.deviation / _BYTE_SUM_DEVIATION)
        self._width = math.prod(shape[1:])
        self._rows = max(1, _BLOCK // max(1, self._width))

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for block in range(start // self._rows, -(-stop // self._rows)):
            first = block * self._rows
            low, high = max(start, first), min(stop, first + self._rows)
            out[low - start : high - start] = self._block(block)[low - first : high - first]
        return out

    def gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        blocks = rows // self._rows
        order = np.argsort(blocks, kind="stable")
        cuts = np.flatnonzero(np.diff(blocks[order], prepend=-1))
        for part in np.split(order, cuts[1:]) if len(order) else ():
            block = int(blocks[part[0]])
            out[part] = self._block(block)[rows[part] - block * self._rows]
        return out

    def _block(self, block: int) -> NDArray[Any]:
        """The elements of a block; those beyond the array's end are generated and not used."""
        count = self._rows * self._width
        counter = np.array([0, block, 0, 0], np.uint64)
        raw = np.random.Philox(key=self._key, counter=counter).random_raw((count + 1) // 2)
        bits = raw.astype("<u8", copy=False).view("<u4")[:count]
        pairs = bits >> 8  # sums of two bytes in either half, then of both halves
        pairs &= 0x00FF00FF
        bits &= 0x00FF00FF
        pairs += bits
        values = ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.float32)
        values -= np.float32(_BYTE_SUM_MEAN)
        values *= self._step
        values += self._mean
        if self.dtype.kind in "iu":
            values = np.rint(values)
        return values.astype(self.dtype).reshape(self._rows, *self.shape[1:])


@dataclass
class GeneratedWeights:
    """The tensors of one model whose data files are missing.

    Attributes:
        seed: of the random numbers.
        tensors: what was asked for, in order: names (or places, of unnamed ones), types and shapes.
        files: the missing files.
    """

    seed: int
    tensors: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    elements: int = 0
    _roles: dict[str, Spread] | None = None

    @classmethod
    def parse(cls, text: str) -> GeneratedWeights:
        """Weights as ``generated:SEED`` asks for them.

        Raises:
            CimcError: ``frontend.weights-option``.
        """
        kind, _, seed = text.partition(":")
        if kind != "generated" or not seed.isascii() or not seed.isdigit() or len(seed) > 18:
            raise CimcError(
                "frontend.weights-option",
                f"weights '{printable(text, 60)}' are not of the form generated:SEED",
                hint="for example generated:0",
            )
        return cls(int(seed))

    def take(self, tensor: onnx.TensorProto, count: int, file: str) -> None:
        """Note that the data file of ``tensor``, of ``count`` elements, is missing.

        Raises:
            ModelError: ``frontend.cannot-generate`` for a type of which random elements make no sense, or
                ``frontend.too-large``.
        """
        where = Location(file=file, tensor=printable(tensor.name))
        self.elements += count
        if tensor.data_type not in _KINDS:
            kind = TensorProto.DataType.Name(tensor.data_type).lower()
            raise ModelError(
                "frontend.cannot-generate",
                f"the data file of this {kind} tensor is missing, and weights can be generated for "
                "floating-point and 8-bit tensors only",
                location=where,
                hint="indices and shapes must be inside of the model file: export with a size threshold",
            )
        if self.elements > MAX_ELEMENTS:
            raise ModelError(
                "frontend.too-large",
                f"more than {MAX_ELEMENTS} elements would have to be generated",
                location=where,
            )
        self.files.add(_location(tensor))
        self.tensors[_name(tensor)] = f"{tensor.data_type} {list(tensor.dims)}"

    def covers(self, tensor: onnx.TensorProto) -> bool:
        """Whether the data of an external tensor is generated."""
        return _location(tensor) in self.files

    def array(self, tensor: onnx.TensorProto, model: onnx.ModelProto) -> Array:
        """The elements of a tensor of ``model``; a :class:`GeneratedArray` if they are many."""
        if self._roles is None:
            self._roles = dict(_spreads(model.graph))
        shape = tuple(tensor.dims)
        spread = self._roles.get(tensor.name) or _spread("", 0, shape, False)
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        lazy = GeneratedArray(_name(tensor), self.seed, shape or (1,), dtype, spread)
        if lazy.nbytes <= _HELD_BYTES:
            return np.asarray(lazy).reshape(shape)
        return cast(Array, lazy)  # sliced and gathered like one

    @property
    def recipe(self) -> str:
        """Text that determines all generated elements, given the graph."""
        tensors = "; ".join(f"{name!r}: {kind}" for name, kind in sorted(self.tensors.items()))
        return f"generated:{self.seed} {tensors}"

    @property
    def note(self) -> str:
        """What the user is told."""
        if not self.tensors:
            return f"no data file is missing: generated:{self.seed} generated nothing"
        names = ", ".join(printable(name, 60) for name in sorted(self.files)[:3])
        more = f" and {len(self.files) - 3} more" if len(self.files) > 3 else ""
        return (
            f"{len(self.tensors)} tensors ({self.elements} elements) are generated from seed {self.seed}, "
            f"their data files are missing ({names}{more}): sizes and costs hold, results mean nothing"
        )


def _location(tensor: onnx.TensorProto) -> str:
    return next((e.value for e in tensor.external_data if e.key == "location"), "")


def _name(tensor: onnx.TensorProto) -> str:
    entries = {e.key: e.value for e in tensor.external_data}
    return tensor.name or f"{entries.get('location', '')} at {entries.get('offset', '0')}"


# -- what a tensor is for -------------------------------------------------------------------------------

_PASSED_ON = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "DequantizeLinear")
_NORMALISING = ("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization")
_TABLE = Spread(0.0, 0.1)


def _spreads(graph: onnx.GraphProto) -> Iterator[tuple[str, Spread]]:
    """The spread of every initialiser, of subgraphs too, from the node that uses it first."""
    dims: dict[str, tuple[int, ...]] = {t.name: tuple(t.dims) for t in graph.initializer}
    for node, _ in all_nodes(graph.node):
        for attribute in node.attribute:
            if attribute.HasField("g"):
                dims |= {t.name: tuple(t.dims) for t in attribute.g.initializer}
    seen: set[str] = set()
    stands_for = {name: name for name in dims}
    for node, _ in all_nodes(graph.node):
        for index, name in enumerate(node.input):
            source = stands_for.get(name)
            if source is None:
                continue
            if index == 0 and node.op_type in _PASSED_ON and node.output:
                stands_for[node.output[0]] = source
            elif source not in seen:
                seen.add(source)
                flipped = any(a.name == "transB" and a.i for a in node.attribute)
                yield source, _spread(node.op_type, index, dims[source], flipped)


def _spread(op_type: str, index: int, dims: tuple[int, ...], flipped: bool) -> Spread:
    """Spread of a tensor of extents ``dims`` that is input ``index`` of an operator."""
    if index == 0 and op_type.startswith("Gather"):
        return _TABLE
    if op_type in _NORMALISING and index in (1, 4):  # factor, and variance of a batch normalisation
        return Spread(1.0, 0.1)
    if op_type in ("QuantizeLinear", "DequantizeLinear") and index == 1:
        return Spread(0.01, 0.001)
    if len(dims) < 2:
        return Spread(0.0, 0.05)
    if op_type == "Conv":
        fan_in = math.prod(dims[1:])
    elif op_type == "Transpose" or flipped or index == 0:
        fan_in = dims[-1]
    else:
        fan_in = dims[-2]
    return Spread(0.0, 1 / math.sqrt(max(1, fan_in)))
