"""What would help a program whose outputs are not close enough: from what compilation found."""

from __future__ import annotations

import re

from cimc.remarks import Remarks

_MOST_BITS = 8


def remedies(remarks: Remarks, pipeline: str) -> list[str]:
    """What to try, the most promising first: from the remarks of a program and the pipeline that built it."""
    found = []
    known = remarks.quantisation
    clipped = [] if known is None else sorted(known.clipped_inputs, key=lambda each: -each.cost_db)
    if clipped:
        worst = clipped[0]
        found.append(
            f"do not clip (quantize{{percentile=100}}): it costs the input of layer {worst.layer} "
            f"{worst.cost_db:.0f} dB on the calibration requests"
        )
    found.append("calibrate on representative requests (--calib)")
    widths = re.findall(r"\b(?:weights|acts|tables)=(\d+)", pipeline)
    if not widths or any(0 < int(bits) < _MOST_BITS for bits in widths):
        found.append(f"use more bits (quantize{{weights={_MOST_BITS} acts={_MOST_BITS}}})")
    return found
