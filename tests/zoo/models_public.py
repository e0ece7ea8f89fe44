"""Models in the style of public recommendation code, small, as several exporters spell them; see models_zoo.

What sets them apart from the other collections: recurrences unrolled, heads in front of the batch, positions
and intervals of time, states picked by the length of a history, features one-hot, texts under convolutions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from tests.zoo.models_zoo import ROWS, B, D, F, L, Model

HEADS = 2
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def _silu(m: Model, x: str) -> str:
    return str(m.op("Mul", x, m.op("Sigmoid", x)))


def _constant_norm(m: Model, x: str, wide: int) -> str:
    """Batch normalisation as Keras' inference graph has it: multiplied and added."""
    scaled = m.op("Mul", x, m.const(m.rng.uniform(0.5, 1.5, wide).astype(np.float32)))
    return str(m.op("Add", scaled, m.weight(wide)))


def _l2(m: Model, x: str) -> str:
    """``tf.math.l2_normalize``: by the reciprocal root of the clipped sum of squares."""
    total = m.op("ReduceSum", m.op("Mul", x, x), m.ints(-1), keepdims=1)
    root = m.op("Reciprocal", m.op("Sqrt", m.op("Max", total, m.scalar(1e-12))))
    return str(m.op("Mul", x, root))


def _lengths(m: Model, name: str) -> str:
    """Lengths of histories, at least 1."""
    value = m.ids(name)
    m.requests[name] = m.rng.integers(1, L + 1, B)
    return value


def ffm() -> Model:
    """Field-aware factorisation machine: a table per pair of fields and side."""
    m = Model()
    fields = [m.ids(f"f{k}") for k in range(F)]
    terms = []
    for i, j in itertools.combinations(range(F), 2):
        pair = m.op("Mul", m.embedding(fields[i], 4), m.embedding(fields[j], 4))
        terms.append(m.op("ReduceSum", pair, m.ints(1), keepdims=1))
    linear = [m.embedding(f, 1) for f in fields]
    m.outputs.append(m.op("Sigmoid", m.op("Add", m.op("Sum", *terms), m.op("Sum", *linear))))
    return m


def wide_and_deep() -> Model:
    """Crossed ids, hashed, in the wide part; one column of ids for all fields."""
    m = Model()
    ids = m.ids("ids", F)
    columns = m.op("Split", ids, m.ints(*[1] * F), outputs=F, axis=1)
    wide = []
    for a, b in ((0, 1), (2, 3)):
        crossed = m.op("Add", m.op("Mul", columns[a], m.ints(ROWS)), columns[b])
        hashed = m.op("Mod", crossed, m.ints(ROWS))
        wide.append(m.op("Squeeze", m.embedding(hashed, 1), m.ints(1)))
    deep = m.op("Concat", *(m.op("Squeeze", m.embedding(c), m.ints(1)) for c in columns), axis=1)
    dense = m.op("Log", m.op("Add", m.op("Relu", m.floats("dense", 3)), m.scalar(1.0)))
    x = m.op("Concat", _constant_norm(m, dense, 3), deep, axis=-1)
    hidden = m.dense(m.dense(x, 3 + F * D, 16), 16, 8)
    logit = m.op("Add", m.dense(hidden, 8, 1, None), m.op("Sum", *wide))
    m.outputs.append(m.op("Sigmoid", logit))
    return m


def din_dice() -> Model:
    """Attention over a history with the query tiled, Dice, and a mask that fills with ``-2**32 + 1``."""
    m = Model()
    history = m.ids("history", L)
    keys, query = m.embedding(history), m.embedding(m.ids("item"))
    tiled = m.op("Tile", m.op("Unsqueeze", query, m.ints(1)), m.ints(1, L, 1))
    x = m.op("Concat", tiled, keys, m.op("Sub", tiled, keys), m.op("Mul", tiled, keys), axis=-1)
    hidden = m.layer(x, 4 * D, 16)
    gate = m.op("Sigmoid", _constant_norm(m, hidden, 16))
    alpha = m.weight(16)
    dice = m.op(
        "Add",
        m.op("Mul", m.op("Mul", alpha, m.op("Sub", m.scalar(1.0), gate)), hidden),
        m.op("Mul", gate, hidden),
    )
    score = m.op("Transpose", m.layer(dice, 16, 1), perm=[0, 2, 1])
    seen = m.op("Unsqueeze", m.op("Not", m.op("Equal", history, m.const(np.int64(0)))), m.ints(1))
    score = m.op("Where", seen, score, m.scalar(-(2.0**32) + 1))
    pooled = m.op("Squeeze", m.op("MatMul", m.op("Softmax", score, axis=-1), keys), m.ints(1))
    m.score(m.dense(m.op("Concat", pooled, query, axis=1), 2 * D, 16), 16)
    return m


