"""What the shape rules say of small graphs, against what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import main_function
from tests.transforms.recognise.fusing import Arrays, imported, model

BATCHES = (1, 2, 5)
"""Values of the extent ``B``; that of 1 is where a rule forgets a clamp."""


def analysed(proto: onnx.ModelProto) -> tuple[ShapeAnalysis, list[SSAValue]]:
    """The analysis and the outputs."""
    module, ctx = imported(proto)
    function = main_function(module)
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    return ShapeAnalysis(function, ctx), list(end.arguments)


def said(text: str, weights: Arrays | None = None, *, opset: int = 18) -> list[str]:
    """Shapes of all outputs as text, ``?`` for what is not known, after a comparison with onnxruntime.

    Every extent and every element that the analysis claims to know holds for every one of :data:`BATCHES`.
    """
    proto = model(text, weights, opset=opset)
    analysis, outputs = analysed(proto)
    for batch in BATCHES:
        found = run_onnx(proto, _inputs(proto, batch))
        for output, value in zip(proto.graph.output, outputs, strict=True):
            _agree(analysis, value, np.asarray(found[output.name]), batch)
    return [_shown(analysis.shape(value)) for value in outputs]


def elements(text: str, weights: Arrays | None = None, *, opset: int = 18) -> list[list[str] | None]:
    """Elements of all outputs as text where they are followed, after the same comparison."""
    said(text, weights, opset=opset)
    analysis, outputs = analysed(model(text, weights, opset=opset))
    return [
        None if (content := analysis.content(value)) is None else [_word(e) for e in content.reshape(-1)]
        for value in outputs
    ]


def _agree(analysis: ShapeAnalysis, value: SSAValue, real: np.ndarray, batch: int) -> None:
    shape, content = analysis.shape(value), analysis.content(value)
    if shape is not None:
        assert len(shape) == real.ndim, f"{_shown(shape)} of {real.shape}"
        _equal(shape, real.shape, batch)
    if content is not None:
        assert content.shape == real.shape
        _equal(content.reshape(-1).tolist(), real.reshape(-1).tolist(), batch)


def _equal(claims: Iterable[d.Dim], real: Iterable[int], batch: int) -> None:
    for claim, actual in zip(claims, real, strict=True):
        known = d.substitute(claim, {"B": batch})
        assert not isinstance(known, int) or known == actual, f"{claim} is {actual} where B is {batch}"


def _shown(shape: tuple[d.Dim, ...] | None) -> str:
    return "unknown" if shape is None else ", ".join(map(_word, shape))


def _word(value: d.Dim) -> str:
    return "?" if value is None or "?" in str(value) else str(value)


def _inputs(proto: onnx.ModelProto, batch: int) -> Arrays:
    """Small whole numbers from 0 on, of the types that the inputs declare; as many rows as ``batch``."""
    found: Arrays = {}
    weights = {each.name for each in proto.graph.initializer}
    for each in proto.graph.input:
        if each.name not in weights:
            kind = each.type.tensor_type
            shape = [batch if dim.dim_param else dim.dim_value for dim in kind.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            found[each.name] = np.resize(np.arange(3), shape).astype(dtype)
    return found
