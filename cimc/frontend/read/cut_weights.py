"""Cuts large weights out of a serialized model, so that only its structure is parsed.

A model of 2 GB is a few hundred kilobytes of graph and 2 GB of weights.  Parsing all of it would hold
the weights twice; here they stay in the memory-mapped file and only their place is noted.  The format
is described in https://protobuf.dev/programming-guides/encoding/ and the field numbers in onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cimc.ir.types import element_from_onnx

CUT_BYTES = 4096
"""Payloads smaller than this stay in the structure."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_RAW, _TENSOR_DOUBLES = 2, 4, 9, 10
_BULK = {_TENSOR_FLOATS, _TENSOR_RAW, _TENSOR_DOUBLES}
# The one element type (TensorProto.DataType) that each typed bulk field holds in the layout of raw data.
FIELD_TYPES = {_TENSOR_FLOATS: 1, _TENSOR_DOUBLES: 11}
# Fields with which a tensor keeps its data elsewhere or in another form; such a tensor is left whole.
_FOREIGN = {3, 5, 6, 7, 11, 13, 14}


class NotWireFormat(Exception):
    """The bytes are not a sequence of protobuf fields."""


class TooLarge(Exception):
    """The structure alone is larger, or has more parts, than allowed."""


@dataclass(frozen=True)
class Span:
    """Where in the file the little-endian elements of an initialiser lie."""

    field: int
    start: int
    stop: int


@dataclass(frozen=True)
class Structure:
    """A serialized model without its large weights.

    Attributes:
        data: the remaining message, itself a valid ``ModelProto``.
        spans: for each emptied initialiser, by its index in ``graph.initializer``, its data.
    """

    data: bytes
    spans: dict[int, Span]


@dataclass(frozen=True)
class _Field:
    number: int
    wire: int
    head: int  # first byte of the tag
    start: int  # first byte of the payload
    stop: int


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotWireFormat


def _fields(data: memoryview, at: int, end: int) -> Iterator[_Field]:
    while at < end:
        head = at
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        start = at
        if wire == _BYTES:
            length, start = _varint(data, at, end)
            at = start + length
        elif wire == _VARINT:
            _, at = _varint(data, at, end)
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise NotWireFormat
        if at > end:
            raise NotWireFormat
        yield _Field(number, wire, head, start, at)


def _length_delimited(number: int, payload: bytes | bytearray) -> bytes:
    out = bytearray()
    for value in (number << 3 | _BYTES, len(payload)):
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out + payload)


def _cut_tensor(data: memoryview, tensor: _Field) -> tuple[bytes, Span] | None:
    """The tensor without its only bulk field, or ``None`` when there is none to cut.

    Only element types that the dialects know are cut: the others travel as serialized tensors.
    """
    fields = list(_fields(data, tensor.start, tensor.stop))
    bulk = [f for f in fields if f.number in _BULK]
    if len(bulk) != 1 or bulk[0].wire != _BYTES or any(f.number in _FOREIGN for f in fields):
        return None
    kinds = [_varint(data, f.start, f.stop)[0] for f in fields if f.number == _TENSOR_TYPE and not f.wire]
    if len(kinds) != 1 or element_from_onnx(kinds[0]) is None:
        return None
    rest = b"".join(data[f.head : f.stop] for f in fields if f is not bulk[0])
    return _length_delimited(_GRAPH_INITIALIZER, rest), Span(bulk[0].number, bulk[0].start, bulk[0].stop)


def cut_weights(data: memoryview, max_bytes: int, max_parts: int) -> Structure:
    """Separate structure from large weights of the top-level graph.

    Raises:
        NotWireFormat: the bytes are no protobuf message.
        TooLarge: what remains has more than ``max_bytes``, or the graph more than ``max_parts`` fields.
    """
    spans: dict[int, Span] = {}
    model = bytearray()
    parts = initializers = 0
    for part in _fields(data, 0, len(data)):
        if part.number != _MODEL_GRAPH or part.wire != _BYTES:
            parts += 1
            if parts > max_parts or len(model) + part.stop - part.head > max_bytes:
                raise TooLarge
            model += data[part.head : part.stop]
            continue
        graph = bytearray()
        for field in _fields(data, part.start, part.stop):
            initializer = field.number == _GRAPH_INITIALIZER and field.wire == _BYTES
            large = initializer and field.stop - field.start >= CUT_BYTES
            cut = _cut_tensor(data, field) if large else None
            if cut is not None:
                graph += cut[0]
                spans[initializers] = cut[1]
            elif len(model) + len(graph) + field.stop - field.head > max_bytes:
                raise TooLarge
            else:
                graph += data[field.head : field.stop]
            initializers += initializer
            parts += 1
            if parts > max_parts:
                raise TooLarge
        model += _length_delimited(_MODEL_GRAPH, graph)
    return Structure(bytes(model), spans)
