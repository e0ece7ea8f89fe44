"""Nodes that choose: ``TopK``, ``ArgMax`` and ``ArgMin``.  What they choose can be recorded, and prescribed.

A choice is not continuous: of two scores that nearly tie, the smallest error decides which item is taken, and
everything computed from the ids jumps.  So a comparison with a reference looks at the scores that a program
chose by, and at what the reference makes of *the same* ids (``cimc.compare.following``).

Only nodes of the main graph take part: inside of a loop, a node chooses more than once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from cimc.ir.onnx.graphs import graphs_of

Array = NDArray[Any]
Runner = Callable[[ModelProto | bytes, Mapping[str, Array], Sequence[str]], dict[str, Array]]
"""Runs a model: as :func:`cimc.host.runtime.run_onnx`."""

_KINDS = ("TopK", "ArgMax", "ArgMin")
_LINKS = ("Softmax", "Sigmoid")
_NUMBER = re.compile(r"(/\d+)+$")
GATHER_ELEMENTS = 11
"""First operator set that has ``GatherElements``."""


@dataclass(frozen=True)
class Chooser:
    """A node that chooses.

    Attributes:
        name: of the node, without the number that the exporter gives to one of several.
        op: ``TopK``, ``ArgMax`` or ``ArgMin``.
        axis: of the scores; negative: from the end.
        largest: whether larger scores are better.
        ordered: whether the ids come best first.
        keepdims: whether ids keep the axis.
        scores, ids, values: names of the values; ``values`` may be absent (``""``).
        link: operator that made the scores where it keeps their order: ``Softmax``, ``Sigmoid`` or ``""``.
        key: what it computes: nodes of equal keys choose the same.
    """

    name: str
    op: str
    axis: int
    largest: bool
    ordered: bool
    keepdims: bool
    scores: str
    ids: str
    values: str
    link: str
    key: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """What a node chose, by which scores."""

    chooser: Chooser
    scores: Array
    ids: Array


def choosers(graph: GraphProto) -> list[tuple[int, Chooser]]:
    """The choosing nodes of a graph, each with its position; those that choose among constants are not."""
    found = []
    makers = {out: node for node in graph.node for out in node.output}
    varying = {v.name for v in graph.input} - {t.name for t in graph.initializer}
    for at, node in enumerate(graph.node):
        if not varying & used_by(node):
            continue
        varying.update(node.output)
        if node.op_type in _KINDS and node.domain in ("", "ai.onnx") and node.input[0] in varying:
            found.append((at, _chooser(node, makers.get(node.input[0]))))
    return found


def used_by(node: NodeProto) -> set[str]:
    """Names of all values that a node reads, those that its bodies take from outside included."""
    names = set(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                names |= used_by(inner)
            names |= {v.name for v in attribute.g.output}
    return names - {""}


def _chooser(node: NodeProto, maker: NodeProto | None) -> Chooser:
    attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    top = node.op_type == "TopK"
    outputs = [*node.output, ""]
    key = (node.op_type, tuple(node.input), tuple(sorted((k, repr(v)) for k, v in attrs.items())))
    return Chooser(
        name=_NUMBER.sub("", node.name),
        op=node.op_type,
        axis=int(attrs.get("axis", -1 if top else 0)),
        largest=bool(attrs.get("largest", 1)) if top else node.op_type == "ArgMax",
        ordered=bool(attrs.get("sorted", 1)),
        keepdims=top or bool(attrs.get("keepdims", 1)),
        scores=node.input[0],
        ids=outputs[1 if top else 0],
        values=outputs[0] if top else "",
        link=maker.op_type if maker is not None and maker.op_type in _LINKS else "",
        key=key,
    )


class Recorder:
    """Records what the choosing nodes of a program choose while its parts run in onnxruntime."""

    def __init__(self) -> None:
        self.found: list[Choice] = []

    def wrap(self, run: Runner) -> Runner:
        """``run``, which now also records."""
        return lambda model, inputs, outputs: self._run(run, model, inputs, outputs)

    def _run(
        self, run: Runner, model: ModelProto | bytes, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> dict[str, Array]:
        if isinstance(model, bytes) and not any(kind.encode() in model for kind in _KINDS):
            return run(model, inputs, outputs)
        proto = ModelProto.FromString(model) if isinstance(model, bytes) else model
        if not choosers(proto.graph):
            return run(model, inputs, outputs)
        edited = ModelProto.FromString(proto.SerializeToString(deterministic=True))
        taps = expose(edited)
        values = run(edited, inputs, [*outputs, *(name for tap in taps for name in tap[1:])])
        self.found += [Choice(c, np.asarray(values[s]), np.asarray(values[i])) for c, s, i in taps]
        return {name: values[name] for name in outputs}


def expose(model: ModelProto) -> list[tuple[Chooser, str, str]]:
    """Make scores and ids of every choosing node outputs of ``model``: (node, name of scores, of ids)."""
    graph, names = model.graph, Names(model)
    found, tapped = [], []
    for at, chooser in choosers(graph):
        node = graph.node[at]
        if not chooser.ids:
            del node.output[1:]
            node.output.append(names.fresh("ids"))
        own = node.output[1 if chooser.op == "TopK" else 0]
        scores, ids = names.fresh("scores"), names.fresh("ids")
        tapped += [
            NodeProto(op_type="Identity", input=[source], output=[out])
            for source, out in ((chooser.scores, scores), (own, ids))
        ]
        found.append((chooser, scores, ids))
    graph.node.extend(tapped)
    graph.output.extend(ValueInfoProto(name=n) for _, s, i in found for n in (s, i))
    return found


def prescribe(model: ModelProto, which: Container[int]) -> list[tuple[int, str, str, str]]:
    """Let nodes be told what they choose: what follows uses ids that are inputs of ``model``.

    The nodes still choose by themselves, and their scores and own ids become outputs.  ``which``: positions
    among :func:`choosers`.  Returns (position, input of ids, output of scores, output of own ids) of those
    that can be told: the values of a ``TopK`` of an operator set below 11 could not be gathered.
    """
    graph, names = model.graph, Names(model)
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    nodes = list(graph.node)
    told = []
    for number, (at, chooser) in reversed(list(enumerate(choosers(graph)))):
        followed = chooser.values and _is_used(graph, chooser.values)
        if number not in which or (followed and version < GATHER_ELEMENTS):
            continue
        given, scores, own = names.fresh("chosen"), names.fresh("scores"), names.fresh("ids")
        added = [NodeProto(op_type="Identity", input=[chooser.scores], output=[scores])]
        if chooser.ids:
            added.append(NodeProto(op_type="Identity", input=[given], output=[chooser.ids]))
        if followed:
            gather = NodeProto(
                op_type="GatherElements", input=[chooser.scores, given], output=[chooser.values]
            )
            gather.attribute.append(helper.make_attribute("axis", chooser.axis))
            added.append(gather)
        outputs = [names.fresh("values"), own] if chooser.op == "TopK" else [own]
        del nodes[at].output[:]
        nodes[at].output.extend(outputs)
        nodes[at + 1 : at + 1] = added
        graph.input.append(ValueInfoProto(name=given))
        graph.input[-1].type.tensor_type.elem_type = TensorProto.INT64
        graph.output.extend(ValueInfoProto(name=n) for n in (scores, own))
        told.append((number, given, scores, own))
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return told[::-1]


def decided_by(graph: GraphProto, chooser: Chooser) -> list[str]:
    """Outputs of a graph that depend on what a node chooses."""
    reached = {chooser.ids, chooser.values} - {""}
    for node in graph.node:
        if reached & used_by(node):
            reached.update(node.output)
    return [v.name for v in graph.output if v.name in reached]


def ids_among(graph: GraphProto, nodes: Sequence[Chooser]) -> set[str]:
    """Outputs of a graph that hold ids, whatever their type: of items chosen by ``nodes``.

    That is what choosing nodes give, moved, converted, counted from another base, or looked up in a constant
    of texts or whole numbers.
    """
    constants = {t.name: t for t in graph.initializer}
    ids = {node.ids for node in nodes}
    varying = {v.name for v in graph.input} - constants.keys()
    for node in graph.node:
        if varying & used_by(node):
            varying.update(node.output)
        if node.op_type in _MOVES and _moves_ids(node, ids, varying, constants):
            ids.update(node.output)
    return ids & {v.name for v in graph.output}


_MOVES = {
    "Identity": 1, "Cast": 1, "Squeeze": 1, "Unsqueeze": 1, "Reshape": 1, "Flatten": 1, "Transpose": 1,
    "Slice": 1, "Split": 1, "Expand": 1, "Tile": 1, "Concat": None, "Add": None, "Sub": None, "Mul": None,
    "Where": None, "Gather": 2, "GatherND": 2, "GatherElements": 2,
}  # fmt: skip
"""Operators whose results are ids where those of their operands that count are; how many count (all)."""


def _moves_ids(
    node: NodeProto, ids: set[str], varying: set[str], constants: Mapping[str, TensorProto]
) -> bool:
    operands = list(node.input[: _MOVES[node.op_type]])
    if node.op_type == "Where":
        del operands[0]
    if node.op_type.startswith("Gather") and operands[0] in constants and not _whole(constants[operands[0]]):
        return False
    return any(o in ids for o in operands) and all(o in ids or o not in varying for o in operands)


def _whole(tensor: TensorProto) -> bool:
    if tensor.data_type == TensorProto.STRING:
        return True
    array = onnx.numpy_helper.to_array(tensor)
    return array.dtype.kind in "iub" or bool(np.all(array == np.rint(array)))


def _is_used(graph: GraphProto, name: str) -> bool:
    return any(name in used_by(n) for n in graph.node) or any(o.name == name for o in graph.output)


class Names:
    """Gives names that no value of a model has."""

    def __init__(self, model: ModelProto) -> None:
        self.taken = {name for graph in graphs_of(model) for name in _names(graph)}

    def fresh(self, wish: str) -> str:
        """``wish``, with a number if need be."""
        number = 0
        while f"{wish}.{number}" in self.taken:
            number += 1
        self.taken.add(f"{wish}.{number}")
        return f"{wish}.{number}"


def _names(graph: GraphProto) -> Iterator[str]:
    yield from (v.name for v in graph.input)
    yield from (t.name for t in graph.initializer)
    for node in graph.node:
        yield from node.output


def match(nodes: Sequence[Chooser], found: Sequence[Choice]) -> dict[int, Choice]:
    """Which recorded choice belongs to which of the nodes of the original model, by position in ``nodes``.

    Nodes are known by their names.  Where several have the same one, their order says which is which, if
    there are as many on both sides.  A node that computes what another one does may have been merged with it.
    """
    left, right = defaultdict(list), defaultdict(list)
    first = {node.key: at for at, node in reversed(list(enumerate(nodes)))}
    for at, node in enumerate(nodes):
        left[node.op, node.name].append(at)
    for choice in found:
        right[choice.chooser.op, choice.chooser.name].append(choice)
    pairs: dict[int, Choice] = {}
    for key, places in left.items():
        same = right.get(key, [])
        if len(same) != len(places):  # perhaps because equal ones became one
            places = [at for at in places if first[nodes[at].key] == at]
        if len(same) == len(places):
            pairs.update(zip(places, same, strict=True))
    for at, node in enumerate(nodes):
        if at not in pairs and first[node.key] in pairs:
            pairs[at] = pairs[first[node.key]]
    return dict(sorted(pairs.items()))
