"""Which choices of the model are searches on the chip, for whoever compares what they choose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from cimc.ir import cim, rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import symbol
from cimc.remarks.corpus_remarks import Searched
from cimc.transforms.codegen.chip_segment import Shared


def searched(function: FuncOp, shared: Shared) -> tuple[Searched, ...]:
    """The searches of a scheduled function whose ids leave the chip.

    Of a corpus that several search, none: their scores could not be told apart.
    """
    found = []
    for op in function.body.block.ops:
        if not isinstance(op, rec.HitsOp) or op.choice is None or op.scale is None or op.kind.data != "ids":
            continue
        search = _search(op.x)
        ids = next((shared.names[v] for v in _forms(op.result) if v in shared.names), None)
        if search is None or ids is None:
            continue
        corpus, after = symbol(search.matrix), [] if op.after is None else [f.data for f in op.after]
        found.append(
            Searched(
                onnx.name_of(op) or "", op.choice.data, corpus, shared.rows[corpus], search.k.value.data, ids,
                op.scale.value.data, tuple(after),
            )
        )  # fmt: skip
    uses = Counter(each.corpus for each in found)
    return tuple(each for each in found if uses[each.corpus] == 1)


def _search(value: SSAValue) -> cim.SearchOp | None:
    """A search that a list of hits comes from."""
    while isinstance(value.owner, cim.TransferOp | cim.MergeOp):
        value = value.owner.operands[0]
    return value.owner if isinstance(value.owner, cim.SearchOp) else None


def _forms(value: SSAValue) -> Iterator[SSAValue]:
    """The value, and what it is reshaped to."""
    yield value
    for use in value.uses:
        if isinstance(use.operation, rec.ReshapeOp | cim.TransferOp):
            yield from _forms(use.operation.results[0])