def dien() -> Model:
    """Interest evolution: a GRU unrolled over the history, its update gates scaled by attention."""
    m = Model()
    keys, query = m.embedding(m.ids("history", L)), m.embedding(m.ids("item"))
    scores = m.op("MatMul", keys, m.op("Unsqueeze", m.layer(query, D, D), m.ints(2)))
    shares = m.op("Softmax", scores, axis=1)
    wx, wh, bx, bh = m.weight(3 * D, D), m.weight(3 * D, D), m.weight(3 * D), m.weight(3 * D)
    state = m.op("Tanh", m.layer(m.op("ReduceMean", keys, m.ints(1), keepdims=0), D, D))
    for t in range(L):
        step = m.op("Gather", keys, m.const(np.int64(t)), axis=1)
        share = m.op("Gather", shares, m.const(np.int64(t)), axis=1)
        fx = m.op("Split", m.op("Gemm", step, wx, bx, transB=1), m.ints(D, D, D), outputs=3, axis=1)
        fh = m.op("Split", m.op("Gemm", state, wh, bh, transB=1), m.ints(D, D, D), outputs=3, axis=1)
        reset = m.op("Sigmoid", m.op("Add", fx[0], fh[0]))
        update = m.op("Mul", m.op("Sigmoid", m.op("Add", fx[1], fh[1])), share)
        new = m.op("Tanh", m.op("Add", fx[2], m.op("Mul", reset, fh[2])))
        state = m.op("Add", state, m.op("Mul", update, m.op("Sub", new, state)))
    m.score(m.dense(m.op("Concat", state, query, axis=1), 2 * D, 16), 16)
    return m


def _torch_encoder(m: Model, x: str, ids: str, wide: int, long: int) -> str:
    """``nn.TransformerEncoderLayer`` as TorchScript spells it: the sequence in front, heads in the batch."""
    depth = wide // HEADS
    turned = m.op("Transpose", x, perm=[1, 0, 2])
    packed = m.op("Add", m.op("MatMul", turned, m.weight(wide, 3 * wide)), m.weight(3 * wide))
    split = m.op("Reshape", packed, m.ints(long, -1, 3, wide))
    split = m.op(
        "Squeeze", m.op("Transpose", m.op("Unsqueeze", split, m.ints(0)), perm=[3, 1, 2, 0, 4]), m.ints(3)
    )
    parts = []
    for k in range(3):
        part = m.op("Gather", split, m.const(np.int64(k)), axis=0)
        part = m.op("Reshape", part, m.ints(long, -1, depth))
        parts.append(m.op("Transpose", part, perm=[1, 0, 2]))
    padded = m.op("Equal", ids, m.const(np.int64(0)))
    mask = m.op("Where", padded, m.scalar(-1e9), m.scalar(0.0))
    mask = m.op("Expand", m.op("Reshape", mask, m.ints(-1, 1, 1, long)), m.ints(1, HEADS, 1, 1))
    mask = m.op("Reshape", mask, m.ints(-1, 1, long))
    query = m.op("Mul", parts[0], m.scalar(depth**-0.5))
    scores = m.op("Add", m.op("MatMul", query, m.op("Transpose", parts[1], perm=[0, 2, 1])), mask)
    mixed = m.op("MatMul", m.op("Softmax", scores, axis=-1), parts[2])
    flat = m.op("Reshape", m.op("Transpose", mixed, perm=[1, 0, 2]), m.ints(-1, wide))
    out = m.op("Gemm", flat, m.weight(wide, wide), m.weight(wide), transB=1)
    out = m.op("Transpose", m.op("Reshape", out, m.ints(long, -1, wide)), perm=[1, 0, 2])
    ones, zeros = m.const(np.ones(wide, np.float32)), m.const(np.zeros(wide, np.float32))
    x = m.op("LayerNormalization", m.op("Add", x, out), ones, zeros, axis=-1)
    hidden = m.layer(m.op("Relu", m.layer(x, wide, 12)), 12, wide)
    return str(m.op("LayerNormalization", m.op("Add", x, hidden), ones, zeros, axis=-1))


