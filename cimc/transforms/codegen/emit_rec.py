"""Instructions of ``rec`` operations: what the vector unit of a tile does to the values of one request."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import request_shape
from cimc.ir import rec
from cimc.isa.instructions import Instr, instr
from cimc.transforms.codegen import vector_ops
from cimc.transforms.codegen.chip_segment import Emitter, Segment, link_type, unsupported
from cimc.transforms.schedule.schedule import leading


def _unary(seg: Segment, op: rec.UnaryOp) -> list[Instr]:
    alpha = op.alpha.value.data if op.alpha else 0.0
    beta = op.beta.value.data if op.beta else 0.0
    n = seg.size(op.x)
    return [
        instr(
            "unary", dst=seg.ref(op.result), src=seg.ref(op.x), n=n, fn=op.kind.data, alpha=alpha, beta=beta
        )
    ]


def _binary(seg: Segment, op: rec.BinaryOp) -> list[Instr]:
    out = list(request_shape(op.result))
    rank = len(out) + 1

    def dims(value: SSAValue) -> list[int]:
        wide = (1,) * (rank - len(rec.shape(value))) + rec.shape(value)
        return list(wide[1:])

    kind = link_type(op.a)
    a, b = seg.ref(op.a), seg.ref(op.b)
    return vector_ops.binary(op.kind.data, kind, seg.ref(op.result), a, b, out, dims(op.a), dims(op.b))


def _reshape(seg: Segment, op: rec.ReshapeOp | rec.CastOp) -> list[Instr]:
    """Nothing to do where the result is the operand's memory; else a plain copy."""
    dst, src, n = seg.ref(op.result), seg.ref(op.x), seg.size(op.x)
    return [] if dst == src else vector_ops.copy(dst, src, [n], [1], [1])


def _cast(seg: Segment, op: rec.CastOp) -> list[Instr]:
    before, after = link_type(op.x), link_type(op.result)
    if before == after:
        return _reshape(seg, op)
    return [instr("cast", dst=seg.ref(op.result), src=seg.ref(op.x), n=seg.size(op.x), to=after)]


def _concat(seg: Segment, op: rec.ConcatOp) -> list[Instr]:
    out = list(request_shape(op.result))
    axis = op.axis.value.data - 1
    strides = vector_ops.dense_strides(out)
    dst, code, at = seg.ref(op.result), [], 0
    for part in op.parts:
        dims = list(request_shape(part))
        src, to = seg.ref(part), vector_ops.shifted(dst, at * strides[axis])
        if src != to:
            code += vector_ops.copy(to, src, dims, strides, vector_ops.dense_strides(dims))
        at += dims[axis]
    return code


def _transpose(seg: Segment, op: rec.TransposeOp) -> list[Instr]:
    dims = list(request_shape(op.x))
    perm = [p - 1 for p in rec.unpack(op.perm)[1:]]
    strides = vector_ops.dense_strides(dims)
    out = [dims[p] for p in perm]
    return vector_ops.copy(
        seg.ref(op.result), seg.ref(op.x), out, vector_ops.dense_strides(out), [strides[p] for p in perm]
    )


def _slice(seg: Segment, op: rec.SliceOp) -> list[Instr]:
    dims, out = list(request_shape(op.x)), list(request_shape(op.result))
    strides = vector_ops.dense_strides(dims)
    src = vector_ops.shifted(seg.ref(op.x), op.start.value.data * strides[op.axis.value.data - 1])
    dst = seg.ref(op.result)
    return [] if src == dst else vector_ops.copy(dst, src, out, vector_ops.dense_strides(out), strides)


def _take(seg: Segment, op: rec.TakeOp) -> list[Instr]:
    dims, chosen = list(request_shape(op.x)), rec.unpack(op.indices)
    axis = op.axis.value.data - 1
    outer = leading(op.x, axis + 1)
    inner = int(np.prod(dims[axis + 1 :], dtype=np.int64))
    if not chosen or not inner:
        return []
    body = instr(
        "gather",
        dst=seg.ref(op.result)._replace(stride=4 * len(chosen) * inner * (outer > 1)),
        src=seg.ref(op.x)._replace(stride=4 * dims[axis] * inner * (outer > 1)),
        index=seg.shared.constants.add(np.array(chosen, np.int32)),
        n=len(chosen),
        inner=inner,
    )
    return vector_ops.looped(outer, [body])


