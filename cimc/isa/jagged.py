"""Which inputs of a program hold the ids of all requests back to back."""

from __future__ import annotations

from cimc.isa.program import Program
from cimc.workload.first_requests import JaggedInputs


def jagged_in_program(program: Program) -> list[JaggedInputs]:
    """The bags with offsets that a program reads straight from its inputs."""
    inputs = {name for name, _, _ in program.header.inputs}
    return [
        JaggedInputs(port.value, port.offsets, port.weights, port.layout)
        for segment in program.chip_segments
        for port in segment.inputs
        if port.kind == "bag" and port.offsets and {port.value, port.offsets} <= inputs
    ]
