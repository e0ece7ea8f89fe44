"""Rows of a table as converters show them one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.lookups.pooled_rows import adc_levels


def through_adc(table: NDArray[np.int8], array: Any, weight_bits: int, lsb: int) -> NDArray[np.int16]:
    """``table [R, D]`` of values that ``weight_bits`` cells hold, read with step ``lsb``."""
    return adc_levels(array, weight_bits, lsb)[table.view(np.uint8)]
