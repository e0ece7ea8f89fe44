"""What a model computes with the batch elsewhere is computed with the batch in front."""

from __future__ import annotations

from cimc.analysis.shapes.cached import kept
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.text import print_ir
from cimc.ir.types import shape_of
from cimc.transforms.onnx.move_batch_first import BatchMajor
from models.tiny import mlp
from tests.transforms.recognise.fusing import floats, imported, model

SECOND = model(
    """m (float[B, 5, 4] x) => (float[B, 5, 4] y) {
        t = Transpose<perm = [1, 0, 2]>(x)
        h = Relu(t)
        y = Transpose<perm = [1, 0, 2]>(h)
    }"""
)


def test_an_operator_between_transposes_is_repeated_on_the_batch_in_front() -> None:
    module, ctx = imported(SECOND)
    x = floats(3, 5, 4)
    expected = evaluate(module, ctx, {"x": x})["y"]
    BatchMajor().apply(ctx, module)
    module.verify()
    (relu,) = [op for op in module.walk() if isinstance(op, NodeOp) and op.operator == "Relu"]
    assert (shape_of(relu.results[0].type) or ())[:2] == (-1, 5)
    analysis = kept(main_function(module), ctx)
    assert analysis is not None
    assert (analysis.shape(relu.results[0]) or ())[0] == analysis.batch
    assert (evaluate(module, ctx, {"x": x})["y"] == expected).all()


def test_a_model_with_the_batch_in_front_is_left_alone() -> None:
    module, ctx = imported(mlp((4, 2))[0])
    BatchMajor().apply(ctx, module)
    text = print_ir(module)
    BatchMajor().apply(ctx, module)
    assert print_ir(module) == text
