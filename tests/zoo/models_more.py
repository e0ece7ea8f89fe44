"""More published recommendation models, small, as exporters of several styles write them; see models_zoo."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from tests.zoo.models_zoo import D, F, L, Model

HEADS = 2


def _norm(m: Model, x: str, wide: int) -> str:
    gamma, beta = np.ones(wide, np.float32), np.zeros(wide, np.float32)
    return str(m.op("LayerNormalization", x, m.const(gamma), m.const(beta)))


def _gelu(m: Model, x: str) -> str:
    """As the TorchScript exporter writes it."""
    erf = m.op("Erf", m.op("Div", x, m.scalar(np.sqrt(2))))
    return str(m.op("Mul", m.op("Mul", x, m.op("Add", erf, m.scalar(1.0))), m.scalar(0.5)))


def dlrm_mixer() -> Model:
    """DLRM with an MLP-Mixer over the features instead of dot products."""
    m = Model()
    bottom = m.op("Unsqueeze", m.dense(m.dense(m.floats("dense", 5), 5, 16), 16, D), m.ints(1))
    x, tokens = m.op("Concat", bottom, m.features(), axis=1), F + 1
    for _ in range(2):
        mixed = m.op("Transpose", _norm(m, x, D), perm=[0, 2, 1])
        mixed = m.layer(_gelu(m, m.layer(mixed, tokens, 7)), 7, tokens)
        x = m.op("Add", x, m.op("Transpose", mixed, perm=[0, 2, 1]))
        x = m.op("Add", x, m.layer(_gelu(m, m.layer(_norm(m, x, D), D, 12)), 12, D))
    m.score(m.op("ReduceMean", x, m.ints(1), keepdims=0), D)
    return m


def final_mlp() -> Model:
    """Two gated streams and their multi-head bilinear fusion, as an einsum."""
    m = Model()
    flat, wide = m.op("Flatten", m.features()), F * D
    streams = []
    for name in ("user", "item"):
        gate = m.dense(m.dense(m.embedding(m.ids(name)), D, 8), 8, wide, "Sigmoid")
        gated = m.op("Mul", flat, m.op("Mul", gate, m.scalar(2.0)))
        streams.append(m.dense(gated, wide, 12))
    x, y = (m.op("Reshape", s, m.ints(-1, HEADS, 6)) for s in streams)
    left = m.op("Einsum", x, m.weight(HEADS, 6, 6), equation="bhi,hij->bhj")
    product = m.op("ReduceSum", m.op("Mul", left, y), m.ints(1, 2), keepdims=0)
    linear = m.op("Add", m.dense(streams[0], 12, 1, None), m.dense(streams[1], 12, 1, None))
    m.outputs.append(m.op("Sigmoid", m.op("Add", linear, m.op("Unsqueeze", product, m.ints(1)))))
    return m


def mask_net() -> Model:
    """Instance-guided masks, in parallel."""
    m = Model()
    features = m.features()
    flat, wide = m.op("Flatten", features), F * D
    normal = m.op("Flatten", _norm(m, features, D))
    blocks = []
    for _ in range(2):
        mask = m.dense(m.dense(flat, wide, 24), 24, wide, None)
        hidden = m.op("MatMul", m.op("Mul", mask, normal), m.weight(wide, 16))
        blocks.append(m.op("Relu", _norm(m, hidden, 16)))
    m.score(m.dense(m.op("Concat", *blocks, axis=1), 32, 8), 8)
    return m


def gdcn() -> Model:
    """Gated cross layers ``x0 * (W x + b) * sigmoid(G x) + x``."""
    m = Model()
    wide = F * D
    x0 = x = m.op("Flatten", m.features())
    for _ in range(3):
        gate = m.op("Sigmoid", m.op("MatMul", x, m.weight(wide, wide)))
        x = m.op("Add", m.op("Mul", m.op("Mul", x0, m.layer(x, wide, wide)), gate), x)
    m.score(m.op("Concat", x, m.dense(x0, wide, 8), axis=1), wide + 8)
    return m


def fibinet() -> Model:
    """SENET weights of the features, and bilinear products of pairs with a matrix per pair."""
    m = Model()
    x = m.features()
    squeezed = m.op("ReduceMean", x, m.ints(-1), keepdims=0)
    weight = m.dense(m.dense(squeezed, F, 2), 2, F)
    y = m.op("Mul", x, m.op("Unsqueeze", weight, m.ints(2)))
    found = []
    for value in (x, y):
        parts = m.op("Split", value, m.ints(*[1] * F), outputs=F, axis=1)
        pairs = [
            m.op("Mul", m.op("MatMul", parts[i], m.weight(D, D)), parts[j])
            for i, j in itertools.combinations(range(F), 2)
        ]
        found.append(m.op("Concat", *pairs, axis=1))
    both = m.op("Flatten", m.op("Concat", *found, axis=1))
    m.score(m.dense(both, 2 * D * F * (F - 1) // 2, 16), 16)
    return m


def xdeepfm_odd() -> Model:
    """A compressed interaction network of odd widths, the outer products by broadcasting and a 1-D Conv."""
    m = Model()
    x0 = x = m.features()
    have, pooled, total = F, [], 0
    for width in (7, 5, 3):
        outer = m.op("Mul", m.op("Unsqueeze", x, m.ints(2)), m.op("Unsqueeze", x0, m.ints(1)))
        flat = m.op("Reshape", outer, m.ints(0, have * F, D))
        x = m.op("Relu", m.op("Conv", flat, m.weight(width, have * F, 1), m.weight(width)))
        pooled.append(m.op("ReduceSum", x, m.ints(2), keepdims=0))
        have, total = width, total + width
    m.score(m.op("Concat", *pooled, axis=1), total)
    return m


def esmm() -> Model:
    """Entire-space multi-task: a shared embedding, ``pCTCVR = pCTR * pCVR``; two outputs."""
    m = Model()
    flat = m.op("Flatten", m.features())
    rates = [m.op("Sigmoid", m.dense(m.dense(flat, F * D, 16), 16, 1, None)) for _ in range(2)]
    m.outputs += [rates[0], m.op("Mul", rates[0], rates[1])]
    return m


def two_towers_temperature() -> Model:
    """Towers normalised as ``F.normalize`` does it, their product divided by a temperature."""
    m = Model()
    towers = []
    for name in ("user", "item"):
        x = m.op("Concat", m.embedding(m.ids(name)), m.embedding(m.ids(f"{name}_kind")), axis=1)
        x = m.dense(m.dense(x, 2 * D, 16), 16, D, None)
        norm = m.op("ReduceL2", x, m.ints(1), keepdims=1)
        safe = m.op("Expand", m.op("Clip", norm, m.scalar(1e-12)), m.op("Shape", x))
        towers.append(m.op("Div", x, safe))
    score = m.op("ReduceSum", m.op("Mul", *towers), m.ints(1), keepdims=1)
    m.outputs += [m.op("Div", score, m.scalar(0.07)), *towers]
    return m


def _block(m: Model, x: str, causal: bool, fused: bool) -> str:
    """A transformer block; with ``fused`` by the operator of opset 23."""
    q, k, v = (m.layer(x, D, D) for _ in range(3))
    if fused:
        y = m.op("Attention", q, k, v, q_num_heads=HEADS, kv_num_heads=HEADS, is_causal=int(causal))
    else:
        parts = [
            m.op("Transpose", m.op("Reshape", p, m.ints(0, 0, HEADS, D // HEADS)), perm=[0, 2, 1, 3])
            for p in (q, k, v)
        ]
        scores = m.op("MatMul", parts[0], m.op("Transpose", parts[1], perm=[0, 1, 3, 2]))
        scores = m.op("Mul", scores, m.scalar((D // HEADS) ** -0.5))
        if causal:
            later = np.triu(np.ones((L, L), np.bool_), 1)[None, None]
            scores = m.op("Where", m.const(later), m.scalar(-np.inf), scores)
        mixed = m.op("MatMul", m.op("Softmax", scores, axis=-1), parts[2])
        y = m.op("Reshape", m.op("Transpose", mixed, perm=[0, 2, 1, 3]), m.ints(0, 0, D))
    x = _norm(m, m.op("Add", x, m.layer(y, D, D)), D)
    hidden = m.layer(x, D, 2 * D)
    hidden = m.op("Gelu", hidden) if fused else _gelu(m, hidden)
    return _norm(m, m.op("Add", x, m.layer(hidden, 2 * D, D)), D)


def _sequence(m: Model) -> str:
    places = m.const(m.rng.normal(0, 0.3, (1, L, D)).astype(np.float32))
    return str(m.op("Add", m.embedding(m.ids("history", L)), places))


def sasrec_causal() -> Model:
    """Self-attention with a causal mask; the last state against the target."""
    m = Model()
    x = _sequence(m)
    for _ in range(2):
        x = _block(m, x, True, False)
    last = m.op("Squeeze", m.op("Slice", x, m.ints(-1), m.ints(2**31), m.ints(1)), m.ints(1))
    score = m.op("ReduceSum", m.op("Mul", last, m.embedding(m.ids("target"))), m.ints(1), keepdims=1)
    m.outputs.append(m.op("Sigmoid", score))
    return m


def bert4rec() -> Model:
    """Two blocks with ONNX's Attention, and scores of all items by their embeddings."""
    m = Model()
    x = _sequence(m)
    for causal in (False, True):
        x = _block(m, x, causal, True)
    m.outputs.append(m.layer(x, D, 11))
    return m


