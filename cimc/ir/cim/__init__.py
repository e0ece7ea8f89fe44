"""The ``cim`` dialect: the model quantised, cut into array-sized blocks, placed and scheduled.

``cim.weights`` and ``cim.table`` declare what is programmed into crossbar cells: the integer matrices of
layers, and embedding tables.  What passes decide about one stands right behind it
(:mod:`cimc.ir.cim.decisions`): storage order, blocks, ADC steps, memory, copies, places.  Vector operations
stay ``rec`` operations; the attributes ``cim.tile`` (who executes) and ``cim.at`` (byte address in that
tile's scratchpad) come from ``schedule``.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from cimc.ir.block_fields import ARRAY, BLOCK_FIELDS, COL0, COLS, OFFSET, REPLICA_FIELDS, ROW0, ROWS, TILE
from cimc.ir.cim.activation_types import activation_type, u8
from cimc.ir.cim.copies import (
    INSTANCE_MEMORY,
    AllocationOp,
    CopiesOp,
    InstancesOp,
    allocation_of,
    copies_of,
    instances_of,
)
from cimc.ir.cim.decisions import (
    DECISIONS,
    AdcOp,
    DecisionOp,
    PlacementOp,
    PoolingOp,
    ReplicasOp,
    ResidenceOp,
    RowOrderOp,
    ShardsOp,
)
from cimc.ir.cim.histograms import Histogram, block_shapes, by_value, copied, places
from cimc.ir.cim.hit_lists import WIDTHS, MergeOp, SearchOp
from cimc.ir.cim.matrices import (
    CorpusOp,
    MatrixOp,
    TableOp,
    WeightsOp,
    check_stored,
    matrices_beside,
    matrices_of,
    stored_names,
)
from cimc.ir.cim.number_table import NumbersAttr
from cimc.ir.cim.products import AddOp, DequantizeOp, MvmOp, QuantizeOp
from cimc.ir.cim.table_lookup import LookupOp
from cimc.ir.cim.transport import LoadOp, LoadQuantizedOp, TransferOp

TILE_ATTR = "cim.tile"
ADDRESS_ATTR = "cim.at"

CIM = Dialect(
    "cim",
    [
        WeightsOp,
        TableOp,
        CorpusOp,
        *DECISIONS,
        AllocationOp,
        CopiesOp,
        InstancesOp,
        QuantizeOp,
        MvmOp,
        AddOp,
        DequantizeOp,
        LookupOp,
        SearchOp,
        MergeOp,
        TransferOp,
        LoadOp,
        LoadQuantizedOp,
    ],
    [NumbersAttr],
)

__all__ = [
    "ADDRESS_ATTR",
    "ARRAY",
    "BLOCK_FIELDS",
    "CIM",
    "COL0",
    "COLS",
    "DECISIONS",
    "INSTANCE_MEMORY",
    "OFFSET",
    "REPLICA_FIELDS",
    "ROW0",
    "ROWS",
    "TILE",
    "TILE_ATTR",
    "WIDTHS",
    "AdcOp",
    "AddOp",
    "AllocationOp",
    "CopiesOp",
    "CorpusOp",
    "DecisionOp",
    "DequantizeOp",
    "Histogram",
    "InstancesOp",
    "LoadOp",
    "LoadQuantizedOp",
    "LookupOp",
    "MatrixOp",
    "MergeOp",
    "MvmOp",
    "NumbersAttr",
    "PlacementOp",
    "PoolingOp",
    "QuantizeOp",
    "ReplicasOp",
    "ResidenceOp",
    "RowOrderOp",
    "SearchOp",
    "ShardsOp",
    "TableOp",
    "TransferOp",
    "WeightsOp",
    "activation_type",
    "allocation_of",
    "block_shapes",
    "by_value",
    "check_stored",
    "copied",
    "copies_of",
    "instances_of",
    "matrices_beside",
    "matrices_of",
    "places",
    "stored_names",
    "u8",
]
