"""The first few requests of a batch: rows of most inputs, but ids of bags as their offsets say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument, SSAValue

from cimc.cli.requests import Arrays
from cimc.errors import RequestError
from cimc.isa.program import Program


@dataclass(frozen=True)
class JaggedInputs:
    """Inputs that hold the ids of all bags back to back, and what goes with them (``""``: nothing)."""

    ids: str
    offsets: str
    weights: str
    layout: str


def jagged_in_program(program: Program) -> list[JaggedInputs]:
    """The bags with offsets that a program reads straight from its inputs."""
    inputs = {name for name, _, _ in program.header.inputs}
    return [
        JaggedInputs(port.value, port.offsets, port.weights, port.layout)
        for segment in program.chip_segments
        for port in segment.inputs
        if port.kind == "bag" and port.offsets and {port.value, port.offsets} <= inputs
    ]


def jagged_in_module(module: ModuleOp) -> list[JaggedInputs]:
    """The same for a module of the ``rec`` dialect."""
    from cimc.ir.rec import EmbeddingBagOp
    from cimc.passes.evaluate import main_function, signature

    function = main_function(module)
    names, _ = signature(function)

    def name(value: SSAValue | None) -> str:
        return names[value.index] if isinstance(value, BlockArgument) else ""

    found = [
        JaggedInputs(name(op.ids), name(op.offsets), name(op.weights), op.layout.data)
        for op in function.body.block.ops
        if isinstance(op, EmbeddingBagOp) and op.offsets is not None
    ]
    return [j for j in found if j.ids and j.offsets]


def first_requests(
    arrays: Arrays, inputs: Sequence[str], jagged: Iterable[JaggedInputs], limit: int
) -> Arrays:
    """The first ``limit`` requests of ``arrays``; all of them when there are fewer.

    Args:
        arrays: named after ``inputs`` (others, such as labels, are cut to the same number of rows).
        inputs: names of the model's inputs.
        jagged: those that have no row per request.
        limit: how many requests to keep.

    Raises:
        RequestError: ``request.cannot-limit`` when it is not clear what belongs to a request.
    """
    jagged = list(jagged)
    ids = {j.ids for j in jagged} | {j.weights for j in jagged if j.weights}
    ends = {j.offsets: int(j.layout == "offsets_end") for j in jagged}
    sizes = {
        name: arrays[name].shape[0] - ends.get(name, 0)
        for name in inputs
        if name in arrays and name not in ids and arrays[name].ndim
    }
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise RequestError(
            "request.cannot-limit",
            f"the inputs have different numbers of rows ({shown}), so it is not clear what the first {limit} "
            "requests are",
            hint="cut the arrays yourself, and leave --limit out",
        )
    batch = next(iter(sizes.values()))
    if batch <= limit:
        return arrays
    out = {}
    for name, array in arrays.items():
        end = ends.get(name, 0)
        if name not in ids:
            out[name] = array[: limit + end] if array.ndim and array.shape[0] - end == batch else array
    for bag in jagged:
        stop = int(arrays[bag.offsets][limit])
        for name in filter(None, (bag.ids, bag.weights)):
            out[name] = arrays[name][: max(stop, 0)]
    return out
