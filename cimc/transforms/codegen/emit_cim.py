"""Instructions of ``cim`` operations: what arrays, ports and links do, and the integers around them."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation

from cimc.analysis.request_size import request_bytes, request_shape
from cimc.ir import cim, rec
from cimc.ir.types import i8, symbol
from cimc.isa.instructions import Instr, instr
from cimc.isa.link_widths import id_bits
from cimc.transforms.codegen import vector_ops
from cimc.transforms.codegen.chip_segment import Emitter, Segment, unsupported
from cimc.transforms.schedule.chip_operations import streamed
from cimc.transforms.schedule.schedule import leading


def _load(seg: Segment, op: cim.LoadOp) -> list[Instr]:
    return [instr("load", dst=seg.ref(op.result), port=seg.port(op.x), n=seg.size(op.result))]


def _load_quantized(seg: Segment, op: cim.LoadQuantizedOp) -> list[Instr]:
    return [
        instr(
            "loadq",
            dst=seg.ref(op.result),
            port=seg.port(op.x),
            n=seg.size(op.result),
            scale=op.scale.value.data,
            bits=op.bits.value.data,
            sign=_sign(op.signed),
        )
    ]


def _sign(signed: bool) -> str:
    return "signed" if signed else "unsigned"


def _transfer(seg: Segment, op: cim.TransferOp) -> list[Instr]:
    source, dest = op.source.value.data, op.dest.value.data
    size = request_bytes(op.x)
    seg.receive(op.x, source)
    bits = 8 if op.bits is None else op.bits.value.data
    send = instr("send", tile=dest, tag=seg.tag, src=seg.ref(op.x), bytes=size, bits=bits)
    seg.streams.setdefault(source, []).append(send)
    seg.waiting[op.result, dest] = instr(
        "recv", tile=source, tag=seg.tag, dst=seg.ref(op.result), bytes=size, bits=bits,
        sign=_sign(rec.element(op.x) == i8),
    )  # fmt: skip
    seg.tag += 1
    return []


def _mvm(seg: Segment, op: cim.MvmOp) -> list[Instr]:
    blocks = op.blocks()
    vectors = leading(op.x, len(rec.shape(op.x)) - 1)
    rows, cols = rec.shape(op.x)[-1], rec.shape(op.result)[-1]
    stride = vectors > 1
    body = instr(
        "mvm",
        dst=seg.ref(op.result)._replace(stride=4 * cols * stride),
        src=seg.ref(op.x)._replace(stride=rows * stride),
        matrix=seg.shared.numbers[symbol(op.matrix)],
        first=blocks.start,
        count=blocks.stop - blocks.start,
    )
    return vector_ops.looped(vectors, [body])


def _search(seg: Segment, op: cim.SearchOp) -> list[Instr]:
    blocks, (width, shift) = op.blocks(), op.bus
    return [
        instr(
            "search", dst=seg.ref(op.result), src=seg.ref(op.x), matrix=seg.shared.numbers[symbol(op.matrix)],
            first=blocks.start, count=blocks.stop - blocks.start, k=op.k.value.data, width=width, shift=shift,
        )
    ]  # fmt: skip


def _merge(seg: Segment, op: cim.MergeOp) -> list[Instr]:
    dst, k = seg.ref(op.result), seg.size(op.result) // 2
    code, best = [], seg.ref(op.parts[0])
    for part in op.parts[1:]:
        code.append(instr("merge", dst=dst, a=best, b=seg.ref(part), k=k))
        best = dst
    return code


def _dequantize(seg: Segment, op: cim.DequantizeOp) -> list[Instr]:
    store = seg.shared.store
    factors = store[symbol(op.factors)].astype(np.float32)
    bias = store[symbol(op.bias)].astype(np.float32) if op.bias else np.zeros(len(factors), np.float32)
    vectors = leading(op.acc, len(rec.shape(op.acc)) - 1)
    stride = 4 * len(factors) * (vectors > 1)
    body = instr(
        "dequant",
        dst=seg.ref(op.result)._replace(stride=stride),
        src=seg.ref(op.acc)._replace(stride=stride),
        factors=seg.shared.constants.add(factors),
        bias=seg.shared.constants.add(bias),
        n=len(factors),
    )
    return vector_ops.looped(vectors, [body])


def _quantize(seg: Segment, op: cim.QuantizeOp) -> list[Instr]:
    return [
        instr(
            "quant",
            dst=seg.ref(op.result),
            src=seg.ref(op.x),
            n=seg.size(op.x),
            scale=op.scale.value.data,
            bits=op.bits.value.data,
            sign=_sign(op.signed),
        )
    ]


def _add(seg: Segment, op: cim.AddOp) -> list[Instr]:
    dst, n = seg.ref(op.result), seg.size(op.result)
    code, total = [], seg.ref(op.parts[0])
    for part in op.parts[1:]:
        code.append(instr("iadd", dst=dst, a=total, b=seg.ref(part), n=n))
        total = dst
    return code


def _lookup(seg: Segment, op: cim.LookupOp) -> list[Instr]:
    matrix = seg.shared.numbers[symbol(op.table)]
    dst, scale, mode = seg.ref(op.result), op.scale.value.data, op.mode.data
    width = id_bits(seg.shared.rows[symbol(op.table)])
    if streamed(op, seg.stage, seg.shared.stages):
        padding = op.padding.value.data if op.padding is not None else None
        port = seg.port(
            op.ids, layout=op.layout.data, offsets=op.offsets, weights=op.weights, padding=padding
        )
        return [instr("bag", dst=dst, port=port, matrix=matrix, mode=mode, scale=scale, idbits=width)]
    pad = op.padding.value.data if op.padding is not None else 0
    if not -(1 << 31) <= pad < 1 << 31:
        raise unsupported(op, f"the padding id {pad} does not fit the 32 bits of ids on the chip")
    drop = "none" if op.padding is None else "equal"
    dims = request_shape(op.ids)
    total = seg.size(op.ids)
    n = total if mode == "none" else dims[-1] if dims else 1
    bags = total // max(n, 1)
    stride = bags > 1
    ids = seg.ref(op.ids)._replace(stride=4 * n * stride)
    dst = dst._replace(stride=4 * op.dim.value.data * stride)
    if op.weights is None:
        body = instr(
            "lookup", dst=dst, ids=ids, matrix=matrix, mode=mode, scale=scale, n=n, drop=drop, pad=pad,
            idbits=width,
        )  # fmt: skip
    else:
        weights = seg.ref(op.weights)._replace(stride=4 * n * stride)
        body = instr(
            "lookupw", dst=dst, ids=ids, weights=weights, matrix=matrix, scale=scale, n=n, drop=drop, pad=pad,
            idbits=width,
        )  # fmt: skip
    return vector_ops.looped(bags, [body])


EMITTERS: dict[type[Operation], Emitter] = {
    cim.LoadOp: _load,
    cim.LoadQuantizedOp: _load_quantized,
    cim.TransferOp: _transfer,
    cim.MvmOp: _mvm,
    cim.SearchOp: _search,
    cim.MergeOp: _merge,
    cim.DequantizeOp: _dequantize,
    cim.QuantizeOp: _quantize,
    cim.AddOp: _add,
    cim.LookupOp: _lookup,
}
