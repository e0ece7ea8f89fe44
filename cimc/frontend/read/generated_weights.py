"""Generated weights, in place of data files that are missing: the graph alone is enough to compile.

Sizes, placement and cost of a model do not depend on what its weights are, so a model whose terabyte of
tables stays where it is can be studied from its graph.  :mod:`cimc.support.io.generated` makes the
elements, block by block, where and when they are read.

Values look like trained ones: bell-shaped (the sum of four uniform bytes, which is within 3.5 standard
deviations), tables with standard deviation 0.1, weights of layers with ``1 / sqrt(fan in)``, factors of
normalisations around 1.  Results computed from them mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import onnx
from onnx import TensorProto, helper

from cimc.errors import CimcError, Location, ModelError, printable
from cimc.ir.onnx.graphs import all_nodes
from cimc.ir.onnx.tensors import Array
from cimc.support.io.generated import GeneratedArray, Spread

MAX_ELEMENTS = 1 << 36
"""Elements of all generated tensors together; a graph of a kilobyte can ask for any number."""

_HELD_BYTES = 1 << 20
"""Smaller tensors are generated at once."""

_KINDS = {
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE,
    TensorProto.INT8, TensorProto.UINT8,
}  # fmt: skip


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