def transact() -> Model:
    """Actions joined with the candidate, an encoder over them, its maximum beside the last states."""
    m = Model()
    ids = m.ids("actions", L)
    kinds = m.embedding(m.ids("kinds", L), 4)
    candidate = m.embedding(m.ids("item"), 4)
    long = m.op("Expand", m.op("Unsqueeze", candidate, m.ints(1)), m.ints(1, L, 1))
    x = m.op("Concat", m.embedding(ids, 8), kinds, long, axis=2)
    y = _torch_encoder(m, x, ids, 16, L)
    top = m.op("ReduceMax", y, m.ints(1), keepdims=0)
    last = m.op("Reshape", m.op("Slice", y, m.ints(-2), m.ints(2**31), m.ints(1)), m.ints(-1, 32))
    z = m.op("Concat", top, last, candidate, axis=1)
    cross = m.op("Add", m.op("Mul", z, m.layer(z, 52, 52)), z)
    m.score(m.dense(cross, 52, 16), 16)
    return m


def hstu() -> Model:
    """Gated linear units with pointwise attention, biases of positions and of buckets of time."""
    m = Model()
    ids, times = m.ids("history", L), m.floats("times", L)
    m.requests["times"] = np.sort(m.rng.uniform(0, 1e5, (B, L)).astype(np.float32), axis=1)
    x = m.embedding(ids)
    offsets = np.arange(L)[:, None] - np.arange(L)[None, :] + L - 1
    places = m.op("Gather", m.weight(2 * L - 1), m.const(offsets))
    apart = m.op("Sub", m.op("Unsqueeze", times, m.ints(2)), m.op("Unsqueeze", times, m.ints(1)))
    log = m.op("Log", m.op("Clip", m.op("Abs", apart), m.scalar(1.0)))
    buckets = m.op("Cast", m.op("Div", log, m.scalar(0.301)), to=INT64)
    buckets = m.op("Min", m.op("Max", buckets, m.const(np.int64(0))), m.const(np.int64(63)))
    waited = m.op("Squeeze", m.op("Gather", m.weight(64, 1), buckets), m.ints(-1))
    causal = m.const(np.tril(np.ones((L, L), np.float32)))
    ones, zeros = m.const(np.ones(D, np.float32)), m.const(np.zeros(D, np.float32))
    for _ in range(2):
        normal = m.op("LayerNormalization", x, ones, zeros)
        mixed = _silu(m, m.op("MatMul", normal, m.weight(D, 4 * D)))
        u, v, q, k = m.op("Split", mixed, m.ints(D, D, D, D), outputs=4, axis=-1)
        scores = m.op("Einsum", q, k, equation="bnd,bmd->bnm")
        scores = m.op("Add", m.op("Add", scores, places), waited)
        scores = m.op("Mul", m.op("Div", _silu(m, scores), m.scalar(float(L))), causal)
        y = m.op("LayerNormalization", m.op("Einsum", scores, v, equation="bnm,bmd->bnd"), ones, zeros)
        x = m.op("Add", x, m.layer(m.op("Mul", u, y), D, D))
    x = _l2(m, x)
    last = m.op("Gather", x, m.const(np.int64(-1)), axis=1)
    m.outputs.append(m.op("Sigmoid", m.layer(last, D, 7)))
    return m


