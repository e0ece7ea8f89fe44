"""GRU, LSTM and RNN on the chip, with the numbers of onnxruntime; what cannot be unrolled stays whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.frontend.rewrite.recurrent_layout import sequences_first
from cimc.host.runtime import run_onnx
from cimc.ir.onnx.dialect import NodeOp
from cimc.isa.program import HostSegment
from cimc.transforms.onnx.recurrent import STEPS
from tests.cli.tiny_files import call
from tests.quality import CheckQuality, of_program
from tests.transforms.onnx.composites.test_operators import graph, node
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fuse, fused
from tests.zoo.models_sequences import GATES, SEQUENCES
from tests.zoo.test_zoo import fuse as fuse_whole

STATES = {"RNN": 1, "GRU": 1, "LSTM": 2}
FUNCTIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}
TURNS = {"forward": 1, "reverse": 1, "bidirectional": 2}
BATCH = 3


def recurrent(
    kind: str = "GRU",
    *,
    steps: int = 4,
    wide: int = 3,
    hidden: int = 2,
    direction: str = "forward",
    bias: bool = True,
    peepholes: bool = False,
    lengths: Any = None,
    states: bool = False,
    opset: int = 17,
    weights: Arrays | None = None,
    extra: tuple[str, ...] = (),
    **attributes: Any,
) -> tuple[onnx.ModelProto, Arrays]:
    """A recurrent layer behind a dense one, all results with the batch in front.

    ``lengths``: an array to be computed at run time, or as a constant if of int32; ``extra`` replaces inputs.
    """
    turns, gates = TURNS[direction], GATES[kind]
    made: Arrays = {
        "anchor": floats(wide, wide, seed=1),
        "w": floats(turns, gates * hidden, wide, seed=2) / 2,
        "r": floats(turns, gates * hidden, hidden, seed=3) / 2,
        "b": floats(turns, 2 * gates * hidden, seed=4) / 2,
        "p": floats(turns, 3 * hidden, seed=5) / 2,
    }
    inputs: Arrays = {"x": floats(BATCH, steps, wide)}
    nodes = [node("MatMul", ["x", "anchor"], ["h"]), node("Transpose", ["h"], ["s"], perm=[1, 0, 2])]
    given = ["s", "w", "r", "b" if bias else "", "", "", "", ""]
    if lengths is not None and np.asarray(lengths).dtype == np.int32:
        made["len"] = np.asarray(lengths)
        given[4] = "len"
    elif lengths is not None:
        inputs["ids"] = np.asarray(lengths)
        nodes.append(node("Cast", ["ids"], ["len"], to=TensorProto.INT32))
        given[4] = "len"
    for k in range(STATES[kind] if states else 0):
        inputs[f"state{k}"] = floats(BATCH, turns, hidden, seed=6 + k)
        nodes.append(node("Transpose", [f"state{k}"], [f"moved{k}"], perm=[1, 0, 2]))
        given[5 + k] = f"moved{k}"
    if peepholes:
        given[7] = "p"
    for text in extra:
        index, _, name = text.partition("=")
        given[int(index)] = name
    while not given[-1]:
        given.pop()
    outputs = ["Y", "Y_h", "Y_c"][: STATES[kind] + 1]
    nodes.append(node(kind, given, outputs, hidden_size=hidden, direction=direction, **attributes))
    nodes.append(node("Transpose", ["Y"], ["y"], perm=[2, 0, 1, 3]))
    nodes += [node("Transpose", [o], [o.lower()], perm=[1, 0, 2]) for o in outputs[1:]]
    found = graph(nodes, inputs, {**made, **(weights or {})}, ["y", *(o.lower() for o in outputs[1:])], opset)
    return found, inputs


def hosted(found: Fused) -> set[str]:
    return {h.op for h in found.ctx.remarks.recognition.host}


def layers(found: Fused) -> list[str]:
    return [layer.name for layer in found.ctx.remarks.recognition.linear]


ONE = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "Elu", "HardSigmoid")
PARAMETERS = ("Affine", "ScaledTanh", "ThresholdedRelu", *ONE)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(GATES)))
    steps, hidden = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    direction = draw(st.sampled_from(sorted(TURNS)))
    case: dict[str, Any] = {
        "kind": kind, "steps": steps, "wide": draw(st.integers(1, 3)), "hidden": hidden,
        "direction": direction, "bias": draw(st.booleans()), "states": draw(st.booleans()),
        "opset": draw(st.sampled_from([9, 10, 12, 17, 21])),
    }  # fmt: skip
    lengths = draw(st.sampled_from(["none", "computed", "equal"]))
    if lengths == "computed":  # an empty sequence gives zeros, also for its states
        case["lengths"] = np.array(draw(st.lists(st.integers(0, steps), min_size=BATCH, max_size=BATCH)))
    elif lengths == "equal":
        case["lengths"] = np.full(BATCH, draw(st.integers(1, steps)), np.int32)
    if kind == "LSTM":
        case["peepholes"] = draw(st.booleans())
        case["input_forget"] = draw(st.integers(0, 1))
    if kind == "GRU":
        case["linear_before_reset"] = draw(st.integers(0, 1))
    if draw(st.booleans()):
        case["clip"] = draw(st.sampled_from([0.1, 0.5, 2.0]))
    count = FUNCTIONS[kind] * TURNS[direction]
    given = draw(st.sampled_from(["usual", "no parameters", "parameters"]))
    if given != "usual":
        known = PARAMETERS if given == "parameters" else ONE
        names = [n for n in known if n != "ThresholdedRelu" or case["opset"] >= 10]
        case["activations"] = draw(st.lists(st.sampled_from(names), min_size=count, max_size=count))
    if given == "parameters":
        numbers = st.lists(st.sampled_from([0.25, 0.5, 0.75]), min_size=count, max_size=count)
        case |= {"activation_alpha": draw(numbers), "activation_beta": draw(numbers)}
    return case


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_recurrent_layers_agree_with_onnxruntime(case: dict[str, Any]) -> None:
    model, inputs = recurrent(**case)
    found = fuse(model)
    assert hosted(found) <= {"Cast"}  # of lengths, to int32
    found.check(inputs, 3e-5)


@pytest.mark.parametrize(
    ("kind", "attributes", "products"),
    [("RNN", {}, 1), ("LSTM", {}, 1), ("GRU", {"linear_before_reset": 1}, 1), ("GRU", {}, 2)],
)
def test_one_product_of_all_inputs_and_one_constant_for_all_steps(
    kind: str, attributes: dict[str, Any], products: int
) -> None:
    model, _ = recurrent(kind, steps=5, wide=9, hidden=9, **attributes)
    names = layers(fuse(model))
    assert names.count(f"{kind}_Y.W") == 1
    others = {n: names.count(n) for n in names if ".R" in n}
    assert list(others.values()) == [4] * products  # the first state is zero


def test_both_directions_share_the_product_of_the_inputs() -> None:
    model, _ = recurrent("LSTM", steps=3, wide=9, hidden=9, direction="bidirectional")
    assert sorted(layers(fuse(model))) == sorted(["anchor", "LSTM_Y.W", *["LSTM_Y.R0", "LSTM_Y.R1"] * 2])


def test_a_constant_first_state_is_multiplied_at_compile_time() -> None:
    state = np.tile(floats(1, 1, 9), (1, BATCH, 1))
    model, inputs = recurrent("LSTM", steps=3, hidden=9, extra=("5=z", "6=z"), weights={"z": state})
    found = fuse(model)
    assert hosted(found) == set()
    assert layers(found).count("LSTM_Y.R") == 2
    found.check(inputs)


def test_a_learned_first_state_may_be_expanded_along_the_batch() -> None:
    model, inputs = recurrent(
        "GRU", extra=("5=h0e",), weights={"h0": floats(1, 1, 2), "one": np.array([1, 0, 2])}
    )
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["batch"]),
        node("Concat", ["unit", "batch", "units"], ["wide"], axis=0),
        node("Expand", ["h0", "wide"], ["h0e"]),
    ]
    for name, array in {"first": np.array([0]), "unit": np.array([1]), "units": np.array([2])}.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    ordered = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    found = fuse(model)
    assert hosted(found) == set()
    found.check(inputs)


EACH = np.arange(BATCH, dtype=np.float32)[None, :, None] * np.ones((1, 1, 2), np.float32)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "too many steps": ({"steps": STEPS + 1, "hidden": 1}, f"{STEPS + 1} steps would be unrolled"),
    "steps of both directions": (
        {"steps": STEPS // 2 + 1, "hidden": 1, "direction": "bidirectional"},
        f"{STEPS + 2} steps would be unrolled, more than {STEPS}",
    ),
    "computed weights": ({"extra": ("1=computed",)}, "its weights are not constant"),
    "lengths of each request": (
        {"lengths": np.array([1, 2, 3], np.int32)},
        "the lengths of its sequences are a constant of its own for each request",
    ),
    "a state of each request": (
        {"extra": ("5=h0",), "weights": {"h0": EACH}},
        "its initial state is a constant of its own for each request",
    ),
    "no parameter": (
        {"activations": ["Sigmoid", "ScaledTanh"]}, "alpha of its activation ScaledTanh is not given"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_unrolled_stays_whole_and_says_why(name: str) -> None:
    case, reason = REFUSED[name]
    model, inputs = recurrent(**case)
    if name == "computed weights":
        model.graph.node.insert(0, node("Relu", ["w0"], ["computed"]))
        model.graph.input.append(helper.make_tensor_value_info("w0", TensorProto.FLOAT, [1, 6, 3]))
        inputs["w0"] = floats(1, 6, 3)
    if "lengths" in case or "weights" in case:  # of this batch alone
        for value in model.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = BATCH
    found = fuse(model)
    assert "GRU" in hosted(found)
    assert reason in found.reasons()["GRU"]
    found.check(inputs)


def test_a_length_that_is_not_known_is_named() -> None:
    model, inputs = recurrent()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "steps"
    found = fuse(model)
    assert "the length of its sequences is not known at compile time" in found.reasons()["GRU"]
    found.check(inputs)


def test_layers_of_which_the_chip_would_get_a_part_stay_whole() -> None:
    model, inputs = recurrent(states=True)
    place = [list(n.output) for n in model.graph.node].index(["moved0"])
    model.graph.node[place].output[0] = "single"
    model.graph.node.insert(place + 1, node("CumSum", ["single", "axis"], ["moved0"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1), "axis"))  # over the requests
    found = fuse(model)
    assert {"CumSum", "GRU"} <= hosted(found)
    assert layers(found) == ["anchor"]
    found.check(inputs)


def test_layers_with_the_batch_in_front(tmp_path: Path) -> None:
    """onnxruntime has no kernels for layout 1, so neither compiling nor checking uses it."""
    w, r, state = floats(2, 16, 3) / 2, floats(2, 16, 4, seed=1) / 2, floats(BATCH, 2, 4, seed=2)
    nodes = [
        node("MatMul", ["x", "anchor"], ["h"]),
        node(
            "LSTM", ["h", "w", "r", "", "", "s", "s"], ["y", "", "c"],
            hidden_size=4, direction="bidirectional", layout=1,
        ),
    ]  # fmt: skip
    inputs = {"x": floats(BATCH, 5, 3), "s": state}
    model = graph(nodes, inputs, {"anchor": floats(3, 3), "w": w, "r": r}, ["y", "c"])
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    program = cimc.compile(path, calib=inputs)
    assert any("layout" in note for note in program.notes)
    assert not [s for s in program.data.segments if isinstance(s, HostSegment)]
    sequences_first(model)
    expected = run_onnx(model, inputs)
    check = check_outputs(expected, program.run(inputs, mode="exact").outputs, Bound())
    assert check.passed, [o.failures for o in check.outputs]
    np.savez(tmp_path / "r.npz", **inputs)
    program.save(tmp_path / "m.cimc")
    done = call(
        "run", tmp_path / "m.cimc", "--inputs", tmp_path / "r.npz", "--check", path, "--mode", "exact"
    )
    assert done.code == 0, done.err


def test_sequences_and_states_may_come_with_the_batch_in_the_middle() -> None:
    """Of PyTorch's modules with ``batch_first = False``, and of stateful ones."""
    inputs = {"ids": np.arange(12).reshape(4, BATCH) % 7, "state": floats(1, BATCH, 9)}
    weights: Arrays = {"table": floats(7, 5), "w": floats(1, 27, 5) / 3, "r": floats(1, 27, 9) / 3}
    nodes = [
        node("Gather", ["table", "ids"], ["rows"]),
        node("GRU", ["rows", "w", "r", "", "", "state"], ["", "last"], hidden_size=9),
        node("Squeeze", ["last", "first"], ["y"]),
    ]
    model = graph(nodes, inputs, {**weights, "first": np.array([0])}, ["y"])
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_value, dims[1].dim_param = inputs[value.name].shape[0], "batch"
    found = fuse(model)
    assert hosted(found) == set()
    kept = [n.kind for h in found.ops("rec.host") for n in h.walk() if isinstance(n, NodeOp)]
    assert kept == ["Transpose", "Transpose"]  # of the inputs
    found.check(inputs)


