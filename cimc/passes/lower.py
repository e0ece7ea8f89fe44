"""``lower``: the scheduled module becomes a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from cimc.errors import Location, PassError
from cimc.frontend.exporter import export_host
from cimc.ir import cim, onnx, rec
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.types import element_of, element_to_dtype, i1, is_float, symbol
from cimc.isa.artifact import canonical_json
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.program import ChipSegment, Header, HostSegment, Matrix, Port, Program
from cimc.isa.verify import verify_program
from cimc.passes import emit
from cimc.passes.buffers import element_bytes, request_bytes, request_shape
from cimc.passes.constants import ConstantPool
from cimc.passes.evaluate import input_signature, main_function, signature
from cimc.passes.schedule import STAGE_ATTR, is_chip, leading, streamed


@dataclass(frozen=True)
class Lower(ModulePass):
    """Emit the program: per-tile instruction streams, host segments, matrix directory and constants.

    The module itself stays as it is; the program goes to the compilation context.  The streams are verified
    before the pass returns.

    Precondition: a scheduled module.
    """

    name = "lower"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        program = _Lowering(op, data).program()
        verify_program(program, target)
        data.program = program


class _Lowering:
    def __init__(self, module: ModuleOp, data: CompilerContext) -> None:
        self.module, self.data = module, data
        self.function: FuncOp = main_function(module)
        self.inputs, self.outputs = signature(self.function)
        self.constants = ConstantPool()
        self.matrices = [o for o in module.body.block.ops if isinstance(o, cim.MatrixOp)]
        self.numbers = {o.sym_name.data: n for n, o in enumerate(self.matrices)}
        self.names: dict[SSAValue, str] = {}
        self.stages: dict[Operation, int] = {}
        self.program_data: dict[str, Any] = {}
        for name, argument in zip(self.inputs, self.function.body.block.args, strict=True):
            self.names[argument] = name
        for op in self.function.body.block.ops:
            stage = op.attributes.get(STAGE_ATTR)
            if isinstance(stage, IntegerAttr):
                self.stages[op] = stage.value.data
            elif not isinstance(op, ReturnOp | rec.ConstantOp):
                raise PassError("pass.precondition", f"{op.name} is not scheduled: run 'schedule' first")

    # -- the whole ----------------------------------------------------------------------------------

    def program(self) -> Program:
        segments: list[ChipSegment | HostSegment] = []
        for stage in sorted(set(self.stages.values())):
            ops = [o for o, s in self.stages.items() if s == stage]
            if stage % 2 == 0:
                segments.append(_Segment(self, stage, ops).build())
            else:
                segments.extend(self.host(o) for o in ops if isinstance(o, rec.HostOp))
        end = self.function.body.block.last_op
        assert isinstance(end, ReturnOp)
        kinds = input_signature(self.function)
        target = self.data.target
        assert target is not None
        facts = self.data.facts
        header = Header(
            model=str(facts.get("model", "")), model_digest=str(facts.get("model_digest", "")),
            target=target.name, target_digest=target.digest,
            target_json=canonical_json(target.model_dump(mode="json")),
            pipeline=str(facts.get("pipeline", "")), seed=self.data.seed, inputs=tuple(kinds),
            outputs=tuple((n, self.name(v)) for n, v in zip(self.outputs, end.arguments, strict=True)),
            notes=tuple(self.data.notes),
        )  # fmt: skip
        matrices = tuple(self.matrix(m) for m in self.matrices)
        kept = {k: v for k, v in facts.items() if k not in ("model", "model_digest", "pipeline")}
        return Program(header, tuple(segments), matrices, self.constants.array(), self.program_data, kept)

    def name(self, value: SSAValue) -> str:
        """Name of a value that crosses a segment's border."""
        if value not in self.names:
            if isinstance(value.owner, rec.ConstantOp):
                raise PassError(
                    "lower.constant-output", "an output of the model does not depend on its inputs"
                )
            self.names[value] = f"%{len(self.names)}"
        return self.names[value]

    def matrix(self, op: cim.MatrixOp) -> Matrix:
        store, name = self.data.store, op.sym_name.data
        assert op.blocks is not None
        assert op.slices is not None
        assert op.ranges is not None
        self.program_data[f"{name}.data"] = store[symbol(op.data)]
        self.program_data[f"{name}.blocks"] = store[symbol(op.blocks)]
        self.program_data[f"{name}.ranges"] = store[symbol(op.ranges)]
        for part in ("certificate", "slots", "replicas", "row_scales", "row_biases"):
            if (array := getattr(op, part)) is not None:
                self.program_data[f"{name}.{part}"] = store[symbol(array)]
        assert self.data.target is not None
        return Matrix(
            name=name, kind=op.kind.data, rows=op.rows.value.data, cols=op.cols.value.data,
            bits=op.bits.value.data, slices=op.slices.value.data, block_rows=self.data.target.array.rows,
            pool_rows=op.pool_rows.value.data if op.pool_rows else 1,
            input_bits=op.input_bits.value.data if op.input_bits else 0,
            input_signed=bool(op.input_signed.value.data) if op.input_signed else False,
        )  # fmt: skip

    def host(self, op: rec.HostOp) -> HostSegment:
        model = export_host(op, self.data)
        key = f"host{sum(k.startswith('host') for k in self.program_data)}"
        self.program_data[key] = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
        return HostSegment(
            key,
            tuple((i.name, self.name(v)) for i, v in zip(model.graph.input, op.inputs, strict=True)),
            tuple((o.name, self.name(v)) for o, v in zip(model.graph.output, op.outputs, strict=True)),
            tuple(r.data for r in op.reasons or ()),
            sum(isinstance(o, onnx.NodeOp) for o in op.body.block.ops),
        )


