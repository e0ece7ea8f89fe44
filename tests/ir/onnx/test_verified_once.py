"""Nodes are verified when they change, and only then."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.utils.exceptions import VerifyException

from cimc.ir.onnx.dialect import NodeOp
from models.tiny import tiny_dlrm
from tests.transforms.recognise.fusing import imported


def nodes(module: ModuleOp) -> list[NodeOp]:
    return [op for op in module.walk() if isinstance(op, NodeOp)]


def test_what_has_not_changed_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = imported(tiny_dlrm(0)[0])
    module.verify()
    seen: list[NodeOp] = []
    real = NodeOp.verify_
    monkeypatch.setattr(NodeOp, "verify_", lambda op: (seen.append(op), real(op))[1])
    module.verify()
    assert all(op.regions for op in seen)  # bodies of loops are walked always
    seen.clear()
    changed = next(op for op in nodes(module) if not op.regions)
    changed.properties["op_type"] = StringAttr("Relu")
    module.verify()
    assert [op for op in seen if not op.regions] == [changed]


def test_a_node_that_becomes_wrong_is_refused() -> None:
    module, _ = imported(tiny_dlrm(0)[0])
    module.verify()
    nodes(module)[1].properties["op_type"] = StringAttr("")
    for _ in range(2):  # what was refused is not taken for verified
        with pytest.raises(VerifyException):
            module.verify()


def test_a_node_at_the_end_of_a_block_is_refused() -> None:
    module, _ = imported(tiny_dlrm(0)[0])
    module.verify()
    last = nodes(module)[-1]
    block = last.parent_block()
    assert block is not None
    while block.last_op is not last:
        block.last_op.detach()  # type: ignore[union-attr,no-untyped-call]
    with pytest.raises(VerifyException, match="not a terminator"):
        module.verify()
