"""ONNX node attributes to IR attributes and back, without loss.

======================  =====================================================================
ONNX                    IR
======================  =====================================================================
INT, FLOAT              ``IntegerAttr`` i64, ``FloatAttr`` f32
STRING                  ``StringAttr``; ``BytesAttr`` when it is not UTF-8
INTS, FLOATS            ``DenseArrayBase`` of i64, f32
STRINGS                 ``ArrayAttr`` of the forms of STRING
TENSOR                  ``DenseIntOrFPElementsAttr`` up to 64 elements, else a ``SymbolRefAttr`` of the
                        store; for element types that no dialect has, ``{tensor_proto = @symbol}``
                        with the serialized ``TensorProto`` in the store
TENSORS                 ``{tensors = [...]}`` of the forms of TENSOR
TYPE_PROTO              ``{type_proto = "..."}``, the serialized ``TypeProto`` like a STRING
GRAPH                   a region of the node; see :func:`body_names`
======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, numpy_helper
from xdsl.dialects.builtin import (
    ArrayAttr,
    BytesAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute

from cimc.errors import Location, ModelError, printable
from cimc.ir.onnx.dialect import INLINE_LIMIT, NodeOp
from cimc.ir.onnx.tensors import decode
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import (
    OpaqueType,
    element_from_dtype,
    element_from_onnx,
    element_to_dtype,
    element_to_onnx,
    f32,
    i64,
    symbol,
    tensor,
)
from cimc.support.limits import Limits

Array = NDArray[Any]
Dense = DenseIntOrFPElementsAttr[Any]

BODIES = "bodies"
"""Key in ``attrs`` that names the regions of a node whose operator is not in the table below."""

_BODY_NAMES = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}


def body_names(op_type: str, domain: str, found: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Order of a node's graph attributes as regions, and whether ``attrs`` must record it.

    Args:
        found: names of the node's graph attributes, in the file's order.
    """
    usual = _BODY_NAMES.get(op_type) if not domain else None
    if usual is not None and sorted(usual) == sorted(found):
        return usual, False
    return tuple(found), True


def body_names_of(op: NodeOp) -> tuple[str, ...]:
    """The names of the graph attributes that the regions of ``op`` stand for."""
    recorded = op.attribute(BODIES)
    if isinstance(recorded, ArrayAttr):
        return tuple(name.data for name in recorded if isinstance(name, StringAttr))
    usual = _BODY_NAMES.get(op.op_type.data) if op.domain is None else None
    names = usual or ("body",)
    if len(names) != len(op.bodies):
        raise ModelError(
            "frontend.unnamed-bodies",
            f"{op.operator} has {len(op.bodies)} bodies and no attribute '{BODIES}'",
        )
    return names


# -- tensors -----------------------------------------------------------------------------------


def dense_from_array(array: Array, type_: TensorType[Any] | None = None) -> Dense:
    """A small array as an attribute, bit for bit."""
    type_ = type_ or tensor(array.shape, element_from_dtype(array.dtype))
    if array.dtype == np.bool_:
        return DenseIntOrFPElementsAttr.from_list(type_, [int(v) for v in array.reshape(-1).tolist()])
    return DenseIntOrFPElementsAttr(type_, BytesAttr(array.tobytes()))


def array_from_dense(attr: Dense) -> Array:
    """The array of a dense attribute; read-only."""
    dtype = element_to_dtype(attr.get_element_type())
    raw = np.frombuffer(attr.data.data, np.int8 if dtype == np.bool_ else dtype)
    return (raw != 0 if dtype == np.bool_ else raw).reshape(attr.get_shape())


def _default_to_array(proto: TensorProto) -> Array:
    return decode(proto, None, "<attribute>", Limits())


def tensor_attribute(
    proto: TensorProto, store: TensorStore, name: str, to_array: Callable[[TensorProto], Array]
) -> Attribute:
    """The IR form of a tensor; ``name`` is what a store entry is called if one is needed."""
    if element_from_onnx(proto.data_type) is None:
        blob = np.frombuffer(proto.SerializeToString(deterministic=True), np.uint8)
        return DictionaryAttr({"tensor_proto": SymbolRefAttr(store.add(f"{name}.tensor_proto", blob))})
    array = to_array(proto)
    if array.size <= INLINE_LIMIT:
        return dense_from_array(array)
    return SymbolRefAttr(store.add(name, array))


def opaque_constant(
    proto: TensorProto, store: TensorStore, name: str, location: LocationAttr | None
) -> NodeOp:
    """A ``Constant`` node for a tensor that no dialect can type: strings, 4-bit and 8-bit floats."""
    value = tensor_attribute(proto, store, name or "constant", _default_to_array)
    return NodeOp("Constant", [], [OpaqueType()], {"value": value}, location=location)


def tensor_proto_of(attr: Attribute, store: TensorStore, name: str = "") -> TensorProto:
    """The ``TensorProto`` that a tensor attribute stands for."""
    if isinstance(attr, DictionaryAttr):
        reference = attr.data["tensor_proto"]
        assert isinstance(reference, SymbolRefAttr)
        proto = TensorProto()
        proto.ParseFromString(store[symbol(reference)].tobytes())
        proto.name = name
        return proto
    if isinstance(attr, DenseIntOrFPElementsAttr):
        return tensor_proto(array_from_dense(attr), name)
    assert isinstance(attr, SymbolRefAttr)
    return tensor_proto(store[symbol(attr)], name)


