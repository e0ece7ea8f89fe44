"""What is mutated: a model, the files beside it, and the requests that it is run on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx


@dataclass(frozen=True)
class Seed:
    """A good model: ``files`` are the data files beside it, by relative path."""

    name: str
    model: bytes
    inputs: dict[str, np.ndarray]
    files: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def weight(self) -> float:
        """How often it is drawn: small models more often, since each takes less time."""
        proto = onnx.ModelProto.FromString(self.model)
        return 1 / (1 + len(proto.graph.node) / 30 + len(self.model) / (1 << 20))


@dataclass
class Subject:
    """A mutant in the making.

    Attributes:
        damages: what is done to the bytes of the model at the end.
        links: symbolic (``True``) or hard links to make beside the model, to the file outside of its folder.
        must_refuse: whether accepting it would be a bug by itself.
        outside: tensors whose external data is outside of the folder: likewise.
        history: what was done to it.
    """

    rng: random.Random
    proto: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    files: dict[str, bytes]
    damages: list[Callable[[bytes], bytes]] = field(default_factory=list)
    links: dict[str, bool] = field(default_factory=dict)
    must_refuse: bool = False
    outside: set[str] = field(default_factory=set)
    history: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seed: Seed, rng: random.Random) -> Subject:
        """A fresh copy of a seed."""
        proto = onnx.ModelProto.FromString(seed.model)
        return cls(rng, proto, dict(seed.inputs), dict(seed.files))

    @property
    def graph(self) -> onnx.GraphProto:
        """The main graph."""
        return self.proto.graph

    def bytes(self) -> bytes:
        """The model file."""
        data = self.proto.SerializeToString()
        for damage in self.damages:
            data = damage(data)
        return data

    def graphs(self) -> list[onnx.GraphProto]:
        """The main graph and its subgraphs."""

        def below(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
            yield graph
            for node in graph.node:
                for attribute in node.attribute:
                    if attribute.HasField("g"):
                        yield from below(attribute.g)

        return list(below(self.graph))

    def nodes(self) -> list[onnx.NodeProto]:
        """All nodes, also those of functions."""
        inside = [node for graph in self.graphs() for node in graph.node]
        return inside + [node for function in self.proto.functions for node in function.node]

    def node(self, *kinds: str) -> onnx.NodeProto | None:
        """A random node, of these operators if any are named."""
        found = [n for n in self.nodes() if not kinds or n.op_type in kinds]
        return self.rng.choice(found) if found else None

    def values(self, graph: onnx.GraphProto) -> list[str]:
        """Names of all values of a graph."""
        names = [v.name for v in graph.input] + [t.name for t in graph.initializer]
        return names + [o for n in graph.node for o in n.output if o]

    def tensors(self) -> list[onnx.TensorProto]:
        """All constants, those of attributes too."""
        found = [t for graph in self.graphs() for t in graph.initializer]
        return found + [a.t for n in self.nodes() for a in n.attribute if a.HasField("t")]

    def tensor(self) -> onnx.TensorProto | None:
        """A random constant."""
        found = self.tensors()
        return self.rng.choice(found) if found else None

    def infos(self) -> list[onnx.ValueInfoProto]:
        """Typed declarations: inputs, outputs and intermediate values."""
        return [v for g in self.graphs() for part in (g.input, g.output, g.value_info) for v in part]


Mutation = Callable[[Subject], Any]
"""Changes a subject in place; ``False`` says that there was nothing to change."""

MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Mutation) -> Mutation:
    """Register a mutation."""
    MUTATIONS[function.__name__] = function
    return function
