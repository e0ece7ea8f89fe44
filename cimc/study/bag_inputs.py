"""Which inputs of a model hold the bags of which table, and what else it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument, SSAValue

from cimc.interpreter.bags import Bags
from cimc.ir.context import CompilerContext, Requests
from cimc.isa.program import Matrix, Program
from cimc.workload.request_rules import Signature
from cimc.workload.traces.collect import Chunk
from cimc.workload.traces.recorded import BagInput

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Taken:
    """What a model takes.

    Attributes:
        bags: bags that are inputs as they are.
        computed: tables whose ids the model computes from its inputs.
        signature: name, dtype and shape of every input.
        observe: ids of *all* bags, by executing the model (in float, or the program) on requests.
    """

    bags: tuple[BagInput, ...]
    computed: tuple[str, ...]
    signature: Signature
    observe: Callable[[Requests], list[ObservedBags]]


@dataclass(frozen=True)
class ObservedBags:
    """Bags in memory: a :class:`~cimc.workload.traces.collect.BagSource`."""

    name: str
    rows: int
    requests: int
    ids: Ids
    starts: Ids

    def chunks(self) -> Iterator[Chunk]:
        """All bags at once."""
        yield self.ids[self.starts[0] : self.starts[-1]], self.starts - self.starts[0]


def taken_by(model: Path, weights: str | None) -> Taken:
    """What the model in a ``.cimc`` or ``.onnx`` file takes; nothing is quantised.

    Raises:
        CimcError: for a file that cannot be used.
    """
    if model.suffix == ".cimc":
        from cimc.isa.artifact import load_program

        return taken_by_program(load_program(model))
    from cimc.frontend.import_graph import import_model
    from cimc.frontend.read.load_model import load_model
    from cimc.ir.text import new_context
    from cimc.transforms.passes import FRONTEND
    from cimc.transforms.pipeline import Pipeline

    ctx = new_context()
    module = import_model(load_model(model, weights=weights), ctx)
    Pipeline.parse(FRONTEND).run(module, ctx)
    return taken_by_module(module, ctx)


def taken_by_program(program: Program) -> Taken:
    """What a compiled program takes."""
    inputs = {name for name, _, _ in program.header.inputs}
    found: list[BagInput] = []
    computed: list[str] = []
    for segment in program.chip_segments:
        for stream in segment.streams.values():
            for item in stream:
                if item.name not in ("bag", "lookup", "lookupw"):
                    continue
                matrix = program.matrices[item.index("matrix").base]
                port = segment.inputs[item.index("port").base] if item.name == "bag" else None
                if (
                    port is None
                    or port.value not in inputs
                    or not {port.offsets, port.weights} <= {*inputs, ""}
                ):
                    computed.append(matrix.name)
                    continue
                ends = port.layout == "offsets_end"
                found.append(
                    BagInput(
                        matrix.name, matrix.rows, port.value, port.offsets, ends, port.padding, port.weights
                    )
                )
    return Taken(
        tuple(found),
        tuple(computed),
        program.header.inputs,
        lambda requests: _simulated(program, requests),
    )


def _simulated(program: Program, requests: Requests) -> list[ObservedBags]:
    """The bags of all tables that the functional simulator looks up."""
    from cimc.api import Program as Compiled
    from cimc.sim.executor import Simulator

    found: dict[tuple[str, int, int, int, int], list[tuple[int, int, Bags]]] = {}

    def watch(
        site: tuple[int, int, int], iteration: int, first: int, matrix: Matrix, bags: Bags, mode: str
    ) -> None:
        found.setdefault((matrix.name, *site, iteration), []).append((first, matrix.rows, bags))

    Simulator(program, Compiled(program).target).run(requests, "exact", observer=watch)
    out = []
    order = {matrix.name: n for n, matrix in enumerate(program.matrices)}
    for (name, *_), parts in sorted(found.items(), key=lambda entry: (order[entry[0][0]], entry[0])):
        ids = np.concatenate([b.ids[b.starts[0] : b.starts[-1]] for _, _, b in parts])
        lengths = np.concatenate([np.diff(b.starts) for _, _, b in parts])
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        out.append(ObservedBags(name, parts[0][1], len(lengths), ids, starts))
    return out


def taken_by_module(module: ModuleOp, ctx: CompilerContext) -> Taken:
    """What a module of the ``rec`` dialect takes."""
    from cimc.interpreter.evaluate import input_signature, main_function, signature
    from cimc.ir.rec import EmbeddingBagOp
    from cimc.ir.types import symbol

    function = main_function(module)
    names, _ = signature(function)

    def name(value: SSAValue | None) -> str | None:
        if value is None:
            return ""
        return names[value.index] if isinstance(value, BlockArgument) else None

    found: list[BagInput] = []
    computed: list[str] = []
    for op in function.body.block.ops:
        if not isinstance(op, EmbeddingBagOp):
            continue
        table = symbol(op.table)
        ids, offsets, weights = name(op.ids), name(op.offsets), name(op.weights)
        if not ids or offsets is None or weights is None:
            computed.append(table)
            continue
        padding = None if op.padding is None else op.padding.value.data
        ends = op.layout.data == "offsets_end"
        found.append(BagInput(table, op.rows.value.data, ids, offsets, ends, padding, weights))
    return Taken(
        tuple(found),
        tuple(computed),
        input_signature(function),
        lambda requests: _observed(module, ctx, requests),
    )


def _observed(module: ModuleOp, ctx: CompilerContext, requests: Requests) -> list[ObservedBags]:
    """The bags of all tables that an execution of the module looks up."""
    from xdsl.ir import Operation

    from cimc.interpreter.bags import bags_of, check_ids
    from cimc.interpreter.evaluate import evaluate, input_signature, main_function
    from cimc.ir.rec import EmbeddingBagOp
    from cimc.ir.types import symbol
    from cimc.workload.request_rules import checked_arrays

    found: list[ObservedBags] = []

    def watch(op: Operation, args: list[NDArray[np.generic]]) -> None:
        if not isinstance(op, EmbeddingBagOp):
            return
        table, rows = symbol(op.table), op.rows.value.data
        offsets = args[1] if op.offsets is not None else None
        padding = None if op.padding is None else op.padding.value.data
        bags = bags_of(args[0], offsets, None, op.layout.data, "sum", table, padding)
        check_ids(bags, rows, table)
        found.append(ObservedBags(table, rows, bags.shape[0], bags.ids, bags.starts))

    evaluate(module, ctx, checked_arrays(input_signature(main_function(module)), requests), watch)
    return found
