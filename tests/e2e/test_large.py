"""Values larger than a scratchpad: computed part by part, or on the host with the reason; never refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir.context import CompilerContext, Requests
from cimc.isa.program import HostSegment
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from tests.zoo.models_zoo import ZOO, Model


def compiled(model: Model, folder: Path, scratchpad: int) -> tuple[cimc.Program, dict[str, Any]]:
    """The program for a target with small scratchpads, and what was found on the way."""
    proto = model.proto(18)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(proto, folder / "m.onnx")
    seen: dict[str, Any] = {}

    def after(done: ModulePass, module: ModuleOp, ctx: CompilerContext, seconds: float) -> None:
        if done.name == "outline-host":
            seen["host"] = ctx.remarks.recognition.host
        if done.name == "quantize":
            seen["quantised"] = evaluate(module, ctx, model.requests)
        if done.name == "schedule":
            seen["scheduled"] = evaluate(module, ctx, model.requests)
            seen["cut"] = {c.node: c.pieces for c in ctx.remarks.schedule.cut}

    target = with_overrides(load_target("tsinghua28"), {"tile.scratchpad_bytes": scratchpad})
    return cimc.compile(folder / "m.onnx", target, model.requests, after=after), seen


def agrees(program: cimc.Program, seen: dict[str, Any], model: Model, folder: Path) -> Requests:
    """Outputs of a program that agree with the IR after cutting and with onnxruntime."""
    outputs = program.run(model.requests, mode="exact").outputs
    for name, expected in seen["scheduled"].items():
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-6, atol=1e-6)
    check = check_outputs(run_onnx(folder / "m.onnx", model.requests), outputs, Bound())
    assert check.passed, [o.failures for o in check.outputs]
    return outputs


@pytest.mark.parametrize("name", ["DIN, softmax", "AutoInt", "SASRec", "xDeepFM", "AFM"])
def test_published_models_on_small_scratchpads(name: str, tmp_path: Path) -> None:
    model = ZOO[name]()
    program, seen = compiled(model, tmp_path, 320)
    assert seen["cut"]
    agrees(program, seen, model, tmp_path)


def history(length: int, width: int) -> Model:
    """Attention pooling over a long history, as DIN does it: no tile holds its rows."""
    m = Model()
    rows = m.embedding(m.ids("history", length), width)
    target = m.op("Unsqueeze", m.embedding(m.ids("target"), width), m.ints(1))
    wide = m.op("Expand", target, m.ints(1, length, width))
    pairs = m.op("Concat", wide, rows, m.op("Sub", wide, rows), m.op("Mul", wide, rows), axis=-1)
    score = m.layer(m.op("Sigmoid", m.layer(pairs, 4 * width, 6)), 6, 1)
    weight = m.op("Softmax", m.op("Transpose", score, perm=[0, 2, 1]), axis=-1)
    pooled = m.op("Squeeze", m.op("MatMul", weight, rows), m.ints(1))
    m.score(m.op("Concat", pooled, m.op("Squeeze", target, m.ints(1)), axis=1), 2 * width)
    return m


def test_a_history_beyond_any_tile_stays_on_the_chip(tmp_path: Path) -> None:
    model = history(48, 16)  # 3072 bytes of rows, 12 KiB of pairs
    program, seen = compiled(model, tmp_path, 2048)
    assert seen["host"] == ()
    assert not [s for s in program.data.segments if isinstance(s, HostSegment)]
    assert max(seen["cut"].values()) > 4
    agrees(program, seen, model, tmp_path)


def attention(length: int, width: int, heads: int) -> Model:
    m = Model()
    x = m.embedding(m.ids("history", length), width)

    def head() -> str:
        split = m.op("Reshape", m.layer(x, width, width), m.ints(0, length, heads, width // heads))
        return str(m.op("Transpose", split, perm=[0, 2, 1, 3]))

    q, k, v = head(), head(), head()
    scores = m.op("MatMul", q, m.op("Transpose", k, perm=[0, 1, 3, 2]))
    causal = np.triu(np.full((1, 1, length, length), -1e9, np.float32), 1)
    mixed = m.op("MatMul", m.op("Softmax", m.op("Add", scores, m.const(causal)), axis=-1), v)
    flat = m.op("Reshape", m.op("Transpose", mixed, perm=[0, 2, 1, 3]), m.ints(0, length, width))
    y = m.op("Add", x, m.layer(flat, width, width))
    m.score(m.op("ReduceMean", y, m.ints(1), keepdims=0), width)
    return m


def test_attention_scores_live_a_few_rows_at_a_time(tmp_path: Path) -> None:
    model = attention(40, 16, 2)  # 12,800 bytes of scores
    program, seen = compiled(model, tmp_path, 4096)
    assert seen["host"] == ()
    assert not [s for s in program.data.segments if isinstance(s, HostSegment)]
    outputs = agrees(program, seen, model, tmp_path)
    for name, expected in seen["quantised"].items():
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)


def test_inputs_and_outputs_larger_than_a_scratchpad_cross_in_parts(tmp_path: Path) -> None:
    m = Model()
    h = m.op("Relu", m.layer(m.floats("x", 40, 16), 16, 16))
    m.outputs.append(h)
    program, seen = compiled(m, tmp_path, 1024)
    reasons = [s.reasons for s in program.data.segments if isinstance(s, HostSegment)]
    assert reasons == [("Slice: larger than a scratchpad",), ("Concat: larger than a scratchpad",)]
    assert seen["host"] == ()
    agrees(program, seen, m, tmp_path)


def test_a_layer_with_more_inputs_than_a_scratchpad_is_a_sum_of_layers(tmp_path: Path) -> None:
    m = Model()
    x = m.op("Reshape", m.floats("x", 30, 16), m.ints(-1, 480))
    wide = m.op("Gemm", x, m.weight(480, 8), m.weight(8))
    m.score(m.op("Relu", m.layer(wide, 8, 8)), 8)
    program, seen = compiled(m, tmp_path, 512)
    assert seen["host"] == ()
    assert len(program.data.matrices) > 3
    agrees(program, seen, m, tmp_path)


def test_what_cannot_be_cut_is_on_the_host_and_says_why(tmp_path: Path) -> None:
    m = Model()
    x = m.op("Reshape", m.layer(m.floats("x", 30, 16), 16, 16), m.ints(-1, 480))
    turned = m.op("Reshape", x, m.ints(-1, 480, 1))
    m.outputs.append(m.op("Softmax", m.op("MatMul", turned, m.op("Transpose", turned, perm=[0, 2, 1]))))
    program, seen = compiled(m, tmp_path, 512)
    assert seen["host"]
    assert all("cannot be cut to fit a scratchpad of 512" in h.reason for h in seen["host"])
    agrees(program, seen, m, tmp_path)


def test_values_that_do_not_fit_together_leave_for_the_host(tmp_path: Path) -> None:
    m = Model()
    h = m.layer(m.floats("x", 16), 16, 24)
    many = [m.op("Tanh", m.layer(h, 24, 24)) for _ in range(40)]
    m.outputs.append(m.op("Concat", *many, axis=1))  # all are there until the end
    proto = m.proto(18)
    onnx.save(proto, tmp_path / "m.onnx")
    small = with_overrides(load_target("neurram130"), {"tile.scratchpad_bytes": 256})
    program = cimc.compile(tmp_path / "m.onnx", small, m.requests)
    assert "demote{scratchpad=0.5 vector=false}" in program.pipeline
    assert any("demote{scratchpad=0.5}" in note and "on the host" in note for note in program.notes)
    check = check_outputs(
        run_onnx(tmp_path / "m.onnx", m.requests), program.run(m.requests, mode="exact").outputs, Bound()
    )
    assert check.passed


@pytest.mark.parametrize("form", ["layer", "table"])
def test_matrices_without_elements_are_on_the_host(form: str, tmp_path: Path) -> None:
    m = Model()
    x = m.floats("x", 8)
    if form == "layer":
        empty = m.op("MatMul", m.op("Slice", x, m.ints(0), m.ints(0), m.ints(1)), m.weight(0, 8))
    else:
        empty = m.op("Gather", m.const(np.zeros((20, 0), np.float32)), m.ids("ids"))
    m.score(m.op("Concat", m.dense(x, 8, 8), empty, axis=1), 16 if form == "layer" else 8)
    program, seen = compiled(m, tmp_path, 65536)
    agrees(program, seen, m, tmp_path)
