"""Operators that stand for several: attention, rotary embeddings, fused operators of ``com.microsoft``.

Each becomes nodes of ONNX's own basic operators, which recognisers know, so that products with weights get
to the arrays and the rest to the vector unit.  All of them exist in every operator set of the models they
are in, so that they also run on the host.  What a form needs and is not known (a length, a number of heads)
leaves the node as it was.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.constants import ConstantReader, float_attribute
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.marks import mark
from cimc.ir.types import f32, i1, i64
from cimc.transforms.matching.nodes import absent
from cimc.transforms.onnx.composites.fourier import dft
from cimc.transforms.onnx.composites.fused_layers import fused_conv, packed_matmul
from cimc.transforms.onnx.composites.known_branches import branch_taken
from cimc.transforms.onnx.composites.scalers import linear_regressor, normalizer, scaler
from cimc.transforms.onnx.expansion import Expansion, Unknown
from cimc.transforms.onnx.recurrent import recurrent
from cimc.transforms.onnx.unroll_loops import has_layers, unrolled

_MASK_LIMIT = 1 << 22
"""Elements of a causal mask made at compile time."""

_MASKED = -1e30
"""Added to a masked score: its exponential is zero beside that of any other."""


def has_compound(function: FuncOp, constants: ConstantReader) -> bool:
    """Whether ``function`` has a node that :func:`expand` may rewrite."""
    nodes = [op for op in function.body.block.ops if isinstance(op, onnx.NodeOp)]
    return any(op.kind in _RULES or (op.kind in _LOOPS and has_layers(op, constants)) for op in nodes)


def expand(function: FuncOp, analysis: ShapeAnalysis, ctx: CompilerContext, opset: int) -> None:
    """Put ``onnx.composite`` in the place of compound operators of ``function``.

    Those inside of an unrolled loop become parts of the loop.  Where a rule gives up, the node (or the loop)
    is marked with the reason, as far as a user would want to know.
    """
    found = False
    for rules in (_LOOPS, _RULES):  # first loops, whose bodies may have other compound operators
        if found:
            analysis = ShapeAnalysis(function, ctx)
            analysis.refine_types()
        for top in list(function.body.block.ops):
            inner = list(top.parts.block.ops) if isinstance(top, onnx.CompositeOp) else [top]
            for op in inner:
                if not isinstance(op, onnx.NodeOp) or op.kind not in rules:
                    continue
                work = Expansion(op, analysis, ctx, opset)
                try:
                    values = rules[op.kind](work)
                except Unknown as unknown:
                    work.forget()
                    if str(unknown):
                        mark(top.node if isinstance(top, onnx.CompositeOp) else op, whole=str(unknown))
                    continue
                if isinstance(top, onnx.CompositeOp):
                    _dissolve(op, work, values)
                else:
                    _wrap(op, work, values)
                    found = True


def _wrap(op: onnx.NodeOp, work: Expansion, values: Sequence[SSAValue | None]) -> None:
    """Put a composite of ``op`` and what it becomes in its place."""
    composite = onnx.CompositeOp([r.type for r in op.results], Region(Block()), Region(Block()))
    composite.location = op.location
    Rewriter.insert_op(composite, InsertPoint.before(op))
    for old, new in zip(op.results, composite.outputs, strict=True):
        new.name_hint = old.name_hint
        work.analysis.alias(new, old)
        old.replace_all_uses_with(new)
    op.detach()  # type: ignore[no-untyped-call]
    composite.whole.block.add_ops([op, onnx.YieldOp(op.results)])
    parts = composite.parts.block
    parts.add_ops(work.ops)
    given = [*values, *[None] * len(op.results)][: len(op.results)]
    if None in given:
        nothing = onnx.NoneOp()
        parts.add_op(nothing)
        given = [nothing.output if v is None else v for v in given]
    parts.add_op(onnx.YieldOp([v for v in given if v is not None]))


def _dissolve(op: onnx.NodeOp, work: Expansion, values: Sequence[SSAValue | None]) -> None:
    """Put what ``op`` becomes in its place."""
    work.insert()
    for old, new in zip(op.results, values, strict=False):
        if new is not None:
            new.name_hint = old.name_hint
            work.analysis.alias(new, old)
            old.replace_all_uses_with(new)
    Rewriter.erase_op(op)


# -- activations and normalisation --------------------------------------------------------------------


def _gelu(w: Expansion, x: SSAValue | None = None) -> list[SSAValue | None]:
    x = w.input(0) if x is None else x
    erf = w.make("Erf", w.make("Div", x, w.number(math.sqrt(2))))
    return [w.make("Mul", x, w.scaled(w.make("Add", erf, w.number(1.0)), 0.5))]


def _bias_gelu(w: Expansion) -> list[SSAValue | None]:
    return _gelu(w, w.make("Add", w.input(0), w.input(1)))


def _fast_gelu(w: Expansion) -> list[SSAValue | None]:
    x, bias = w.input(0), w.given(1)
    x = x if bias is None else w.make("Add", x, bias)
    cube = w.make("Mul", w.make("Mul", x, x), x)
    inner = w.scaled(w.make("Add", x, w.scaled(cube, 0.044715)), math.sqrt(2 / math.pi))
    return [w.make("Mul", x, w.scaled(w.make("Add", w.make("Tanh", inner), w.number(1.0)), 0.5))]


def _quick_gelu(w: Expansion) -> list[SSAValue | None]:
    x = w.input(0)
    return [w.make("Mul", x, w.make("Sigmoid", w.scaled(x, float_attribute(w.op, "alpha", 1.702))))]


def _rms(w: Expansion, x: SSAValue, gamma: SSAValue) -> SSAValue:
    epsilon = w.number(float_attribute(w.op, "epsilon", 1e-5))
    root = w.make("Sqrt", w.make("Add", w.mean_of_last(w.make("Mul", x, x)), epsilon))
    return w.make("Mul", w.make("Div", x, root), gamma)


def _skip(w: Expansion) -> list[SSAValue | None]:
    """``normalise(x + skip (+ bias))``; the fourth result is the sum."""
    w.unused(1, 2)
    simple = w.op.op_type.data == "SkipSimplifiedLayerNormalization"
    total = w.make("Add", w.input(0), w.input(1))
    bias = w.given(3 if simple else 4)
    if bias is not None:
        total = w.make("Add", total, bias)
    if simple:
        return [_rms(w, total, w.input(2)), None, None, total]
    centred = w.make("Sub", total, w.mean_of_last(total))
    value = _rms(w, centred, w.input(2))
    beta = w.given(3)
    return [value if beta is None else w.make("Add", value, beta), None, None, total]


# -- products -----------------------------------------------------------------------------------------


def _fused_matmul(w: Expansion) -> list[SSAValue | None]:
    given = w.number_of("transBatchA", 0) or w.number_of("transBatchB", 0)
    w.need(not given, "the batch is transposed")
    sides = []
    for index, name in ((0, "transA"), (1, "transB")):
        value = w.input(index)
        if w.number_of(name, 0):
            rank = len(w.dims(value))
            w.need(rank >= 2)
            array = w.analysis.constants.read(value)
            if array is not None:
                sides.append(w.constant(np.ascontiguousarray(np.swapaxes(array, -1, -2))))
                continue
            value = w.transpose(value, *range(rank - 2), rank - 1, rank - 2)
        sides.append(value)
    return [w.scaled(w.make("MatMul", *sides), float_attribute(w.op, "alpha", 1.0))]


def _fused_gemm(w: Expansion) -> list[SSAValue | None]:
    kinds = {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu"}
    activation = w.op.attribute("activation")
    w.need(isinstance(activation, StringAttr) and activation.data in kinds, "its activation is not known")
    assert isinstance(activation, StringAttr)
    attrs = w.op.attrs.data if w.op.attrs else {}
    plain = {k: attrs[k] for k in ("transA", "transB", "alpha", "beta") if k in attrs}
    value = w.make("Gemm", *(v for v in w.op.inputs if not absent(v)), **plain)
    if activation.data in ("LeakyRelu", "Elu"):
        slope = float_attribute(w.op, "activation_alpha", 0.01 if activation.data == "LeakyRelu" else 1.0)
        return [w.make(activation.data, value, alpha=FloatAttr(slope, f32))]
    return [w.make(activation.data, value)]


def _einsum(w: Expansion) -> list[SSAValue | None]:
    """A product of three or more operands, two at a time from the left."""
    w.need(len(w.op.inputs) > 2)
    equation = w.op.attribute("equation")
    w.need(isinstance(equation, StringAttr))
    assert isinstance(equation, StringAttr)
    left, arrow, out = equation.data.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = set(string.ascii_letters)
    w.need(arrow and len(terms) == len(w.op.inputs) and all(set(t) <= letters for t in (*terms, out)))
    w.need(all(len(set(t)) == len(t) for t in (*terms, out)))
    value, have = w.op.inputs[0], terms[0]
    for index in range(1, len(terms)):
        last = index == len(terms) - 1
        later = set("".join(terms[index + 1 :]) + out)
        want = out if last else "".join(c for c in dict.fromkeys(have + terms[index]) if c in later)
        text = StringAttr(f"{have},{terms[index]}->{want}")
        value, have = w.make("Einsum", value, w.op.inputs[index], equation=text), want
    return [value]


# -- attention ----------------------------------------------------------------------------------------


def _heads(w: Expansion, x: SSAValue, count: int) -> SSAValue:
    """``[B, L, heads * depth]`` to ``[B, heads, L, depth]``."""
    wide = w.dims(x)[-1]
    w.need(count > 0 and wide > 0 and wide % count == 0)
    return w.transpose(w.reshape(x, 0, 0, count, wide // count), 0, 2, 1, 3)


def _shared_heads(w: Expansion, x: SSAValue, heads: int, times: int, depth: int) -> SSAValue:
    """``[B, heads, L, depth]`` with each head so many times, one after the other."""
    if times == 1:
        return x
    length = w.dims(w.input(1))[1 if len(w.dims(w.input(1))) == 3 else 2]
    w.need(length > 0, "the length of its keys is not known")
    one = w.reshape(x, 0, heads, 1, length * depth)
    return w.reshape(w.concat([one] * times, 2), 0, heads * times, length, depth)


def _attend(
    w: Expansion,
    q: SSAValue,
    k: SSAValue,
    v: SSAValue,
    scale: float,
    biases: Sequence[SSAValue],
    keep: SSAValue | None = None,
) -> SSAValue:
    """``(softmax(q k' * scale + biases) * keep) v`` of ``[B, heads, L, depth]``."""
    scores = w.scaled(w.make("MatMul", q, w.transpose(k, 0, 1, 3, 2)), scale)
    for bias in biases:
        scores = w.make("Add", scores, bias)
    shares = w.make("Softmax", scores, axis=IntegerAttr(-1, i64))
    if keep is not None:
        shares = w.make("Mul", shares, keep)
    return w.make("MatMul", shares, v)


def _causal(w: Expansion, queries: int, keys: int) -> SSAValue:
    known = queries > 0 and keys > 0
    w.need(known, "the lengths that a causal mask needs are not known at compile time")
    w.need(queries * keys <= _MASK_LIMIT, "its causal mask would be too large")
    return w.constant(np.triu(np.full((queries, keys), -np.inf, np.float32), 1)[None, None])


def _joined(w: Expansion, x: SSAValue, heads: int, depth: int) -> SSAValue:
    return w.reshape(w.transpose(x, 0, 2, 1, 3), 0, 0, heads * depth)


def _attention(w: Expansion) -> list[SSAValue | None]:
    """ONNX's own Attention, without a cache of earlier keys; a head of keys may serve several of queries."""
    w.none(4, 5, 6)
    w.unused(1, 2, 3)
    w.need(float_attribute(w.op, "softcap", 0.0) == 0.0, "its scores are capped (softcap)")
    q, k, v = w.input(0), w.input(1), w.input(2)
    dims = [w.dims(x) for x in (q, k, v)]
    w.need(len({len(d) for d in dims}) == 1 and len(dims[0]) in (3, 4))
    flat = len(dims[0]) == 3
    heads = w.number_of("q_num_heads", 0) if flat else dims[0][1]
    kept = w.number_of("kv_num_heads", 0) if flat else dims[1][1]
    whole = heads > 0 and kept > 0 and heads % kept == 0
    w.need(whole, "its heads of queries are no multiple of those of keys, as far as is known")
    depth = dims[0][-1] // heads if flat else dims[0][-1]
    wide = dims[2][-1] // kept if flat else dims[2][-1]
    w.need(depth > 0 and wide > 0)
    queries, keys = (d[1 if flat else 2] for d in dims[:2])
    biases: list[SSAValue] = []
    mask, keep = w.given(3), None
    if mask is not None:
        extents = w.dims(mask)
        fits = extents and extents[-1] in (1, keys) and (keys > 0 or extents[-1] == 1)
        w.need(fits, "its mask does not cover all keys, as far as is known")
        known = w.analysis.constants.read(mask)
        # a query that may look at no key gets zeros, so what is masked counts little, and then nothing
        if known is not None and known.dtype == np.bool_:
            keep = w.constant(known.astype(np.float32))
            mask = w.constant(np.where(known, np.float32(0), np.float32(_MASKED)))
        elif w.analysis.element(mask) == i1:
            keep = w.make("Where", mask, w.number(1.0), w.number(0.0))
            mask = w.make("Where", mask, w.number(0.0), w.number(_MASKED))
        biases.append(mask)
    if w.number_of("is_causal", 0) == 1:  # as onnxruntime reads it
        biases.append(_causal(w, queries, keys))
    if flat:
        q, k, v = (_heads(w, x, n) for x, n in ((q, heads), (k, kept), (v, kept)))
    k, v = (_shared_heads(w, x, kept, heads // kept, n) for x, n in ((k, depth), (v, wide)))
    scale = float_attribute(w.op, "scale", 1 / math.sqrt(depth))
    value = _attend(w, q, k, v, scale, biases, keep)
    return [_joined(w, value, heads, wide) if flat else value]


def _multi_head(w: Expansion) -> list[SSAValue | None]:
    """onnxruntime's MultiHeadAttention on ``[B, L, heads * depth]``."""
    w.none(4, 6, 7, 8, 9)
    w.unused(1, 2, 3)
    parts = [w.input(0), w.input(1), w.input(2)]
    dims = [w.dims(x) for x in parts]
    w.need(all(len(d) == 3 and d[-1] > 0 for d in dims))
    bias = None if w.given(3) is None else w.analysis.constants.read(w.input(3))
    w.need(w.given(3) is None or bias is not None, "its bias is not constant")
    if bias is not None:
        cuts = np.cumsum([d[-1] for d in dims])[:-1]
        parts = [w.make("Add", x, w.constant(b)) for x, b in zip(parts, np.split(bias, cuts), strict=True)]
    heads = w.number_of("num_heads", 0)
    w.need(heads > 0 and all(d[-1] % heads == 0 for d in dims))
    biases = [b for b in [w.given(5)] if b is not None]
    if w.number_of("unidirectional", 0) == 1:
        biases.append(_causal(w, dims[0][1], dims[1][1]))
    depth, wide = dims[0][-1] // heads, dims[2][-1] // heads
    q, k, v = (_split_heads(w, x, heads, d[-1]) for x, d in zip(parts, dims, strict=True))
    scale = float_attribute(w.op, "scale", 0.0) or 1 / math.sqrt(depth)
    return [_joined(w, _attend(w, q, k, v, scale, biases), heads, wide)]


def _packed(w: Expansion) -> list[SSAValue | None]:
    """onnxruntime's Attention: queries, keys and values from one input by one matrix ``[K, 3 N]``."""
    w.none(3, 4, 5, 6)
    w.unused(1)
    weight = w.analysis.constants.read(w.input(1))
    bias = None if w.given(2) is None else w.analysis.constants.read(w.input(2))
    heads = w.number_of("num_heads", 0)
    fixed = weight is not None and weight.ndim == 2 and (w.given(2) is None or bias is not None)
    w.need(fixed, "its weights are not constant")
    assert weight is not None
    wide = weight.shape[1] // 3
    w.need(w.op.attribute("qkv_hidden_sizes") is None, "queries, keys and values differ in width")
    w.need(not w.number_of("do_rotary", 0), "it rotates queries and keys")
    w.need(heads > 0 and weight.shape[1] == 3 * wide and wide % heads == 0)
    length = w.dims(w.input(0))[1]
    parts = []
    for n in range(3):
        x = w.make("MatMul", w.input(0), w.constant(weight[:, n * wide : (n + 1) * wide].copy()))
        if bias is not None:
            x = w.make("Add", x, w.constant(bias[n * wide : (n + 1) * wide].copy()))
        parts.append(_split_heads(w, x, heads, wide))
    q, k, v = parts
    biases = [_causal(w, length, length)] if w.number_of("unidirectional", 0) == 1 else []
    scale = float_attribute(w.op, "scale", 0.0) or 1 / math.sqrt(wide // heads)
    return [_joined(w, _attend(w, q, k, v, scale, biases), heads, wide // heads)]


def _split_heads(w: Expansion, x: SSAValue, heads: int, wide: int) -> SSAValue:
    return w.transpose(w.reshape(x, 0, 0, heads, wide // heads), 0, 2, 1, 3)


def _rotary(w: Expansion) -> list[SSAValue | None]:
    """ONNX's RotaryEmbedding on halves: ``(x1 cos - x2 sin, x1 sin + x2 cos)``."""
    w.need(not w.number_of("interleaved", 0), "its pairs are interleaved")
    x = w.input(0)
    dims = w.dims(x)
    flat = len(dims) == 3
    w.need(len(dims) in (3, 4) and dims[-1] > 0)
    heads = w.number_of("num_heads", 0) if flat else dims[1]
    w.need(heads > 0)
    depth = dims[-1] // heads if flat else dims[-1]
    whole = w.number_of("rotary_embedding_dim", 0) in (0, depth) and depth % 2 == 0
    w.need(whole, "it rotates a part of each head")
    half = depth // 2
    positions = w.given(3)
    angles = []
    for index in (1, 2):
        angle = w.input(index)
        if positions is not None:
            angle = w.make("Gather", angle, positions, axis=IntegerAttr(0, i64))
            length = w.dims(positions)[-1]
        else:
            length = w.dims(angle)[1]
        w.need(length > 0)
        angles.append(w.reshape(angle, 0, *((length, 1) if flat else (1, length)), half))
    cos, sin = angles
    y = w.reshape(x, 0, 0, heads, depth) if flat else x
    one, two = (_part(w, y, n * half, (n + 1) * half) for n in range(2))
    real = w.make("Sub", w.make("Mul", one, cos), w.make("Mul", two, sin))
    imaginary = w.make("Add", w.make("Mul", one, sin), w.make("Mul", two, cos))
    value = w.make("Concat", real, imaginary, axis=IntegerAttr(-1, i64))
    return [w.reshape(value, 0, 0, heads * depth) if flat else value]


def _part(w: Expansion, x: SSAValue, start: int, stop: int) -> SSAValue:
    bounds = [w.constant(np.array([v], np.int64)) for v in (start, stop, 3)]
    return w.make("Slice", x, *bounds)


_RULES: Mapping[str, Callable[[Expansion], list[SSAValue | None]]] = {
    "Attention": _attention,
    "RotaryEmbedding": _rotary,
    "Einsum": _einsum,
    "DFT": dft,
    "If": branch_taken,
    "com.microsoft.SkipLayerNormalization": _skip,
    "com.microsoft.SkipSimplifiedLayerNormalization": _skip,
    "com.microsoft.Gelu": _gelu,
    "com.microsoft.BiasGelu": _bias_gelu,
    "com.microsoft.FastGelu": _fast_gelu,
    "com.microsoft.QuickGelu": _quick_gelu,
    "com.microsoft.FusedMatMul": _fused_matmul,
    "com.microsoft.FusedGemm": _fused_gemm,
    "com.microsoft.FusedConv": fused_conv,
    "com.microsoft.MatMulNBits": packed_matmul,
    "ai.onnx.ml.Scaler": scaler,
    "ai.onnx.ml.Normalizer": normalizer,
    "ai.onnx.ml.LinearRegressor": linear_regressor,
    "com.microsoft.MultiHeadAttention": _multi_head,
    "com.microsoft.Attention": _packed,
    **dict.fromkeys(("GRU", "LSTM", "RNN"), recurrent),
}

_LOOPS: Mapping[str, Callable[[Expansion], list[SSAValue | None]]] = dict.fromkeys(("Loop", "Scan"), unrolled)

UNROLLED = frozenset({"GRU", "LSTM", "RNN", *_LOOPS})
"""Operators that become many nodes: they are worth that only if all of their products go to the chip."""