def _dtype(value: SSAValue) -> str:
    element = element_of(value.type)
    if element is None:
        raise PassError("lower.opaque", f"a value of type {value.type} cannot cross the chip's border")
    return element_to_dtype(element).name


def _link_type(value: SSAValue) -> str:
    element = element_of(value.type)
    assert element is not None
    # truth values are 1.0 and 0.0 on the chip
    return "f32" if is_float(element) or element == i1 else "i32"


class _Segment:
    """One chip segment: ports and streams."""

    def __init__(self, whole: _Lowering, stage: int, ops: list[Operation]) -> None:
        self.whole, self.stage, self.ops = whole, stage, ops
        self.streams: dict[int, list[Instr]] = {}
        self.inputs: dict[tuple[SSAValue | int | None, ...], tuple[int, Port]] = {}
        self.outputs: dict[SSAValue, tuple[int, Port]] = {}
        self.waiting: dict[tuple[SSAValue, int], Instr] = {}
        self.tag = 0

    def build(self) -> ChipSegment:
        for op in self.ops:
            tile = self.tile(op)
            for operand in op.operands:
                self.receive(operand, tile)
            handler = _EMIT.get(type(op))
            if handler is None:
                raise _unsupported(op, f"the chip has no instruction for {op.name}")
            self.streams.setdefault(tile, []).extend(handler(self, op))
        for op in self.ops:
            result = op.results[0]
            if any(self.leaves(use.operation) for use in result.uses):
                self.store(result, self.tile(op))
        ports = [tuple(p for _, p in sorted(table.values())) for table in (self.inputs, self.outputs)]
        streams = {t: tuple(s) for t, s in sorted(self.streams.items()) if s}
        return ChipSegment(ports[0], ports[1], streams)

    def leaves(self, user: Operation) -> bool:
        return not is_chip(user) or self.whole.stages[user] != self.stage

    def tile(self, op: Operation) -> int:
        attr = op.attributes[cim.TILE_ATTR]
        assert isinstance(attr, IntegerAttr)
        return attr.value.data

    # -- operands -----------------------------------------------------------------------------------

    def ref(self, value: SSAValue) -> Ref:
        """Where a value lies: its tile's scratchpad, or constant memory."""
        op = value.owner
        if isinstance(op, rec.ConstantOp):
            array = self.whole.data.store[symbol(op.symbol)]
            return self.whole.constants.add(array.astype(np.float32) if array.dtype == np.bool_ else array)
        assert isinstance(op, Operation)
        attr = op.attributes[cim.ADDRESS_ATTR]
        assert isinstance(attr, IntegerAttr)
        return Ref(attr.value.data)

    def receive(self, value: SSAValue, tile: int) -> None:
        """Emit the pending ``recv`` of a value right before its first use."""
        op = value.owner
        while isinstance(op, rec.ReshapeOp | rec.SliceOp) and (value, tile) not in self.waiting:
            value = op.x
            op = value.owner
        pending = self.waiting.pop((value, tile), None)
        if pending is not None:
            self.streams.setdefault(tile, []).append(pending)

    def port(self, value: SSAValue, **bag: Any) -> int:
        """Number of the input port that brings ``value`` in."""
        key = (value, bag.get("offsets"), bag.get("weights"), bag.get("padding"))
        if key not in self.inputs:
            name = self.whole.name
            if bag:
                described = Port(
                    name(value), "bag", "i32", _dtype(value), (), bag["layout"],
                    name(bag["offsets"]) if bag["offsets"] is not None else "",
                    name(bag["weights"]) if bag["weights"] is not None else "", bag["padding"],
                )  # fmt: skip
            else:
                described = Port(name(value), "dense", _link_type(value), _dtype(value), request_shape(value))
            self.inputs[key] = (len(self.inputs), described)
        return self.inputs[key][0]

    def store(self, value: SSAValue, tile: int) -> None:
        self.receive(value, tile)
        shape = request_shape(value)
        port = Port(self.whole.name(value), "dense", _link_type(value), _dtype(value), shape)
        number = len(self.outputs)
        self.outputs[value] = (number, port)
        self.streams.setdefault(tile, []).append(
            instr("store", port=number, src=self.ref(value), n=port.elements)
        )

    def size(self, value: SSAValue) -> int:
        """Elements of one request's part of a value."""
        return request_bytes(value) // element_bytes(value)


