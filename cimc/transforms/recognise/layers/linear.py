"""Linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from cimc.analysis.constants import float_attribute
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.tensor_store import Array
from cimc.ir.types import f32, symbol
from cimc.transforms.matching.batch_norm import batch_norm
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.nodes import absent, node_of, show
from cimc.transforms.recognise.layers.weights import known_matrix, linear, matrix, swapped, vector
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_PRODUCTS = ("Gemm", "MatMul")
_AFFINE = ("Add", "Sub", "Mul", "Div", "BatchNormalization")


@dataclass(frozen=True)
class _Step:
    """``y = x * scale + shift``, each one number or one per unit; ``source``: the constant just added."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    source: SSAValue | None = None


class Linear(Recogniser):
    """``y = x W + b`` over the last axis, ``W [K, N]`` and ``b [N]`` constant::

        Gemm(x, W, b)         = alpha x W + beta b       (W transposed if transB)
        MatMul(x, W)          = x W                      x [B, ..., K]
        Add(MatMul(x, W), b)  = x W + b

    ``alpha``, ``beta`` and the transposition go into copies of the weights, named after them.  What scales
    and shifts the units afterwards (``Mul``, ``Div``, ``Add``, ``Sub`` by constants, ``BatchNormalization``)
    goes into weights and bias too: ``(x W + b) a + c = x (W a) + (b a + c)``.  Quantisation gives each
    unit its own scale, so nothing is lost.
    """

    name = "linear"
    stage = Stage.OPERATORS
    kinds = frozenset({*_PRODUCTS, *_AFFINE})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        node, shared = op, False
        steps: list[_Step] = []
        while node.kind in _AFFINE:
            before, step = self._step(node)
            producer = node_of(before, *_PRODUCTS, *_AFFINE)
            if producer is None:
                raise NotMine("no scaling or addition of constants behind a product with a constant matrix")
            shared = shared or len(self.graph.users(before)) != 1
            steps.insert(0, step)
            node = producer
        if self.graph.constant(node.inputs[1]) is None:
            raise NotMine("the right factor is not constant")
        need(not shared, "the product is used elsewhere too")
        value = self._gemm(node, steps, emit) if node.kind == "Gemm" else self._matmul(node, steps, emit)
        return [value, *[None] * (len(op.results) - 1)]

    # -- what follows the product -------------------------------------------------------------------

    def _step(self, op: onnx.NodeOp) -> tuple[SSAValue, _Step]:
        """The operand that is scaled or shifted, and how."""
        one, zero = np.float64(1), np.float64(0)
        if op.kind == "BatchNormalization":
            before = op.inputs[0]
            if node_of(before, *_PRODUCTS, *_AFFINE) is None:
                raise NotMine("normalises no product")
            need(len(self.graph.shape(before)) == 2, "the channels are not the units of the product")
            found = batch_norm(op, self.graph)
            return before, _Step(found.scale, found.shift)
        if len(op.inputs) != 2:
            raise NotMine("not two operands")
        first, second = op.inputs
        if op.kind != "Div" and self.graph.constant(first) is not None:
            first, second = second, first
        array = self.graph.constant(second)
        if array is None or self.analysis.element(second) != f32:
            raise NotMine("no operand is constant")
        rank = len(self.graph.shape(first))
        if array.ndim > rank or (array.size > 1 and array.size != array.shape[-1]):
            raise NotMine("the constant is not one number per unit")
        flat = array.reshape(-1).astype(np.float64)
        if op.kind == "Mul":
            return first, _Step(flat, np.array([zero]))
        if op.kind == "Div":
            need(flat.all(), "divides by zero")
            return first, _Step(one / flat, np.array([zero]))
        if op.kind == "Sub":
            sign = -one if second is op.inputs[0] else one
            return first, _Step(np.array([sign]), -sign * flat)
        return first, _Step(np.array([one]), flat, second)

    def _build(
        self,
        x: SSAValue,
        weight: SSAValue,
        array: Array,
        suffix: str,
        bias: SSAValue | None,
        beta: float,
        steps: Sequence[_Step],
        emit: Emitter,
    ) -> SSAValue:
        """The layer ``x array + beta bias`` with ``steps`` folded in."""
        width, units = array.shape
        need(units > 0, "a layer without units")
        need(rec.shape(x)[-1] == width, "the weights do not have a row per activation")
        for step in steps:
            sizes = {step.scale.size, step.shift.size}
            need(sizes <= {1, units}, "a constant behind the product is not one per unit")
        if bias is None and len(steps) == 1 and steps[0].source is not None:
            bias, beta, steps = steps[0].source, 1.0, ()
        if not steps:
            name = self._stored(weight, array, suffix, emit)
            offset = self._bias(bias, units, beta) if bias is not None else None
            return emit.add(rec.LinearOp(x, name, units, offset))
        scale, shift = np.ones(units), np.zeros(units)
        if bias is not None:
            shift += self._checked_bias(bias, units).reshape(-1).astype(np.float64) * beta
        for step in steps:
            scale, shift = scale * step.scale, shift * step.scale + step.shift
        base = onnx.name_of(weight.owner) if isinstance(weight.owner, Operation) else None
        base = base or "weights"
        folded = array if (scale == 1).all() else (array.astype(np.float64) * scale).astype(np.float32)
        name = matrix(emit, folded, f"{base}.folded")
        return emit.add(rec.LinearOp(x, name, units, vector(emit, shift, f"{base}.bias")))

    def _stored(self, weight: SSAValue, array: Array, suffix: str, emit: Emitter) -> str:
        """The name of ``array``, which is ``weight`` changed as ``suffix`` says, in the store."""
        owner, known = weight.owner, self.graph.matrices
        key = symbol(owner.symbol) + suffix if isinstance(owner, onnx.InitializerOp) else ""
        if key in known and suffix in ("", ".t"):  # steps of a sequence share their weights
            return known[key]
        name = known_matrix(emit, array)
        if name is None:
            stored = self.graph.symbol_of(weight)
            name = self.graph.derive(weight, suffix, lambda: _dense(array)) if suffix else stored
        if key:
            known[key] = name
        return name

    # -- products -----------------------------------------------------------------------------------

    def _gemm(self, op: onnx.NodeOp, steps: Sequence[_Step], emit: Emitter) -> SSAValue:
        need(not int_attribute(op, "transA", 0), "the activations are transposed")
        self.graph.activation(op.inputs[0])
        alpha, beta = float_attribute(op, "alpha", 1.0), float_attribute(op, "beta", 1.0)
        need(alpha != 0.0, "alpha is 0")  # 0 times an overflow is no zero
        array = self._matrix(op.inputs[1])
        suffix = ""
        if int_attribute(op, "transB", 0):
            array, suffix = array.T, ".t"
        if alpha != 1.0:
            array, suffix = (array * np.float32(alpha)).astype(np.float32), f"{suffix}.x{np.float32(alpha)}"
        bias, addend = None, None
        if len(op.inputs) > 2 and not absent(op.inputs[2]) and beta != 0.0:
            if self.graph.constant(op.inputs[2]) is None:
                addend = op.inputs[2]
                need(beta == 1.0, "a computed addend is scaled by beta")
                need(not steps, "a computed addend stands before the scaling")
                self.graph.activation(addend)
            else:
                bias = op.inputs[2]
        value = self._build(op.inputs[0], op.inputs[1], array, suffix, bias, beta, steps, emit)
        return value if addend is None else emit.add(rec.BinaryOp("add", value, addend))

    def _matmul(self, op: onnx.NodeOp, steps: Sequence[_Step], emit: Emitter) -> SSAValue:
        x, weight = op.inputs
        dims = self.graph.activation(x)
        need(len(dims) >= 2, "the activations have no axis beside the batch")
        given = self.graph.constant(weight)
        assert given is not None
        if given.ndim == 1:
            need(not steps, "the product has no axis of units")
            column = self._build(x, weight, given[:, None], ".column", None, 1.0, (), emit)
            return emit.add(rec.ReshapeOp(column, dims[:-1]))
        if any(extent != 1 for extent in given.shape[:-2]):
            need(not steps, "several matrices are multiplied")
            return self._stacked(x, weight, given, emit)
        need(given.ndim <= len(dims), "the weights have more axes than the activations")
        array = self._matrix(weight)
        return self._build(x, weight, array, "" if given.ndim == 2 else ".2d", None, 1.0, steps, emit)

    def _stacked(self, x: SSAValue, weight: SSAValue, array: Array, emit: Emitter) -> SSAValue:
        """``[B, e, M, K] @ [E, K, N]`` with ``e`` 1 or ``E``: the matrices side by side, or one by one."""
        need(self.analysis.element(weight) == f32, f"weights of {show(weight)} are not f32")
        dims = rec.shape(x)
        while array.ndim > 3 and array.shape[0] == 1:
            array = array[0]
        need(array.ndim == 3 and len(dims) == 4, "several matrices meet the batch")
        count, _, units = array.shape
        name = self.graph.symbol_of(weight)
        if dims[1] == 1:
            wide = linear(emit, x, np.concatenate(list(array), axis=1), f"{name}.wide")
            wide = emit.add(rec.ReshapeOp(wide, (dims[0], dims[2], count, units)))
            if dims[2] == 1:
                return emit.add(rec.ReshapeOp(wide, (dims[0], count, 1, units)))
            return emit.add(rec.TransposeOp(wide, (0, 2, 1, 3)))
        need(dims[1] == count, "there is not one matrix per row")
        parts = [
            linear(emit, emit.add(rec.SliceOp(x, 1, k, k + 1)), array[k], f"{name}.{k}") for k in range(count)
        ]
        return emit.add(rec.ConcatOp(parts, 1))

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
        array = self._checked_bias(value, units)
        if array.shape == (units,) and beta == 1.0:
            return self.graph.symbol_of(value)

        def stored() -> Array:
            flat = np.broadcast_to(array.reshape(-1), (units,))
            return np.ascontiguousarray(flat * np.float32(beta), np.float32)

        return self.graph.derive(
            value, f".b{units}" + (f".x{np.float32(beta)}" if beta != 1.0 else ""), stored
        )

    def _checked_bias(self, value: SSAValue, units: int) -> Array:
        array = self.graph.constant(value)
        assert array is not None
        need(self.analysis.element(value) == f32, "the bias is not f32")
        need(
            array.size == 1 or (array.size == units and array.shape[-1] == units),
            "the bias is not one per unit",
        )
        return array


class LeftLinear(Recogniser):
    """A constant on the left: ``C [M, K] @ x [B, ..., K, N] = (x' C')'``; ``'`` swaps the last two axes."""

    name = "linear-left"
    stage = Stage.OPERATORS
    kinds = frozenset({"MatMul"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        constant, x = op.inputs
        array = self.graph.constant(constant)
        if array is None or self.graph.constant(x) is not None:
            raise NotMine("the left factor is not constant")
        dims = self.graph.activation(x)
        need(len(dims) >= 3, "the product sums over the batch")
        need(self.analysis.element(constant) == f32, f"weights of {show(constant)} are not f32")
        need(array.ndim <= len(dims), "the weights have more axes than the activations")
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        need(array.ndim in (1, 2), f"weights have {array.ndim} dimensions")
        rows = array.reshape(-1, array.shape[-1])
        name = f"{self.graph.symbol_of(constant)}.t"
        value = swapped(emit, linear(emit, swapped(emit, x), rows.T, name))
        if array.ndim == 1:
            value = emit.add(rec.ReshapeOp(value, (*dims[:-2], dims[-1])))
        return [value]


def _dense(array: Array) -> Array:
    return np.ascontiguousarray(array)
