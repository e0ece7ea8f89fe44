"""Remarks on numbers: quantisation of layers, steps of converters, pooling of tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from cimc.remarks.record import Record
from cimc.remarks.remark import Remark, beside


@dataclass(frozen=True, repr=False)
class ClippedInput(Record):
    """A layer whose input clipping spoils: it costs ``cost_db`` dB of SQNR on the calibration requests."""

    layer: str
    cost_db: float


@dataclass(frozen=True, repr=False)
class QuantisationRemarks(Remark):
    """Of ``quantize``.

    Attributes:
        clipped_inputs: layers that lose more than
            :data:`cimc.transforms.quantise.calibration.CLIP_COST_DB` by clipping.
    """

    name: ClassVar[str] = "quantisation"
    clipped_inputs: tuple[ClippedInput, ...] = field(metadata=beside("clipped_inputs"))


@dataclass(frozen=True, repr=False)
class LayerRanges(Record):
    """The ADC steps of a layer, and what they lose on its calibration inputs.

    Attributes:
        layer: name of its matrix.
        ranges: ``calibrated`` or ``clip-free``.
        step_min, step_max: smallest and largest step of a converter, in units of a cell's product.
        samples: calibration inputs looked at; 0 where there are none.
        sqnr_db: signal over noise of the layer's output before its bias, dB; ``None`` where nothing is lost
            or there are no samples.
        clipped: share of conversions that left the codes, 0..1; ``None`` without samples.
    """

    layer: str
    ranges: str
    step_min: int
    step_max: int
    samples: int
    sqnr_db: float | None
    clipped: float | None


@dataclass(frozen=True, repr=False)
class ConverterRemarks(Remark):
    """Of ``choose-adc-steps``.

    Attributes:
        adc_ranges: converters of each layer.
    """

    name: ClassVar[str] = "converters"
    adc_ranges: tuple[LayerRanges, ...] = field(metadata=beside("adc_ranges"))


@dataclass(frozen=True, repr=False)
class LookupPrice(Record):
    """What one lookup costs in the arrays, on average.

    Attributes:
        activations: times that some block is activated.
        pj: energy of rows, conversions, steps, shift-adds, additions and bus.
        ns: array time: steps of all activations, one after the other.
    """

    activations: float
    pj: float
    ns: float


@dataclass(frozen=True, repr=False)
class TablePooling(Record):
    """How the lookups of one table are done.

    Attributes:
        table: its name.
        decision: ``pool`` or ``read``.
        reason: why.
        chunk_rows: most rows per step (1 when rows are read).
        step: the ADC's step.
        error_bound: largest error of an element of one conversion result, in integers of the table.
        ids_per_lookup: mean ids per lookup that the prices assume.
        pool, read: price of one lookup either way; ``pool`` is ``None`` where it is impossible.
    """

    table: str
    decision: str
    reason: str
    chunk_rows: int
    step: int
    error_bound: int
    ids_per_lookup: float
    pool: LookupPrice | None
    read: LookupPrice


@dataclass(frozen=True, repr=False)
class ShardingRemarks(Remark):
    """Of ``shard``.

    Attributes:
        pooling: whether rows of each table are added in the array.
    """

    name: ClassVar[str] = "sharding"
    pooling: tuple[TablePooling, ...] = field(metadata=beside("pooling"))
