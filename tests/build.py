"""Small modules built by hand, for tests of passes below the frontend."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.text import new_context
from cimc.ir.types import i64, tensor
from cimc.target.load_target import load_target

Body = Callable[["Builder", list[SSAValue]], Sequence[SSAValue]]


class Builder:
    """Appends operations to a block and arrays to the store."""

    def __init__(self, ctx: CompilerContext, block: Block, rng: np.random.Generator) -> None:
        self.ctx, self.block, self.rng = ctx, block, rng

    def add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]

    def linear(self, x: SSAValue, units: int, name: str, bias: bool = True) -> SSAValue:
        rows = rec.shape(x)[-1]
        weight = self.rng.normal(0, rows**-0.5, (rows, units)).astype(np.float32)
        self.ctx.store.put(name, weight)
        if bias:
            self.ctx.store.put(f"{name}.b", self.rng.normal(0, 0.1, units).astype(np.float32))
        return self.add(rec.LinearOp(x, name, units, f"{name}.b" if bias else None))

    def table(self, name: str, rows: int, dim: int) -> str:
        self.ctx.store.put(name, self.rng.normal(0, 1, (rows, dim)).astype(np.float32))
        return name


def module(
    inputs: dict[str, Attribute], body: Body, *, target: str = "tsinghua28", seed: int = 0
) -> tuple[ModuleOp, CompilerContext]:
    """A module whose ``@main`` takes ``inputs`` and returns what ``body`` builds (outputs y0, y1, ...)."""
    ctx = new_context()
    ctx.target = load_target(target)
    block = Block(arg_types=list(inputs.values()))
    results = list(body(Builder(ctx, block, np.random.default_rng(seed)), list(block.args)))
    block.add_op(ReturnOp(*results))
    kind = FunctionType.from_lists(list(inputs.values()), [r.type for r in results])
    function = FuncOp("main", kind, Region(block))
    function.attributes["onnx.inputs"] = ArrayAttr([StringAttr(n) for n in inputs])
    function.attributes["onnx.outputs"] = ArrayAttr([StringAttr(f"y{i}") for i in range(len(results))])
    return ModuleOp([function]), ctx


def mlp(
    sizes: Sequence[int], *, target: str = "tsinghua28", seed: int = 0
) -> tuple[ModuleOp, CompilerContext]:
    """A ReLU network without a last activation; input ``x``, output ``y0``; calibrated on 64 samples."""

    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        x = args[0]
        for i, units in enumerate(sizes[1:]):
            x = b.linear(x, units, f"w{i}")
            if i < len(sizes) - 2:
                x = b.add(rec.UnaryOp("relu", x))
        return [x]

    made, ctx = module({"x": tensor((-1, sizes[0]))}, body, target=target, seed=seed)
    rng = np.random.default_rng(seed + 1)
    ctx.calibration = {"x": rng.normal(0, 1, (64, sizes[0])).astype(np.float32)}
    return made, ctx


def dlrm(*, target: str = "tsinghua28", seed: int = 0, batch: int = 32) -> tuple[ModuleOp, CompilerContext]:
    """A DLRM of three tables (one id, a bag with offsets, a fixed bag) and odd sizes."""
    rows, dim = (37, 700, 5), 10

    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        dense, one, many, offsets, fixed = args
        x = b.add(rec.UnaryOp("relu", b.linear(dense, 17, "bottom0")))
        x = b.add(rec.UnaryOp("relu", b.linear(x, dim, "bottom1")))
        bags = [
            b.add(rec.EmbeddingBagOp(b.table("t0", rows[0], dim), rows[0], dim, one)),
            b.add(
                rec.EmbeddingBagOp(
                    b.table("t1", rows[1], dim), rows[1], dim, many, layout="offsets", offsets=offsets
                )
            ),
            b.add(rec.EmbeddingBagOp(b.table("t2", rows[2], dim), rows[2], dim, fixed, mode="mean")),
        ]
        stacked = b.add(rec.ReshapeOp(b.add(rec.ConcatOp([x, *bags], 1)), (-1, 4, dim)))
        lhs, rhs = np.tril_indices(4, -1)
        dots = b.add(rec.DotInteractionOp(stacked, lhs, rhs))
        top = b.add(rec.ConcatOp([x, dots], 1))
        top = b.add(rec.UnaryOp("relu", b.linear(top, 9, "top0")))
        return [b.add(rec.UnaryOp("sigmoid", b.linear(top, 1, "top1")))]

    inputs: dict[str, Attribute] = {
        "dense": tensor((-1, 5)),
        "one": tensor((-1,), i64),
        "many": tensor((-1,), i64),
        "offsets": tensor((-1,), i64),
        "fixed": tensor((-1, 3), i64),
    }
    made, ctx = module(inputs, body, target=target, seed=seed)
    ctx.calibration = dlrm_requests(batch, seed + 1)
    return made, ctx


def dlrm_requests(batch: int, seed: int) -> dict[str, np.ndarray]:
    """Requests for :func:`dlrm`, empty bags among them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, batch)
    return {
        "dense": rng.normal(0, 1, (batch, 5)).astype(np.float32),
        "one": rng.integers(0, 37, batch),
        "many": rng.integers(0, 700, int(lengths.sum())),
        "offsets": np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
        "fixed": rng.integers(0, 5, (batch, 3)),
    }