def euler_net() -> Model:
    """Explicit interactions in polar form: phases and magnitudes of complex features mixed linearly."""
    m = Model()
    x = m.features()
    mu = m.const(m.rng.uniform(0.5, 1.5, (1, F, 1)).astype(np.float32))
    re, im = m.op("Mul", m.op("Cos", x), mu), m.op("Mul", m.op("Sin", x), mu)
    magnitude = m.op(
        "Log", m.op("Add", m.op("Add", m.op("Mul", re, re), m.op("Mul", im, im)), m.scalar(1e-4))
    )
    magnitude = m.op("Mul", magnitude, m.scalar(0.5))
    phase = m.op("Atan", m.op("Div", im, m.op("Add", m.op("Abs", re), m.scalar(1e-3))))
    mixing = m.weight(F, F)
    swapped = [m.op("Transpose", v, perm=[0, 2, 1]) for v in (magnitude, phase)]
    power, angle = (m.op("MatMul", v, mixing) for v in swapped)
    power = m.op("Exp", m.op("Clip", power, m.scalar(-6.0), m.scalar(6.0)))
    both = m.op(
        "Concat", m.op("Mul", power, m.op("Cos", angle)), m.op("Mul", power, m.op("Sin", angle)), axis=2
    )
    m.score(m.op("Reshape", both, m.ints(-1, 2 * F * D)), 2 * F * D)
    return m


def _recbole_last(m: Model, x: str, lengths: str) -> str:
    """``output.gather(1, (len - 1).view(-1, 1, 1).expand(-1, -1, D)).squeeze(1)``."""
    index = m.op("Reshape", m.op("Sub", lengths, m.const(np.int64(1))), m.ints(-1, 1, 1))
    index = m.op("Expand", index, m.ints(1, 1, D))
    return str(m.op("Squeeze", m.op("GatherElements", x, index, axis=1), m.ints(1)))


def gru4rec_last() -> Model:
    """A gated recurrence (minimal units, unrolled); the state that is last by the history's length."""
    m = Model()
    x, lengths = m.embedding(m.ids("history", L)), _lengths(m, "length")
    state, states = m.op("Gather", x, m.const(np.int64(0)), axis=1), []
    weights = m.weight(2 * D, D), m.weight(D), m.weight(2 * D, D), m.weight(D)
    for t in range(L):
        step = m.op("Squeeze", m.op("Slice", x, m.ints(t), m.ints(t + 1), m.ints(1)), m.ints(1))
        both = m.op("Concat", step, state, axis=1)
        forget = m.op("Sigmoid", m.op("Gemm", both, weights[0], weights[1]))
        gated = m.op("Concat", step, m.op("Mul", forget, state), axis=1)
        new = m.op("Tanh", m.op("Gemm", gated, weights[2], weights[3]))
        state = m.op("Add", m.op("Mul", m.op("Sub", m.scalar(1.0), forget), state), m.op("Mul", forget, new))
        states.append(m.op("Unsqueeze", state, m.ints(1)))
    last = _recbole_last(m, m.op("Concat", *states, axis=1), lengths)
    target = m.embedding(m.ids("target"))
    score = m.op("ReduceSum", m.op("Mul", last, target), m.ints(-1), keepdims=1)
    m.outputs.append(m.op("Sigmoid", score))
    return m


def text_tower() -> Model:
    """Two towers, one of a text under convolutions with a maximum over time, L2-normalised."""
    m = Model()
    words = m.op("Transpose", m.embedding(m.ids("title", L)), perm=[0, 2, 1])
    found = []
    for width in (1, 2, 3):
        y = m.op("Relu", m.op("Conv", words, m.weight(5, D, width), m.weight(5), kernel_shape=[width]))
        n = L - width + 1
        found.append(m.op("Squeeze", m.op("MaxPool", y, kernel_shape=[n], strides=[n]), m.ints(2)))
    item = m.dense(m.op("Concat", *found, axis=1), 15, D, None)
    profile = m.op("Concat", m.embedding(m.ids("user")), m.embedding(m.ids("city")), axis=1)
    user = m.dense(m.dense(profile, 2 * D, 16, "LeakyRelu"), 16, D, None)
    user, item = _l2(m, user), _l2(m, item)
    score = m.op("MatMul", m.op("Unsqueeze", user, m.ints(1)), m.op("Unsqueeze", item, m.ints(2)))
    scaled = m.op("Mul", m.op("Reshape", score, m.ints(-1, 1)), m.scalar(20.0))
    m.outputs += [m.op("Sigmoid", scaled), user, item]
    return m


