"""The inner loop that collects those ids of a bag that are not padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.rules.control_flow import body_of, yielded
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.transforms.matching.failure import NoMatch
from cimc.transforms.matching.nodes import node_of

_VIEWS = ("Cast", "Reshape", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Kept:
    """Positions of a bag whose ids differ from ``padding``; ``value`` is the tensor that holds them."""

    value: SSAValue
    ids: SSAValue
    padding: int


class KeptReader:
    """Recognises::

        k = []; j = V[i]
        while j < V[i + 1]:
            if ids[j] != padding: k = k ++ [j]
            j = j + 1

    ``is_bound(value, step)`` says whether ``value`` is ``V[i + step]``; ``rows`` is the number of rows of the
    table, from the end of which exporters do not count ``padding`` any more.
    """

    def __init__(self, analysis: ShapeAnalysis, is_bound: Callable[[SSAValue, int], bool]) -> None:
        self.analysis, self.is_bound = analysis, is_bound

    def read(self, value: SSAValue) -> Kept:
        """NoMatch unless ``value`` is ``k`` after such a loop."""
        loop = node_of(value, "Loop")
        if loop is None:
            raise NoMatch("the ids of a bag are not selected by a loop")
        index = next(n for n, r in enumerate(loop.outputs) if self._through(value) is r)
        body = body_of(loop)
        results = yielded(body)
        if index >= len(body.args) - 2:
            raise NoMatch("the loop that selects ids of a bag scans")
        positions, counter = body.args[index + 2], self._counter(loop, index)
        if self.analysis.shape(loop.inputs[index + 2]) != (0,):
            raise NoMatch("the loop that selects ids does not start with none")
        test = node_of(results[0], "Less")
        step = d.sub(self.analysis.scalar(results[counter + 1]), self.analysis.scalar(body.args[counter + 2]))
        if (
            step != 1
            or test is None
            or self._bare(test.inputs[0]) is not self._bare(results[counter + 1])
            or not self.is_bound(test.inputs[1], 1)
            or not self.is_bound(loop.inputs[counter + 2], 0)
            or not self._entered(loop)
        ):
            raise NoMatch("the loop that selects ids does not run over the bag")
        return self._branch(value, results[index + 1], positions, body.args[counter + 2])

    def _through(self, value: SSAValue) -> SSAValue:
        while isinstance(value.owner, onnx.NodeOp) and value.owner.kind == "Identity":
            value = value.owner.inputs[0]
        return value

    def _bare(self, value: SSAValue) -> SSAValue:
        value = self._through(value)
        while (op := node_of(value, *_VIEWS)) is not None:
            value = self._through(op.inputs[0])
        return value

    def _counter(self, loop: onnx.NodeOp, index: int) -> int:
        """Which carried value is ``j``."""
        carried = [n for n in range(len(body_of(loop).args) - 2) if n != index]
        if len(carried) != 1 or (loop.inputs and self.analysis.scalar(loop.inputs[0]) is not None):
            raise NoMatch("the loop that selects ids carries other values")
        return carried[0]

    def _entered(self, loop: onnx.NodeOp) -> bool:
        """The first test is ``V[i] < V[i + 1]``."""
        test = node_of(loop.inputs[1], "Less")
        return test is not None and self.is_bound(test.inputs[0], 0) and self.is_bound(test.inputs[1], 1)

    def _branch(self, value: SSAValue, after: SSAValue, positions: SSAValue, j: SSAValue) -> Kept:
        branch = node_of(after, "If")
        if branch is None:
            raise NoMatch("the loop that selects ids selects all")
        test, inverted = branch.inputs[0], False
        while (flip := node_of(test, "Not")) is not None:
            test, inverted = flip.inputs[0], not inverted
        equal = node_of(test, "Equal")
        if equal is None:
            raise NoMatch("ids are not selected by comparison with a padding id")
        sides = [self.analysis.scalar(v) for v in equal.inputs]
        constant = next((k for k, x in enumerate(sides) if isinstance(x, int)), None)
        if constant is None:
            raise NoMatch("the padding id is not known at compile time")
        read = node_of(self._bare(equal.inputs[1 - constant]), "Gather")
        if read is None or self._bare(read.inputs[1]) is not j or int_attribute(read, "axis", 0) != 0:
            raise NoMatch("ids are not selected one by one")
        results = [yielded(region.block)[0] for region in branch.bodies]
        same, other = results if not inverted else results[::-1]
        joined = node_of(other, "Concat")
        if (
            self._through(same) is not positions
            or joined is None
            or len(joined.inputs) != 2
            or self._through(joined.inputs[0]) is not positions
            or self._bare(joined.inputs[1]) is not j
        ):
            raise NoMatch("what is selected are not the positions of the ids")
        padding = sides[constant]
        assert isinstance(padding, int)
        return Kept(value, read.inputs[0], padding)
