"""Instances of the dense part: how many there are, and on which tiles.

``cim.allocation`` (pass `allocate`) says how much of the machine every part gets.  ``cim.copies`` (pass
`copy`) says that layers, and the vector work around them, exist ``count``
times; the layers have ``cim.replicas`` of all their blocks then.  ``cim.instances`` (pass `place`) gives the
tiles of each: operations name tiles of instance 0.  Request ``k`` uses instance ``k mod count``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import I64, DictionaryAttr, IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import VerifyException

from cimc.ir.cim.number_table import NumbersAttr
from cimc.ir.tensor_store import TensorStore

INSTANCE_MEMORY = "scratchpad of an instance"
"""Resource of a shortage that more tiles for each instance may end."""

D = TypeVar("D", bound=IRDLOperation)


@irdl_op_definition
class AllocationOp(IRDLOperation):
    """What `allocate` decided: instances of the dense part, places of hot blocks of tables, tiles of an
    instance at least, and the columns of a block of each layer."""

    name = "cim.allocation"
    instances = prop_def(IntegerAttr[I64])
    places = prop_def(IntegerAttr[I64])
    tiles = prop_def(IntegerAttr[I64])
    columns = prop_def(DictionaryAttr)
    assembly_format = "`instances` $instances `places` $places `tiles` $tiles `columns` $columns attr-dict"

    def __init__(self, instances: int, places: int, tiles: int, columns: Mapping[str, int]) -> None:
        super().__init__(
            properties={
                "instances": IntegerAttr(instances, 64),
                "places": IntegerAttr(places, 64),
                "tiles": IntegerAttr(tiles, 64),
                "columns": DictionaryAttr({name: IntegerAttr(n, 64) for name, n in columns.items()}),
            }
        )

    def verify_(self) -> None:
        widths = self.columns.data.values()
        if min(self.instances.value.data, self.places.value.data, self.tiles.value.data) < 1 or any(
            not isinstance(w, IntegerAttr) or w.value.data < 1 for w in widths
        ):
            raise VerifyException("at least one instance, place, tile and column")

    def columns_of(self, layer: str) -> int | None:
        """Columns of a block of ``layer``; ``None`` where nothing was decided."""
        found = self.columns.data.get(layer)
        return found.value.data if isinstance(found, IntegerAttr) else None


@irdl_op_definition
class CopiesOp(IRDLOperation):
    """Layers and vector work exist ``count`` times."""

    name = "cim.copies"
    count = prop_def(IntegerAttr[I64])
    assembly_format = "$count attr-dict"

    def __init__(self, count: int) -> None:
        super().__init__(properties={"count": IntegerAttr(count, 64)})

    def verify_(self) -> None:
        if self.count.value.data < 2:
            raise VerifyException("what is copied exists at least twice")


@irdl_op_definition
class InstancesOp(IRDLOperation):
    """Tiles of each instance, ``int32[count, n]``: what names the ``i``-th tile of instance 0 means the
    ``i``-th of every instance."""

    name = "cim.instances"
    tiles = prop_def(NumbersAttr)
    assembly_format = "$tiles attr-dict"

    def __init__(self, tiles: NumbersAttr) -> None:
        super().__init__(properties={"tiles": tiles})

    def verify_(self) -> None:
        shape, tiles = self.tiles.shape, self.tiles.inline
        if len(shape) != 2 or min(shape) < 1:
            raise VerifyException("a row of tiles for each instance expected")
        if tiles is not None and len(np.unique(tiles)) != tiles.size:
            raise VerifyException("no tile belongs to two instances")
        copies = _beside(self, CopiesOp)
        if self.parent is not None and (copies is None or copies.count.value.data != shape[0]):
            raise VerifyException("cim.copies says how many instances there are")


def _beside(op: Operation, kind: type[D]) -> D | None:
    block = op.parent_block()
    return None if block is None else next((o for o in block.ops if isinstance(o, kind)), None)


def allocation_of(module: ModuleOp) -> AllocationOp | None:
    """What `allocate` decided, if it ran."""
    return next((op for op in module.body.block.ops if isinstance(op, AllocationOp)), None)


def copies_of(module: ModuleOp) -> int:
    """How often layers and vector work exist."""
    found = next((op for op in module.body.block.ops if isinstance(op, CopiesOp)), None)
    return 1 if found is None else found.count.value.data


def instances_of(module: ModuleOp, store: TensorStore) -> NDArray[np.int64] | None:
    """Tiles of each instance, int64 ``[count, n]``; ``None`` where nothing is copied, or not placed."""
    found = next((op for op in module.body.block.ops if isinstance(op, InstancesOp)), None)
    return None if found is None else found.tiles.array(store, np.int64)


def put_before_function(module: ModuleOp, op: IRDLOperation) -> None:
    """Put what was decided of all layers before the function."""
    function = next(o for o in module.body.block.ops if isinstance(o, FuncOp))
    Rewriter.insert_op(op, InsertPoint.before(function))