def image_and_context() -> Model:
    """Average and maximum pooling in windows over a sequence of content vectors; context one-hot."""
    m = Model()
    x = m.op("Transpose", m.floats("content", 8, 6), perm=[0, 2, 1])
    x = m.op("Relu", m.op("Conv", x, m.weight(6, 6, 3), m.weight(6), pads=[1, 1]))
    x = m.op("MaxPool", x, kernel_shape=[2], strides=[2])
    x = m.op("AveragePool", x, kernel_shape=[3], strides=[1], pads=[1, 1])
    flat = m.op("Flatten", x)
    levels = m.const(np.array([0.0, 1.0], np.float32))
    hours = m.op("OneHot", m.ids("hour"), m.const(np.int64(24)), levels, axis=-1)
    days = m.op("OneHot", m.ids("day"), m.ints(ROWS), levels)
    z = m.op("Concat", flat, hours, days, m.embedding(m.ids("user")), axis=1)
    m.score(m.dense(z, 24 + 24 + ROWS + D, 16), 16)
    return m


def comirec() -> Model:
    """Interests by dynamic routing of capsules, the best of them against the target."""
    m = Model()
    history, interests = m.ids("history", L), 3
    keys = m.layer(m.embedding(history), D, interests * D)
    keys = m.op("Transpose", m.op("Reshape", keys, m.ints(0, L, interests, D)), perm=[0, 2, 1, 3])
    seen = m.op("Cast", m.op("Greater", history, m.const(np.int64(0))), to=FLOAT)
    mask = m.op("Expand", m.op("Unsqueeze", seen, m.ints(1)), m.ints(1, interests, 1))
    route = m.op("Mul", mask, m.const(m.rng.normal(0, 1, (1, interests, L)).astype(np.float32)))
    capsule = ""
    for turn in range(3):
        share = m.op("Mul", m.op("Softmax", route, axis=1), mask)
        capsule = m.op("MatMul", m.op("Unsqueeze", share, m.ints(2)), keys)
        norm = m.op("ReduceSum", m.op("Mul", capsule, capsule), m.ints(-1), keepdims=1)
        root = m.op("Sqrt", m.op("Add", norm, m.scalar(1e-9)))
        scale = m.op("Div", m.op("Div", norm, m.op("Add", norm, m.scalar(1.0))), root)
        capsule = m.op("Mul", capsule, scale)
        if turn < 2:
            agreed = m.op("MatMul", keys, m.op("Transpose", capsule, perm=[0, 1, 3, 2]))
            route = m.op("Add", route, m.op("Squeeze", agreed, m.ints(3)))
    user = m.op("Reshape", capsule, m.ints(-1, interests, D))
    target = m.op("Unsqueeze", m.embedding(m.ids("target")), m.ints(2))
    scores = m.op("Squeeze", m.op("MatMul", user, target), m.ints(2))
    m.outputs.append(m.op("Sigmoid", m.op("ReduceMax", scores, m.ints(1), keepdims=1)))
    return m


def keras_attention() -> Model:
    """Keras' MultiHeadAttention by tf2onnx: einsums with weights per head, positions from a range."""
    m = Model()
    depth = D // HEADS
    x = m.embedding(m.ids("history", L))
    places = m.op("Gather", m.weight(L, D), m.const(np.arange(L)))
    x = m.op("Add", x, places)

    def projected() -> str:
        value = m.op("Einsum", x, m.weight(D, HEADS, depth), equation="abc,cde->abde")
        return str(m.op("Add", value, m.weight(HEADS, depth)))

    query = m.op("Mul", projected(), m.scalar(depth**-0.5))
    scores = m.op("Einsum", projected(), query, equation="aecd,abcd->acbe")
    mixed = m.op("Einsum", m.op("Softmax", scores, axis=-1), projected(), equation="acbe,aecd->abcd")
    out = m.op("Einsum", mixed, m.weight(HEADS, depth, D), equation="abcd,cde->abe")
    x = m.op("Add", x, m.op("Add", out, m.weight(D)))
    mean = m.op("ReduceMean", x, m.ints(-1), keepdims=1)
    centred = m.op("Sub", x, mean)
    variance = m.op("ReduceMean", m.op("Mul", centred, centred), m.ints(-1), keepdims=1)
    factor = m.op("Mul", m.op("Reciprocal", m.op("Sqrt", m.op("Add", variance, m.scalar(1e-3)))), m.weight(D))
    x = m.op("Add", m.op("Mul", x, factor), m.op("Sub", m.weight(D), m.op("Mul", mean, factor)))
    m.score(m.op("ReduceMean", x, m.ints(1), keepdims=0), D)
    return m


