"""Types of the arrays that every problem and solver of this package works on."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


IntArray: TypeAlias = npt.NDArray[np.int64]


BoolArray: TypeAlias = npt.NDArray[np.bool_]
