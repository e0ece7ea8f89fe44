"""How integers become cell digits and input phases: the one place that knows.

A crossbar multiplies small non-negative input levels with small cell levels.  A ``weight_bits`` weight
is therefore written as *slices*, one cell each, and a ``bits`` activation is driven as *phases*, one
DAC code each, such that (``digits`` below are what the hardware holds or drives)::

    w == sum_s digit_weights[s] * digits[s] - weight_offset
    x == sum_p phases[p].weight * digits[p] - input_offset

so that a dot product over rows ``r`` is recovered digitally from the per-slice, per-phase column sums::

    sum_r x_r w_r = sum_p sum_s phases[p].weight * digit_weights[s] * sum_r X[p, r] * W[s, r]
                    - input_offset * sum_r w_r  -  weight_offset * sum_r (x_r + input_offset)

The first correction is a constant of the column, the second needs the sum of the driven activations.
Slices and phases are stored least significant first.  Everything here is exact integer arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Encoding = Literal["differential", "offset"]
SignedScheme = Literal["offset", "sign-phases", "twos-complement", "native"]
PhaseSign = Literal["pattern", "positive", "negative", "signbit", "magnitude"]

WEIGHT_BITS = range(2, 9)
ACTIVATION_BITS = range(1, 17)
DAC_BITS = range(1, 9)
CELL_LEVELS = range(2, 129)


# --------------------------------------------------------------------------------------------------
# Weights


def _check_weight_format(encoding: str, cell_levels: int, weight_bits: int) -> None:
    if encoding not in get_args(Encoding):
        raise ValueError(f"cell encoding {encoding!r} is not one of {', '.join(get_args(Encoding))}")
    if cell_levels not in CELL_LEVELS:
        raise ValueError(f"cell_levels {cell_levels} outside {CELL_LEVELS.start}..{CELL_LEVELS.stop - 1}")
    if weight_bits not in WEIGHT_BITS:
        raise ValueError(f"weight_bits {weight_bits} outside {WEIGHT_BITS.start}..{WEIGHT_BITS.stop - 1}")


def digit_base(encoding: Encoding, cell_levels: int) -> int:
    """Number of values one cell distinguishes, which is the radix of its digits.

    ``offset`` cells hold ``0..L-1``: base ``L``.  A ``differential`` pair of ``L``-level devices holds
    ``-(L-1)..L-1``: base ``2 L - 1`` in balanced digits.  (Base ``2 L`` would leave gaps: with 8 levels a
    pair has fifteen values, not sixteen.)
    """
    return cell_levels if encoding == "offset" else 2 * cell_levels - 1


def slices_for(encoding: Encoding, cell_levels: int, weight_bits: int) -> int:
    """Cells that one ``weight_bits`` weight occupies.

    ``offset``: the fewest digits that hold all ``2**weight_bits`` codes.  ``differential``: the fewest
    balanced digits that reach at least 7/8 of the two's-complement maximum ``2**(weight_bits-1) - 1``.
    The 7/8 is what lets 8-bit weights live in two 8-level pairs (+/-112 of +/-127): a whole further
    slice would cost 50 % more conversions for a 12 % finer step.  :func:`max_weight` states the result.
    """
    _check_weight_format(encoding, cell_levels, weight_bits)
    base = digit_base(encoding, cell_levels)
    slices, values = 1, base
    while not _reaches(encoding, values, weight_bits):
        slices, values = slices + 1, values * base
    return slices


def _reaches(encoding: Encoding, values: int, weight_bits: int) -> bool:
    if encoding == "offset":
        return values >= 1 << weight_bits
    return 8 * ((values - 1) // 2) >= 7 * ((1 << (weight_bits - 1)) - 1)


def max_weight(encoding: Encoding, cell_levels: int, weight_bits: int) -> int:
    """Largest magnitude ``m`` such that every integer in ``-m..m`` is representable.

    ``min(2**(weight_bits-1) - 1, reach of the slices)``; the symmetric bound a quantiser scales to.
    """
    full = (1 << (weight_bits - 1)) - 1
    slices = slices_for(encoding, cell_levels, weight_bits)
    if encoding == "offset":
        return full
    reach: int = (digit_base(encoding, cell_levels) ** slices - 1) // 2
    return min(full, reach)


@dataclass(frozen=True)
class EncodedWeights:
    """Weights as cell digits.

    ``digits``: int8 ``[S, ...]`` least significant slice first; ``digit_weights``: int64 ``[S]``;
    ``weight_offset``: what the stored value exceeds the weight by (0 for ``differential``).
    """

    digits: NDArray[np.int8]
    digit_weights: NDArray[np.int64]
    weight_offset: int

    def decode(self) -> NDArray[np.int64]:
        """The weights, int64 ``[...]``."""
        total = np.tensordot(self.digit_weights, self.digits.astype(np.int64), axes=1)
        return np.asarray(total - self.weight_offset, dtype=np.int64)


def weight_offset(encoding: Encoding, weight_bits: int) -> int:
    """What is added to a weight before it is sliced: ``2**(weight_bits-1)`` or 0."""
    return 1 << (weight_bits - 1) if encoding == "offset" else 0


def digit_weights(encoding: Encoding, cell_levels: int, weight_bits: int) -> NDArray[np.int64]:
    """Significance of each slice, int64 ``[S]``: powers of :func:`digit_base`."""
    slices = slices_for(encoding, cell_levels, weight_bits)
    base = digit_base(encoding, cell_levels)
    return np.array([base**s for s in range(slices)], dtype=np.int64)


def encode_weights(
    weights: NDArray[np.integer[Any]], encoding: Encoding, cell_levels: int, weight_bits: int
) -> EncodedWeights:
    """Slice integer ``weights`` of any shape ``[...]`` into cell digits ``[S, ...]``.

    Accepts ``-2**(weight_bits-1) .. 2**(weight_bits-1)-1`` for ``offset`` and ``-m..m`` with
    ``m = max_weight(...)`` for ``differential``.  Raises ``TypeError`` for non-integers and
    ``ValueError`` for values outside that range: nothing is clamped.
    """
    significance = digit_weights(encoding, cell_levels, weight_bits)
    offset = weight_offset(encoding, weight_bits)
    high = max_weight(encoding, cell_levels, weight_bits)
    low = -offset if encoding == "offset" else -high
    _check_range(weights, low, high, f"{weight_bits}-bit {encoding} weights")

    base = digit_base(encoding, cell_levels)
    bias = cell_levels - 1 if encoding == "differential" else 0  # centres the digits on zero
    rest = weights.astype(np.int32) + np.int32(offset)
    digits = np.empty((len(significance), *weights.shape), dtype=np.int8)
    for s in range(len(significance)):
        digit = (rest + bias) % base - bias
        digits[s] = digit
        rest = (rest - digit) // base
    return EncodedWeights(digits, significance, offset)


def _check_range(values: NDArray[np.integer[Any]], low: int, high: int, what: str) -> None:
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"{what} must be integers, got {values.dtype}")
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise ValueError(f"{what} must lie in {low}..{high}, got {values.min()}..{values.max()}")


# --------------------------------------------------------------------------------------------------
# Activations


Codes = NDArray[np.uint8] | NDArray[np.int8]
"""DAC codes: signed where a plan drives both signs."""


@dataclass(frozen=True)
class Phase:
    """One DAC code per row: ``width`` bits from bit ``low`` of a source chosen by ``sign``.

    ``sign``: ``pattern`` takes the bits of ``(x + input_offset) mod 2**bits``; ``positive`` those of
    ``max(x, 0)``; ``negative`` those of ``max(-x, 0)``; ``signbit`` drives 1 where ``x < 0``;
    ``magnitude`` those of ``abs(x)`` with the sign of ``x``: the only source of negative codes.
    ``weight`` is the signed factor of this phase's column sums.
    """

    weight: int
    low: int
    width: int
    sign: PhaseSign


@dataclass(frozen=True)
class PhasePlan:
    """How one activation format is driven: ``phases`` least significant first, and ``input_offset``."""

    bits: int
    signed: bool
    phases: tuple[Phase, ...]
    input_offset: int

    @property
    def native(self) -> bool:
        """Whether phases drive codes of both signs."""
        return any(phase.sign == "magnitude" for phase in self.phases)

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest activation that can be driven."""
        if self.native:
            return -(1 << (self.bits - 1)) + 1, (1 << (self.bits - 1)) - 1
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    def reach(
        self, positive: NDArray[np.int64], negative: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Largest column sums at drive 1, upwards and downwards as magnitudes.

        ``positive``, ``negative``: magnitudes of the sums of positive and of negative digits, of one shape.
        Codes of both signs reach both at once.
        """
        both = positive + negative
        return (both, both) if self.native else (positive, negative)

    @property
    def weights(self) -> NDArray[np.int64]:
        """Signed significance of each phase, int64 ``[P]``."""
        return np.array([phase.weight for phase in self.phases], dtype=np.int64)

    def decode(self, digits: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Activations int64 ``[...]`` from phase digits ``[P, ...]``."""
        total = np.tensordot(self.weights, digits.astype(np.int64), axes=1)
        return np.asarray(total - self.input_offset, dtype=np.int64)


def phase_plan(bits: int, signed: bool, dac_bits: int, scheme: SignedScheme) -> PhasePlan:
    """Plan the input phases of a ``bits``-bit activation through a ``dac_bits`` DAC.

    Unsigned activations are plain digits whatever the ``scheme``.  Signed ones:

    - ``offset``: ``x + 2**(bits-1)`` in ``ceil(bits / dac_bits)`` phases; the column sums' surplus
      ``2**(bits-1) * sum_r w_r`` is subtracted digitally.
    - ``sign-phases``: ``max(x, 0)`` with positive weights, then ``max(-x, 0)`` with negative ones.  The
      negative half has one bit more, so that ``-2**(bits-1)`` is driven and not refused.
    - ``twos-complement``: digits of ``x mod 2**bits``.  The sign bit subtracts: where the top phase is
      the sign bit alone (always so for a 1-bit DAC) it weighs ``-2**(bits-1)``; otherwise one more
      1-bit phase, driven by the sign bit, weighs ``-2**bits``.
    - ``native``: the DAC drives codes of both signs, ``dac_bits`` with the sign: digits of ``abs(x)``, of
      ``dac_bits - 1`` bits each (1 for a 1-bit DAC), with the sign of ``x``.  ``-2**(bits-1)``, which no
      quantiser here makes, cannot be driven.

    Raises ``ValueError`` for widths outside 1..16 (activation) and 1..8 (DAC) or an unknown scheme.
    """
    if bits not in ACTIVATION_BITS:
        raise ValueError(f"activation bits {bits} outside 1..{ACTIVATION_BITS.stop - 1}")
    if dac_bits not in DAC_BITS:
        raise ValueError(f"dac_bits {dac_bits} outside 1..{DAC_BITS.stop - 1}")
    if scheme not in get_args(SignedScheme):
        raise ValueError(f"signed scheme {scheme!r} is not one of {', '.join(get_args(SignedScheme))}")

    plain = _digit_phases(bits, dac_bits, "pattern")
    if not signed:
        return PhasePlan(bits, signed, plain, 0)
    if scheme == "offset":
        return PhasePlan(bits, signed, plain, 1 << (bits - 1))
    if scheme == "sign-phases":
        positive = _digit_phases(bits - 1, dac_bits, "positive")
        negative = _digit_phases(bits, dac_bits, "negative")
        return PhasePlan(bits, signed, positive + negative, 0)
    if scheme == "native":
        return PhasePlan(bits, signed, _digit_phases(max(bits - 1, 1), max(dac_bits - 1, 1), "magnitude"), 0)
    top = plain[-1]
    if top.width == 1:
        return PhasePlan(bits, signed, (*plain[:-1], Phase(-top.weight, top.low, 1, "pattern")), 0)
    return PhasePlan(bits, signed, (*plain, Phase(-(1 << bits), bits - 1, 1, "signbit")), 0)


def _digit_phases(bits: int, dac_bits: int, sign: PhaseSign) -> tuple[Phase, ...]:
    factor = -1 if sign == "negative" else 1
    return tuple(
        Phase(factor << low, low, min(dac_bits, bits - low), sign) for low in range(0, bits, dac_bits)
    )


def input_phases(activations: NDArray[np.integer[Any]], plan: PhasePlan) -> Codes:
    """DAC codes uint8 ``[P, ...]``, int8 where the plan is ``native``, of integer ``activations`` ``[...]``.

    Raises ``TypeError`` for non-integers and ``ValueError`` outside ``plan.bounds``.
    """
    low, high = plan.bounds
    kind = "signed" if plan.signed else "unsigned"
    _check_range(activations, low, high, f"{plan.bits}-bit {kind} activations")

    x = activations.astype(np.int32)
    if plan.native:
        codes = np.empty((len(plan.phases), *activations.shape), dtype=np.int8)
        for p, phase in enumerate(plan.phases):
            codes[p] = np.sign(x) * ((np.abs(x) >> phase.low) & ((1 << phase.width) - 1))
        return codes
    sources: dict[PhaseSign, NDArray[np.int32]] = {
        "pattern": (x + np.int32(plan.input_offset)) & np.int32((1 << plan.bits) - 1),
        "positive": np.maximum(x, 0),
        "negative": np.maximum(-x, 0),
        "signbit": (x < 0).astype(np.int32) << np.int32(plan.bits - 1),
    }
    digits = np.empty((len(plan.phases), *activations.shape), dtype=np.uint8)
    for p, phase in enumerate(plan.phases):
        digits[p] = (sources[phase.sign] >> phase.low) & ((1 << phase.width) - 1)
    return digits
