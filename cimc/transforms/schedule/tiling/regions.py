"""Parts of values: which part of its operands a part of an operation's result needs, and how to compute it.

A *region* is a range per axis beside the batch.  Every operation of a chip segment is request-wise, so all of
this is about the elements of one request.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir import cim, rec
from cimc.ir.types import tensor

Range = tuple[int, int]
Region = tuple[Range, ...]
"""Start and stop along every axis but the batch."""

_ELEMENTWISE = (rec.UnaryOp, rec.CastOp, cim.QuantizeOp, cim.AddOp)
_PRODUCTS = (rec.LinearOp, cim.MvmOp)
_LOOKUPS = (rec.EmbeddingBagOp, cim.LookupOp)


def whole(value: SSAValue) -> Region:
    """The region of all elements."""
    return tuple((0, extent) for extent in rec.shape(value)[1:])


def volume(region: Region) -> int:
    """Elements of a region."""
    total = 1
    for start, stop in region:
        total *= stop - start
    return total


def widened(op: Operation, region: Region) -> Region:
    """The smallest region around ``region`` that ``op`` can compute on its own.

    A layer gives all its units at once and a lookup whole rows; a bag that is no row of a matrix of ids is
    not cut at all, nor is an operation that this module does not know.
    """
    full = whole(op.results[0])
    if isinstance(op, (*_PRODUCTS, cim.DequantizeOp)):
        return (*region[:-1], full[-1])
    if isinstance(op, _LOOKUPS):
        pooled = op.mode.data != "none"
        if op.layout.data != "fixed" or len(rec.shape(op.ids)) - pooled < 2 or op.padding is not None:
            return full
        return (*region[:-1], full[-1])
    if isinstance(op, rec.PadOp):
        axis, before = op.axis.value.data - 1, op.before.value.data
        inner = rec.shape(op.x)[axis + 1]
        start, stop = region[axis]
        reach = (min(start, before + inner - 1), max(stop, before + 1))
        return (*region[:axis], reach, *region[axis + 1 :])
    if isinstance(op, rec.ReshapeOp):
        return _widened_view(op, region)
    if isinstance(op, rec.BinaryOp):
        return region if len(rec.shape(op.a)) == len(rec.shape(op.b)) else full
    if isinstance(op, rec.ExpandOp):
        return region if len(rec.shape(op.x)) == len(full) + 1 else full
    known = (*_ELEMENTWISE, rec.ReduceOp, rec.MatmulOp, rec.TransposeOp, rec.SliceOp, rec.TakeOp)
    return region if isinstance(op, (*known, rec.ConcatOp, rec.DotInteractionOp)) else full


def needed(op: Operation, region: Region) -> list[Region | None]:
    """The region of each operand that ``region`` (widened) of the result needs; None: nothing of it."""
    if region == whole(op.results[0]) and not isinstance(op, rec.SliceOp | rec.TakeOp):
        return [whole(v) for v in op.operands]
    if isinstance(op, (*_ELEMENTWISE, rec.BinaryOp, rec.ExpandOp)):
        return [_broadcast(v, region) for v in op.operands]
    if isinstance(op, (*_PRODUCTS, cim.DequantizeOp)):
        return [(*region[:-1], whole(op.operands[0])[-1])]
    if isinstance(op, _LOOKUPS):
        return [(*region[:-1], *whole(v)[len(region) - 1 :]) for v in op.operands]
    if isinstance(op, rec.ReduceOp):
        axes = [a - 1 for a in rec.unpack(op.axes)]
        kept = iter(region)
        out = []
        for d, span in enumerate(whole(op.x)):
            mine = next(kept) if d not in axes or op.keepdims.value.data else span
            out.append(span if d in axes else mine)
        return [tuple(out)]
    if isinstance(op, rec.MatmulOp):
        a, b = whole(op.a), whole(op.b)
        lead_a = [s if s == (0, 1) else r for s, r in zip(a[:-2], region[:-2], strict=True)]
        lead_b = [s if s == (0, 1) else r for s, r in zip(b[:-2], region[:-2], strict=True)]
        return [(*lead_a, region[-2], a[-1]), (*lead_b, b[-2], region[-1])]
    if isinstance(op, rec.TransposeOp):
        back = {p - 1: r for p, r in zip(rec.unpack(op.perm)[1:], region, strict=True)}
        return [tuple(back[d] for d in range(len(region)))]
    if isinstance(op, rec.SliceOp):
        return [_moved(region, op.axis.value.data - 1, op.start.value.data)]
    if isinstance(op, rec.TakeOp):
        axis = op.axis.value.data - 1
        chosen = rec.unpack(op.indices)[slice(*region[axis])]
        span = (min(chosen), max(chosen) + 1) if chosen else (0, 0)
        return [(*region[:axis], span, *region[axis + 1 :])]
    if isinstance(op, rec.ConcatOp):
        return _of_parts(op, region)
    if isinstance(op, rec.PadOp):
        axis, before = op.axis.value.data - 1, op.before.value.data
        inner = rec.shape(op.x)[axis + 1]
        start, stop = region[axis]
        return [(*region[:axis], (max(start - before, 0), min(stop - before, inner)), *region[axis + 1 :])]
    if isinstance(op, rec.ReshapeOp):
        return [_through_view(region, _groups(op))]
    return [whole(v) for v in op.operands]


def computed(op: Operation, region: Region, operands: Sequence[SSAValue]) -> Operation:
    """A copy of ``op`` that gives ``region`` (widened) of its result from the regions of its operands."""
    result = op.results[0]
    properties = dict(op.properties)
    if isinstance(op, rec.SliceOp):
        axis = op.axis.value.data - 1
        properties |= {"start": _int(0), "stop": _int(region[axis][1] - region[axis][0])}
    elif isinstance(op, rec.TakeOp):
        axis = op.axis.value.data - 1
        chosen = rec.unpack(op.indices)[slice(*region[axis])]
        properties["indices"] = rec.ints([i - min(chosen, default=0) for i in chosen])
    elif isinstance(op, rec.PadOp):
        axis, before = op.axis.value.data - 1, op.before.value.data
        inner = rec.shape(op.x)[axis + 1]
        start, stop = region[axis]
        properties["before"] = _int(max(before - start, 0))
        properties["after"] = _int(max(stop - before - inner, 0))
    elif isinstance(op, rec.DotInteractionOp):
        properties["lhs"] = rec.ints(rec.unpack(op.lhs)[slice(*region[0])])
        properties["rhs"] = rec.ints(rec.unpack(op.rhs)[slice(*region[0])])
    type_ = tensor((rec.shape(result)[0], *(b - a for a, b in region)), rec.element(result))
    new = type(op).create(
        operands=list(operands), properties=properties, attributes=dict(op.attributes), result_types=[type_]
    )
    new.location = op.location
    new.results[0].name_hint = result.name_hint
    return new


def _int(value: int) -> Attribute:
    return IntegerAttr(value, 64)


def _broadcast(value: SSAValue, region: Region) -> Region:
    return tuple(s if s == (0, 1) else r for s, r in zip(whole(value), region, strict=True))


def _moved(region: Region, axis: int, by: int) -> Region:
    start, stop = region[axis]
    return (*region[:axis], (start + by, stop + by), *region[axis + 1 :])


def _of_parts(op: rec.ConcatOp, region: Region) -> list[Region | None]:
    axis, at = op.axis.value.data - 1, 0
    out: list[Region | None] = []
    for part in op.parts:
        extent = rec.shape(part)[axis + 1]
        start, stop = max(region[axis][0] - at, 0), min(region[axis][1] - at, extent)
        out.append((*region[:axis], (start, stop), *region[axis + 1 :]) if start < stop else None)
        at += extent
    return out


# -- reshapes -----------------------------------------------------------------------------------------

Group = tuple[list[int], list[int]]
"""Extents of neighbouring axes before and after a reshape that hold the same elements."""


def _groups(op: rec.ReshapeOp) -> list[Group]:
    before, after = list(rec.shape(op.x)[1:]), list(rec.shape(op.result)[1:])
    groups: list[Group] = []
    i = j = 0
    while i < len(before) or j < len(after):
        one, two = [], []
        left = right = 1
        if i < len(before):
            one, left, i = [before[i]], before[i], i + 1
        if j < len(after):
            two, right, j = [after[j]], after[j], j + 1
        while left != right:
            if (left < right or j >= len(after)) and i < len(before):
                one, left, i = [*one, before[i]], left * before[i], i + 1
            else:
                two, right, j = [*two, after[j]], right * after[j], j + 1
        groups.append((one, two))
    return groups


def _span(ranges: Sequence[Range], extents: Sequence[int]) -> Range:
    """The shortest run of a group's elements, in order, that holds a region of it."""
    first = last = 0
    for (start, stop), extent in zip(ranges, extents, strict=True):
        first, last = first * extent + start, last * extent + stop - 1
    return first, last + 1