def _reduce(seg: Segment, op: rec.ReduceOp) -> list[Instr]:
    dims, axes = list(request_shape(op.x)), [a - 1 for a in rec.unpack(op.axes)]
    if axes != list(range(axes[0], axes[0] + len(axes))):
        raise unsupported(op, "a reduction over axes that are not neighbours")
    outer = int(np.prod(dims[: axes[0]], dtype=np.int64))
    n = int(np.prod([dims[a] for a in axes], dtype=np.int64))
    inner = int(np.prod(dims[axes[-1] + 1 :], dtype=np.int64))
    dst, src = seg.ref(op.result), seg.ref(op.x)
    return [instr("reduce", dst=dst, src=src, fn=op.kind.data, outer=outer, n=n, inner=inner)]


def _dots(seg: Segment, op: rec.DotInteractionOp) -> list[Instr]:
    lhs, rhs = rec.unpack(op.lhs), rec.unpack(op.rhs)
    _, features, dim = rec.shape(op.x)
    pairs = seg.shared.constants.add(np.array([*lhs, *rhs], np.int32))
    dst, src = seg.ref(op.result), seg.ref(op.x)
    return [instr("dots", dst=dst, src=src, pairs=pairs, n=len(lhs), features=features, dim=dim)]


def _matmul(seg: Segment, op: rec.MatmulOp) -> list[Instr]:
    (*_, m, k), n = request_shape(op.a), request_shape(op.b)[-1]
    count = leading(op.a, len(rec.shape(op.a)) - 2)
    stride = 4 * (count > 1)
    body = instr(
        "matmul",
        dst=seg.ref(op.result)._replace(stride=m * n * stride),
        a=seg.ref(op.a)._replace(stride=m * k * stride),
        b=seg.ref(op.b)._replace(stride=k * n * stride),
        m=m,
        k=k,
        n=n,
    )
    return vector_ops.looped(count, [body])


def _expand(seg: Segment, op: rec.ExpandOp) -> list[Instr]:
    out = list(request_shape(op.result))
    rank = len(out) + 1
    dims = ((1,) * (rank - len(rec.shape(op.x))) + rec.shape(op.x))[1:]
    return vector_ops.copy(
        seg.ref(op.result),
        seg.ref(op.x),
        out,
        vector_ops.dense_strides(out),
        vector_ops.broadcast_strides(dims, out),
    )


def _pad(seg: Segment, op: rec.PadOp) -> list[Instr]:
    dims, out = list(request_shape(op.x)), list(request_shape(op.result))
    strides = vector_ops.dense_strides(out)
    dst = seg.ref(op.result)
    inside = vector_ops.shifted(dst, op.before.value.data * strides[op.axis.value.data - 1])
    fill = instr("fill", dst=dst, value=op.value.value.data, n=int(np.prod(out, dtype=np.int64)))
    return [fill, *vector_ops.copy(inside, seg.ref(op.x), dims, strides, vector_ops.dense_strides(dims))]


EMITTERS: dict[type[Operation], Emitter] = {
    rec.UnaryOp: _unary,
    rec.BinaryOp: _binary,
    rec.ReshapeOp: _reshape,
    rec.HitsOp: lambda seg, op: [],
    rec.CastOp: _cast,
    rec.ConcatOp: _concat,
    rec.TransposeOp: _transpose,
    rec.SliceOp: _slice,
    rec.TakeOp: _take,
    rec.ReduceOp: _reduce,
    rec.DotInteractionOp: _dots,
    rec.MatmulOp: _matmul,
    rec.ExpandOp: _expand,
    rec.PadOp: _pad,
}
