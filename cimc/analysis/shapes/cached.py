"""One shape analysis for all passes in a row that leave a function as it is."""

from __future__ import annotations

from xdsl.dialects.func import FuncOp

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.ir.context import CompilerContext
from cimc.ir.snapshot import same, state_of


def shapes_of(function: FuncOp, ctx: CompilerContext) -> ShapeAnalysis:
    """The shape analysis of ``function``.

    The last one is kept in ``ctx`` and given again as long as the function has not changed.
    """
    return kept(function, ctx) or ShapeAnalysis(function, ctx)


def kept(function: FuncOp, ctx: CompilerContext) -> ShapeAnalysis | None:
    """The last shape analysis, if it is of ``function`` as it is now."""
    if ctx.shapes is None:
        return None
    found, state = ctx.shapes
    if isinstance(found, ShapeAnalysis) and found.function is function and same(state_of(function), state):
        return found
    return None


def refined(function: FuncOp, ctx: CompilerContext) -> ShapeAnalysis:
    """As :func:`shapes_of`, with what was found written into the types."""
    found = shapes_of(function, ctx)
    if ctx.shapes is None or ctx.shapes[0] is not found:
        found.refine_types()
        keep(found, ctx)
    return found


def keep(analysis: ShapeAnalysis, ctx: CompilerContext) -> None:
    """Give ``analysis`` again as long as its function stays as it is now.

    For a pass that changed the function and told the analysis what is new.
    """
    ctx.shapes = (analysis, state_of(analysis.function))
