"""Layers of ``com.microsoft`` with weights in a form of their own, or with an activation behind them."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr
from xdsl.ir import SSAValue

from cimc.ir.tensor_store import Array
from cimc.ir.types import f32
from cimc.transforms.matching.nodes import absent
from cimc.transforms.onnx.expansion import Expansion, Unknown


def packed_matmul(w: Expansion) -> list[SSAValue | None]:
    """MatMulNBits: ``x W' (+ bias)`` with a scale, and a zero point, per block of a row of ``W [N, K]``."""
    bits, block = w.number_of("bits", 4), w.number_of("block_size", 32)
    units, inner = w.number_of("N", 0), w.number_of("K", 0)
    w.need(bits in (2, 4, 8) and block > 0 and units > 0 and inner > 0)
    w.need(w.number_of("weight_prepacked", 0) == 0, "its weights are laid out for one processor")
    w.none(4)
    blocks = -(-inner // block)
    packed, scales = w.array(1, "weights"), w.array(2, "scales")
    if packed is None or scales is None:
        raise Unknown("its weights or scales are absent")
    fits = packed.dtype == np.uint8 and packed.size * 8 == units * blocks * block * bits
    w.need(fits and scales.size == units * blocks, "its weights do not have the size that it states")
    codes = unpacked(packed.reshape(units, -1), bits).reshape(units, blocks, block).astype(np.float32)
    zeros = w.array(3, "zero points")
    if zeros is None:
        points: Array = np.float32(1 << (bits - 1)) * np.ones((units, blocks), np.float32)
    elif zeros.dtype == np.uint8:
        w.need(zeros.size == units * -(-blocks * bits // 8), "its zero points do not have the size stated")
        points = unpacked(zeros.reshape(units, -1), bits)[:, :blocks].astype(np.float32)
    else:
        w.need(zeros.size == units * blocks, "its zero points do not have the size stated")
        points = zeros.reshape(units, blocks).astype(np.float32)
    weight = (codes - points[..., None]) * scales.reshape(units, blocks, 1).astype(np.float32)
    weight = np.ascontiguousarray(weight.reshape(units, blocks * block)[:, :inner].T)
    value = w.make("MatMul", w.input(0), w.constant(weight, "weight"))
    bias = w.given(5)
    return [value if bias is None else w.make("Add", value, bias)]


def unpacked(rows: Array, bits: int) -> Array:
    """Numbers of ``bits`` bits in rows of bytes, the lowest bits first; ``[n, bytes * 8 / bits]`` uint8."""
    if bits == 8:
        return rows
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values: Array = (rows[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return values.reshape(rows.shape[0], -1)


_ACTIVATIONS = {
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}
"""Activations behind a convolution, and what each of its parameters is called alone."""


def fused_conv(w: Expansion) -> list[SSAValue | None]:
    """FusedConv: ``activation(conv(x) (+ z))``."""
    name = w.text_of("activation", "")
    w.need(name in _ACTIVATIONS, "its activation is not known")
    params = w.op.attribute("activation_params")
    numbers = params.get_values() if isinstance(params, DenseArrayBase) else ()
    w.need(len(numbers) == len(_ACTIVATIONS[name]), "its activation has other parameters")
    attrs = w.op.attrs.data if w.op.attrs else {}
    plain = {k: v for k, v in attrs.items() if not k.startswith("activation")}
    value = w.make("Conv", *(v for v in w.op.inputs[:3] if not absent(v)), **plain)
    other = w.given(3)
    if other is not None:
        value = w.make("Add", value, other)
    given = {k: FloatAttr(float(v), f32) for k, v in zip(_ACTIVATIONS[name], numbers, strict=True)}
    return [w.make(name, value, **given)]