def _covering(span: Range, extents: Sequence[int]) -> list[Range]:
    """The smallest region that holds a run of elements."""
    out: list[Range] = []
    start, stop = span
    size = 1
    for extent in extents:
        size *= extent
    for extent in extents:
        size //= max(extent, 1)
        one, two = start // max(size, 1), (stop - 1) // max(size, 1)
        out.append((one, two + 1))
        if one != two:
            out += [(0, e) for e in extents[len(out) :]]
            return out
        start, stop = start - one * size, stop - one * size
    return out


def _widened_view(op: rec.ReshapeOp, region: Region) -> Region:
    """Grow a region until it is the same run of elements before and after the reshape, group by group."""
    if 0 in rec.shape(op.result)[1:]:
        return whole(op.result)
    out: list[Range] = []
    at = 0
    for before, after in _groups(op):
        mine = list(region[at : at + len(after)])
        at += len(after)
        span = _span(mine, after)
        while True:
            inside = _span(_covering(span, before), before)
            wider = _span(_covering(inside, after), after)
            if wider == span == inside:
                break
            span = wider
        out += _covering(span, after)
    return tuple(out)


def _through_view(region: Region, groups: list[Group]) -> Region:
    out: list[Range] = []
    at = 0
    for before, after in groups:
        mine = list(region[at : at + len(after)])
        at += len(after)
        out += _covering(_span(mine, after), before)
    return tuple(out)
