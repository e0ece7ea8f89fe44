"""Ranks that bodies of exported Scans declare."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import pytest

from cimc.frontend.scan_ranks import declare_ranks
from cimc.interpreter.evaluate import main_function
from cimc.ir.onnx import dialect
from tests.transforms.recognise.fusing import imported, model


def graph_of(names: Iterable[str]) -> list[onnx.ValueInfoProto]:
    bare = onnx.TypeProto(tensor_type=onnx.TypeProto.Tensor())
    return [onnx.ValueInfoProto(name=name, type=bare) for name in names]


def declared(x: str, h: str, inner: str = "float[]") -> tuple[list[int | None], list[int | None]]:
    """Ranks of the inputs and outputs of a body, where only values around it have types."""
    text = (
        f"m ({x} x, {h} h0) => (float[] z, float[] y) {{ z, y = Scan<num_scan_inputs = 1, "
        f"body = b ({inner} h, {inner} row) => ({inner} g, {inner} out) {{"
        " g = Add(h, row)\n out = Identity(g) }>(h0, x) }"
    )
    module, _ = imported(model(text))
    (op,) = [o for o in main_function(module).body.block.ops if isinstance(o, dialect.NodeOp)]
    graph = onnx.GraphProto(input=graph_of(["h", "row"]), output=graph_of(["g", "out"]))
    declare_ranks(op, op.bodies[0].block, graph)

    def ranks(values: Iterable[onnx.ValueInfoProto]) -> list[int | None]:
        kinds = [v.type.tensor_type for v in values]
        return [len(kind.shape.dim) if kind.HasField("shape") else None for kind in kinds]

    return ranks(graph.input), ranks(graph.output)


def test_a_row_has_one_axis_less_than_what_it_is_scanned_from() -> None:
    inputs, outputs = declared("float[3, B, 4]", "float[B, 4]")
    assert inputs == [2, 2]
    assert outputs[0] == 2  # what is carried keeps its shape


@pytest.mark.parametrize("inner", ["float[B, 4]", "float[1, 4]"])
def test_a_rank_that_the_body_states_is_declared_without_extents(inner: str) -> None:
    assert declared("float[3, B, 4]", "float[B, 4]", inner) == ([2, 2], [2, 2])


def test_a_shape_that_is_declared_already_stays() -> None:
    text = (
        "m (float[3, B, 4] x, float[B, 4] h0) => (float[] z, float[] y) { z, y = Scan<num_scan_inputs = 1, "
        "body = b (float[] h, float[] row) => (float[] g, float[] out) {"
        " g = Add(h, row)\n out = Identity(g) }>(h0, x) }"
    )
    module, _ = imported(model(text))
    (op,) = [o for o in main_function(module).body.block.ops if isinstance(o, dialect.NodeOp)]
    stated = onnx.helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, [7, 7, 7])
    graph = onnx.GraphProto(input=[stated, *graph_of(["row"])], output=graph_of(["g", "out"]))
    declare_ranks(op, op.bodies[0].block, graph)
    assert graph.input[0] == stated
