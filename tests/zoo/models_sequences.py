"""Sequence recommenders, small, as exporters write them: recurrent layers and convolutions over histories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from tests.zoo.models_zoo import D, L, Model

H = 6
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _recurrent(m: Model, kind: str, x: str, wide: int, directions: int = 1, lengths: str = "") -> list[str]:
    """A layer as PyTorch exports it: zero states expanded along the batch, ``linear_before_reset``."""
    gates = GATES[kind]
    units = gates * H
    batch = m.op("Gather", m.op("Shape", x), m.ints(1))
    zero = m.op("ConstantOfShape", m.op("Concat", m.ints(directions), batch, m.ints(H), axis=0))
    states = [zero, zero] if kind == "LSTM" else [zero]
    bound = 1 / np.sqrt(H)
    w, r, b = (
        m.const(m.rng.uniform(-bound, bound, (directions, *dims)).astype(np.float32))
        for dims in ((units, wide), (units, H), (2 * units,))
    )
    attributes = {"linear_before_reset": 1} if kind == "GRU" else {}
    found: list[str] = m.op(
        kind, x, w, r, b, lengths, *states, outputs=2, hidden_size=H,
        direction="forward" if directions == 1 else "bidirectional", **attributes,
    )  # fmt: skip
    return found


def _history(m: Model) -> tuple[str, str, str]:
    """Embedded ids ``[L, batch, D]``, their mask ``[batch, L]`` and lengths ``[batch]``; id 0 is padding."""
    ids = m.ids("history", L)
    counts = np.arange(len(m.requests["history"])) % L + 1
    m.requests["history"] = (m.requests["history"] % 19 + 1) * (np.arange(L) < counts[:, None])
    mask = m.op("Not", m.op("Equal", ids, m.const(np.int64(0))))
    lengths = m.op("ReduceSum", m.op("Cast", mask, to=TensorProto.INT32), m.ints(1), keepdims=0)
    return m.op("Transpose", m.embedding(ids), perm=[1, 0, 2]), mask, lengths


def gru4rec() -> Model:
    """Two GRU layers over a session; the last state meets the next item."""
    m = Model()
    x, _, lengths = _history(m)
    y, _ = _recurrent(m, "GRU", x, D, lengths=lengths)
    _, state = _recurrent(m, "GRU", m.op("Squeeze", y, m.ints(1)), H, lengths=lengths)
    user = m.layer(m.op("Squeeze", state, m.ints(0)), H, D)
    m.outputs.append(
        m.op("Sigmoid", m.op("ReduceSum", m.op("Mul", user, m.embedding(m.ids("item"))), m.ints(1)))
    )
    return m


def lstm_tower() -> Model:
    """A bidirectional LSTM over tokens of a title, pooled by their maximum over time."""
    m = Model()
    x, _, _ = _history(m)
    y, _ = _recurrent(m, "LSTM", x, D, 2)
    rows = m.op("Reshape", m.op("Transpose", y, perm=[2, 0, 1, 3]), m.ints(0, 0, -1))
    pooled = m.op("ReduceMax", rows, axes=[1], keepdims=0)
    m.score(m.dense(pooled, 2 * H, 5), 5)
    return m


def dien() -> Model:
    """Interests by a GRU, attention to the candidate, and its evolution by a GRU whose update is attended to.

    The second has no operator: exporters write every step out.
    """
    m = Model()
    x, mask, lengths = _history(m)
    item = m.embedding(m.ids("item"))
    y, _ = _recurrent(m, "GRU", x, D, lengths=lengths)
    interests = m.op("Transpose", m.op("Squeeze", y, m.ints(1)), perm=[1, 0, 2])  # [batch, L, H]
    query = m.op("Unsqueeze", m.layer(item, D, H), m.ints(1))
    scores = m.op("ReduceSum", m.op("Mul", query, interests), m.ints(2), keepdims=0)
    scores = m.op("Where", mask, scores, m.scalar(-1e9))
    shares = m.op("Softmax", scores, axis=1)
    update, reset, new = ((m.weight(2 * H, H), m.weight(H)) for _ in range(3))
    state = m.op("Mul", m.op("Gather", interests, m.const(np.int64(0)), axis=1), m.scalar(0.0))
    for t in range(L):
        row = m.op("Gather", interests, m.const(np.int64(t)), axis=1)
        share = m.op("Unsqueeze", m.op("Gather", shares, m.const(np.int64(t)), axis=1), m.ints(1))
        both = m.op("Concat", row, state, axis=1)
        u = m.op("Sigmoid", m.op("Gemm", both, *update))
        r = m.op("Sigmoid", m.op("Gemm", both, *reset))
        n = m.op("Tanh", m.op("Gemm", m.op("Concat", row, m.op("Mul", state, r), axis=1), *new))
        u = m.op("Mul", u, share)
        kept = m.op("Mul", m.op("Sub", m.scalar(1.0), u), state)
        state = m.op("Add", kept, m.op("Mul", u, n))
    m.score(m.dense(m.op("Concat", state, item, axis=1), H + D, 8), 8)
    return m


def text_cnn() -> Model:
    """Convolutions of several widths over the tokens of a title, each pooled by a window of all of them."""
    m = Model()
    rows = m.op("Transpose", m.embedding(m.ids("title", L)), perm=[0, 2, 1])
    pooled = []
    for wide in (2, 3, 4):
        hidden = m.op("Relu", m.op("Conv", rows, m.weight(5, D, wide), m.weight(5), kernel_shape=[wide]))
        pooled.append(m.op("MaxPool", hidden, kernel_shape=[L - wide + 1]))
    m.score(m.op("Flatten", m.op("Concat", *pooled, axis=1)), 15)
    return m


def caser() -> Model:
    """Horizontal and vertical filters over the picture ``[batch, 1, L, D]`` of a history."""
    m = Model()
    picture = m.op("Unsqueeze", m.embedding(m.ids("history", L)), m.ints(1))
    vertical = m.op("Flatten", m.op("Conv", picture, m.weight(2, 1, L, 1), m.weight(2)))
    parts = [vertical]
    for high in (2, 3):
        hidden = m.op("Relu", m.op("Conv", picture, m.weight(4, 1, high, D), m.weight(4)))
        flat = m.op("Squeeze", hidden, m.ints(3))
        parts.append(m.op("Flatten", m.op("MaxPool", flat, kernel_shape=[L - high + 1])))
    m.score(m.dense(m.op("Concat", *parts, axis=1), 2 * D + 8, 6), 6)
    return m


def downsampled() -> Model:
    """Overlapping averages and maxima of a history between convolutions, as encoders of long ones have."""
    m = Model()
    x = m.op("Transpose", m.embedding(m.ids("history", L)), perm=[0, 2, 1])
    x = m.op("AveragePool", x, kernel_shape=[3], strides=[2], pads=[1, 1])
    x = m.op("Relu", m.op("Conv", x, m.weight(6, D, 2), m.weight(6)))
    x = m.op("MaxPool", x, kernel_shape=[2], strides=[1], ceil_mode=1)
    m.score(m.op("Flatten", m.op("GlobalAveragePool", x)), 6)
    return m


SEQUENCES: dict[str, Callable[[], Model]] = {
    "GRU4Rec": gru4rec,
    "LSTM tower": lstm_tower,
    "DIEN": dien,
    "text CNN": text_cnn,
    "Caser": caser,
    "down-sampled history": downsampled,
}
