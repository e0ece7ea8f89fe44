"""Judges the structure of a parsed model in plain Python, before any native pass sees it.

Everything here is linear in the size of the file, also where the model itself would take exponential
time or memory once its functions are expanded.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from cimc.errors import Location, ModelError, printable
from cimc.ir.onnx.graphs import all_nodes, graphs_of, subgraphs
from cimc.support.limits import Limits

FunctionKey = tuple[str, str, str]


def domain_of(domain: str) -> str:
    """The default domain has two spellings; this gives the short one."""
    return "" if domain == "ai.onnx" else domain


def node_name(node: onnx.NodeProto) -> str:
    """How messages call a node."""
    return printable(node.name or f"{node.op_type}:{next(iter(node.output), '')}")


@dataclass(frozen=True)
class StructureCheck:
    """Counts, names, functions and data flow of one model; each method raises ``ModelError``."""

    model: onnx.ModelProto
    file: str
    limits: Limits

    def error(
        self, code: str, message: str, *, node: str | None = None, hint: str | None = None
    ) -> ModelError:
        """A located error about this file."""
        return ModelError(code, message, location=Location(self.file, node), hint=hint)

    def counts_and_names(self) -> None:
        """Refuse too many nodes, initialisers, values or functions, too deep nesting, and long names."""
        limits, nodes, constants, values = self.limits, 0, 0, 0
        if len(self.model.functions) > limits.nodes:
            raise self.error("frontend.too-many-nodes", f"more than {limits.nodes} functions")
        for graph in graphs_of(self.model):
            constants += len(graph.initializer) + len(graph.sparse_initializer)
            self._names(graph.name, "graph")
            for part in (graph.input, graph.output, graph.value_info):
                values += len(part)
                for value in part:
                    self._names(value.name, "value")
                    if value.type.HasField("tensor_type"):
                        for dim in value.type.tensor_type.shape.dim:
                            self._names(dim.dim_param, "dimension")
            for tensor in graph.initializer:
                self._names(tensor.name, "tensor")
            for sparse in graph.sparse_initializer:
                self._names(sparse.values.name, "tensor")
        for opset in self.model.opset_import:
            self._names(opset.domain, "domain")
        for function in self.model.functions:
            named = (function.name, function.domain, function.overload, *function.input, *function.output)
            for name in named:
                self._names(name, "function")
        for body in (self.model.graph.node, *(f.node for f in self.model.functions)):
            for node, depth in all_nodes(body):
                nodes += 1
                values += len(node.input) + len(node.output) + len(node.attribute)
                if depth > limits.nesting:
                    raise self.error("frontend.too-deep", f"graphs are nested deeper than {limits.nesting}")
                if max(nodes, constants) > limits.nodes or values > limits.values:
                    raise self.error(
                        "frontend.too-many-nodes", f"more than {limits.nodes} nodes or {limits.values} values"
                    )
                self._names(node.name, "node")
                for name in (node.op_type, node.domain, node.overload, *node.input, *node.output):
                    self._names(name, "node", node)
                for attribute in node.attribute:
                    self._names(attribute.name, "attribute", node)
        if constants > limits.nodes or values > limits.values:
            raise self.error("frontend.too-many-nodes", f"more than {limits.nodes} initialisers")

    def _names(self, name: str | bytes, what: str, node: onnx.NodeProto | None = None) -> None:
        if isinstance(name, bytes):  # what protobuf gives for a string that is no UTF-8
            raise self.error(
                "frontend.bad-name", f"the name of a {what} is not valid UTF-8: {printable(repr(name), 60)}"
            )
        if len(name) > self.limits.name_chars:
            raise self.error(
                "frontend.name-too-long",
                f"the name of a {what} has {len(name)} characters: {printable(name, 40)}",
                node=node_name(node) if node else None,
                hint=f"names may have up to {self.limits.name_chars} characters",
            )

    # -- functions -----------------------------------------------------------------------------

    def functions(self) -> set[FunctionKey]:
        """Bound what expanding the local functions gives; returns those that the graph reaches.

        The number of nodes, bytes and levels after expansion follows by dynamic programming over the
        call graph, callees first, in Python integers.
        """
        bodies: dict[FunctionKey, Sequence[onnx.NodeProto]] = {}
        size: dict[FunctionKey, int] = {}
        for function in self.model.functions:
            key = (domain_of(function.domain), function.name, function.overload)
            if key in bodies:
                raise self.error(
                    "frontend.duplicate-name", f"function {printable(function.name)} is defined twice"
                )
            bodies[key], size[key] = function.node, function.ByteSize()
        if not bodies:
            return set()
        calls = {key: self._calls(body, bodies) for key, body in bodies.items()}
        order = self._callees_first(calls)
        nodes: dict[FunctionKey, int] = {}
        bytes_: dict[FunctionKey, int] = {}
        levels: dict[FunctionKey, int] = {}
        chain: dict[FunctionKey, int] = {}
        for key in order:
            called = calls[key]
            own = list(all_nodes(bodies[key]))
            nodes[key] = len(own) + sum(nodes[c] for c, _ in called)
            bytes_[key] = size[key] + sum(bytes_[c] for c, _ in called)
            levels[key] = max([d for _, d in own] + [d + levels[c] for c, d in called], default=0)
            chain[key] = 1 + max((chain[c] for c, _ in called), default=0)
        called = self._calls(self.model.graph.node, bodies)
        limits = self.limits
        for total, cap, what in (
            (sum(nodes[c] for c, _ in called), limits.expanded_nodes, "nodes"),
            (sum(bytes_[c] for c, _ in called), limits.expanded_bytes, "bytes"),
            (max((d + levels[c] for c, d in called), default=0), limits.nesting, "nested graphs"),
            (max((chain[c] for c, _ in called), default=0), limits.call_depth, "calls in a chain"),
        ):
            if total > cap:
                shown = total if total < 10**18 else "over 10^18"
                raise self.error(
                    "frontend.function-bomb",
                    f"expanding the model's functions gives {shown} {what}, the limit is {cap}",
                    hint="inline the functions when exporting",
                )
        return self._reached([c for c, _ in called], calls)

    @staticmethod
    def _calls(
        body: Sequence[onnx.NodeProto], known: dict[FunctionKey, Sequence[onnx.NodeProto]]
    ) -> list[tuple[FunctionKey, int]]:
        keys = (((domain_of(n.domain), n.op_type, n.overload), depth) for n, depth in all_nodes(body))
        return [(key, depth) for key, depth in keys if key in known]

    def _callees_first(self, calls: dict[FunctionKey, list[tuple[FunctionKey, int]]]) -> list[FunctionKey]:
        callers: dict[FunctionKey, list[FunctionKey]] = {key: [] for key in calls}
        waiting = {}
        for key, called in calls.items():
            distinct = {c for c, _ in called}
            waiting[key] = len(distinct)
            for c in distinct:
                callers[c].append(key)
        ready = [key for key, count in waiting.items() if not count]
        order = []
        while ready:
            key = ready.pop()
            order.append(key)
            for caller in callers[key]:
                waiting[caller] -= 1
                if not waiting[caller]:
                    ready.append(caller)
        if len(order) < len(calls):
            name = next(key[1] for key in calls if waiting[key])
            raise self.error("frontend.recursive-function", f"function {printable(name)} calls itself")
        return order

    @staticmethod
    def _reached(
        start: list[FunctionKey], calls: dict[FunctionKey, list[tuple[FunctionKey, int]]]
    ) -> set[FunctionKey]:
        found: set[FunctionKey] = set()
        while start:
            key = start.pop()
            if key not in found:
                found.add(key)
                start += [c for c, _ in calls[key]]
        return found

    # -- data flow -----------------------------------------------------------------------------

    def data_flow(self) -> None:
        """Every value has one definition and every use one; nodes are brought into topological order.

        onnxruntime accepts graphs whose nodes are in any order, the ONNX checker does not; so an
        unsorted graph is sorted here (stably), and only a cycle is an error.
        """
        self._graph(self.model.graph, [])
        for function in self.model.functions:
            self._unique(function.input, "function input")
            self._flow(function, set(function.input), list(function.output), [])

    def _unique(self, names: Sequence[str], what: str) -> None:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise self.error("frontend.duplicate-name", f"two values are the {what} '{printable(name)}'")
            seen.add(name)

    def _graph(self, graph: onnx.GraphProto, scopes: list[set[str]]) -> set[str]:
        inputs = [value.name for value in graph.input]
        self._unique(inputs, "graph input")
        given = set(inputs).union(
            (t.name for t in graph.initializer), (s.values.name for s in graph.sparse_initializer)
        )
        return self._flow(graph, given, [value.name for value in graph.output], scopes)

    def _flow(
        self,
        graph: onnx.GraphProto | onnx.FunctionProto,
        given: set[str],
        results: Sequence[str],
        scopes: list[set[str]],
    ) -> set[str]:
        """Check and sort one graph; returns the names it takes from the graphs around it."""
        producer: dict[str, int] = {}
        for index, node in enumerate(graph.node):
            for name in node.output:
                if name and (name in producer or name in given):
                    raise self.error(
                        "frontend.duplicate-name",
                        f"value '{printable(name)}' is defined twice",
                        node=node_name(node),
                        hint="a valid ONNX graph is in static single assignment form",
                    )
                producer[name] = index
        producer.pop("", None)
        inner = [*scopes, given | producer.keys()]
        captured: set[str] = set()
        needs: list[set[int]] = []
        for node in graph.node:
            used = {name for name in node.input if name}
            for sub in subgraphs(node):
                used |= self._graph(sub, inner)
            needs.append({producer[name] for name in used if name in producer})
            for name in used - given:
                if name in producer:
                    continue
                if not any(name in scope for scope in scopes):
                    raise self.error(
                        "frontend.missing-value",
                        f"value '{printable(name)}' is used, but nothing defines it",
                        node=node_name(node),
                    )
                captured.add(name)
        for name in results:
            if name not in producer and name not in given:
                raise self.error(
                    "frontend.missing-value", f"output '{printable(name)}' is not defined in its graph"
                )
        if any(index <= max(need, default=-1) for index, need in enumerate(needs)):
            self._sort(graph, needs)
        return captured

    def _sort(self, graph: onnx.GraphProto | onnx.FunctionProto, needs: list[set[int]]) -> None:
        users: list[list[int]] = [[] for _ in needs]
        for index, need in enumerate(needs):
            for before in need:
                users[before].append(index)
        waiting = [len(need) for need in needs]
        ready = [index for index, count in enumerate(waiting) if not count]
        order: list[int] = []
        while ready:
            index = heapq.heappop(ready)
            order.append(index)
            for user in users[index]:
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, user)
        if len(order) < len(needs):
            stuck = next(i for i, count in enumerate(waiting) if count)
            raise self.error(
                "frontend.cycle",
                "the graph has a cycle: a node needs its own result",
                node=node_name(graph.node[stuck]),
            )
        nodes = [onnx.NodeProto.FromString(graph.node[i].SerializeToString()) for i in order]
        del graph.node[:]
        graph.node.extend(nodes)
