"""What a recognised model multiplies and looks up per request, as far as shapes say at compile time.

Rules are those of ``multiplications.py``, extents those of the shape analysis.  What depends on the
requests (how many ids a bag has, how often a loop runs, extents that an input leaves open) is not guessed:
its count is ``None`` and the reason is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Dim, Poly
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.rules.control_flow import trips_of
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.multiplications import UNCHANGED, Extent, Node, Product, work_of
from cimc.ir.types import DYNAMIC, NoneType, element_of, is_float, shape_of
from cimc.remarks import ChipWork, HostWork

Count = float | None


def chip_work(function: FuncOp) -> ChipWork:
    """Work of the chip per request, from the shapes of the function."""
    arrays = vector = 0
    tables: int | None = 0
    for op in function.body.block.ops:
        if isinstance(op, rec.LinearOp):
            dims = rec.shape(op.x)
            arrays += dims[-1] * op.units.value.data * prod(dims[1:-1])
        elif isinstance(op, rec.SearchOp):
            arrays += rec.shape(op.x)[-1] * op.items.value.data
        elif isinstance(op, rec.DotInteractionOp):
            vector += rec.shape(op.x)[-1] * len(rec.unpack(op.lhs))
        elif isinstance(op, rec.MatmulOp):
            a, b = rec.shape(op.a), rec.shape(op.b)
            vector += prod(a[1:]) * b[-1]
        elif isinstance(op, rec.EmbeddingBagOp):
            ids = rec.shape(op.ids)[1:]
            known = op.layout.data == "fixed" and DYNAMIC not in ids
            tables = tables + prod(ids) * op.dim.value.data if known and tables is not None else None
    return ChipWork(arrays, vector, tables)


def host_work(function: FuncOp, shapes: ShapeAnalysis) -> list[HostWork]:
    """Every node in a host segment that multiplies or looks up, in order, those in bodies too."""
    counter = _Counter(shapes)
    return [
        found
        for op in function.body.block.ops
        if isinstance(op, rec.HostOp)
        for found in counter.block(op.body.block, 1, "", "")
    ]


class _Counter:
    def __init__(self, analysis: ShapeAnalysis) -> None:
        self.analysis = analysis

    def block(self, block: Block, times: Dim, why: str, within: str) -> Iterator[HostWork]:
        """The nodes of ``block``, which runs ``times``; ``why``: why that is not known, else ``""``."""
        for op in block.ops:
            if not isinstance(op, onnx.NodeOp):
                continue
            name = onnx.name_of(op) or op.operator
            work = work_of(_view(op, self.analysis))
            if work:
                macs, first = self._sum(work.macs, times)
                lookups, second = self._sum(work.lookups, times)
                reason = work.unknown or (why if times is None else first or second)
                if work.unknown or times is None:
                    macs = lookups = None
                yield HostWork(name, op.operator, macs, lookups, reason, within)
            for region in op.bodies:
                count, reason = self._trips(op)
                inside = d.mul(times, count)
                yield from self.block(region.block, inside, why or reason, within or name)

    def _trips(self, op: onnx.NodeOp) -> tuple[Dim, str]:
        """How often a body of ``op`` runs, and if that is not known the reason."""
        if op.operator == "Loop":
            return trips_of(op, self.analysis).count, "how often its loop runs depends on the request"
        if op.operator == "Scan":
            given = self.analysis.shape(op.inputs[-1])
            plain = op.attribute("scan_input_axes") is None
            return given[0] if given and plain else None, "how often its scan runs is not known"
        return None, f"whether its {op.operator} runs it depends on the request"

    def _sum(self, products: tuple[Product, ...], times: Dim) -> tuple[Count, str]:
        """``times`` the sum of ``products``, per request, and if that is not known the reason."""
        total: Dim = 0
        for product in products:
            factors = [f if isinstance(f, int) else self._extent(f) for f in product]
            total = d.add(total, d.mul(times, d.product(factors)))
        return per_request(total, self.analysis.batch)

    def _extent(self, factor: Extent) -> Dim:
        value = factor.value
        assert isinstance(value, SSAValue)
        shape = self._shape(value)
        if shape is None or (factor.axis is not None and not -len(shape) <= factor.axis < len(shape)):
            return None
        return d.product(shape) if factor.axis is None else shape[factor.axis]

    def _shape(self, value: SSAValue) -> tuple[Dim, ...] | None:
        """Extents; of a chip's value dimension 0 is the batch."""
        known = self.analysis.shape(value)
        if known is not None:
            return known
        stated = shape_of(value.type)
        return None if stated is None or DYNAMIC in stated else stated


def per_request(total: Dim, batch: Dim) -> tuple[Count, str]:
    """``total`` for a batch of one request, ``None`` with the reason where it has no number."""
    if total is None:
        return None, "an extent is not known at compile time"
    if isinstance(batch, int) and isinstance(total, int):
        return total / max(batch, 1), ""
    if isinstance(batch, Poly):
        # A symbol stands for the batch; a multiple of one (``2 * B``) is no count of requests.
        total = d.substitute(total, dict.fromkeys(batch.symbols(), 1))
    if isinstance(total, Poly):
        names = sorted(n for n in total.symbols() if not n.startswith("?"))
        varies = f"it depends on {', '.join(names)}" if names else "an extent varies from request to request"
        return None, varies
    assert total is not None
    return float(total), ""


def _view(op: onnx.NodeOp, analysis: ShapeAnalysis) -> Node:
    def rank(value: Any) -> int | None:
        known = analysis.shape(value)
        stated = shape_of(value.type) if known is None else known
        return None if stated is None else len(stated)

    return Node(
        op.operator,
        [None if isinstance(v.type, NoneType) else v for v in op.inputs],
        [None if isinstance(v.type, NoneType) else v for v in op.outputs],
        lambda name: _plain(op.attribute(name)),
        rank,
        lambda value: is_table(value),
    )


def _plain(attr: Attribute | None) -> Any:
    if isinstance(attr, IntegerAttr):
        return attr.value.data
    if isinstance(attr, StringAttr):
        return attr.data
    return attr.get_values() if isinstance(attr, DenseArrayBase) else None


def is_table(value: Any) -> bool:
    """Whether ``value`` is a constant of floats, or of 8 bits at most: wider integers are ids."""
    while isinstance(value.owner, onnx.NodeOp) and value.owner.operator in UNCHANGED:
        value = value.owner.inputs[0]
    owner = value.owner
    if not isinstance(owner, Operation):
        return False
    if isinstance(owner, onnx.NodeOp):
        return owner.operator == "Constant"  # of 4 or 2 bits: what the dialect can type is an onnx.constant
    element = element_of(value.type)
    if not isinstance(owner, onnx.ConstantOp | onnx.InitializerOp) or element is None:
        return False
    width = getattr(getattr(element, "width", None), "data", 64)
    return is_float(element) or 1 < width <= 8
