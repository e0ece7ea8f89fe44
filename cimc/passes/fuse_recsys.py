"""``fuse-recsys``: from the ``onnx`` to the ``rec`` dialect."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import GreedyRewritePatternApplier, PatternRewriteWalker

from cimc.errors import PassError
from cimc.frontend.exporter import opset_of
from cimc.frontend.match import Graph, Recogniser
from cimc.frontend.recognise import ALL, OPERATORS, PATTERNS
from cimc.frontend.segments import make_segments
from cimc.frontend.shapes import ShapeAnalysis
from cimc.ir import onnx, rec
from cimc.ir.context import CompilerContext, compiler_context
from cimc.ir.rec import shape
from cimc.ir.text import verify_ir
from cimc.ir.types import symbol


@dataclass(frozen=True)
class FuseRecsys(ModulePass):
    """Recognise tables, layers and interactions; group the rest into host segments.

    In: a module of the ``onnx`` dialect, preferably canonicalised.  Out: ``@main`` holds ``rec`` operations
    alone, ``onnx`` operations stand inside ``rec.host``.

    Options:
        only: names of the recognisers to use; all by default (an ablation, or a search for a wrong one).

    Facts: ``frontend`` (where every node went), ``misses`` (what nearly matched, per recogniser).
    """

    name = "fuse-recsys"
    only: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for name in self.only:
            if name not in ALL:
                raise PassError(
                    "pass.bad-option",
                    f"fuse-recsys knows no recogniser '{name}'",
                    hint=f"recognisers: {', '.join(sorted(ALL))}",
                )
        for function in [f for f in op.body.block.ops if isinstance(f, FuncOp)]:
            if any(o.name.startswith("onnx.") for o in function.body.block.ops):
                self._fuse(function, op, compiler)
        verify_ir(op, f"after {self.name}")

    def _fuse(self, function: FuncOp, module: ModuleOp, ctx: CompilerContext) -> None:
        analysis = ShapeAnalysis(function, ctx)
        analysis.refine_types()
        graph = Graph(function, ctx, analysis, opset_of(module))
        nodes = [o for o in function.body.block.ops if isinstance(o, onnx.NodeOp)]
        names = {o: (onnx.name_of(o) or o.kind, o.kind) for o in nodes}
        for stage in (PATTERNS, OPERATORS):
            chosen = [r(graph) for r in stage if not self.only or r.name in self.only]
            _walk(chosen, function)
        graph.demote_islands()
        graph.sweep()
        make_segments(graph)
        _update_type(function)
        ctx.facts["frontend"] = _facts(graph, names)
        ctx.facts["misses"] = [
            {k: v for k, v in asdict(m).items() if k != "near"}
            for node, found in graph.misses.items()
            if node in graph.hosted and node in names
            for m in found.values()
            if m.near
        ]


def _walk(recognisers: list[Recogniser], function: FuncOp) -> None:
    """Users before producers, so that a recogniser sees what its root is needed for."""
    pattern = GreedyRewritePatternApplier(list(recognisers))
    walker = PatternRewriteWalker(pattern, apply_recursively=False, walk_reverse=True)
    walker.rewrite_region(function.body)


def _update_type(function: FuncOp) -> None:
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    function.properties["function_type"] = FunctionType.from_lists(
        [a.type for a in function.body.block.args], [v.type for v in end.arguments]
    )


def _facts(graph: Graph, names: dict[onnx.NodeOp, tuple[str, str]]) -> dict[str, Any]:
    """What the report says of the frontend; JSON-able, in node order."""
    ops = list(graph.function.body.block.ops)
    bags = [o for o in ops if isinstance(o, rec.EmbeddingBagOp)]
    uses = Counter(symbol(b.table) for b in bags)
    tables = {symbol(b.table): (b.rows.value.data, b.dim.value.data) for b in bags}
    linear = [
        {"name": symbol(o.weight), "node": onnx.name_of(o), "in": shape(o.x)[-1], "out": o.units.value.data}
        for o in ops
        if isinstance(o, rec.LinearOp)
    ]
    return {
        "nodes": len(names),
        "chip": len(graph.claimed),
        "folded": len(names) - len(graph.claimed) - sum(o in graph.hosted for o in names),
        "recognised": dict(sorted(Counter(graph.claimed.values()).items())),
        "host": [
            {"op": kind, "node": name, "reason": graph.hosted[o]}
            for o, (name, kind) in names.items()
            if o in graph.hosted
        ],
        "segments": sum(isinstance(o, rec.HostOp) for o in ops),
        "batch": str(graph.batch) if graph.batch is not None else None,
        "tables": [{"name": n, "rows": r, "dim": d, "bags": uses[n]} for n, (r, d) in tables.items()],
        "linear": linear,
    }
