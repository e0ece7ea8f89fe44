"""How much of an untrusted model file the frontend is willing to look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Caps on an untrusted model; each is far above any real recommendation model.

    Attributes:
        model_bytes: size of the ``.onnx`` file itself (protobuf cannot represent more).
        structure_bytes: size of that file without its large weights; bounds what parsing can allocate.
        parts: top-level entries of the graph: nodes, initialisers, value descriptions.
        nodes: nodes of all graphs and functions together, and likewise initialisers and functions.
        values: names of inputs and outputs of all nodes together.
        nesting: depth of graphs within graphs, also once functions are expanded.
        call_depth: length of a chain of functions that call one another.
        expanded_nodes: nodes after every local function is expanded at its calls.
        expanded_bytes: size of the functions after that expansion.
        name_chars: length of any name.
        rank: dimensions of a tensor.
        sparse_elements: elements of all sparse constants together, once they are made dense.
        external_files: number of files that hold external data.
        host_seconds: time of one call of onnxruntime (a host segment on a batch, the reference, folding).
        host_bytes: memory that one call of onnxruntime may take, beyond the weights of its model.
    """

    model_bytes: int = 2**31 - 1
    structure_bytes: int = 512 << 20
    parts: int = 1_000_000
    nodes: int = 100_000
    values: int = 4_000_000
    nesting: int = 32
    call_depth: int = 128
    expanded_nodes: int = 1_000_000
    expanded_bytes: int = 1 << 30
    name_chars: int = 1024
    rank: int = 32
    sparse_elements: int = 1 << 24
    external_files: int = 4096
    host_seconds: float = 300.0
    host_bytes: int = 4 << 30
