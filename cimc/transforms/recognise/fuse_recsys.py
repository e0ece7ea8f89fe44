"""``fuse-recsys``: from the ``onnx`` to the ``rec`` dialect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Region
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import GreedyRewritePatternApplier, PatternRewriteWalker

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.errors import Shortage
from cimc.frontend.export_graph import opset_of
from cimc.ir import rec
from cimc.ir.context import CompilerContext, compiler_context
from cimc.ir.onnx import dialect as onnx
from cimc.ir.rec import shape
from cimc.ir.text import verify_ir
from cimc.ir.types import symbol
from cimc.remarks import HostNode, ModelLayer, ModelTable, NearMiss, RecognitionRemarks, Work
from cimc.transforms.matching.graph import Graph
from cimc.transforms.onnx.batch_major.lift import batch_first
from cimc.transforms.onnx.composites.operators import Made, expand, has_compound, torn_apart
from cimc.transforms.onnx.floats_to_f32 import has_other_floats, to_f32
from cimc.transforms.onnx.qdq_normal_form import is_quantised, to_float_form
from cimc.transforms.onnx.scale_before_gather import gathers_integers, to_scaled_tables
from cimc.transforms.recognise import RECOGNISERS, recognisers
from cimc.transforms.recognise.capacity import demote_too_large
from cimc.transforms.recognise.outline_host import make_segments
from cimc.transforms.recognise.recogniser import Recogniser, Stage
from cimc.transforms.recognise.shape_work import chip_work, host_work


@dataclass(frozen=True)
class FuseRecsys(ModulePass):
    """Recognise tables, layers and interactions; group the rest into host segments.

    In: a module of the ``onnx`` dialect, preferably canonicalised.  Out: ``@main`` holds ``rec`` operations
    alone, ``onnx`` operations stand inside ``rec.host``.

    Options:
        only: names of the recognisers to use; all by default (an ablation, or a search for a wrong one).
        also: names of recognisers of installed plug-ins to use.
        vector: send to the vector unit also what no table, layer or interaction is connected to.  Such
            operations stay on the host by default, as nothing is won by the trip.
        scratchpad: share of a tile's scratchpad that values may take before they stay on the host.

    Leaves :class:`~cimc.remarks.RecognitionRemarks`: where every node went, what nearly matched, and the work
    of the chip and of each node on the host.
    """

    name = "fuse-recsys"
    only: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    vector: bool = False
    scratchpad: int | float = 1.0

    def __post_init__(self) -> None:
        for name in (*self.only, *self.also):
            _ = RECOGNISERS[name]

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in [f for f in op.body.block.ops if isinstance(f, FuncOp)]:
            names = {o.name for o in function.body.block.ops}
            if names <= {"func.return"} or any(name.startswith("onnx.") for name in names):
                self._fuse(function, op, compiler)
        if self.scratchpad < 1:
            compiler.notes.append(
                f"values count on {self.scratchpad:.0%} of a scratchpad (fuse-recsys{{scratchpad="
                f"{self.scratchpad}}}): what does not fit there stays on the host"
            )
        verify_ir(op, f"after {self.name}")

    def adjusted(self, shortage: Shortage) -> FuseRecsys | None:
        """With less of a scratchpad for values, which may not fit together although each of them does."""
        less = next((share for share in (0.5, 0.25, 0.1, 0.0) if share < self.scratchpad), None)
        if shortage.resource != "scratchpad" or less is None:
            return None
        return replace(self, scratchpad=less)

    def _fuse(self, function: FuncOp, module: ModuleOp, ctx: CompilerContext) -> None:
        graph, found, made = self._recognised(function, module, ctx)
        graph.sweep()
        make_segments(graph)
        names = {_stand_in(o, graph, made): name for o, name in found.items()}
        _update_type(function)
        ctx.remark(_remarks(graph, names))

    def _recognised(
        self, function: FuncOp, module: ModuleOp, ctx: CompilerContext
    ) -> tuple[Graph, dict[onnx.NodeOp, tuple[str, str]], Made]:
        """Replace what is recognised; also the name and operator of every node of the model.

        Compound operators become what they stand for; ``Made`` says which nodes come from which.
        A quantised model is brought into the one form that recognisers read, and one of other float types
        into f32; if nothing of it goes to the chip, it stays as it was.  So does a sequence of steps of which
        the chip would get some products only.
        """
        notes, stored = len(ctx.notes), set(ctx.store)
        whole: dict[int, str] = {}
        while True:
            found = self._attempt(function, module, ctx, whole)
            on_chip = _on_chip(function)
            if found.original is None or (on_chip and not found.torn):
                return found.graph, found.names, found.made
            del ctx.notes[notes:]
            for name in [n for n in ctx.store if n not in stored]:
                ctx.store.remove(name)
            function.detach_region(function.body)
            function.add_region(found.original)
            if not on_chip:
                break
            whole |= found.torn
        graph, names = Graph(function, ctx, ShapeAnalysis(function, ctx), opset_of(module)), _names(function)
        refused = {o: found.refused.get(k) for k, o in enumerate(function.body.block.ops)}
        self._rewritten(function, graph)
        for op in names:
            if reason := refused[op]:
                graph.note(op, "compound", reason)
        return graph, names, {}

    def _attempt(
        self, function: FuncOp, module: ModuleOp, ctx: CompilerContext, whole: Mapping[int, str]
    ) -> _Attempt:
        """Take apart all compound operators but those at the places in ``whole``, and recognise."""
        analysis = ShapeAnalysis(function, ctx)
        analysis.refine_types()
        floats, integers = has_other_floats(function), is_quantised(function)
        rows = gathers_integers(function, analysis.constants)
        compound = not self.only and has_compound(function, analysis.constants)
        names = _names(function)
        if not (floats or integers or rows or compound):
            graph = self._rewritten(function, Graph(function, ctx, analysis, opset_of(module)))
            return _Attempt(graph, names, None)
        places = {o: k for k, o in enumerate(function.body.block.ops)}
        original = function.body.clone()
        made: Made = {}
        refused = {o: whole[k] for o, k in places.items() if k in whole and isinstance(o, onnx.NodeOp)}
        if compound:
            made, reasons = expand(function, analysis, ctx, opset_of(module).get("", 1), refused)
            refused |= reasons
            ShapeAnalysis(function, ctx).refine_types()
        if floats:
            to_f32(function)
        if integers:
            to_float_form(function, ctx)
        if rows:
            to_scaled_tables(function, ctx)
        analysis = ShapeAnalysis(function, ctx)
        analysis.refine_types()
        graph = Graph(function, ctx, analysis, opset_of(module))
        self._rewritten(function, graph)
        for op, reason in refused.items():
            graph.note(op, "compound", reason)
        torn = {places[o]: reason for o, reason in torn_apart(made, graph).items()}
        return _Attempt(graph, names, original, made, {places[o]: r for o, r in refused.items()}, torn)

    def _rewritten(self, function: FuncOp, graph: Graph) -> Graph:
        if not self.only:
            batch_first(graph)
        for stage in Stage:
            _walk([r(graph) for r in recognisers(stage, self.only, self.also)], function)
        _forget_detached(function)
        if graph.ctx.target is not None:
            demote_too_large(graph, graph.ctx.target, self.scratchpad)
        if not self.vector:
            graph.demote_islands()
        return graph


@dataclass(frozen=True)
class _Attempt:
    """What came of one way to take compound operators apart.

    Attributes:
        names: name and operator of every node of the model.
        original: the function as it was; None if nothing was rewritten before recognition.
        made: which node of the model each new node comes from.
        refused: why nodes stayed whole, by their place in the original.
        torn: nodes of which only a part went to the chip, by place, and why.
    """

    graph: Graph
    names: dict[onnx.NodeOp, tuple[str, str]]
    original: Region | None
    made: Made = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    torn: dict[int, str] = field(default_factory=dict)


def _names(function: FuncOp) -> dict[onnx.NodeOp, tuple[str, str]]:
    nodes = [o for o in function.body.block.ops if isinstance(o, onnx.NodeOp)]
    return {o: (onnx.name_of(o) or o.operator, o.operator) for o in nodes}


def _stand_in(op: onnx.NodeOp, graph: Graph, made: Made) -> onnx.NodeOp:
    """The node that tells where ``op`` of the model went: the first of what it became that is on the host."""
    parts = [graph.twins.get(new, new) for new, old in made.items() if old is op] or [graph.twins.get(op, op)]
    return next((p for p in parts if p in graph.hosted), parts[-1])


def _on_chip(function: FuncOp) -> bool:
    return any(o.name.startswith("rec.") for o in function.body.block.ops)


def _walk(chosen: list[Recogniser], function: FuncOp) -> None:
    """Users before producers, so that a recogniser sees what its root is needed for."""
    pattern = GreedyRewritePatternApplier(list(chosen))
    walker = PatternRewriteWalker(pattern, apply_recursively=False, walk_reverse=True)
    walker.rewrite_region(function.body)


def _forget_detached(function: FuncOp) -> None:
    """Operations that a match made and then did without are no users of the values they were made from."""
    inside = set(function.walk())
    values = [*function.body.block.args, *(result for op in inside for result in op.results)]
    for value in values:
        for use in list(value.uses):
            if use.operation not in inside:
                use.operation.drop_all_references()


def _update_type(function: FuncOp) -> None:
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    function.properties["function_type"] = FunctionType.from_lists(
        [a.type for a in function.body.block.args], [v.type for v in end.arguments]
    )


def _remarks(graph: Graph, names: dict[onnx.NodeOp, tuple[str, str]]) -> RecognitionRemarks:
    """Where every node went, in node order."""
    ops = list(graph.function.body.block.ops)
    bags = [o for o in ops if isinstance(o, rec.EmbeddingBagOp)]
    uses = Counter(symbol(b.table) for b in bags)
    tables = {symbol(b.table): (b.rows.value.data, b.dim.value.data) for b in bags}
    linear = (
        ModelLayer(symbol(o.weight), onnx.name_of(o), shape(o.x)[-1], o.units.value.data)
        for o in ops
        if isinstance(o, rec.LinearOp)
    )
    near = (
        NearMiss(m.recogniser, m.node, m.reason)
        for node, found in graph.misses.items()
        if node in graph.hosted and node in names
        for m in found.values()
        if m.near
    )
    return RecognitionRemarks(
        nodes=len(names),
        chip=sum(o in graph.claimed for o in names),
        folded=sum(o not in graph.claimed and o not in graph.hosted for o in names),
        recognised=dict(sorted(Counter(graph.claimed.values()).items())),
        host=tuple(
            HostNode(kind, name, graph.hosted[o]) for o, (name, kind) in names.items() if o in graph.hosted
        ),
        segments=sum(isinstance(o, rec.HostOp) for o in ops),
        batch=str(graph.batch) if graph.batch is not None else None,
        tables=tuple(ModelTable(n, r, d, uses[n]) for n, (r, d) in tables.items()),
        linear=tuple(linear),
        misses=tuple(near),
        work=Work(chip_work(graph), tuple(host_work(graph))),
    )
