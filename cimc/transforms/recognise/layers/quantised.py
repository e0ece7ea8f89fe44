"""What a quantised model says of its scales: layers with integer weights, activations on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.tensor_store import Array
from cimc.ir.types import element_of, element_to_dtype, f32
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.graph import Graph
from cimc.transforms.matching.nodes import absent, node_of
from cimc.transforms.recognise.recogniser import Recogniser, Stage


@dataclass(frozen=True)
class Weights:
    """A matrix ``[K, N]``: ``int8`` and the factor of each column, ``f32 [N]``, or f32 without factors.

    Zero points that int8 cannot absorb make the latter.
    """

    array: Array
    scales: Array | None
    suffix: str = ""


def integer_constant(value: SSAValue, graph: Graph) -> tuple[onnx.NodeOp, Array, Array] | None:
    """``(node, integers, scale)`` of a constant under DequantizeLinear whose zero point fits into int8."""
    op = node_of(value, "DequantizeLinear")
    if op is None or int_attribute(op, "block_size", 0):
        return None
    given = [graph.constant(v) for v in op.inputs]
    data, scale = given[0], given[1]
    if data is None or scale is None or data.dtype not in (np.int8, np.uint8):
        return None
    if len(given) > 2:
        zero = given[2]
        if zero is None:
            return None
        if zero.any():
            same = (zero == zero.reshape(-1)[0]).all()
            if not same or data.dtype != np.uint8 or int(zero.reshape(-1)[0]) != 128:
                return None
            data = (data.astype(np.int16) - 128).astype(np.int8)
    if data.dtype == np.uint8:
        if data.size and int(data.max()) > 127:
            return None
        data = data.astype(np.int8)
    return op, data, scale


def grid_of(value: SSAValue, graph: Graph) -> tuple[SSAValue, rec.Grid] | None:
    """``(x, grid)`` when ``value`` is ``DQ(Q(x, s, z), s, z)`` with one scale."""
    after = node_of(value, "DequantizeLinear")
    before = node_of(after.inputs[0], "QuantizeLinear") if after is not None else None
    if after is None or before is None:
        return None
    element = element_of(before.outputs[0].type)
    grids = [_numbers(op, graph) for op in (before, after)]
    if element is None or grids[0] is None or grids[0] != grids[1]:
        return None
    scale, zero = grids[0]
    dtype = element_to_dtype(element)
    if dtype not in (np.int8, np.uint8):
        return None
    limits = np.iinfo(dtype)
    return before.inputs[0], rec.Grid(scale, int(limits.min) - zero, int(limits.max) - zero)


def _numbers(op: onnx.NodeOp, graph: Graph) -> tuple[float, int] | None:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear that has one of each."""
    scale = graph.constant(op.inputs[1])
    zero = graph.constant(op.inputs[2]) if len(op.inputs) > 2 else np.zeros((), np.uint8)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or not scale.reshape(-1)[0] > 0:
        return None
    return float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0])


