"""What travels over links, as the bits that do: elements of a byte or less, ids, bags.

Of many requests the same parts of their messages lie behind one another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.interpreter.bags import Bags
from cimc.isa.link_widths import WORD_BITS, length_form
from cimc.isa.program import Port

Bytes = NDArray[np.uint8]
Ids = NDArray[np.int64]


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


class Stream(NamedTuple):
    """Bits one behind the other, the first the lowest of the first byte; what fills the last byte is none."""

    data: Bytes
    bits: int


def packed_numbers(numbers: Ids, bits: int) -> Stream:
    """Numbers of ``bits`` (1 to 32) each.

    Raises:
        ValueError: for one that does not fit.
    """
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < 1 << bits:
        raise ValueError(f"{int(numbers.min())} to {int(numbers.max())} do not fit in {bits} bits")
    words = numbers.astype("<u4").view(np.uint8).reshape(-1, 4)
    every = np.unpackbits(words, axis=1, count=bits, bitorder="little")
    return Stream(np.packbits(every, bitorder="little"), every.size)


def unpacked_numbers(stream: Stream, bits: int) -> Ids:
    """The numbers of a stream, int64."""
    every = np.zeros((stream.bits // bits, 32), np.uint8)
    every[:, :bits] = np.unpackbits(stream.data, count=stream.bits, bitorder="little").reshape(-1, bits)
    return np.packbits(every, axis=1, bitorder="little").view("<u4").reshape(-1).astype(np.int64)


class BagMessage(NamedTuple):
    """Bags of some requests on the host link: how long they are, their ids, float32 weights or ``None``."""

    lengths: Stream
    ids: Stream
    weights: NDArray[np.float32] | None

    @property
    def bits(self) -> int:
        """All of it, headers apart."""
        weights = 0 if self.weights is None else self.weights.size * WORD_BITS
        return self.lengths.bits + self.ids.bits + weights


def packed_bags(bags: Bags, port: Port, id_width: int) -> BagMessage:
    """Bags as they leave the host by ``port``, with ids of ``id_width`` bits.

    Raises:
        ValueError: for an id or a length that does not fit.
    """
    lengths, form = np.diff(bags.starts), length_form(port)
    if form.per_id:
        unary = np.ones(bags.ids.size + lengths.size, np.uint8)
        unary[bags.starts[1:] + np.arange(lengths.size)] = 0
        first = Stream(np.packbits(unary, bitorder="little"), unary.size)
    elif form.per_bag:
        first = packed_numbers(lengths, form.per_bag)
    else:
        first = Stream(np.zeros(0, np.uint8), 0)
    return BagMessage(first, packed_numbers(bags.ids, id_width), bags.weights)


def unpacked_bags(message: BagMessage, requests: int, port: Port, id_width: int) -> Bags:
    """The bags of so many requests, as a tile takes them in."""
    form = length_form(port)
    ends = np.zeros(requests + 1, np.int64)
    if form.per_id:
        unary = np.unpackbits(message.lengths.data, count=message.lengths.bits, bitorder="little")
        ends[1:] = np.flatnonzero(unary == 0) - np.arange(requests)
    elif form.per_bag:
        np.cumsum(unpacked_numbers(message.lengths, form.per_bag), out=ends[1:])
    else:
        ends[:] = np.arange(requests + 1) * (port.longest or 0)
    return Bags(unpacked_numbers(message.ids, id_width), ends, message.weights, (requests,))
