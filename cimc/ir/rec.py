"""The ``rec`` dialect: a recommendation model in tensor terms, one request per row.

Every value has the batch as dimension 0, and every operation is *request-wise*: row ``i`` of a result
depends on row ``i`` of the operands alone.  (The two exceptions are values that hold the ids of all
bags back to back: ``ids`` and ``weights`` of a bag with offsets; the offsets say which belong to row
``i``.)  A value whose dimension 0 is 1, made by ``rec.constant``, is shared by all requests.

Shapes of results follow from the operands; constructors infer them and verifiers check them.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    f64,
)
from xdsl.ir import Attribute, Dialect, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.types import DYNAMIC, element_of, i64, shape_of, tensor

Shape = tuple[int, ...]

UNARY = (
    "relu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "exp",
    "log",
    "sqrt",
    "neg",
    "abs",
    "reciprocal",
    "clip",
)
"""Kinds of ``rec.unary``: ``leaky_relu`` takes a slope ``alpha``, ``clip`` bounds ``alpha, beta``."""
BINARY = ("add", "sub", "mul", "div", "max", "min", "pow", "prelu")
"""Kinds of ``rec.binary``; ``prelu(a, b)`` is ``a`` where ``a >= 0``, else ``a * b``."""
REDUCE = ("sum", "mean", "max", "min", "l2")
"""Kinds of ``rec.reduce``; ``l2`` is the root of the sum of squares."""
BAG_MODES = ("sum", "mean", "max", "none")
"""Pooling of ``rec.embedding_bag``; ``none`` keeps one row per id."""
LAYOUTS = ("fixed", "offsets", "offsets_end")
"""How ids form bags: a row of the ids tensor each; starts of the bags; starts and the final end."""


def ints(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """An ``array<i64: ...>`` attribute."""
    return DenseArrayBase.from_list(i64, [int(v) for v in values])


def unpack(attr: DenseArrayBase[IntegerType]) -> tuple[int, ...]:
    """The integers of an ``array<i64: ...>`` attribute."""
    return tuple(int(v) for v in attr.get_values())


def shape(value: SSAValue) -> Shape:
    """Extents of a ranked value (``-1`` dynamic)."""
    found = shape_of(value.type)
    if found is None:
        raise VerifyException(f"needs a ranked tensor, got {value.type}")
    return found


def element(value: SSAValue) -> Attribute:
    """Element type of a tensor value."""
    found = element_of(value.type)
    if found is None:
        raise VerifyException(f"needs a tensor, got {value.type}")
    return found


def join(a: int, b: int) -> int | None:
    """The extent two equal dimensions share (a known one wins), or ``None`` if they differ."""
    if a == b or b == DYNAMIC:
        return a
    return b if a == DYNAMIC else None


def broadcast(a: Shape, b: Shape) -> Shape:
    """Numpy broadcasting; dimension 0 of the longer shape is the batch."""
    rank = max(len(a), len(b))
    wide_a, wide_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    out = []
    for x, y in zip(wide_a, wide_b, strict=True):
        both = y if x == 1 else x if y == 1 else join(x, y)
        if both is None:
            raise VerifyException(f"shapes {list(a)} and {list(b)} do not broadcast")
        out.append(both)
    return tuple(out)


def elements(dims: Shape) -> int:
    """Elements of one request: the product of all extents but the batch."""
    total = 1
    for extent in dims[1:]:
        total *= extent
    return total


class RecOp(IRDLOperation):
    """Base of request-wise operations with one result whose type follows from the operands."""

    def infer(self) -> TensorType[Attribute]:
        """The result type that the operands and properties imply; VerifyException if they conflict."""
        raise NotImplementedError

    def verify_(self) -> None:
        expected, actual = self.infer(), self.results[0].type
        want, have = shape_of(expected), shape_of(actual)
        if (
            have is None
            or want is None
            or len(want) != len(have)
            or element_of(actual) != element_of(expected)
        ):
            raise VerifyException(f"result should be {expected}, is {actual}")
        if any(join(x, y) is None for x, y in zip(want, have, strict=True)):
            raise VerifyException(f"result should be {expected}, is {actual}")


def _axis(axis: int, dims: Shape, what: str) -> int:
    if not 1 <= axis < len(dims):
        raise VerifyException(
            f"{what} along axis {axis} of {list(dims)} would mix requests or is out of range"
        )
    return axis


def _kind(kind: StringAttr, allowed: Sequence[str]) -> str:
    if kind.data not in allowed:
        raise VerifyException(f"unknown kind '{kind.data}'; known: {', '.join(allowed)}")
    return kind.data


def bag_type(
    ids: SSAValue, offsets: SSAValue | None, weights: SSAValue | None, mode: str, layout: str, dim: int
) -> TensorType[Attribute]:
    """Type of an embedding bag's result, ``f32 [B, ..., dim]``; VerifyException for a senseless one."""
    dims = shape(ids)
    if mode not in BAG_MODES or layout not in LAYOUTS:
        raise VerifyException(f"unknown mode '{mode}' or layout '{layout}'")
    if weights is not None and (mode != "sum" or len(shape(weights)) != len(dims)):
        raise VerifyException("per-sample weights have the shape of ids and need mode sum")
    if layout == "fixed":
        if offsets is not None:
            raise VerifyException("layout fixed takes no offsets")
        if mode == "none":
            return tensor((*dims, dim))
        return tensor((*(dims[:-1] if len(dims) > 1 else dims), dim))
    if mode == "none":
        raise VerifyException("mode none needs layout fixed")
    if offsets is None or len(shape(offsets)) != 1 or len(dims) != 1:
        raise VerifyException(f"layout {layout} takes 1-D ids and 1-D offsets")
    (bags,) = shape(offsets)
    return tensor((bags - 1 if layout == "offsets_end" and bags != DYNAMIC else bags, dim))