def caser() -> Model:
    """Horizontal convolutions of several heights with a maximum over time, and vertical ones."""
    m = Model()
    x = m.op("Unsqueeze", m.embedding(m.ids("history", L)), m.ints(1))
    found, wide = [], 0
    for height in (2, 3, 4):
        y = m.op("Relu", m.op("Conv", x, m.weight(3, 1, height, D), m.weight(3)))
        found.append(m.op("ReduceMax", m.op("Squeeze", y, m.ints(3)), m.ints(2), keepdims=0))
        wide += 3
    found.append(m.op("Flatten", m.op("Conv", x, m.weight(2, 1, L, 1))))
    z = m.dense(m.op("Concat", *found, axis=1), wide + 2 * D, 16)
    m.score(m.op("Concat", z, m.embedding(m.ids("user")), axis=1), 16 + D)
    return m


MORE: dict[str, tuple[Callable[[], Model], int]] = {
    "DLRM with MLP-Mixer": (dlrm_mixer, 18),
    "FinalMLP": (final_mlp, 17),
    "MaskNet": (mask_net, 17),
    "GDCN": (gdcn, 14),
    "FiBiNET": (fibinet, 18),
    "xDeepFM, odd widths": (xdeepfm_odd, 13),
    "ESMM": (esmm, 17),
    "two towers, temperature": (two_towers_temperature, 18),
    "SASRec, causal": (sasrec_causal, 18),
    "BERT4Rec": (bert4rec, 23),
    "Caser": (caser, 18),
}
"""How each is built, and the operator set it is written for."""
