"""Remarks: what passes found out and decided, for people and for the passes that come later.

One frozen dataclass a pass, typed, with JSON and back; :class:`Remarks` holds those of a compilation, in the
context while passes run and in the program afterwards.  Plain data: nothing here knows IR, so that everything
above can read it.
"""

from cimc.remarks.all_remarks import REMARKS, Remarks, register_remark
from cimc.remarks.allocation_remarks import AllocationRemarks
from cimc.remarks.corpus_remarks import CorpusRemarks
from cimc.remarks.host_work import HostWork
from cimc.remarks.model_remarks import (
    ChipWork,
    HostNode,
    ModelLayer,
    ModelTable,
    NearMiss,
    RecognitionRemarks,
    SimplificationRemarks,
    SourceRemarks,
    Work,
)
from cimc.remarks.placement_remarks import (
    ChipAssignment,
    CutOperation,
    LayersOnMesh,
    MatrixPlacement,
    MovedLookups,
    PlacementRemarks,
    ScheduleRemarks,
    TableMemories,
)
from cimc.remarks.record import json_of
from cimc.remarks.remark import Remark
from cimc.remarks.search_remarks import (
    EstimatedFigures,
    SearchRemarks,
    SimulatedFigures,
    TriedPipeline,
)
from cimc.remarks.table_remarks import (
    CountsByMemory,
    GroupingRemarks,
    ReadsByMemory,
    ReplicationRemarks,
    ResidenceRemarks,
)
from cimc.remarks.weight_remarks import (
    ClippedInput,
    ConverterRemarks,
    LayerRanges,
    LookupPrice,
    QuantisationRemarks,
    ShardingRemarks,
    TablePooling,
)

__all__ = [
    "REMARKS",
    "AllocationRemarks",
    "ChipAssignment",
    "ChipWork",
    "ClippedInput",
    "ConverterRemarks",
    "CorpusRemarks",
    "CountsByMemory",
    "CutOperation",
    "EstimatedFigures",
    "GroupingRemarks",
    "HostNode",
    "HostWork",
    "LayerRanges",
    "LayersOnMesh",
    "LookupPrice",
    "MatrixPlacement",
    "ModelLayer",
    "ModelTable",
    "MovedLookups",
    "NearMiss",
    "PlacementRemarks",
    "QuantisationRemarks",
    "ReadsByMemory",
    "RecognitionRemarks",
    "Remark",
    "Remarks",
    "ReplicationRemarks",
    "ResidenceRemarks",
    "ScheduleRemarks",
    "SearchRemarks",
    "ShardingRemarks",
    "SimplificationRemarks",
    "SimulatedFigures",
    "SourceRemarks",
    "TableMemories",
    "TablePooling",
    "TriedPipeline",
    "Work",
    "json_of",
    "register_remark",
]
