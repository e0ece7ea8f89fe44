"""``choose-adc-steps``: the ADC steps of every layer, and the certificate of what they convert exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import PassError
from cimc.ir import cim
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.types import symbol
from cimc.isa.certificate import certify, shares
from cimc.remarks import ConverterRemarks, LayerRanges
from cimc.support.blas import one_thread
from cimc.target.spec import Target
from cimc.transforms.partition.adc_quality import layer_ranges
from cimc.transforms.partition.adc_steps import RANGES, choose_ranges
from cimc.transforms.partition.corpora import corpus_adc
from cimc.transforms.partition.corpora.shard_corpus import searches_of


@dataclass(frozen=True)
class ChooseAdcSteps(ModulePass):
    """Give every block of a layer its ADC steps, a step per slice and phase.

    With ``ranges=calibrated`` they come from samples of the layer's inputs
    (:mod:`cimc.transforms.partition.adc_steps`); where there are none, and with ``ranges=clip-free``, they
    are the finest with which no input can clip.  The certificate says which column sums are converted
    without any loss (:mod:`cimc.isa.certificate`).

    Steps of a corpus are fitted to the items that win (:mod:`cimc.transforms.partition.corpora.corpus_adc`).

    Precondition: sharded layers without ADC steps.  Postcondition: every layer has its ``cim.adc``;
    :class:`~cimc.remarks.ConverterRemarks`.
    """

    name = "choose-adc-steps"
    ranges: str = "calibrated"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        if self.ranges not in RANGES:
            raise PassError("choose-adc-steps.option", f"ranges={self.ranges}: known are {', '.join(RANGES)}")
        layers = [matrix for matrix in cim.matrices_of(op) if isinstance(matrix, cim.WeightsOp)]
        corpora = [matrix for matrix in cim.matrices_of(op) if isinstance(matrix, cim.CorpusOp)]
        for matrix in (*layers, *corpora):
            matrix.shards()
            matrix.refuse(cim.AdcOp)
        with one_thread():  # ranges and certificates are thousands of small products
            found = [self._decide(matrix, data, target) for matrix in layers]
            found += [self._decide_corpus(matrix, op, data, target) for matrix in corpora]
        data.remark(ConverterRemarks(tuple(found)))

    def _decide(self, matrix: cim.WeightsOp, data: CompilerContext, target: Target) -> LayerRanges:
        """Give a layer its ``cim.adc``; the remark on it."""
        name, bits, store, array = matrix.symbol, matrix.bits.value.data, data.store, target.array
        inputs, signed = matrix.inputs
        shards = matrix.shards()
        blocks = shards.blocks.array(store, np.int32)
        samples, weights = data.samples.get(name), store[symbol(matrix.data)]
        calibrated = self.ranges == "calibrated" and samples is not None and len(samples) > 0
        kind = "calibrated" if calibrated else "clip-free"
        steps = choose_ranges(samples if calibrated else None, weights, blocks, array, bits, inputs, signed)
        certificate = certify(weights, blocks, steps, array, bits, inputs, signed)
        of = cim.NumbersAttr.of
        matrix.decide(
            cim.AdcOp(
                name, kind, of(steps, store, f"{name}.ranges", lambda found: cim.by_value(found, "step")),
                shares(certificate, blocks, shards.slices.value.data),
                of(certificate, store, f"{name}.certificate", lambda _: ()),
            )
        )  # fmt: skip
        return layer_ranges(
            name, kind, samples, weights, store[symbol(matrix.scales)], blocks, steps, array, bits, inputs,
            signed,
        )  # fmt: skip

    def _decide_corpus(
        self, matrix: cim.CorpusOp, module: ModuleOp, data: CompilerContext, target: Target
    ) -> LayerRanges:
        name, bits, store, array = matrix.symbol, matrix.bits.value.data, data.store, target.array
        blocks = matrix.shards().blocks.array(store, np.int32)
        own = (None if of is None else store[symbol(of)] for of in (matrix.row_scales, matrix.row_biases))
        corpus = corpus_adc.Corpus(store[symbol(matrix.data)], *own)
        samples = data.samples.get(name) if self.ranges == "calibrated" else None
        k = max(s.k.value.data for s in searches_of(module, name))
        parts = blocks[blocks[:, cim.ROW0] == 0]
        fits = [
            corpus_adc.fit_steps(samples, corpus, slice(c, c + n), k, array, bits, matrix.inputs)
            for c, n in parts[:, (cim.COL0, cim.COLS)].tolist()
        ]
        chosen = np.stack([fit.steps for fit in fits])
        steps = np.tile(chosen, (len(blocks) // len(parts), 1, 1))
        kind, of = "calibrated" if fits[0].queries else "clip-free", cim.NumbersAttr.of
        none = np.zeros(0, np.uint8)
        matrix.decide(
            cim.AdcOp(
                name, kind, of(steps, store, f"{name}.ranges", lambda found: cim.by_value(found, "step")),
                (0, 0), of(none, store, f"{name}.certificate", lambda _: ()),
            )
        )  # fmt: skip
        lost = [fit.sqnr_db for fit in fits if fit.sqnr_db is not None]
        shares = [fit.clipped for fit in fits if fit.clipped is not None]
        return LayerRanges(
            name, kind, int(chosen.min()), int(chosen.max()), fits[0].queries,
            min(lost, default=None), max(shares, default=None),
        )  # fmt: skip
