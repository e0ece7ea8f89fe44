"""Rules by ONNX operator, and how one is applied.

A rule takes the node and what is known so far, and returns one :class:`Info` per result.  An operator
without a rule keeps its declared type, and the extents that ONNX's own inference gave it
(``inferred_by_onnx.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.facts import Info, ShapeFacts
from cimc.errors import ModelError
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import element_of
from cimc.support.registry import Registry

EXTENTS = "extents"
"""Attribute of an ``onnx.node``: its results' extents as numbers or names of inputs' dimensions."""

OUTPUT_DIMS = "onnx.output_dims"
"""Attribute of a function: the extents that the file states of its results, as those of its arguments."""

Rule = Callable[[onnx.NodeOp, ShapeFacts], "Info | list[Info]"]
RULES: Registry[Rule] = Registry("shape rule", unknown="frontend.unknown-operator", error=ModelError)


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Register a rule for ONNX operators."""

    def register(function: Rule) -> Rule:
        for kind in kinds:
            RULES.register(kind, function)
        return function

    return register


def apply_rule(op: onnx.NodeOp, a: ShapeFacts) -> None:
    """Set what is known of the results of ``op``."""
    found = RULES[op.kind](op, a) if op.kind in RULES else []
    infos = [found] if isinstance(found, Info) else found or _stated(op, a)
    if op.bodies and op.kind not in RULES:
        for region in op.bodies:
            for argument in region.block.args:
                a.set(argument, Info())
            a.walk_body(region.block)
    for result, info in zip_longest(op.outputs, infos[: len(op.outputs)], fillvalue=Info()):
        assert isinstance(result, SSAValue)
        a.set(result, info)


def _stated(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    """Extents of an operator without a rule, as far as ONNX's shape inference knows them
    (``inferred_by_onnx.py``)."""
    given = op.attributes.get(EXTENTS)
    if not isinstance(given, ArrayAttr):
        return []
    infos = []
    for result, extents in zip(op.outputs, given, strict=False):
        known = extents if isinstance(extents, ArrayAttr) else ()
        names = [e.data for e in known if isinstance(e, StringAttr)]
        shape = tuple(int(n) if n.isdigit() else d.symbol(n) if n else None for n in names)
        infos.append(Info(shape if names else None, element_of(result.type)))
    return infos
