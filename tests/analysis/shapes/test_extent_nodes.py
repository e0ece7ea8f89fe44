"""A vector of extents as nodes that read them off the inputs."""

from __future__ import annotations

from cimc.analysis.shapes.dims import Equalities, mul, symbol
from cimc.analysis.shapes.extent_nodes import Nodes, stated_sizes
from cimc.interpreter.evaluate import main_function
from cimc.ir.onnx import dialect as onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed
from tests.transforms.recognise.fusing import model

B, C = symbol("B"), symbol("C")


def nodes(extents: list[object], equal: Equalities | None = None) -> Nodes | None:
    """The nodes for ``extents`` where inputs are ``[B, 4]`` and ``[4, N]``."""
    proto = model("m (float[B, 4] x, float[4, N] w) => (float[] y) { y = MatMul(x, w) }")
    analysis, (y,) = analysed(proto)
    assert isinstance(y.owner, onnx.NodeOp)
    inputs = list(main_function(y.owner.get_toplevel_object()).body.block.args)
    return stated_sizes(extents, inputs, analysis, equal or Equalities(), y.owner)


def read(made: Nodes) -> list[object]:
    """What the last node joins: numbers, and (input, axis) for what is read off a shape."""
    found: list[object] = []
    for part in made[-1].operands:
        if isinstance(part.owner, onnx.ConstantOp):
            found.append(_number(part.owner))
            continue
        gather = part.owner
        assert isinstance(gather, onnx.NodeOp)
        shape, at = gather.inputs[0].owner, gather.inputs[1].owner
        assert isinstance(shape, onnx.NodeOp)
        assert isinstance(at, onnx.ConstantOp)
        found.append((shape.inputs[0].index, _number(at)))
    return found


def _number(op: onnx.ConstantOp) -> int:
    (value,) = op.value.get_values()
    return int(value)


def test_numbers_stand_and_symbols_are_read() -> None:
    made = nodes([2, B, symbol("N"), 4])
    assert made is not None
    assert read(made) == [2, (0, 0), (1, 1), 4]
    assert isinstance(made[-1], onnx.NodeOp)
    assert made[-1].kind == "Concat"
    assert onnx.int_attribute(made[-1], "axis", -1) == 0
    assert made[-1].results[0].type.get_shape() == (4,)
    assert {str(op.location) for op in made} == {str(made[0].location)}


def test_what_is_the_same_counts_as_that() -> None:
    equal = Equalities()
    equal.equate(C, B)
    made = nodes([C], equal)
    assert made is not None
    assert read(made) == [(0, 0)]
    assert nodes([C]) is None


def test_what_no_input_has_is_not_stated() -> None:
    assert nodes([mul(B, 2)]) is None
    assert nodes([None]) is None
    assert nodes([2, C]) is None


def test_no_extents_are_no_vector() -> None:
    assert nodes([]) is None


def test_types_are_those_of_int64_vectors() -> None:
    made = nodes([B])
    assert made is not None
    assert [str(op.results[0].type) for op in made] == [
        "tensor<2xi64>", "tensor<1xi64>", "tensor<1xi64>", "tensor<1xi64>",
    ]  # fmt: skip
