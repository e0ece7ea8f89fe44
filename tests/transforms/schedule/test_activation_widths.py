"""Activations cross links as integers of their width, and results stay the same to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.cost import count_events
from cimc.interpreter.evaluate import evaluate
from cimc.isa.footprint import link_bits

LINE = "frontend,quantize{weights=4 acts=ACTS},shard,choose-adc-steps,place,schedule,lower"
ROWS = 40


def model(path: Path, relu: bool, also: bool = False) -> Path:
    """Two layers on two tiles; ``also``: the input itself is an output's operand too."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((ROWS, ROWS)).astype(np.float32), name) for name in "ab"
    ]
    first = "x0" if relu else "x"
    nodes = [helper.make_node("Relu", ["x"], ["x0"])] if relu else []
    nodes += [
        helper.make_node("MatMul", [first, "a"], ["p"]),
        helper.make_node("Relu", ["p"], ["h"]),
        helper.make_node("MatMul", ["h", "b"], ["q"]),
        helper.make_node("Add", ["q", "x"], ["y"]) if also else helper.make_node("Identity", ["q"], ["y"]),
    ]
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", ROWS]) for n in "xy"]
    graph = helper.make_graph(nodes, "two", shapes[:1], shapes[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


X = np.random.default_rng(2).standard_normal((9, ROWS)).astype(np.float32) * 2
X[0, :3] = -0.0, 1e30, -1e30


def compiled(
    tmp_path: Path, acts: int, relu: bool = False, also: bool = False
) -> tuple[cimc.Program, np.ndarray]:
    """The program, and what the module computes of ``X`` before it is scheduled."""
    calib = np.random.default_rng(1).standard_normal((64, ROWS)).astype(np.float32)
    before: list[np.ndarray] = []

    def after(each, module, ctx, seconds) -> None:
        if each.name == "quantize":
            before.append(evaluate(module, ctx, {"x": X})["y"])

    line = LINE.replace("ACTS", str(acts))
    path = model(tmp_path / "m.onnx", relu, also)
    return cimc.compile(path, "neurram130", {"x": calib}, line, after=after), before[0]


def instructions(made: cimc.Program, name: str):
    streams = [s for segment in made.data.chip_segments for s in segment.streams.values()]
    return [item for stream in streams for item in stream if item.name == name]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("acts", [4, 5, 8])
def test_inputs_and_messages_have_the_width_of_activations(tmp_path: Path, acts: int, relu: bool) -> None:
    made, expected = compiled(tmp_path, acts, relu)
    (load,) = instructions(made, "loadq")
    (send,) = instructions(made, "send")
    assert not instructions(made, "load")
    assert (link_bits(load), link_bits(send)) == (ROWS * acts, ROWS * acts)
    assert load.word("sign") == ("unsigned" if relu else "signed")  # a ReLU is done by the clipping at 0
    events = count_events(made.data, made.target)
    assert events["host_link.bits"] == ROWS * acts + ROWS * 32 + 2 * 32  # in, out, two headers
    np.testing.assert_array_equal(made.run({"x": X}, mode="exact").outputs["y"], expected)


def test_an_input_that_is_also_read_as_it_is_comes_once_as_floats(tmp_path: Path) -> None:
    made, expected = compiled(tmp_path, 8, also=True)
    assert instructions(made, "load")
    assert not instructions(made, "loadq")
    np.testing.assert_array_equal(made.run({"x": X}, mode="exact").outputs["y"], expected)
