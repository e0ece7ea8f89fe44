"""Whether a single run is worth the time that compiled kernels take to load.

Loading numba and its cached kernels takes a process about a second of processor time.  Until then numpy's
kernels, which compute the same bits, have done about :data:`WORTH` elementary operations.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cimc.isa.program import ChipSegment, Program
from cimc.sim.kernels.availability import Backend, backend, preferring
from cimc.target.cell_encoding import phase_plan, slices_for
from cimc.target.spec import Target

WORTH = 1 << 30
"""Elementary operations from which compiled kernels are loaded for a run in ``exact`` or ``adc``."""
_NOISY = 8
"""Operations of mode ``noisy`` count so many."""
_VALUE = 16
"""Operations that reading a value of a table counts."""


def operations(program: Program, target: Target, arrays: Mapping[str, Any], mode: str) -> int:
    """About how many elementary operations a run takes: one is a cell of a layer driven in a phase.

    Arrays that do not fit the program count what they can; the run will say what is wrong with them.
    """
    array, per_request = target.array, 0
    for matrix in program.matrices:
        if matrix.kind != "table":
            plan = phase_plan(matrix.input_bits, matrix.input_signed, array.dac_bits, array.signed_inputs)
            slices = slices_for(array.encoding, array.cell_levels, matrix.bits)
            per_request += matrix.rows * matrix.cols * slices * len(plan.phases)
    widest = max((m.cols for m in program.matrices if m.kind == "table"), default=0)
    requests = ids = 0
    for segment in program.segments:
        if isinstance(segment, ChipSegment):
            for port in segment.inputs:
                counted = arrays.get(port.offsets or port.value)
                if counted is not None and counted.ndim:
                    requests = max(requests, len(counted))
                if port.kind == "bag" and port.value in arrays:
                    ids += arrays[port.value].size
    total = requests * per_request + ids * widest * _VALUE
    return total * (_NOISY if mode == "noisy" else 1)


@contextmanager
def for_one_run(program: Program, target: Target, arrays: Mapping[str, Any], mode: str) -> Iterator[Backend]:
    """Inside, the kernels that finish a single run soonest; ``CIMC_KERNELS`` and loaded ones come first."""
    if "numba" in sys.modules or operations(program, target, arrays, mode) >= WORTH:
        yield backend()
        return
    with preferring("numpy"):
        yield backend()
