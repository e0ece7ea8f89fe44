"""Constant folding: nodes of which all inputs are constant are computed by onnxruntime.

Only operators of :data:`SIZES` are folded: deterministic ones whose result's size is known before it is
computed, so that a file of a kilobyte cannot ask for gigabytes.  All nodes that can be folded at a time
are one small model, run by the very library that is the float reference; results are bit for bit its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.rewriter import Rewriter

from cimc.errors import CimcError
from cimc.frontend.export_graph import export_function
from cimc.host.runtime import HostRunner
from cimc.ir.onnx.dialect import NodeOp, NoneOp, int_attribute
from cimc.ir.types import NoneType
from cimc.transforms.onnx.simplify.rule import Scope

Array = NDArray[Any]

MAX_ROUNDS = 64
"""Longest chain of constant nodes that is folded; each link costs a walk and a session of onnxruntime."""


def _elements(shape: Sequence[int]) -> int:
    total = 1
    for extent in shape:
        total *= int(extent)
    return total


def _same(op: NodeOp, arrays: list[Array]) -> int:
    return int(arrays[0].size)


def _broadcast(op: NodeOp, arrays: list[Array]) -> int:
    rank = max(a.ndim for a in arrays)
    wide = [(1,) * (rank - a.ndim) + a.shape for a in arrays]
    return _elements([max(extents) for extents in zip(*wide, strict=True)])


def _sum(op: NodeOp, arrays: list[Array]) -> int:
    return sum(a.size for a in arrays)


def _filled(op: NodeOp, arrays: list[Array]) -> int:
    return _elements(arrays[0].reshape(-1).tolist())


def _expanded(op: NodeOp, arrays: list[Array]) -> int:
    return max(1, arrays[0].size) * max(1, _elements(arrays[1].reshape(-1).tolist()))


def _range(op: NodeOp, arrays: list[Array]) -> int:
    start, limit, delta = (float(a.reshape(-1)[0]) for a in arrays)
    return int(max(0.0, (limit - start) / delta)) + 1 if delta else 0


def _gathered(op: NodeOp, arrays: list[Array]) -> int:
    data, indices = arrays
    axis = int_attribute(op, "axis", 0)
    if not -data.ndim <= axis < data.ndim:
        return 0
    return int(indices.size) * (int(data.size) // max(1, int(data.shape[axis])))


def _gathered_nd(op: NodeOp, arrays: list[Array]) -> int:
    return arrays[0].size * max(1, arrays[1].size)


def _positions(op: NodeOp, arrays: list[Array]) -> int:
    return arrays[0].size * max(1, arrays[0].ndim)


def _indices(op: NodeOp, arrays: list[Array]) -> int:
    return int(arrays[1].size)


_LIKE_INPUT = (
    "Identity", "Cast", "Neg", "Abs", "Not", "Sqrt", "Floor", "Ceil", "Round", "Sign",
    "Reciprocal", "Relu", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice",
    "Split", "CumSum", "Trilu", "ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceMean",
    "ScatterND", "Shape", "Size", "Compress", "Clip", "BitwiseNot",
)  # fmt: skip
_BROADCASTING = (
    "Add", "Sub", "Mul", "Div", "Mod", "Pow", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual",
    "Greater", "GreaterOrEqual", "Where", "Min", "Max", "BitShift", "BitwiseAnd", "BitwiseOr",
    "BitwiseXor",
)  # fmt: skip

SIZES: dict[str, Callable[[NodeOp, list[Array]], int]] = {
    **dict.fromkeys(_LIKE_INPUT, _same),
    **dict.fromkeys(_BROADCASTING, _broadcast),
    "Concat": _sum,
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Tile": _expanded,
    "Range": _range,
    "Gather": _gathered,
    "GatherElements": _indices,
    "GatherND": _gathered_nd,
    "NonZero": _positions,
}
"""An upper bound of the elements of all results, from the arrays of the inputs that are given."""


def _is_of_table(op: NodeOp, array: Array) -> bool:
    """Whether ``op`` makes floats of the integers of a table that is looked up: these keep their scales."""
    if array.ndim != 2 or array.dtype not in (np.int8, np.uint8):
        return False
    values, users = [op.outputs[0]], 0
    while values:
        for use in values.pop().uses:
            user = use.operation
            if not isinstance(user, NodeOp) or user.domain:
                return False
            if user.op_type.data in ("Add", "Sub", "Mul", "Div", "Identity"):
                values.append(user.outputs[0])
            elif user.op_type.data == "Gather" and use.index == 0 and int_attribute(user, "axis", 0) == 0:
                users += 1
            else:
                return False
    return users > 0


class Folder:
    """Folds constant nodes; remembers which ones onnxruntime refused.

    Args:
        max_elements: larger inputs or results are left alone.
        budget: elements of all results together.
    """

    def __init__(self, scope: Scope, max_elements: int, budget: int) -> None:
        self._scope = scope
        self._max = max_elements
        self._left = budget
        self._rounds = 0
        self._refused: set[NodeOp] = set()
        self._runner = HostRunner()
        self.notes: list[str] = []

    def fold(self, module: ModuleOp) -> int:
        """Fold until nothing is left to fold; returns how many nodes were."""
        total = 0
        while self._rounds < MAX_ROUNDS:
            nodes = self._candidates(module)
            if not nodes:
                return total
            self._rounds += 1
            total += self._replace(nodes)
        self.notes.append(f"constant folding stopped after a chain of {MAX_ROUNDS} nodes")
        return total

    def _candidates(self, module: ModuleOp) -> list[NodeOp]:
        found = []
        for op in module.walk():
            if not isinstance(op, NodeOp) or op.domain or op.op_type.data not in SIZES or op in self._refused:
                continue
            given = [v for v in op.inputs if not isinstance(v.type, NoneType)]
            arrays = [self._scope.constant(v) for v in given]
            known = [a for a in arrays if a is not None]
            if len(known) < len(arrays) or any(a.size > self._max for a in known):
                continue
            if op.op_type.data == "Cast" and _is_of_table(op, known[0]):
                continue
            if not known and op.op_type.data not in ("ConstantOfShape",):
                continue
            try:
                size = SIZES[op.op_type.data](op, known)
            except (IndexError, ValueError, OverflowError):
                size = self._max + 1  # malformed: onnxruntime would say so when it runs
            if size > self._max:
                self._refused.add(op)
            elif size > self._left:
                self._refused.add(op)
                self.notes.append("constant folding stopped: its budget of elements is spent")
            else:
                self._left -= size
                found.append(op)
        return found

    def _replace(self, nodes: list[NodeOp]) -> int:
        try:
            results = self._run(nodes)
        except CimcError as error:
            if error.code != "host.onnxruntime":
                raise  # time, memory or a crash: trying parts of it again would not help
            if len(nodes) == 1:
                self._refused.add(nodes[0])
                return 0
            half = len(nodes) // 2
            return self._replace(nodes[:half]) + self._replace(nodes[half:])
        done = 0
        for position, op in enumerate(nodes):
            values = [results.get(f"o{position}.{index}") for index in range(len(op.outputs))]
            if any(v is None and o.first_use is not None for v, o in zip(values, op.outputs, strict=True)):
                self._refused.add(op)
                continue
            constants = [None if v is None else self._scope.make_constant(v, op) for v in values]
            for constant, output in zip(constants, op.outputs, strict=True):
                if constant is not None:
                    constant.output.name_hint = output.name_hint
            Rewriter.replace_op(
                op,
                [c for c in constants if c is not None],
                [None if c is None else c.output for c in constants],
            )
            done += 1
        return done

    def _run(self, nodes: list[NodeOp]) -> dict[str, Array]:
        constants: dict[Operation, None] = {}
        outputs = []
        for position, op in enumerate(nodes):
            for value in op.inputs:
                if isinstance(value.owner, Operation) and not isinstance(value.owner, NoneOp):
                    constants[value.owner] = None
            for index, output in enumerate(op.outputs):
                if not isinstance(output.type, NoneType):
                    outputs.append((f"o{position}.{index}", output))
        model = export_function([], [*constants, *nodes], outputs, self._scope.store, self._scope.opset)
        results = self._runner.run(model, {})
        return {name: value for name, value in results.items() if isinstance(value, np.ndarray)}