@irdl_op_definition
class EmbeddingBagOp(RecOp):
    """Rows of a table, selected by ids and pooled per bag.

    ``layout``: ``fixed``: ids ``[B]`` (one per bag) or ``[B, ..., L]`` (bags along the last axis);
    ``offsets``: ids ``[nnz]``, offsets ``[B]`` = start of each bag; ``offsets_end``: offsets ``[B + 1]``.
    ``mode`` ``none`` (only ``fixed``) keeps every row: ``[B, ..., L] -> [B, ..., L, D]``.
    An empty bag gives zeros.  ``weights`` scale each row before the sum and have the shape of ids.
    """

    name = "rec.embedding_bag"
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    ids = operand_def(TensorType)
    offsets = opt_operand_def(TensorType)
    weights = opt_operand_def(TensorType)
    table = prop_def(SymbolRefAttr)
    mode = prop_def(StringAttr)
    layout = prop_def(StringAttr)
    rows = prop_def(IntegerAttr[I64])
    dim = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$table $mode $layout $ids (`offsets` $offsets^ `:` type($offsets))? "
        "(`weights` $weights^ `:` type($weights))? `rows` $rows `dim` $dim attr-dict "
        "`:` type($ids) `->` type($result)"
    )

    def __init__(
        self,
        table: str,
        rows: int,
        dim: int,
        ids: SSAValue,
        *,
        mode: str = "sum",
        layout: str = "fixed",
        offsets: SSAValue | None = None,
        weights: SSAValue | None = None,
    ) -> None:
        super().__init__(
            operands=[ids, offsets, weights],
            properties={
                "table": SymbolRefAttr(table),
                "mode": StringAttr(mode),
                "layout": StringAttr(layout),
                "rows": IntegerAttr(rows, 64),
                "dim": IntegerAttr(dim, 64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        return bag_type(
            self.ids, self.offsets, self.weights, self.mode.data, self.layout.data, self.dim.value.data
        )


@irdl_op_definition
class LinearOp(RecOp):
    """``x @ weight + bias`` over the last axis: ``[B, ..., K] -> [B, ..., N]``, weight stored ``[K, N]``."""

    name = "rec.linear"
    x = operand_def(TensorType)
    weight = prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
    units = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `weight` $weight (`bias` $bias^)? `units` $units attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(self, x: SSAValue, weight: str, units: int, bias: str | None = None) -> None:
        super().__init__(
            operands=[x],
            properties={
                "weight": SymbolRefAttr(weight),
                "bias": SymbolRefAttr(bias) if bias else None,
                "units": IntegerAttr(units, 64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims = shape(self.x)
        if len(dims) < 2:
            raise VerifyException("a linear layer needs [batch, ..., features]")
        return tensor((*dims[:-1], self.units.value.data))


@irdl_op_definition
class UnaryOp(RecOp):
    """An elementwise function of one operand."""

    name = "rec.unary"
    x = operand_def(TensorType)
    kind = prop_def(StringAttr)
    alpha = opt_prop_def(FloatAttr)
    beta = opt_prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$kind $x (`alpha` $alpha^)? (`beta` $beta^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: str, x: SSAValue, alpha: float | None = None, beta: float | None = None) -> None:
        super().__init__(
            operands=[x],
            properties={
                "kind": StringAttr(kind),
                "alpha": None if alpha is None else FloatAttr(alpha, f64),
                "beta": None if beta is None else FloatAttr(beta, f64),
            },
            result_types=[x.type],
        )

    def infer(self) -> TensorType[Attribute]:
        kind = _kind(self.kind, UNARY)
        if (kind in ("leaky_relu", "clip")) != (self.alpha is not None) or (kind == "clip") != (
            self.beta is not None
        ):
            raise VerifyException("leaky_relu takes alpha, clip takes alpha and beta, the others neither")
        return tensor(shape(self.x), element(self.x))


@irdl_op_definition
class BinaryOp(RecOp):
    """An elementwise function of two operands with numpy broadcasting."""

    name = "rec.binary"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    kind = prop_def(StringAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$kind $a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)"

    def __init__(self, kind: str, a: SSAValue, b: SSAValue) -> None:
        super().__init__(operands=[a, b], properties={"kind": StringAttr(kind)}, result_types=[tensor(())])
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        _kind(self.kind, BINARY)
        if element(self.a) != element(self.b):
            raise VerifyException(f"operands differ in element type: {self.a.type}, {self.b.type}")
        return tensor(broadcast(shape(self.a), shape(self.b)), element(self.a))


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A tensor of the store, shared by all requests: its dimension 0 is 1."""

    name = "rec.constant"
    symbol = prop_def(SymbolRefAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$symbol attr-dict `:` type($result)"

    def __init__(self, symbol: str, type_: TensorType[Attribute]) -> None:
        super().__init__(properties={"symbol": SymbolRefAttr(symbol)}, result_types=[type_])

    def verify_(self) -> None:
        dims = shape(self.result)
        if not dims or dims[0] != 1 or DYNAMIC in dims:
            raise VerifyException(
                f"a constant has dimension 0 equal to 1 and known extents, not {list(dims)}"
            )


@irdl_op_definition
class ConcatOp(RecOp):
    """Concatenation along an axis other than the batch."""

    name = "rec.concat"
    parts = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$parts `axis` $axis attr-dict `:` type($parts) `->` type($result)"

    def __init__(self, parts: Sequence[SSAValue], axis: int) -> None:
        super().__init__(
            operands=[list(parts)], properties={"axis": IntegerAttr(axis, 64)}, result_types=[tensor(())]
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        if not self.parts:
            raise VerifyException("nothing to concatenate")
        axis = _axis(self.axis.value.data, shape(self.parts[0]), "concatenation")
        out = list(shape(self.parts[0]))
        for part in self.parts[1:]:
            dims = shape(part)
            if len(dims) != len(out) or element(part) != element(self.parts[0]):
                raise VerifyException("parts differ in rank or element type")
            for d, extent in enumerate(dims):
                if d == axis:
                    out[d] = DYNAMIC if DYNAMIC in (out[d], extent) else out[d] + extent
                    continue
                both = join(out[d], extent)
                if both is None:
                    raise VerifyException(f"parts differ in dimension {d}: {out[d]} and {extent}")
                out[d] = both
        return tensor(out, element(self.parts[0]))


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """A new shape for the elements of each request; the batch stays dimension 0."""

    name = "rec.reshape"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, dims: Sequence[int]) -> None:
        super().__init__(operands=[x], result_types=[tensor(dims, element(x))])

    def verify_(self) -> None:
        before, after = shape(self.x), shape(self.result)
        known = DYNAMIC not in before[1:] and DYNAMIC not in after[1:]
        if not before or not after or join(before[0], after[0]) is None:
            raise VerifyException("a reshape keeps the batch as dimension 0")
        if known and elements(before) != elements(after):
            raise VerifyException(f"cannot reshape {list(before)} to {list(after)}")


@irdl_op_definition
class TransposeOp(RecOp):
    """A permutation of the axes that keeps the batch first."""

    name = "rec.transpose"
    irdl_options = (ParsePropInAttrDict(),)
    x = operand_def(TensorType)
    perm = prop_def(DenseArrayBase[IntegerType])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, perm: Sequence[int]) -> None:
        super().__init__(operands=[x], properties={"perm": ints(perm)}, result_types=[tensor(())])
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims, perm = shape(self.x), unpack(self.perm)
        if sorted(perm) != list(range(len(dims))) or perm[:1] != (0,):
            raise VerifyException(f"perm {list(perm)} is no permutation that keeps the batch first")
        return tensor([dims[p] for p in perm], element(self.x))


@irdl_op_definition
class SliceOp(RecOp):
    """A range of an axis other than the batch: ``start <= i < stop``."""

    name = "rec.slice"
    x = operand_def(TensorType)
    axis = prop_def(IntegerAttr[I64])
    start = prop_def(IntegerAttr[I64])
    stop = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `axis` $axis `from` $start `to` $stop attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, axis: int, start: int, stop: int) -> None:
        super().__init__(
            operands=[x],
            properties={
                "axis": IntegerAttr(axis, 64),
                "start": IntegerAttr(start, 64),
                "stop": IntegerAttr(stop, 64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims = list(shape(self.x))
        axis = _axis(self.axis.value.data, tuple(dims), "slice")
        start, stop = self.start.value.data, self.stop.value.data
        if not 0 <= start <= stop or (dims[axis] != DYNAMIC and stop > dims[axis]):
            raise VerifyException(f"slice {start}:{stop} is outside of extent {dims[axis]}")
        dims[axis] = stop - start
        return tensor(dims, element(self.x))


@irdl_op_definition
class TakeOp(RecOp):
    """A fixed selection of positions along an axis other than the batch."""

    name = "rec.take"
    irdl_options = (ParsePropInAttrDict(),)
    x = operand_def(TensorType)
    axis = prop_def(IntegerAttr[I64])
    indices = prop_def(DenseArrayBase[IntegerType])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `axis` $axis attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, axis: int, indices: Sequence[int]) -> None:
        super().__init__(
            operands=[x],
            properties={"axis": IntegerAttr(axis, 64), "indices": ints(indices)},
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims = list(shape(self.x))
        axis = _axis(self.axis.value.data, tuple(dims), "selection")
        chosen = unpack(self.indices)
        if any(i < 0 or (dims[axis] != DYNAMIC and i >= dims[axis]) for i in chosen):
            raise VerifyException(f"an index is outside of extent {dims[axis]}")
        dims[axis] = len(chosen)
        return tensor(dims, element(self.x))


@irdl_op_definition
class ReduceOp(RecOp):
    """A reduction over axes other than the batch."""

    name = "rec.reduce"
    irdl_options = (ParsePropInAttrDict(),)
    x = operand_def(TensorType)
    kind = prop_def(StringAttr)
    axes = prop_def(DenseArrayBase[IntegerType])
    keepdims = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$kind $x `keepdims` $keepdims attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: str, x: SSAValue, axes: Sequence[int], keepdims: bool) -> None:
        super().__init__(
            operands=[x],
            properties={
                "kind": StringAttr(kind),
                "axes": ints(sorted(axes)),
                "keepdims": IntegerAttr(int(keepdims), 64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        _kind(self.kind, REDUCE)
        dims, axes = shape(self.x), unpack(self.axes)
        for axis in axes:
            _axis(axis, dims, "reduction")
        if self.keepdims.value.data:
            return tensor([1 if d in axes else e for d, e in enumerate(dims)], element(self.x))
        return tensor([e for d, e in enumerate(dims) if d not in axes], element(self.x))


@irdl_op_definition
class DotInteractionOp(RecOp):
    """Dot products of chosen pairs of feature vectors: ``[B, F, D] -> [B, P]``.

    ``out[b, p] = sum_d x[b, lhs[p], d] * x[b, rhs[p], d]``; the pairs spell out each exporter's triangle.
    """

    name = "rec.dot_interaction"
    irdl_options = (ParsePropInAttrDict(),)
    x = operand_def(TensorType)
    lhs = prop_def(DenseArrayBase[IntegerType])
    rhs = prop_def(DenseArrayBase[IntegerType])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, lhs: Sequence[int], rhs: Sequence[int]) -> None:
        super().__init__(
            operands=[x], properties={"lhs": ints(lhs), "rhs": ints(rhs)}, result_types=[tensor(())]
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims, lhs, rhs = shape(self.x), unpack(self.lhs), unpack(self.rhs)
        if len(dims) != 3 or len(lhs) != len(rhs) or not lhs:
            raise VerifyException("needs [batch, features, dim] and as many left as right features")
        if any(not 0 <= i < dims[1] for i in (*lhs, *rhs)):
            raise VerifyException(f"a pair names a feature outside of 0..{dims[1] - 1}")
        return tensor((dims[0], len(lhs)))


@irdl_op_definition
class MatmulOp(RecOp):
    """A product of two activations per request: ``[B, M, K] x [B, K, N] -> [B, M, N]``."""

    name = "rec.matmul"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)"

    def __init__(self, a: SSAValue, b: SSAValue) -> None:
        super().__init__(operands=[a, b], result_types=[tensor(())])
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        a, b = shape(self.a), shape(self.b)
        if len(a) != 3 or len(b) != 3 or join(a[2], b[1]) is None or join(a[0], b[0]) is None:
            raise VerifyException(f"cannot multiply {list(a)} by {list(b)} per request")
        return tensor((join(a[0], b[0]) or DYNAMIC, a[1], b[2]))


@irdl_op_definition
class ExpandOp(IRDLOperation):
    """Repeats elements along axes of extent 1 until the result's shape is reached."""

    name = "rec.expand"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, dims: Sequence[int]) -> None:
        super().__init__(operands=[x], result_types=[tensor(dims, element(x))])

    def verify_(self) -> None:
        if broadcast(shape(self.x), shape(self.result)) != shape(self.result):
            raise VerifyException(f"cannot expand {self.x.type} to {self.result.type}")


@irdl_op_definition
class PadOp(RecOp):
    """Constant padding along one axis other than the batch."""

    name = "rec.pad"
    x = operand_def(TensorType)
    axis = prop_def(IntegerAttr[I64])
    before = prop_def(IntegerAttr[I64])
    after = prop_def(IntegerAttr[I64])
    value = prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `axis` $axis `before` $before `after` $after `value` $value attr-dict "
        "`:` type($x) `->` type($result)"
    )

    def __init__(self, x: SSAValue, axis: int, before: int, after: int, value: float = 0.0) -> None:
        super().__init__(
            operands=[x],
            properties={
                "axis": IntegerAttr(axis, 64),
                "before": IntegerAttr(before, 64),
                "after": IntegerAttr(after, 64),
                "value": FloatAttr(value, f64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims = list(shape(self.x))
        axis = _axis(self.axis.value.data, tuple(dims), "padding")
        if min(self.before.value.data, self.after.value.data) < 0:
            raise VerifyException("padding cannot be negative")
        if dims[axis] != DYNAMIC:
            dims[axis] += self.before.value.data + self.after.value.data
        return tensor(dims, element(self.x))


@irdl_op_definition
class CastOp(IRDLOperation):
    """Conversion of the element type between f32 and integers (towards zero, as ONNX Cast does)."""

    name = "rec.cast"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, to: Attribute) -> None:
        super().__init__(operands=[x], result_types=[tensor(shape(x), to)])

    def verify_(self) -> None:
        if shape(self.x) != shape(self.result):
            raise VerifyException("a cast keeps the shape")


@irdl_op_definition
class HostOp(IRDLOperation):
    """What the chip cannot do: ``onnx`` operations that onnxruntime executes on the whole batch.

    Values of outside come in as block arguments, so that the region stands alone; ``reasons`` says,
    once per operation kind, why it is here.
    """

    name = "rec.host"
    inputs = var_operand_def()
    outputs = var_result_def()
    reasons = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        body: Region,
        reasons: Sequence[str] = (),
    ) -> None:
        super().__init__(
            operands=[list(inputs)],
            result_types=[list(result_types)],
            properties={"reasons": ArrayAttr([StringAttr(r) for r in reasons])},
            regions=[body],
        )

    def verify_(self) -> None:
        block = self.body.block
        if [a.type for a in block.args] != [v.type for v in self.inputs]:
            raise VerifyException("block arguments must have the types of the inputs")
        end = block.last_op
        if not isinstance(end, YieldOp) or [v.type for v in end.values] != [v.type for v in self.outputs]:
            raise VerifyException("the body must end in rec.yield with the types of the outputs")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a host body and gives its results."""

    name = "rec.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "($values^ `:` type($values))? attr-dict"

    def __init__(self, values: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(values)])


REC = Dialect(
    "rec",
    [
        EmbeddingBagOp,
        LinearOp,
        UnaryOp,
        BinaryOp,
        ConstantOp,
        ConcatOp,
        ReshapeOp,
        TransposeOp,
        SliceOp,
        TakeOp,
        ReduceOp,
        DotInteractionOp,
        MatmulOp,
        ExpandOp,
        PadOp,
        CastOp,
        HostOp,
        YieldOp,
    ],
    [],
)
