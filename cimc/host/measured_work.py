"""What a host segment multiplies and looks up for the requests at hand, counted by onnxruntime.

:func:`instrumented` adds nodes that multiply the extents that the rules of ``multiplications.py`` name.  In
the body of a loop each count becomes a scan output, summed behind the loop; a branch that does not run
counts zero.  So trips, branches and sizes are those that really occur, and no shape has to be guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from cimc.host.runtime import HostRunner
from cimc.ir.onnx.multiplications import LOOKUPS, MACS, UNCHANGED, Extent, Node, Product, Work, work_of
from cimc.remarks.host_work import HostWork

_DECIDED = frozenset(
    ("Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "SequenceAt", "SequenceMap", "SplitToSequence")
)
"""Operators whose sizes, or whether they run at all, values decide, not shapes alone."""
_SIZED = {
    **dict.fromkeys(("ConstantOfShape", "Range"), 0),
    **dict.fromkeys(("Expand", "OneHot", "Pad", "Reshape", "Resize", "Slice", "Tile", "TopK", "Unique"), 1),
}
"""Operators whose sizes their inputs decide, from this one on."""

_NUMBERS = frozenset(
    (
        *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16),
        *(TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4),
    )
)
_SAME_RANK = ("Cast", "DequantizeLinear", "Identity")


@dataclass(frozen=True)
class Site:
    """A node that does something: its counters, a value of the instrumented model each (``""``: zero)."""

    node: str
    op: str
    unknown: str
    counters: Mapping[str, str]
    within: str = ""

    def counts(self, values: Mapping[str, NDArray[Any]]) -> tuple[float | None, float | None]:
        """MACs and looked-up values, given the counters' values."""
        if self.unknown:
            return None, None
        macs, lookups = (
            float(values[self.counters[k]]) if k in self.counters else 0.0 for k in (MACS, LOOKUPS)
        )
        return macs, lookups


@dataclass
class Counted:
    """A model with counters.

    Attributes:
        model: gives the counters, and holds what they need.
        sites: the nodes that are counted.
        by_values: whether equal shapes of inputs may give other counts.
    """

    model: bytes
    sites: list[Site]
    by_values: bool

    def run(self, inputs: Mapping[str, NDArray[Any]], runner: HostRunner) -> list[HostWork]:
        """Count the work on all of ``inputs`` together."""
        names = [name for site in self.sites for name in site.counters.values()]
        values = runner.run(self.model, inputs, names) if names else {}
        return [
            HostWork(site.node, site.op, *site.counts(values), site.unknown, site.within)
            for site in self.sites
        ]


def instrumented(model: ModelProto) -> Counted:
    """``model`` with counters; the argument is changed."""
    run = _Instrumenter(model)
    sites = run.graph(model.graph, None)
    names = [name for site in sites for name in site.counters.values()]
    del model.graph.output[:]
    model.graph.output.extend(_scalar(name) for name in names)
    _keep_what_is_needed(model.graph, names)
    if not any(o.domain in ("", "ai.onnx") for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 17))
    return Counted(model.SerializeToString(), sites, run.by_values)