# -- loops --------------------------------------------------------------------------------------------


CELL = {
    "w": floats(3, 2), "r": floats(2, 2, seed=1), "b": floats(2, seed=2), "n": np.array(4),
    "true": np.array(True),
}  # fmt: skip
BODY = """
    p = MatMul(xt, w)
    q = MatMul(before, r)
    s = Add(p, q)
    t = Add(s, b)
    after = Tanh(t)
    row = Identity(after)
"""
INPUTS = {"x": floats(BATCH, 4, 3), "h0": floats(BATCH, 2)}


def _fused(text: str, **weights: Any) -> Fused:
    return fused(text, {**CELL, **weights})


def test_a_scan_over_a_known_axis_is_written_out() -> None:
    for turned in (0, 1):
        found = _fused(f"""m (float[B, 4, 3] x, float[B, 2] h0) => (float[B, 2] h, float[B, 4, 2] y) {{
            h, y = Scan<num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [-2],
                scan_input_directions = [{turned}], scan_output_directions = [{turned}],
                body = body (float[B, 2] before, float[B, 3] xt) => (float[B, 2] after, float[B, 2] row) {{
                {BODY}
            }}>(h0, x)
        }}""")
        assert hosted(found) == set()
        assert sorted(layers(found)) == ["r"] * 4 + ["w"] * 4
        found.check(INPUTS)


