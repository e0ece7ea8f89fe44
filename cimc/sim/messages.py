"""What a message carries: the low bits of each byte, side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def packed(data: Bytes, bits: int) -> Bytes:
    """The ``bits`` lowest bits of each byte of ``data [requests, n]``, side by side in ``[requests, m]``."""
    if bits == 8:
        return data.copy()
    every = np.unpackbits(data[..., np.newaxis], axis=-1, bitorder="little")[..., :bits]
    return np.packbits(every.reshape(len(data), data.shape[1] * bits), axis=-1, bitorder="little")


def unpacked(message: Bytes, n: int, bits: int, signed: bool) -> Bytes:
    """The ``n`` elements of a message as bytes, ``[requests, n]``: two's complement where ``signed``."""
    if bits == 8:
        return message
    every = np.unpackbits(message, axis=-1, count=n * bits, bitorder="little").reshape(len(message), n, bits)
    whole = np.packbits(every, axis=-1, bitorder="little")[..., 0]
    if not signed:
        return whole
    top = np.uint8(1 << (bits - 1))
    return (whole ^ top) - top
