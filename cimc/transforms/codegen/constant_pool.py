"""The constant memory of a program: float32 and int32 vectors, each kept once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.isa.instructions import Ref


class ConstantPool:
    """Collects constants and hands out their places."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._places: dict[bytes, int] = {}

    def add(self, values: NDArray[Any]) -> Ref:
        """Place of ``values``, stored as float32 (floats) or int32 (integers, booleans).

        Raises:
            OverflowError: for an integer beyond 32 bits.
        """
        if np.issubdtype(values.dtype, np.integer) or values.dtype == np.bool_:
            if values.size and not -(2**31) <= int(values.min()) <= int(values.max()) < 2**31:
                raise OverflowError("an integer constant does not fit 32 bits")
            raw = np.ascontiguousarray(values, dtype="<i4").tobytes()
        else:
            raw = np.ascontiguousarray(values, dtype="<f4").tobytes()
        if raw not in self._places:
            self._places[raw] = len(self._bytes)
            self._bytes += raw
        return Ref(self._places[raw], 0, True)

    def array(self) -> NDArray[np.uint8]:
        """All constants, as bytes."""
        return np.frombuffer(bytes(self._bytes), np.uint8)