LOOP = """m (float[B, 4, 3] x, float[B, 2] h0) => (float[B, 2] h, float[B, 4, 2] out) {
    xs = Transpose<perm = [1, 0, 2]>(x)
    h, y = Loop<body = body (int64 i, bool going, float[B, 2] before) =>
        (bool on, float[B, 2] after, float[B, 2] row) {
        on = Identity(%s)
        xt = Gather<axis = 0>(xs, i)
        %s
    }>(n, true, h0)
    out = Transpose<perm = [1, 0, 2]>(y)
}"""


def test_a_loop_with_a_known_count_is_written_out() -> None:
    found = _fused(LOOP % ("going", BODY))
    assert hosted(found) == set()
    assert sorted(layers(found)) == ["r"] * 4 + ["w"] * 4
    found.check(INPUTS)


@pytest.mark.parametrize(
    ("going", "count", "reason"),
    [
        ("going", STEPS + 1, f"{STEPS + 1} iterations would be unrolled, more than {STEPS}"),
        ("more", 3, "the number of its iterations is not known at compile time"),
    ],
)
def test_loops_that_are_not_written_out_say_why(going: str, count: int, reason: str) -> None:
    found = _fused(
        f"""m (float[B, 2] x) => (float[B, 2] h) {{
            h = Loop<body = body (int64 i, bool going, float[B, 2] before) => (bool on, float[B, 2] after) {{
                more = Less(i, two)
                on = Identity({going})
                product = MatMul(before, r)
                after = Tanh(product)
            }}>(n, true, x)
        }}""",
        n=np.array(count),
        two=np.array(2),
    )
    assert reason in found.reasons()["Loop"]
    found.check({"x": floats(BATCH, 2)}, 1e-4)