def tensor_proto(array: Array, name: str) -> TensorProto:
    """An array as a ``TensorProto`` with raw data."""
    array = np.asarray(array)
    if array.dtype == object or array.dtype.kind in "SU":
        return numpy_helper.from_array(array, name)
    number = element_to_onnx(element_from_dtype(array.dtype))
    return TensorProto(name=name, data_type=number, dims=array.shape, raw_data=array.tobytes())


# -- attributes --------------------------------------------------------------------------------


def _string(value: bytes) -> Attribute:
    try:
        return StringAttr(value.decode("utf-8"))
    except UnicodeDecodeError:
        return BytesAttr(value)


def _bytes(attr: Attribute) -> bytes:
    assert isinstance(attr, StringAttr | BytesAttr)
    return attr.data.encode() if isinstance(attr, StringAttr) else attr.data


def attribute_from_onnx(
    proto: AttributeProto,
    store: TensorStore,
    to_array: Callable[[TensorProto], Array] = _default_to_array,
) -> Attribute:
    """The IR form of an attribute that is no graph.

    Args:
        store: takes the arrays of tensors above 64 elements.
        to_array: reads tensors; the default knows inline data only.

    Raises:
        ModelError: ``frontend.unsupported-attribute`` for kinds that no operator known here has.
    """
    kind = proto.type
    if kind == AttributeProto.INT:
        return IntegerAttr(proto.i, i64)
    if kind == AttributeProto.FLOAT:
        return FloatAttr(proto.f, f32)
    if kind == AttributeProto.STRING:
        return _string(proto.s)
    if kind == AttributeProto.INTS:
        return DenseArrayBase.from_list(i64, list(proto.ints))
    if kind == AttributeProto.FLOATS:
        return DenseArrayBase.from_list(f32, list(proto.floats))
    if kind == AttributeProto.STRINGS:
        return ArrayAttr([_string(s) for s in proto.strings])
    if kind == AttributeProto.TENSOR:
        return tensor_attribute(proto.t, store, proto.t.name or proto.name, to_array)
    if kind == AttributeProto.TENSORS:
        parts = [tensor_attribute(t, store, t.name or proto.name, to_array) for t in proto.tensors]
        return DictionaryAttr({"tensors": ArrayAttr(parts)})
    if kind == AttributeProto.TYPE_PROTO:
        return DictionaryAttr({"type_proto": _string(proto.tp.SerializeToString(deterministic=True))})
    raise ModelError(
        "frontend.unsupported-attribute",
        f"attribute '{printable(proto.name)}' has kind {AttributeProto.AttributeType.Name(kind)}",
        location=Location(node=printable(proto.name)),
    )


def attribute_to_onnx(name: str, attr: Attribute, store: TensorStore) -> AttributeProto:
    """The ONNX form of what :func:`attribute_from_onnx` made."""
    proto = AttributeProto(name=name)
    if isinstance(attr, IntegerAttr):
        proto.type, proto.i = AttributeProto.INT, attr.value.data
    elif isinstance(attr, FloatAttr):
        proto.type, proto.f = AttributeProto.FLOAT, attr.value.data
    elif isinstance(attr, StringAttr | BytesAttr):
        proto.type, proto.s = AttributeProto.STRING, _bytes(attr)
    elif isinstance(attr, DenseArrayBase):
        values = attr.get_values()
        if attr.get_element_type() == i64:
            proto.type = AttributeProto.INTS
            proto.ints.extend(values)
        else:
            proto.type = AttributeProto.FLOATS
            proto.floats.extend(values)
    elif isinstance(attr, ArrayAttr):
        proto.type = AttributeProto.STRINGS
        proto.strings.extend(_bytes(s) for s in attr)
    elif isinstance(attr, DictionaryAttr) and "type_proto" in attr.data:
        proto.type = AttributeProto.TYPE_PROTO
        proto.tp.ParseFromString(_bytes(attr.data["type_proto"]))
    elif isinstance(attr, DictionaryAttr) and isinstance(parts := attr.data.get("tensors"), ArrayAttr):
        proto.type = AttributeProto.TENSORS
        proto.tensors.extend(tensor_proto_of(part, store) for part in parts)
    else:
        proto.type = AttributeProto.TENSOR
        proto.t.CopyFrom(tensor_proto_of(attr, store))
    return proto


def ints_of(attr: Attribute | None, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
    """The integers of an INTS attribute; ``default`` when it is absent."""
    if attr is None:
        return None if default is None else tuple(default)
    assert isinstance(attr, DenseArrayBase)
    return tuple(int(v) for v in attr.get_values())


__all__ = [
    "BODIES",
    "array_from_dense",
    "attribute_from_onnx",
    "attribute_to_onnx",
    "body_names",
    "body_names_of",
    "dense_from_array",
    "ints_of",
    "opaque_constant",
    "tensor_attribute",
    "tensor_proto",
    "tensor_proto_of",
]