def _keep_what_is_needed(graph: GraphProto, names: list[str]) -> None:
    """Take out of ``graph`` all nodes and constants that ``names`` are not computed from."""
    needed = set(names)
    nodes = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(_read_by(node))
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    constants = [t for t in graph.initializer if t.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _read_by(node: NodeProto) -> Iterator[str]:
    """The names that ``node`` and its bodies use."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield from (value.name for value in attribute.g.output)
            for inner in attribute.g.node:
                yield from _read_by(inner)


@dataclass
class _Scope:
    """What the names of a graph, and of those around it, stand for."""

    around: _Scope | None
    constants: dict[str, TensorProto] = field(default_factory=dict)
    makers: dict[str, NodeProto] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    def scope_of(self, name: str) -> _Scope | None:
        scope: _Scope | None = self
        while scope is not None and name not in scope.own:
            scope = scope.around
        return scope

    def constant(self, name: str) -> TensorProto | None:
        """The constant behind a name, however it was reshaped or widened."""
        scope = self.scope_of(name)
        if scope is None:
            return None
        if name in scope.constants:
            return scope.constants[name]
        maker = scope.makers.get(name)
        if maker is None or maker.domain or maker.op_type not in UNCHANGED or not maker.input:
            return None
        return scope.constant(maker.input[0])

    def dims(self, name: str) -> tuple[int, ...] | None:
        """The extents of a constant; of other values they are not known."""
        scope = self.scope_of(name)
        if scope is None:
            return None
        if name in scope.constants:
            return tuple(scope.constants[name].dims)
        maker = scope.makers.get(name)
        same = maker is not None and not maker.domain and maker.op_type in _SAME_RANK
        return scope.dims(maker.input[0]) if maker is not None and same else None


class _Instrumenter:
    def __init__(self, model: ModelProto) -> None:
        self.count = 0
        self.by_values = False
        self.given = {v.name for v in model.graph.input}
        """Names of values that depend on the elements of inputs, not on their shapes alone."""

    def name(self) -> str:
        """A name that no value of the model has."""
        self.count += 1
        return f"cimc.work.{self.count}"

    def graph(self, graph: GraphProto, around: _Scope | None) -> list[Site]:
        """Add counters to ``graph``; the scalars that they name are values of it."""
        scope = _Scope(around, {t.name: t for t in graph.initializer})
        scope.own |= {v.name for v in graph.input} | set(scope.constants)
        nodes = list(graph.node)
        for node in nodes:
            scope.own |= set(node.output)
            scope.makers |= dict.fromkeys(node.output, node)
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if node.op_type == "Constant" and value is not None:
                scope.constants[node.output[0]] = value
        del graph.node[:]
        sites: list[Site] = []
        for node in nodes:
            self._follow(node)
            made: list[NodeProto] = []
            work = work_of(self._view(node, scope))
            if work:
                sites.append(self._site(node, work, scope, made))
            sites += self._bodies(node, scope, made)
            graph.node.append(node)
            graph.node.extend(made)
        return sites

    def _follow(self, node: NodeProto) -> None:
        """Note what ``node`` says of where sizes come from."""
        sizes = node.input[_SIZED[node.op_type] :] if node.op_type in _SIZED else ()
        self.by_values |= node.op_type in _DECIDED or any(name in self.given for name in sizes)
        bodies = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        if bodies or (node.op_type not in ("Shape", "Size") and any(n in self.given for n in node.input)):
            self.given |= set(node.output)
        self.given |= {value.name for body in bodies for value in body.input}

    def _view(self, node: NodeProto, scope: _Scope) -> Node:
        attributes = {a.name: a for a in node.attribute}

        def attribute(name: str) -> Any:
            found = attributes.get(name)
            if found is None:
                return None
            value = helper.get_attribute_value(found)
            return value.decode() if isinstance(value, bytes) else value

        def table(value: Any) -> bool:
            constant = scope.constant(value)
            return constant is not None and constant.data_type in _NUMBERS

        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        ins, outs = ([name or None for name in names] for names in (node.input, node.output))

        def rank(value: Any) -> int | None:
            dims = scope.dims(value)
            return None if dims is None else len(dims)

        return Node(operator, ins, outs, attribute, rank, table)

    def _site(self, node: NodeProto, work: Work, scope: _Scope, made: list[NodeProto]) -> Site:
        counters = {}
        for what, products in ((MACS, work.macs), (LOOKUPS, work.lookups)):
            if products and not work.unknown:
                counters[what] = self._sum(products, scope, made)
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        return Site(node.name or operator, operator, work.unknown, counters)

    def _sum(self, products: tuple[Product, ...], scope: _Scope, made: list[NodeProto]) -> str:
        terms = [self._fold("Mul", [self._factor(f, scope, made) for f in p], made) for p in products]
        return self._fold("Add", terms, made)

    def _fold(self, kind: str, names: list[str], made: list[NodeProto]) -> str:
        total = names[0]
        for each in names[1:]:
            total = self._node(kind, [total, each], made)
        return total

    def _factor(self, factor: int | Extent, scope: _Scope, made: list[NodeProto]) -> str:
        if isinstance(factor, int):
            return self._constant(factor, made)
        name, dims = str(factor.value), scope.dims(str(factor.value))
        if dims is not None:  # a number, so that counting needs no copy of the constant
            return self._constant(prod(dims) if factor.axis is None else dims[factor.axis], made)
        if factor.axis is None:
            return self._node("Size", [name], made)
        shape = self._node("Shape", [name], made)
        return self._node("Gather", [shape, self._constant(factor.axis, made)], made, axis=0)

    def _constant(self, number: int, made: list[NodeProto]) -> str:
        value = numpy_helper.from_array(np.array(number, np.int64))
        return self._node("Constant", [], made, value=value)

    def _node(self, kind: str, inputs: list[str], made: list[NodeProto], **attributes: Any) -> str:
        out = self.name()
        made.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    # -- bodies ---------------------------------------------------------------------------------------

    def _bodies(self, node: NodeProto, scope: _Scope, made: list[NodeProto]) -> list[Site]:
        """Counters of the bodies of ``node``, as values of the graph that ``node`` is in."""
        bodies = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        if not bodies:
            return []
        inside = [self.graph(body, scope) for body in bodies]
        name = node.name or node.op_type
        if node.domain or node.op_type not in ("If", "Loop", "Scan"):
            why = f"how often {node.op_type} runs it is not counted"
            return [
                replace(s, unknown=s.unknown or why, counters={}, within=name)
                for found in inside
                for s in found
            ]
        sites = []
        for index, found in enumerate(inside):
            for site in found:
                counters = {}
                for what, counter in site.counters.items():
                    out = self.name()
                    node.output.append(out)
                    for number, body in enumerate(bodies):
                        inner = counter if number == index else self._constant_in(body)
                        body.output.append(_scalar(inner))
                    self._scanned(node)
                    looped = node.op_type != "If"
                    counters[what] = self._node("ReduceSum", [out], made, keepdims=0) if looped else out
                sites.append(replace(site, counters=counters, within=name))
        return sites

    def _constant_in(self, body: GraphProto) -> str:
        made: list[NodeProto] = []
        name = self._constant(0, made)
        body.node.extend(made)
        return name

    @staticmethod
    def _scanned(node: NodeProto) -> None:
        """One more output of a Scan: attributes that have an entry for each get one more."""
        for attribute in node.attribute:
            if attribute.name in ("scan_output_axes", "scan_output_directions"):
                attribute.ints.append(0)


def _scalar(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, [])
