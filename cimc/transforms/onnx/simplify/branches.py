"""Control flow whose way is known."""

from __future__ import annotations

from xdsl.pattern_rewriter import PatternRewriter
from xdsl.rewriter import InsertPoint

from cimc.ir.onnx.attributes import body_names_of
from cimc.ir.onnx.dialect import NodeOp, YieldOp
from cimc.transforms.onnx.simplify.rule import Rule, forward


class InlineConstantIf(Rule):
    """``If(constant)`` is its one branch."""

    name = "inline-constant-if"
    ops = frozenset({"If"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        flag = self.scope.constant(op.inputs[0])
        if flag is None or flag.size != 1:
            return False
        taken = body_names_of(op).index("then_branch" if flag.any() else "else_branch")
        block = op.bodies[taken].block
        end = block.last_op
        assert isinstance(end, YieldOp)
        results = list(end.values)
        rewriter.erase(end)
        rewriter.inline_block(block, InsertPoint.before(op))
        forward(op, rewriter, results)
        return True
