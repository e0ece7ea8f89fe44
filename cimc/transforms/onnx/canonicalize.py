"""``canonicalize``: the ``onnx`` dialect in its simplest form, every result unchanged bit for bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import GreedyRewritePatternApplier, PatternRewriteWalker

from cimc.frontend.export_graph import opset_of
from cimc.ir.context import compiler_context
from cimc.remarks import SimplificationRemarks
from cimc.transforms.onnx.simplify import RULES
from cimc.transforms.onnx.simplify.cleanup import merge_equal, remove_unused
from cimc.transforms.onnx.simplify.fold import Folder
from cimc.transforms.onnx.simplify.rule import Scope


@dataclass(frozen=True)
class Canonicalize(ModulePass):
    """Folds constants, drops nodes that do nothing, merges equal ones and removes unused ones.

    Takes and gives a module whose functions are of the ``onnx`` dialect; also works inside the bodies of
    loops and ifs.  Fast-math it is not: floats are computed by onnxruntime or left alone.  How often each
    rule was applied stands in ``ctx.remarks.simplification``.

    Attributes:
        max_fold: constants of more elements are neither folded nor made.
    """

    name: ClassVar[str] = "canonicalize"
    max_fold: int = 1 << 22

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        cc = compiler_context(ctx, self.name)
        scope = Scope(cc.store, opset_of(op))
        folder = Folder(scope, self.max_fold, 8 * self.max_fold)
        rules = GreedyRewritePatternApplier([rule(scope) for rule in RULES], dce_enabled=False)
        counts: Counter[str] = scope.counts
        changed = True
        while changed:
            before = counts.total()
            PatternRewriteWalker(rules).rewrite_module(op)
            counts["fold-constants"] += folder.fold(op)
            counts["merge-equal"] += merge_equal(op.body)
            changed = counts.total() > before
            counts["remove-unused"] += remove_unused(op.body)
        for function in op.body.block.ops:
            if isinstance(function, FuncOp):
                function.update_function_type()  # type: ignore[no-untyped-call]
        cc.notes += [note for note in dict.fromkeys(folder.notes) if note not in cc.notes]
        cc.remark(SimplificationRemarks({name: counts[name] for name in sorted(counts) if counts[name]}))
