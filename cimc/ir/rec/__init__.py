"""The ``rec`` dialect: a recommendation model in tensor terms, one request per row.

Every value has the batch as dimension 0, and every operation is *request-wise*: row ``i`` of a result
depends on row ``i`` of the operands alone.  (The two exceptions are values that hold the ids of all
bags back to back: ``ids`` and ``weights`` of a bag with offsets; the offsets say which belong to row
``i``.)  A value whose dimension 0 is 1, made by ``rec.constant``, is shared by all requests.

Shapes of results follow from the operands; constructors infer them and verifiers check them.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from cimc.ir.rec.arithmetic import (
    BinaryOp,
    CastOp,
    ConstantOp,
    DotInteractionOp,
    LinearOp,
    MatmulOp,
    ReduceOp,
    UnaryOp,
)
from cimc.ir.rec.base import (
    BAG_MODES,
    BINARY,
    COMPARISONS,
    LAYOUTS,
    REDUCE,
    UNARY,
    RecOp,
    Shape,
    broadcast,
    element,
    elements,
    ints,
    join,
    shape,
    unpack,
)
from cimc.ir.rec.best_items import HitsOp, SearchOp, list_type
from cimc.ir.rec.embedding import EmbeddingBagOp, bag_type
from cimc.ir.rec.grid import Grid
from cimc.ir.rec.host_segment import HostOp, YieldOp
from cimc.ir.rec.rearrange import ConcatOp, ExpandOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp

__all__ = [
    "BAG_MODES",
    "BINARY",
    "COMPARISONS",
    "LAYOUTS",
    "REC",
    "REDUCE",
    "UNARY",
    "BinaryOp",
    "CastOp",
    "ConcatOp",
    "ConstantOp",
    "DotInteractionOp",
    "EmbeddingBagOp",
    "ExpandOp",
    "Grid",
    "HitsOp",
    "HostOp",
    "LinearOp",
    "MatmulOp",
    "PadOp",
    "RecOp",
    "ReduceOp",
    "ReshapeOp",
    "SearchOp",
    "Shape",
    "SliceOp",
    "TakeOp",
    "TransposeOp",
    "UnaryOp",
    "YieldOp",
    "bag_type",
    "broadcast",
    "element",
    "elements",
    "ints",
    "join",
    "list_type",
    "shape",
    "unpack",
]

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
        SearchOp,
        HitsOp,
        HostOp,
        YieldOp,
    ],
    [],
)
