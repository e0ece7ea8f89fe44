"""Changed IR is told from unchanged IR."""

from __future__ import annotations

from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.onnx.marks import mark
from cimc.ir.snapshot import same, state_of
from models.tiny import tiny_dlrm
from tests.transforms.recognise.fusing import imported


def test_a_changed_property_a_removed_node_and_a_new_type_are_changes() -> None:
    module, _ = imported(tiny_dlrm(0)[0])
    state = state_of(module)
    assert same(state_of(module), state)
    node = next(op for op in module.walk() if isinstance(op, NodeOp))
    mark(node, whole="a reason")
    assert not same(state_of(module), state)
    state = state_of(module)
    last = [op for op in module.walk() if isinstance(op, NodeOp)][-1]
    last.results[0]._type = node.results[0].type
    assert not same(state_of(module), state)
