"""Products of activations: DLRM's dot interaction, and batched matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Operation, SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Known, Poly
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.tensor_store import Array
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.nodes import node_of, show
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_MOVES = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Gather", "GatherND", "Slice", "Concat")
_SELECTS = ("Gather", "GatherND", "Slice")
_EVALUATION_LIMIT = 1 << 22
"""Elements that a tensor may have when a selection is evaluated."""


class DotInteraction(Recogniser):
    """A selection of the products of all pairs of feature vectors ``T [B, F, D]``::

        Z = MatMul(T, Transpose(T))  [B, F, F]          out[b, p] = Z[b, lhs[p], rhs[p]]

    However the exporter spells the selection (``Gather`` on flattened indices, ``GatherND``, a band matrix
    with ``NonZero``), it only moves elements of ``Z`` as shapes and constants say.  So it is
    evaluated on the numbered elements of ``Z`` for batches of 1, 2 and 3 (or the fixed batch) and accepted if
    every request picks the same elements of its own ``Z``.
    """

    name = "dot-interaction"
    kinds = frozenset(_MOVES) - {"Concat"}

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        product = self._product(op)
        features = self._features(product)
        count = self.graph.activation(features)[1]
        dims = self.graph.activation(op.results[0])
        need(len(dims) == 2, "the selection is not [batch, pairs]")
        need(dims[1] < count * count, "all pairs are taken: a plain product")
        picked = self._evaluate(op, product, count)
        lhs, rhs = np.divmod(picked, count)
        return [emit.add(rec.DotInteractionOp(features, lhs.tolist(), rhs.tolist()))]

    def _product(self, op: onnx.NodeOp) -> onnx.NodeOp:
        """The MatMul whose elements ``op`` and what feeds it move."""
        node: onnx.NodeOp | None = op
        selected = False
        while node is not None and node.kind in _MOVES:
            selected |= node.kind in _SELECTS
            node = node_of(node.inputs[0], *_MOVES, "MatMul")
        if node is None or not selected:
            raise NotMine("selects no elements of a product of activations")
        return node

    def _features(self, product: onnx.NodeOp) -> SSAValue:
        a, b = product.inputs
        for one, two in ((a, b), (b, a)):
            turned = node_of(two, "Transpose")
            if turned is not None and turned.inputs[0] is one:
                need(
                    ints_attribute(turned, "perm") == (0, 2, 1),
                    "the second factor is not the transposed first",
                )
                need(one is a, "products of features are summed over features, not over their elements")
                need(len(self.graph.shape(one)) == 3, "the features are not [batch, features, dim]")
                return one
        raise NoMatch("a product of two different tensors")

    def _evaluate(self, op: onnx.NodeOp, product: onnx.NodeOp, count: int) -> Array:
        """Which elements of ``Z``, flattened, every request takes, in order."""
        from cimc.frontend.export_graph import export_function
        from cimc.host.runtime import HostRunner

        ops, shapes = self._slice(op, product.results[0])
        z = product.results[0]
        inputs = [("z", z), *((f"shape{k}", value) for k, value in enumerate(shapes))]
        model = export_function(
            inputs, ops, [("picked", op.results[0])], self.graph.ctx.store, self.graph.opsets
        )
        batch = self.graph.batch
        runner = HostRunner(optimise=False)
        found: Array | None = None
        for size in (1, 2, 3) if isinstance(batch, Poly) else (batch,):
            assert isinstance(size, int)
            known = self._symbols(size)
            need(size * count * count < _EVALUATION_LIMIT, "too many features to evaluate the selection")
            feeds = {"z": np.arange(size * count * count, dtype=np.float32).reshape(size, count, count)}
            for k, value in enumerate(shapes):
                feeds[f"shape{k}"] = self._concrete(value, known)
            self._check_sizes(ops, known)
            try:
                out = runner.run(model, feeds)["picked"]
            except Exception as error:  # any failure of onnxruntime only means that this is not our pattern
                raise NoMatch(f"the selection cannot be evaluated: {error}") from None
            request, element = np.divmod(out.astype(np.int64), count * count)
            own = out.ndim == 2 and (request == np.arange(size)[:, None]).all()
            if (
                not own
                or (element != element[0]).any()
                or (found is not None and (found != element[0]).any())
            ):
                raise NoMatch("the selection mixes requests")
            found = element[0]
        assert found is not None
        return found

    def _slice(self, op: onnx.NodeOp, z: SSAValue) -> tuple[list[Operation], list[SSAValue]]:
        """Operations between ``z`` and ``op``, and the results of Shape that they start from."""
        needed: set[Operation] = set()
        shapes: dict[SSAValue, None] = {}
        stack: list[SSAValue] = [*op.results]
        while stack:
            value = stack.pop()
            if value is z or value in shapes:
                continue
            owner = value.owner
            if isinstance(owner, onnx.NodeOp) and owner.kind in ("Shape", "Size"):
                shapes[value] = None
                continue
            constant = isinstance(owner, onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp)
            if not constant and not (isinstance(owner, onnx.NodeOp) and not owner.bodies):
                raise NoMatch(f"the selection depends on {show(value)}")
            if isinstance(owner, Operation) and owner not in needed:
                need(
                    not isinstance(owner, onnx.NodeOp) or not owner.kind.startswith("Random"), "it is random"
                )
                needed.add(owner)
                stack += owner.operands
        return [o for o in self.graph.function.body.block.ops if o in needed], list(shapes)

    def _symbols(self, size: int) -> dict[str, Known]:
        """What the batch symbol is when there are ``size`` requests."""
        batch = self.graph.batch
        if not isinstance(batch, Poly):
            return {}
        names = sorted(batch.symbols())
        rest = d.sub(batch, d.symbol(names[0]))
        if len(names) != 1 or not isinstance(rest, int):
            raise NoMatch("the batch is no simple dimension")
        return {names[0]: size - rest}

    def _concrete(self, value: SSAValue, known: dict[str, Known]) -> Array:
        content, shape = self.analysis.content(value), self.analysis.shape(value)
        need(content is not None, f"{show(value)} is not known")
        assert content is not None
        numbers = [d.substitute(e, known) for e in content.reshape(-1).tolist()]
        need(all(isinstance(n, int) for n in numbers), f"{show(value)} depends on more than the batch")
        return np.array(numbers, np.int64).reshape(() if shape == () else (len(numbers),))

    def _check_sizes(self, ops: Sequence[Operation], known: dict[str, Known]) -> None:
        for op in ops:
            if isinstance(op, onnx.NodeOp) and op.kind in ("Expand", "ConstantOfShape", "Range", "Tile"):
                shape = self.analysis.shape(op.results[0])
                size = d.substitute(d.product(shape), known) if shape is not None else None
                need(
                    isinstance(size, int) and size < _EVALUATION_LIMIT,
                    "the selection makes a tensor too large",
                )


class MatMul(Recogniser):
    """Products of two activations per request: ``[B, ..., M, K] @ [B, ..., K, N]``.

    Axes of extent 1 before the last two are repeated where the other factor has more.
    """

    name = "matmul"
    stage = Stage.OPERATORS
    kinds = frozenset({"MatMul"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        factors = list(op.inputs)
        for value in factors:
            if self.graph.constant(value) is not None:
                raise NotMine("a factor is constant")
        dims = [self.graph.activation(v) for v in factors]
        for have in dims:
            need(len(have) >= 3, "a factor is not [batch, ..., rows, columns]")
        need(len(dims[0]) == len(dims[1]), "factors differ in rank: the batch would meet another axis")
        lead = rec.broadcast(dims[0][:-2], dims[1][:-2])
        for k, have in enumerate(dims):
            if have[1:-2] != lead[1:]:
                factors[k] = emit.add(rec.ExpandOp(factors[k], (have[0], *lead[1:], *have[-2:])))
        return [emit.add(rec.MatmulOp(*factors))]