def _unsupported(op: Operation, why: str) -> PassError:
    return PassError("lower.unsupported", why, location=Location(node=onnx.name_of(op)))


# -- one function per operation -----------------------------------------------------------------------


def _load(seg: _Segment, op: cim.LoadOp) -> list[Instr]:
    return [instr("load", dst=seg.ref(op.result), port=seg.port(op.x), n=seg.size(op.result))]


def _transfer(seg: _Segment, op: cim.TransferOp) -> list[Instr]:
    source, dest = op.source.value.data, op.dest.value.data
    size = request_bytes(op.x)
    seg.receive(op.x, source)
    send = instr("send", tile=dest, tag=seg.tag, src=seg.ref(op.x), bytes=size)
    seg.streams.setdefault(source, []).append(send)
    seg.waiting[op.result, dest] = instr("recv", tile=source, tag=seg.tag, dst=seg.ref(op.result), bytes=size)
    seg.tag += 1
    return []


def _mvm(seg: _Segment, op: cim.MvmOp) -> list[Instr]:
    assert op.first is not None
    assert op.count is not None
    vectors = leading(op.x, len(rec.shape(op.x)) - 1)
    rows, cols = rec.shape(op.x)[-1], rec.shape(op.result)[-1]
    stride = vectors > 1
    body = instr(
        "mvm",
        dst=seg.ref(op.result)._replace(stride=4 * cols * stride),
        src=seg.ref(op.x)._replace(stride=rows * stride),
        matrix=seg.whole.numbers[symbol(op.matrix)],
        first=op.first.value.data,
        count=op.count.value.data,
    )
    return emit.looped(vectors, [body])


def _dequantize(seg: _Segment, op: cim.DequantizeOp) -> list[Instr]:
    store = seg.whole.data.store
    factors = store[symbol(op.factors)].astype(np.float32)
    bias = store[symbol(op.bias)].astype(np.float32) if op.bias else np.zeros(len(factors), np.float32)
    vectors = leading(op.acc, len(rec.shape(op.acc)) - 1)
    stride = 4 * len(factors) * (vectors > 1)
    body = instr(
        "dequant",
        dst=seg.ref(op.result)._replace(stride=stride),
        src=seg.ref(op.acc)._replace(stride=stride),
        factors=seg.whole.constants.add(factors),
        bias=seg.whole.constants.add(bias),
        n=len(factors),
    )
    return emit.looped(vectors, [body])


