"""Programs that search a corpus, from modules built by hand, and what they ought to find in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from cimc.cost import Cost, estimate
from cimc.ir import rec
from cimc.ir.types import tensor
from cimc.isa.program import Program
from cimc.sim.executor import Mode, Simulator
from cimc.sim.oracle import oracle_mvm
from cimc.target.load_target import load_target
from cimc.target.spec import Target
from cimc.transforms.pipeline import Pipeline
from tests.build import Builder, module

Array = NDArray[Any]

SMALL = "tsinghua28{array.rows=32 array.cols=64 tile.arrays=2 chip.mesh=2x2 system.chips=2}"
"""Arrays of two groups of 16 items of 16 numbers; eight tiles on two chips."""


def corpus_of(items: int, dim: int, seed: int, levels: int = 0) -> Array:
    """Items ``float32 [items, dim]``; of ``levels`` different numbers, so that many are equal, if not 0."""
    rng = np.random.default_rng(seed)
    if levels:
        return rng.integers(-levels, levels + 1, (items, dim)).astype(np.float32)
    return rng.normal(0, 1, (items, dim)).astype(np.float32)


def searching(
    corpus: Array,
    queries: Array,
    k: int,
    *,
    bias: Array | None = None,
    transposed: bool = False,
    target: str = SMALL,
    quantize: str = "quantize",
    shard: str = "shard",
    ranges: str = "calibrated",
) -> tuple[Program, Target]:
    """The program whose outputs ``y0`` and ``y1`` are the scores and ids of the best ``k`` items."""

    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        b.ctx.store.put("items", np.ascontiguousarray(corpus.T) if transposed else corpus)
        if bias is not None:
            b.ctx.store.put("bias", bias.astype(np.float32))
        name = None if bias is None else "bias"
        op = rec.SearchOp(args[0], "items", k, len(corpus), transposed=transposed, bias=name)
        found = b.add(op)
        return [b.add(rec.HitsOp("scores", found)), b.add(rec.HitsOp("ids", found))]

    made, ctx = module({"x": tensor((-1, corpus.shape[1]))}, body, target=target)
    ctx.calibration = {"x": queries}
    line = f"{quantize},group,allocate,{shard},choose-adc-steps{{ranges={ranges}}},copy,place{{chips=near}}"
    Pipeline.parse(f"{line},schedule,lower").run(made, ctx)
    assert ctx.program is not None
    return ctx.program, load_target(target)


def found_by(program: Program, target: Target, queries: Array, mode: Mode = "exact") -> tuple[Array, Array]:
    """Scores and ids that the simulator gives."""
    outputs, _ = Simulator(program, target).run({"x": queries}, mode)
    return outputs["y0"], outputs["y1"]


def expected(
    program: Program, target: Target, queries: Array, k: int, mode: Mode = "exact"
) -> tuple[Array, Array]:
    """Scores and ids by the definition of ``search``: all scores, sorted, ties by lower id."""
    data, (matrix,) = program.data, program.matrices
    (segment,) = program.chip_segments
    stream = [item for tile in segment.streams.values() for item in tile]
    (scale,) = {item.real("scale") for item in stream if item.name in ("quant", "loadq")}
    (shift,) = {item.number("shift") for item in stream if item.name == "search"}
    low, high = (-127, 127) if matrix.input_signed else (0, 255)
    x = np.clip(np.rint(queries.astype(np.float32) / np.float32(scale)), low, high).astype(np.int64)
    items = data[f"{matrix.name}.data"].astype(np.int64)
    if mode == "exact":
        sums = x @ items.T
    else:
        array = target.array
        sums = oracle_mvm(
            x, items.T, encoding=array.encoding, cell_levels=array.cell_levels, weight_bits=matrix.bits,
            dac_bits=array.dac_bits, adc_bits=array.adc_bits, signed=matrix.input_signed,
            scheme=array.signed_inputs, input_bits=matrix.input_bits,
            blocks=data[f"{matrix.name}.blocks"][:, [2, 3, 0, 1]], ranges=data[f"{matrix.name}.ranges"],
        )  # fmt: skip
    if shift:
        sums = (sums + (1 << (shift - 1))) // (1 << shift) * (1 << shift)
    scores = sums.astype(np.float32)
    for part, apply in (("row_scales", np.multiply), ("row_biases", np.add)):
        if f"{matrix.name}.{part}" in data:
            scores = apply(scores, data[f"{matrix.name}.{part}"][None, :])
    ids = np.array([sorted(range(len(items)), key=lambda n: (-row[n], n))[:k] for row in scores])
    (factor,) = np.frombuffer(program.constants.tobytes(), np.float32)
    return np.take_along_axis(scores, ids, axis=1) * factor, ids


def cost_of(program: Program, target: Target) -> Cost:
    """What one request costs."""
    return estimate(program, target)
