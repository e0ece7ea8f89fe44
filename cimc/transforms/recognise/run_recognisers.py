"""``recognise``: from the ``onnx`` to the ``rec`` dialect, node by node."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriteWalker, RewritePattern

from cimc.analysis.shapes.cached import keep, refined
from cimc.frontend.export_graph import opset_of
from cimc.ir.context import compiler_context
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.matching.graph import Graph
from cimc.transforms.onnx.onnx_functions import plain_functions, update_type
from cimc.transforms.recognise import RECOGNISERS, recognisers
from cimc.transforms.recognise.recogniser import Recogniser, Stage

BATCH = "rec.batch"
"""Attribute of a function that ``recognise`` has been through: the extent of the batch, "" if not known."""


@dataclass(frozen=True)
class Recognise(ModulePass):
    """Tables, layers, interactions and vector operations become operations of the ``rec`` dialect.

    In: functions of the ``onnx`` dialect without composites.  Out: ``rec`` operations beside what no
    recogniser took.  A node that was taken stays, unused, right behind the operations that compute it, so
    that ``demote`` can take them back; ``outline-host`` removes it.  Nodes are marked with who took them, or
    with what nearly did and why not.

    Options:
        only: names of the recognisers to use; all by default (an ablation, or a search for a wrong one).
        also: names of recognisers of installed plug-ins to use.

    Raises:
        PassError: ``pass.bad-option``, ``pass.after-recognise``, ``pass.needs-plan-offload``.
    """

    name = "recognise"
    only: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.only, *self.also):
            _ = RECOGNISERS[name]

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in plain_functions(op, self.name):
            analysis = refined(function, compiler)
            graph = Graph(function, compiler, analysis=analysis, opsets=opset_of(op))
            for stage in Stage:
                _walk([r(graph) for r in recognisers(stage, self.only, self.also)], function)
            _forget_detached(function)
            graph.write()
            batch = "" if graph.batch is None else str(graph.batch)
            function.attributes[BATCH] = StringAttr(batch)
            update_type(function)
            keep(analysis, compiler)


class _ByKind(RewritePattern):
    """Tries, in order, the recognisers of a node's kind until one takes it."""

    def __init__(self, recognisers: list[Recogniser]) -> None:
        self.recognisers = recognisers
        self.by_kind: dict[str, list[Recogniser]] = {}
        for each in recognisers:
            for kind in each.kinds:
                self.by_kind.setdefault(kind, []).append(each)

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, onnx.NodeOp):
            return
        # what nothing needs any more is dropped by whoever meets it
        for each in self.by_kind.get(op.kind) or self.recognisers[:1]:
            each.match_and_rewrite(op, rewriter)
            if rewriter.has_done_action:
                return


def _walk(recognisers: list[Recogniser], function: FuncOp) -> None:
    """Users before producers, so that a recogniser sees what its root is needed for."""
    pattern = _ByKind(recognisers)
    PatternRewriteWalker(pattern, apply_recursively=False, walk_reverse=True).rewrite_region(function.body)


def _forget_detached(function: FuncOp) -> None:
    """Operations that a match made and then did without are no users of the values they were made from."""
    inside = set(function.walk())
    values = [*function.body.block.args, *(result for op in inside for result in op.results)]
    for value in values:
        for use in list(value.uses):
            if use.operation not in inside:
                use.operation.drop_all_references()