def _quantize(seg: _Segment, op: cim.QuantizeOp) -> list[Instr]:
    return [
        instr(
            "quant",
            dst=seg.ref(op.result),
            src=seg.ref(op.x),
            n=seg.size(op.x),
            scale=op.scale.value.data,
            bits=op.bits.value.data,
            sign="signed" if op.signed else "unsigned",
        )
    ]


def _add(seg: _Segment, op: cim.AddOp) -> list[Instr]:
    dst, n = seg.ref(op.result), seg.size(op.result)
    code, total = [], seg.ref(op.parts[0])
    for part in op.parts[1:]:
        code.append(instr("iadd", dst=dst, a=total, b=seg.ref(part), n=n))
        total = dst
    return code


def _lookup(seg: _Segment, op: cim.LookupOp) -> list[Instr]:
    matrix = seg.whole.numbers[symbol(op.table)]
    dst, scale, mode = seg.ref(op.result), op.scale.value.data, op.mode.data
    if streamed(op, seg.stage, seg.whole.stages):
        padding = op.padding.value.data if op.padding is not None else None
        port = seg.port(
            op.ids, layout=op.layout.data, offsets=op.offsets, weights=op.weights, padding=padding
        )
        return [instr("bag", dst=dst, port=port, matrix=matrix, mode=mode, scale=scale)]
    pad = op.padding.value.data if op.padding is not None else 0
    if not -(1 << 31) <= pad < 1 << 31:
        raise _unsupported(op, f"the padding id {pad} does not fit the 32 bits of ids on the chip")
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
            "lookup", dst=dst, ids=ids, matrix=matrix, mode=mode, scale=scale, n=n, drop=drop, pad=pad
        )
    else:
        weights = seg.ref(op.weights)._replace(stride=4 * n * stride)
        body = instr(
            "lookupw", dst=dst, ids=ids, weights=weights, matrix=matrix, scale=scale, n=n, drop=drop, pad=pad
        )
    return emit.looped(bags, [body])


def _unary(seg: _Segment, op: rec.UnaryOp) -> list[Instr]:
    alpha = op.alpha.value.data if op.alpha else 0.0
    beta = op.beta.value.data if op.beta else 0.0
    n = seg.size(op.x)
    return [
        instr(
            "unary", dst=seg.ref(op.result), src=seg.ref(op.x), n=n, fn=op.kind.data, alpha=alpha, beta=beta
        )
    ]


def _binary(seg: _Segment, op: rec.BinaryOp) -> list[Instr]:
    out = list(request_shape(op.result))
    rank = len(out) + 1

    def dims(value: SSAValue) -> list[int]:
        wide = (1,) * (rank - len(rec.shape(value))) + rec.shape(value)
        return list(wide[1:])

    kind = _link_type(op.a)
    a, b = seg.ref(op.a), seg.ref(op.b)
    return emit.binary(op.kind.data, kind, seg.ref(op.result), a, b, out, dims(op.a), dims(op.b))


def _reshape(seg: _Segment, op: rec.ReshapeOp | rec.CastOp) -> list[Instr]:
    """Nothing to do where the result is the operand's memory; else a plain copy."""
    dst, src, n = seg.ref(op.result), seg.ref(op.x), seg.size(op.x)
    return [] if dst == src else emit.copy(dst, src, [n], [1], [1])


def _cast(seg: _Segment, op: rec.CastOp) -> list[Instr]:
    before, after = _link_type(op.x), _link_type(op.result)
    if before == after:
        return _reshape(seg, op)
    return [instr("cast", dst=seg.ref(op.result), src=seg.ref(op.x), n=seg.size(op.x), to=after)]


def _concat(seg: _Segment, op: rec.ConcatOp) -> list[Instr]:
    out = list(request_shape(op.result))
    axis = op.axis.value.data - 1
    strides = emit.dense_strides(out)
    dst, code, at = seg.ref(op.result), [], 0
    for part in op.parts:
        dims = list(request_shape(part))
        src, to = seg.ref(part), emit.shifted(dst, at * strides[axis])
        if src != to:
            code += emit.copy(to, src, dims, strides, emit.dense_strides(dims))
        at += dims[axis]
    return code