class QuantisedLinear(Recogniser):
    """A layer whose weights are integers with a scale, and whose input may be rounded to a grid::

        MatMul(DQ(Q(x, s, z)), DQ(W, w)) + b        Gemm likewise (transB)

    Both scales are kept: they stand on ``rec.linear`` for the pass ``quantize``.
    """

    name = "linear-quantised"
    kinds = frozenset({"MatMul", "Gemm", "Add"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        node, bias = self._layer(op)
        x, found = node.inputs[0], self._weights(node)
        grid = grid_of(x, self.graph)
        if grid is not None:
            x = grid[0]
        dims = self.graph.activation(x)
        need(len(dims) >= 2, "the activations have no axis beside the batch")
        units = found.array.shape[1]
        offset = self._bias(bias, units)
        name = self._named(node, found)
        scales = None if found.scales is None else self.graph.ctx.store.add(f"{name}.scale", found.scales)
        layer = rec.LinearOp(
            x, name, units, offset, weight_scale=scales, grid=None if grid is None else grid[1]
        )
        return [emit.add(layer)]

    def _layer(self, op: onnx.NodeOp) -> tuple[onnx.NodeOp, SSAValue | None]:
        if op.kind == "Add":
            for product, bias in (tuple(op.inputs), tuple(op.inputs)[::-1]):
                node = node_of(product, "MatMul")
                if node is not None and self.graph.constant(bias) is not None and self._is_mine(node):
                    need(len(self.graph.users(product)) == 1, "the product is used elsewhere too")
                    return node, bias
            raise NotMine("no addition of a constant to a product with quantised weights")
        if not self._is_mine(op):
            raise NotMine("the weights are not quantised")
        if op.kind == "MatMul":
            return op, None
        need(not int_attribute(op, "transA", 0), "the activations are transposed")
        alpha, beta = float_attribute(op, "alpha", 1.0), float_attribute(op, "beta", 1.0)
        need(alpha == 1.0 and beta == 1.0, "alpha and beta are not 1")
        given = len(op.inputs) > 2 and not absent(op.inputs[2])
        return op, op.inputs[2] if given else None

    def _is_mine(self, op: onnx.NodeOp) -> bool:
        given = node_of(op.inputs[1], "DequantizeLinear")
        return given is not None and self.graph.constant(op.inputs[1]) is not None

    def _weights(self, op: onnx.NodeOp) -> Weights:
        found = integer_constant(op.inputs[1], self.graph)
        turned = op.kind == "Gemm" and bool(int_attribute(op, "transB", 0))
        if found is None:
            array = self.graph.constant(op.inputs[1])
            assert array is not None
            need(array.ndim == 2, f"weights have {array.ndim} dimensions")
            return Weights(array.T, None, ".t") if turned else Weights(array, None, ".float")
        node, integers, scale = found
        need(integers.ndim == 2, f"weights have {integers.ndim} dimensions")
        axis = int_attribute(node, "axis", 1) % 2
        if turned:
            integers, axis = integers.T, 1 - axis
        need(scale.size == 1 or axis == 1, "weights have a scale per input, not per unit")
        need(scale.size in (1, integers.shape[1]), "the scales are not one per unit")
        scales = np.broadcast_to(scale.reshape(-1), (integers.shape[1],))
        need(np.isfinite(scales).all() and (scales > 0).all(), "a scale is not positive")
        return Weights(integers, np.ascontiguousarray(scales, np.float32))

    def _named(self, op: onnx.NodeOp, found: Weights) -> str:
        """The store's name of the integers: the constant itself, or a copy turned or shifted."""
        node = node_of(op.inputs[1], "DequantizeLinear")
        assert node is not None
        source = node.inputs[0]
        if found.scales is None:
            value = op.inputs[1]
            return self.graph.derive(value, found.suffix, lambda: np.ascontiguousarray(found.array))
        if found.array is self.graph.constant(source):
            return self.graph.symbol_of(source)
        return self.graph.keep(source, ".int", np.ascontiguousarray(found.array))

    def _bias(self, value: SSAValue | None, units: int) -> str | None:
        if value is None:
            return None
        array = self.graph.constant(value)
        if array is None:
            raise NoMatch("the addend is not constant")
        need(self.analysis.element(value) == f32, "the bias is not f32")
        need(array.size in (1, units) and array.shape[-1:] in ((), (1,), (units,)), "not one bias per unit")
        flat = np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (units,)), np.float32)
        return self.graph.derive(value, f".b{units}", lambda: flat)


class GridRounding(Recogniser):
    """``DQ(Q(x, s, z), s, z)`` that no layer reads: on the chip values are f32, so only its limits remain::

    clip(x, s (low - z), s (high - z))
    """

    name = "grid"
    stage = Stage.OPERATORS
    kinds = frozenset({"DequantizeLinear"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        found = grid_of(op.outputs[0], self.graph)
        if found is None:
            raise NotMine("no QuantizeLinear with the same scale and zero point before it")
        x, grid = found
        self.graph.activation(x)
        return [emit.add(rec.UnaryOp("clip", x, grid.scale * grid.low, grid.scale * grid.high))]
