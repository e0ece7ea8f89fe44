"""Where the nodes of a model went, also those that passes took apart or made."""

from __future__ import annotations

from cimc.interpreter.evaluate import main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.onnx.marks import helper, mark
from cimc.transforms.matching.replacements import Replacements
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.recognise.frontend_remarks import model_nodes
from tests.transforms.onnx.test_recurrent import recurrent
from tests.transforms.recognise.fusing import imported, model

CHAIN = "m (float[B, 4] x) => (float[B, 4] y) { a = Relu(x)\n b = Exp(a)\n c = Neg(b)\n y = Abs(c) }"


def test_parts_are_one_node_of_the_model_and_helpers_are_none() -> None:
    module, ctx = imported(model(CHAIN))
    relu, exp, neg, last = [op for op in module.walk() if isinstance(op, NodeOp)]
    for part in (relu, exp):
        mark(part, composite=0, of="Gelu", node="gelu_1")
    helper(neg)
    mark(last, was="Sign")
    found = model_nodes(main_function(module))
    assert [(n.name, n.operator, len(n.parts)) for n in found] == [
        ("gelu_1", "Gelu", 2),
        ("Abs:y", "Sign", 1),
    ]
    known = Replacements(main_function(module), ctx)
    assert found[0].stand_in(known) is exp  # the last part, where none is on the host
    known.hosted[relu] = "a reason"
    assert found[0].stand_in(known) is relu


def test_a_composite_on_the_chip_counts_as_one_node() -> None:
    proto = recurrent("GRU")[0]
    module, ctx = imported(proto)
    Pipeline.parse(FRONTEND.removeprefix("canonicalize,")).run(module, ctx)
    found = ctx.remarks.recognition
    assert found is not None
    assert found.nodes == len(proto.graph.node)
    assert found.chip + found.folded + len(found.host) == found.nodes
    assert "GRU" not in {h.op for h in found.host}