def _transpose(seg: _Segment, op: rec.TransposeOp) -> list[Instr]:
    dims = list(request_shape(op.x))
    perm = [p - 1 for p in rec.unpack(op.perm)[1:]]
    strides = emit.dense_strides(dims)
    out = [dims[p] for p in perm]
    return emit.copy(
        seg.ref(op.result), seg.ref(op.x), out, emit.dense_strides(out), [strides[p] for p in perm]
    )


def _slice(seg: _Segment, op: rec.SliceOp) -> list[Instr]:
    dims, out = list(request_shape(op.x)), list(request_shape(op.result))
    strides = emit.dense_strides(dims)
    src = emit.shifted(seg.ref(op.x), op.start.value.data * strides[op.axis.value.data - 1])
    dst = seg.ref(op.result)
    return [] if src == dst else emit.copy(dst, src, out, emit.dense_strides(out), strides)


def _take(seg: _Segment, op: rec.TakeOp) -> list[Instr]:
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
        index=seg.whole.constants.add(np.array(chosen, np.int32)),
        n=len(chosen),
        inner=inner,
    )
    return emit.looped(outer, [body])


def _reduce(seg: _Segment, op: rec.ReduceOp) -> list[Instr]:
    dims, axes = list(request_shape(op.x)), [a - 1 for a in rec.unpack(op.axes)]
    if axes != list(range(axes[0], axes[0] + len(axes))):
        raise _unsupported(op, "a reduction over axes that are not neighbours")
    outer = int(np.prod(dims[: axes[0]], dtype=np.int64))
    n = int(np.prod([dims[a] for a in axes], dtype=np.int64))
    inner = int(np.prod(dims[axes[-1] + 1 :], dtype=np.int64))
    dst, src = seg.ref(op.result), seg.ref(op.x)
    return [instr("reduce", dst=dst, src=src, fn=op.kind.data, outer=outer, n=n, inner=inner)]


def _dots(seg: _Segment, op: rec.DotInteractionOp) -> list[Instr]:
    lhs, rhs = rec.unpack(op.lhs), rec.unpack(op.rhs)
    _, features, dim = rec.shape(op.x)
    pairs = seg.whole.constants.add(np.array([*lhs, *rhs], np.int32))
    dst, src = seg.ref(op.result), seg.ref(op.x)
    return [instr("dots", dst=dst, src=src, pairs=pairs, n=len(lhs), features=features, dim=dim)]


def _matmul(seg: _Segment, op: rec.MatmulOp) -> list[Instr]:
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
    return emit.looped(count, [body])


def _expand(seg: _Segment, op: rec.ExpandOp) -> list[Instr]:
    out = list(request_shape(op.result))
    rank = len(out) + 1
    dims = ((1,) * (rank - len(rec.shape(op.x))) + rec.shape(op.x))[1:]
    return emit.copy(
        seg.ref(op.result), seg.ref(op.x), out, emit.dense_strides(out), emit.broadcast_strides(dims, out)
    )


def _pad(seg: _Segment, op: rec.PadOp) -> list[Instr]:
    dims, out = list(request_shape(op.x)), list(request_shape(op.result))
    strides = emit.dense_strides(out)
    dst = seg.ref(op.result)
    inside = emit.shifted(dst, op.before.value.data * strides[op.axis.value.data - 1])
    fill = instr("fill", dst=dst, value=op.value.value.data, n=int(np.prod(out, dtype=np.int64)))
    return [fill, *emit.copy(inside, seg.ref(op.x), dims, strides, emit.dense_strides(dims))]


_EMIT: dict[type[Operation], Callable[[_Segment, Any], list[Instr]]] = {
    cim.LoadOp: _load,
    cim.TransferOp: _transfer,
    cim.MvmOp: _mvm,
    cim.DequantizeOp: _dequantize,
    cim.QuantizeOp: _quantize,
    cim.AddOp: _add,
    cim.LookupOp: _lookup,
    rec.UnaryOp: _unary,
    rec.BinaryOp: _binary,
    rec.ReshapeOp: _reshape,
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
