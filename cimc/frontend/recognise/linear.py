"""Linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.constants import float_attribute
from cimc.frontend.match import Emitter, NoMatch, NotMine, Recogniser, absent, need, node_of, show
from cimc.ir import onnx, rec
from cimc.ir.onnx import int_attribute
from cimc.ir.store import Array
from cimc.ir.types import f32


class Linear(Recogniser):
    """``y = x W + b`` over the last axis, ``W [K, N]`` and ``b [N]`` constant::

        Gemm(x, W, b)         = alpha x W + beta b       (W transposed if transB)
        MatMul(x, W)          = x W                      x [B, ..., K]
        Add(MatMul(x, W), b)  = x W + b

    ``alpha``, ``beta`` and the transposition go into copies of the weights, named after them.
    """

    name = "linear"
    kinds = frozenset({"Gemm", "MatMul", "Add"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        if op.kind == "Gemm":
            return [self._gemm(op, emit)]
        if op.kind == "MatMul":
            return [self._matmul(op, None, emit)]
        for product, bias in (tuple(op.inputs), tuple(op.inputs)[::-1]):
            node = node_of(product, "MatMul")
            if (
                node is None
                or self.graph.constant(node.inputs[1]) is None
                or self.graph.constant(bias) is None
            ):
                continue
            need(len(self.graph.users(node.outputs[0])) == 1, "the product is used elsewhere too")
            return [self._matmul(node, bias, emit)]
        raise NotMine("no addition of a constant to a product with a constant matrix")

    def _gemm(self, op: onnx.NodeOp, emit: Emitter) -> SSAValue:
        need(not int_attribute(op, "transA", 0), "the activations are transposed")
        self.graph.activation(op.inputs[0])
        alpha, beta = float_attribute(op, "alpha", 1.0), float_attribute(op, "beta", 1.0)
        transposed = bool(int_attribute(op, "transB", 0))
        array = self._matrix(op.inputs[1])
        units = array.shape[0 if transposed else 1]
        suffix = (".t" if transposed else "") + (f".x{alpha:g}" if alpha != 1.0 else "")
        bias, addend = None, None
        if len(op.inputs) > 2 and not absent(op.inputs[2]) and beta != 0.0:
            if self.graph.constant(op.inputs[2]) is None:
                addend = op.inputs[2]
                need(beta == 1.0, "a computed addend is scaled by beta")
                self.graph.activation(addend)
            else:
                bias = self._bias(op.inputs[2], units, beta)
        weight = op.inputs[1]

        def stored() -> Array:
            turned = array.T if transposed else array
            return turned if alpha == 1.0 else (turned * np.float32(alpha)).astype(np.float32)

        name = self.graph.derive(weight, suffix, stored) if suffix else self.graph.symbol_of(weight)
        value = emit.add(rec.LinearOp(op.inputs[0], name, units, bias))
        return value if addend is None else emit.add(rec.BinaryOp("add", value, addend))

    def _matmul(self, op: onnx.NodeOp, bias: SSAValue | None, emit: Emitter) -> SSAValue:
        x, weight = op.inputs
        if self.graph.constant(weight) is None:
            raise NotMine("the right factor is not constant")
        self.graph.activation(x)
        need(len(self.graph.shape(x)) >= 2, "the activations have no axis beside the batch")
        array = self._matrix(weight)
        units = array.shape[1]
        name = (
            self.graph.symbol_of(weight)
            if self._is_matrix(weight)
            else self.graph.derive(weight, ".2d", lambda: array)
        )
        offset = self._bias(bias, units, 1.0) if bias is not None else None
        return emit.add(rec.LinearOp(x, name, units, offset))

    def _is_matrix(self, weight: SSAValue) -> bool:
        array = self.graph.constant(weight)
        return array is not None and array.ndim == 2

    def _matrix(self, weight: SSAValue) -> Array:
        array = self.graph.constant(weight)
        if array is None:
            raise NoMatch("the weights are not constant")
        need(self.analysis.element(weight) == f32, f"weights of {show(weight)} are not f32")
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        need(array.ndim == 2, f"weights have {array.ndim} dimensions")
        return array

    def _bias(self, value: SSAValue, units: int, beta: float) -> str:
        array = self.graph.constant(value)
        assert array is not None
        need(self.analysis.element(value) == f32, "the bias is not f32")
        need(
            array.size in (1, units) and array.shape[-1:] in ((), (1,), (units,)),
            "the bias is not one per unit",
        )
        if array.shape == (units,) and beta == 1.0:
            return self.graph.symbol_of(value)

        def stored() -> Array:
            flat = np.broadcast_to(array.reshape(-1), (units,))
            return np.ascontiguousarray(flat * np.float32(beta), np.float32)

        return self.graph.derive(value, f".b{units}" + (f".x{beta:g}" if beta != 1.0 else ""), stored)