def test_long_chains_of_arithmetic_are_followed_without_recursion() -> None:
    nodes = [node("MatMul", ["x", "anchor"], ["v0"])]
    nodes += [node("Add", [f"v{k}", f"v{k}" if k % 40 == 0 else "x"], [f"v{k + 1}"]) for k in range(1200)]
    inputs = {"x": floats(BATCH, 2)}
    found = fuse(graph(nodes, inputs, {"anchor": floats(2, 2) * 1e-9}, ["v1200"]))
    assert hosted(found) == set()


# -- whole models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_recommenders_are_on_the_chip(
    name: str, tmp_path: Path, golden_quality: CheckQuality
) -> None:
    model = SEQUENCES[name]()
    proto = model.proto()
    found = fuse_whole(proto)
    assert found.ctx.remarks.recognition.host == ()
    found.check(model.requests, 1e-4)
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    program = cimc.compile(path, calib=model.requests)
    reference = run_onnx(path, model.requests)
    for mode in ("exact", "adc"):
        result = program.run(model.requests, mode=mode)
        check = check_outputs(reference, result.outputs, Bound())
        assert check.passed, [o.failures for o in check.outputs]
        assert [o.sqnr_db > 25 for o in check.outputs] == [True]
        golden_quality("sequences", name, of_program(program, result.cost))


def test_recurrent_weights_are_placed_once(tmp_path: Path) -> None:
    model = SEQUENCES["GRU4Rec"]()
    path = tmp_path / "m.onnx"
    onnx.save(model.proto(), path)
    np.savez(tmp_path / "r.npz", **model.requests)
    done = call("compile", path, "-o", tmp_path / "m.cimc", "--calib", tmp_path / "r.npz", "--json")
    assert done.code == 0, done.err
    placed = [p["name"] for p in json.loads(done.out)["placement"]["matrices"] if p["kind"] == "layer"]
    assert sorted(p.rpartition(".")[2] for p in placed if p.startswith("GRU")) == ["R", "R", "W", "W"]


def test_inspect_has_one_line_for_the_steps_of_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(SEQUENCES["GRU4Rec"]().proto(), path)
    lines = [line.split() for line in call("inspect", path, "--details").out.splitlines()]
    recurrent_layers = [line for line in lines if line and line[0].endswith(".R")]
    # name, kind, rows, columns, uses, vectors, MACs: all steps but the first, whose state is zero
    assert [line[2:7] for line in recurrent_layers] == [["6", "18", "5", "5", "540"]] * 2
