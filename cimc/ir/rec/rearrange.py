"""Operations that only move elements."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    TensorType,
    f64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.rec.base import (
    RecOp,
    broadcast,
    checked_axis,
    element,
    elements,
    ints,
    join,
    shape,
    unpack,
)
from cimc.ir.types import DYNAMIC, tensor


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
        axis = checked_axis(self.axis.value.data, shape(self.parts[0]), "concatenation")
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
        axis = checked_axis(self.axis.value.data, tuple(dims), "slice")
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
        axis = checked_axis(self.axis.value.data, tuple(dims), "selection")
        chosen = unpack(self.indices)
        if any(i < 0 or (dims[axis] != DYNAMIC and i >= dims[axis]) for i in chosen):
            raise VerifyException(f"an index is outside of extent {dims[axis]}")
        dims[axis] = len(chosen)
        return tensor(dims, element(self.x))


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
        axis = checked_axis(self.axis.value.data, tuple(dims), "padding")
        if min(self.before.value.data, self.after.value.data) < 0:
            raise VerifyException("padding cannot be negative")
        if dims[axis] != DYNAMIC:
            dims[axis] += self.before.value.data + self.after.value.data
        return tensor(dims, element(self.x))
