"""DFT of known length: a product with a constant matrix."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from cimc.ir.tensor_store import Array
from cimc.transforms.onnx.expansion import Expansion

_LIMIT = 1 << 22
"""Elements of the matrix."""


def dft(w: Expansion) -> list[SSAValue | None]:
    """``y[..., k] = sum_t x[..., t] e^(-2 pi i k t / n)`` along one axis, of numbers as (real, imaginary).

    ``inverse`` has the other sign and divides by ``n``; ``onesided`` leaves out what symmetry gives, of the
    result, or with ``inverse`` of the input.
    """
    x = w.input(0)
    extents = w.dims(x)
    rank, axis = len(extents), _axis(w, len(extents))
    w.need(rank >= 3 and 0 < axis < rank - 1, "it transforms the batch")
    w.need(-1 not in extents[1:], "an extent of its input is not known")
    inverse, half = w.number_of("inverse", 0) != 0, w.number_of("onesided", 0) != 0
    have, parts = extents[axis], extents[-1]
    given = w.array(1, "length")
    length = int(given.reshape(-1)[0]) if given is not None else 2 * (have - 1) if inverse and half else have
    w.need(length > 0 and have * parts * length * 2 <= _LIMIT, "its matrix would be too large")
    w.need(parts == (2 if inverse else 1) or not half, "it leaves out half of what is not symmetric")
    w.need(length // 2 + 1 == have or not (inverse and half), "its input is not half of what it states")
    matrix = dft_matrix(have, parts, length, inverse=inverse, half=half)
    others = [a for a in range(1, rank - 1) if a != axis]
    kept = [extents[a] for a in others]
    flat = w.reshape(w.transpose(x, 0, *others, axis, rank - 1), 0, *kept, have * parts)
    out = w.make("MatMul", flat, w.constant(matrix.reshape(have * parts, -1), "dft"))
    wide = w.reshape(out, 0, *kept, *matrix.shape[2:])
    back = np.argsort([0, *others, axis, rank - 1]).tolist()
    return [w.transpose(wide, *back)]


def _axis(w: Expansion, rank: int) -> int:
    """The axis, an attribute or (from operator set 20 on) an input; negative where it is none."""
    if w.opset < 20:
        axis = w.number_of("axis", 1)
    else:
        given = w.array(2, "axis")
        axis = -2 if given is None else int(given.reshape(-1)[0])
    return axis + rank if axis < 0 else axis


def dft_matrix(have: int, parts: int, length: int, *, inverse: bool, half: bool) -> Array:
    """``float32[have, parts, out, 2]``: what each part of each input adds to each part of each output.

    The outputs of an inverse from half of its inputs are real: ``[have, 2, length, 1]``.
    """
    basis = np.zeros((have, parts, have), np.complex128)
    for part in range(parts):
        basis[np.arange(have), part, np.arange(have)] = (1.0, 1.0j)[part]
    if inverse and half:
        return np.fft.irfft(basis, length)[..., None].astype(np.float32)
    found = (np.fft.ifft if inverse else np.fft.fft)(basis, length)
    found = found[..., : length // 2 + 1] if half else found
    return np.stack([found.real, found.imag], -1).astype(np.float32)