def fibinet_shared() -> Model:
    """Bilinear products with one matrix for all pairs and with one per field; both parts concatenated."""
    m = Model()
    x = m.features()
    parts = [m.op("Gather", x, m.ints(k), axis=1) for k in range(F)]
    whole, pairs = m.weight(D, D), []
    for i, j in itertools.combinations(range(F), 2):
        pairs.append(m.op("Mul", m.op("MatMul", parts[i], whole), parts[j]))
    own = [m.op("MatMul", p, m.op("Transpose", m.weight(D, D), perm=[1, 0])) for p in parts]
    pairs += [m.op("Mul", own[i], parts[j]) for i, j in itertools.combinations(range(F), 2)]
    flat = m.op("Reshape", m.op("Concat", *pairs, axis=1), m.ints(-1, 12 * D))
    m.score(m.dense(flat, 12 * D, 16), 16)
    return m


def sparse_experts() -> Model:
    """PLE-like levels with gates shared by two tasks; experts stacked in one product, tasks as outputs."""
    m = Model()
    x, experts = m.op("Flatten", m.features()), 4
    wide = F * D
    hidden = m.op(
        "Relu",
        m.op(
            "Add", m.op("Einsum", x, m.weight(experts, wide, 8), equation="bi,eio->beo"), m.weight(experts, 8)
        ),
    )
    for _ in range(2):
        gate = m.op("Softmax", m.dense(x, wide, experts, None), axis=-1)
        pooled = m.op("Einsum", gate, hidden, equation="be,beo->bo")
        m.outputs.append(m.op("Sigmoid", m.dense(m.dense(pooled, 8, 8), 8, 1, None)))
    return m


def time_encoding() -> Model:
    """Intervals of time as cosines of learned frequencies (Time2Vec), added to a history and pooled."""
    m = Model()
    apart = m.op("Unsqueeze", m.floats("gaps", L), m.ints(2))
    m.requests["gaps"] = m.rng.uniform(0, 300, (B, L)).astype(np.float32)
    phase = m.op(
        "Add", m.op("Mul", apart, m.const((1 / 10 ** np.linspace(0, 4, D)).astype(np.float32))), m.weight(D)
    )
    x = m.op("Add", m.embedding(m.ids("history", L)), m.op("Cos", phase))
    x = m.op("Add", x, m.op("Sin", m.layer(x, D, D)))
    m.score(m.op("ReduceMean", x, m.ints(1), keepdims=0), D)
    return m


PUBLIC: dict[str, tuple[Callable[[], Model], int]] = {
    "FFM": (ffm, 17),
    "Wide & Deep, crossed": (wide_and_deep, 17),
    "DIN, Dice": (din_dice, 17),
    "DIEN, unrolled": (dien, 18),
    "TransAct": (transact, 18),
    "HSTU": (hstu, 18),
    "EulerNet": (euler_net, 17),
    "last state by length": (gru4rec_last, 18),
    "text tower": (text_tower, 17),
    "pooling and one-hot": (image_and_context, 17),
    "ComiRec": (comirec, 18),
    "Keras attention": (keras_attention, 18),
    "FiBiNET, shared": (fibinet_shared, 17),
    "experts stacked": (sparse_experts, 17),
    "time encoding": (time_encoding, 18),
}
"""How each is built, and the operator set it is written for."""
