"""What the verifiers of the dialects refuse, one rule per snippet, with the message a reader sees."""

from __future__ import annotations

import pytest
from xdsl.dialects import test
from xdsl.ir import Block, Region

from cimc.errors import PassError
from cimc.ir.text import new_context, parse_ir, verify_ir

CASES = {
    "slice past the end": (
        "%r = rec.slice %x axis 1 from 0 to 9 : tensor<?x4xf32> -> tensor<?x9xf32>",
        "outside of extent 4",
    ),
    "slice of the batch": (
        "%r = rec.slice %x axis 0 from 0 to 1 : tensor<?x4xf32> -> tensor<1x4xf32>",
        "mix requests",
    ),
    "reduction of the batch": (
        '%r = rec.reduce "sum" %x keepdims 0 {axes = array<i64: 0>} : tensor<?x4xf32> -> tensor<4xf32>',
        "mix requests",
    ),
    "transpose of the batch": (
        "%r = rec.transpose %x {perm = array<i64: 1, 0>} : tensor<?x4xf32> -> tensor<4x?xf32>",
        "keeps the batch first",
    ),
    "reshape of another size": ("%r = rec.reshape %x : tensor<?x4xf32> -> tensor<?x3xf32>", "cannot reshape"),
    "unknown function": (
        '%r = rec.unary "sinh" %x : tensor<?x4xf32> -> tensor<?x4xf32>',
        "unknown kind 'sinh'; known: relu",
    ),
    "clip without bounds": ('%r = rec.unary "clip" %x : tensor<?x4xf32> -> tensor<?x4xf32>', "takes alpha"),
    "shapes that do not broadcast": (
        '%r = rec.binary "add" %x, %y : tensor<?x4xf32>, tensor<?x5xf32> -> tensor<?x4xf32>',
        "do not broadcast",
    ),
    "wrong result type": (
        "%r = rec.linear %x weight @w units 3 : tensor<?x4xf32> -> tensor<?x5xf32>",
        "result should be",
    ),
    "pair beyond the features": (
        "%r = rec.dot_interaction %z {lhs = array<i64: 2>, rhs = array<i64: 0>} "
        ": tensor<?x2x4xf32> -> tensor<?x1xf32>",
        "outside of 0..1",
    ),
    "bag with offsets in layout fixed": (
        '%r = rec.embedding_bag @t "sum" "fixed" %i offsets %i : tensor<?xi64> rows 3 dim 2 '
        ": tensor<?xi64> -> tensor<?x2xf32>",
        "takes no offsets",
    ),
    "weighted mean": (
        '%r = rec.embedding_bag @t "mean" "fixed" %i weights %v : tensor<?xf32> rows 3 dim 2 '
        ": tensor<?xi64> -> tensor<?x2xf32>",
        "need mode sum",
    ),
    "table with two kinds of scales": (
        '%r = rec.embedding_bag @t "sum" "fixed" %i rows 3 dim 2 scale 0.5 : f64 row_scales @s '
        ": tensor<?xi64> -> tensor<?x2xf32>",
        "one scale, or one per row",
    ),
    "biases of rows without scales": (
        '%r = rec.embedding_bag @t "sum" "fixed" %i rows 3 dim 2 row_biases @b '
        ": tensor<?xi64> -> tensor<?x2xf32>",
        "go with scales",
    ),
    "layer with scales of rows": (
        'cim.weights "m" rows 3 cols 2 bits 8 data @d scales @s row_scales @r inputs 8 signed 0',
        "Expected ('inputs'|integer literal)",
    ),
    "table with biases alone": (
        'cim.table "m" rows 3 cols 2 bits 8 data @d scales @s row_biases @r',
        "go with scales",
    ),
    "constant with a batch": ("%r = rec.constant @c : tensor<3x4xf32>", "dimension 0 equal to 1"),
    "float into an array": (
        "%r = cim.mvm @w %x : tensor<?x4xf32> -> tensor<?x3xi32>",
        "quantised activations",
    ),
    "scale of zero": (
        "%r = cim.quantize %x scale 0.0 bits 8 : tensor<?x4xf32> -> tensor<?x4xi8>",
        "a scale is positive",
    ),
    "transfer to itself": (
        "%r = cim.transfer %x from 2 to 2 : tensor<?x4xf32> -> tensor<?x4xf32>",
        "two different tiles",
    ),
    "matrix of nine bits": (
        'cim.table "m" rows 3 cols 2 bits 9 data @d scales @s',
        "2 to 8 bits",
    ),
    "dense matrix without input format": (
        'cim.weights "m" rows 3 cols 2 bits 8 data @d scales @s',
        "Expected ('inputs'|integer literal)",
    ),
    "node without a name": ('%r = onnx.node ""(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>', "operator name"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str) -> None:
    line, message = CASES[case]
    text = (
        "func.func @main(%x: tensor<?x4xf32>, %y: tensor<?x5xf32>, %z: tensor<?x2x4xf32>, "
        f"%i: tensor<?xi64>, %v: tensor<?xf32>) {{\n  {line}\n  func.return\n}}\n"
    )
    with pytest.raises(PassError, match=message) as error:
        parse_ir(text, new_context(), "case.mlir")
    assert error.value.code in ("ir.invalid", "ir.syntax")


MLP = """
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = rec.unary "neg" %x : tensor<?x4xf32> -> tensor<?x4xf32>
  %b = rec.unary "exp" %a : tensor<?x4xf32> -> tensor<?x4xf32>
  func.return %b : tensor<?x4xf32>
}
"""


def test_a_value_is_defined_before_it_is_used() -> None:
    lines = MLP.strip().splitlines()
    swapped = "\n".join([lines[0], lines[2], lines[1], *lines[3:]])
    with pytest.raises(PassError, match=r"operand 0 %a of rec\.unary is not defined before") as error:
        parse_ir(swapped, new_context(), "case.mlir")
    assert error.value.code == "ir.invalid"


def test_a_value_of_a_region_is_not_used_behind_it() -> None:
    module = parse_ir(MLP, new_context())
    main = module.body.block.first_op
    assert main is not None
    _, second, end = main.regions[0].block.ops
    second.detach()
    inside = test.TestOp(regions=[Region(Block([second, test.TestTermOp()]))])
    main.regions[0].block.insert_op_before(inside, end)
    with pytest.raises(PassError, match=r"operand 0 %b of func\.return"):
        verify_ir(module, "now")


def test_what_was_erased_is_missed() -> None:
    module = parse_ir(MLP, new_context())
    main = module.body.block.first_op
    assert main is not None
    second = list(main.regions[0].block.ops)[1]
    main.regions[0].block.erase_op(second, safe_erase=False)
    with pytest.raises(PassError, match="Erased SSA value") as error:
        verify_ir(module, "after pass 'mine'")
    assert error.value.code == "ir.invalid"


def test_syntax_errors_name_the_file() -> None:
    with pytest.raises(PassError) as error:
        parse_ir("func.func @main( {", new_context(), "broken.mlir")
    assert error.value.code == "ir.syntax"
    assert "broken.mlir" in str(error.value)
