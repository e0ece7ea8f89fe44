"""Names: doubled, empty, endless, with control characters, or no UTF-8."""

from __future__ import annotations

from typing import Any

import onnx

from tests.fuzz.subject import Subject, mutation

HOSTILE = (
    "", " ", "\n", "\x00", "\x1b[31mred", "a" * 1025, "n" * 10_000, "../../etc/passwd", "%s%n",
    "x\ty", "é\u202e", "@main", "%0", "}", "\"", "\\", "0", "data", "header", "constants", "in0",
    "out0", "\U0001f600",
)  # fmt: skip


def _rename(s: Subject, old: str, new: str) -> None:
    """Everywhere, so that the graph stays what it was."""
    for graph in s.graphs():
        for part in (graph.input, graph.output, graph.value_info, graph.initializer):
            for item in part:
                if item.name == old:
                    item.name = new
        for node in graph.node:
            node.input[:] = [new if n == old else n for n in node.input]
            node.output[:] = [new if n == old else n for n in node.output]
    if old in s.inputs:
        s.inputs[new] = s.inputs.pop(old)


@mutation
def rename_value(s: Subject) -> Any:
    names = s.values(s.graph)
    if not names:
        return False
    _rename(s, s.rng.choice(names), s.rng.choice([*HOSTILE, s.rng.choice(names)]))
    return None


@mutation
def rename_node(s: Subject) -> Any:
    node, other = s.node(), s.node()
    if node is None or other is None:
        return False
    node.name = s.rng.choice([*HOSTILE, other.name])
    return None


@mutation
def rename_one_use(s: Subject) -> Any:
    info = s.infos()
    if not info:
        return False
    s.rng.choice(info).name = s.rng.choice(HOSTILE)
    return None


@mutation
def rename_tensor(s: Subject) -> Any:
    """Two initialisers of one name, or one of no use."""
    if not s.graph.initializer:
        return False
    one, other = s.rng.choice(s.graph.initializer), s.rng.choice(s.graph.initializer)
    one.name = s.rng.choice([other.name, other.name, *HOSTILE])
    return None


@mutation
def rename_dimension(s: Subject) -> Any:
    dims = [d for v in s.infos() for d in v.type.tensor_type.shape.dim if d.HasField("dim_param")]
    if not dims:
        return False
    s.rng.choice(dims).dim_param = s.rng.choice([*HOSTILE, s.rng.choice(dims).dim_param])
    return None


@mutation
def hostile_metadata(s: Subject) -> Any:
    text = s.rng.choice(HOSTILE)
    s.proto.producer_name, s.graph.name, s.graph.doc_string = text, text, text * 3
    entry = s.proto.metadata_props.add()
    entry.key, entry.value = text, text


@mutation
def name_without_utf8(s: Subject) -> Any:
    node = s.node()
    names = [v for v in s.values(s.graph) if len(v) > 1] + ([node.op_type] if node is not None else [])
    if not names:
        return False
    old = s.rng.choice(names).encode()
    first, everywhere = s.rng.randrange(len(old)), s.rng.random() < 0.5
    new = old[:first] + b"\xff" + old[first + 1 :]
    s.damages.append(lambda data: data.replace(old, new, -1 if everywhere else 1))
    return None


@mutation
def repeat_output(s: Subject) -> Any:
    """A node defines what another one already defines."""
    one, other = s.node(), s.node()
    if one is None or other is None or not one.output or not other.output:
        return False
    one.output[0] = other.output[0]
    return None


def _unused(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]


@mutation
def drop_value_info(s: Subject) -> Any:
    _unused(s.proto)
