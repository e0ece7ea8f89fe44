"""Blocks of one array group on one range of rows: what every kernel is prepared from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.target.cell_encoding import EncodedWeights, PhasePlan


@dataclass(frozen=True)
class Span:
    """Columns of an array row range, each column of a matrix at most once.

    ``columns [C]`` count from the first column of the result; ``weights [R, C]`` are coded as ``code``, whose
    digits are ``[S, R, C]``; ``lsb [P, S, C]`` are the ADC steps; ``certified [S, C]`` says which units no
    input can clip (:mod:`cimc.isa.certificate`).
    """

    rows: slice
    columns: NDArray[np.intp]
    weights: NDArray[np.int8]
    code: EncodedWeights
    lsb: NDArray[np.int64]
    certified: NDArray[np.bool_]

    def with_certified(self, certified: NDArray[np.bool_]) -> Span:
        """The same with fewer units certified: a converter that changes nothing may always be asked."""
        return replace(self, certified=certified)

    def within(self, low: int, high: int) -> Span:
        """The columns ``low .. high`` of the result alone, counted from ``low``."""
        kept = (self.columns >= low) & (self.columns < high)
        if low == 0 and kept.all():
            return self
        return Span(
            self.rows, self.columns[kept] - low, self.weights[:, kept],
            replace(self.code, digits=self.code.digits[:, :, kept]), self.lsb[:, :, kept],
            self.certified[:, kept],
        )  # fmt: skip

    def recombined(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Digits times significance of the ``chosen [S, C]`` units, summed over slices: ``[R, C]``."""
        total = np.zeros(self.code.digits.shape[1:], dtype=np.int64)
        for weight, digits, units in zip(self.code.digit_weights, self.code.digits, chosen, strict=True):
            total += weight * np.where(units, digits, 0)
        return total

    def reach(self, plan: PhasePlan) -> NDArray[np.int64]:
        """Largest magnitude of a column sum, ``[P, S, C]``."""
        digits = self.code.digits
        drive = np.array([(1 << phase.width) - 1 for phase in plan.phases], dtype=np.int64)
        highest = np.maximum(digits, 0).sum(axis=1, dtype=np.int64)
        lowest = -np.minimum(digits, 0).sum(axis=1, dtype=np.int64)
        reach = np.maximum(*plan.reach(highest, lowest))
        return np.asarray(drive[:, None, None] * reach, dtype=np.int64)


def significance(span: Span, plan: PhasePlan) -> NDArray[np.int64]:
    """What a code of a unit counts, ``[P, S, C]``: its step x the weights of its phase and slice."""
    weights: NDArray[Any] = plan.weights[:, None] * span.code.digit_weights
    return np.asarray(span.lsb * weights[:, :, None], dtype=np.int64)
