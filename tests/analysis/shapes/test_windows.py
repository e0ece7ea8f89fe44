"""Pooling windows on the vector unit, with the numbers of onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from tests.transforms.onnx.composites.test_operators import graph, node
from tests.transforms.recognise.fusing import Fused, floats, fuse

BATCH, CHANNELS = 3, 2


def pooled(kind: str, extents: list[int], opset: int = 22, **attributes: Any) -> Fused:
    """A pooling behind a layer; checked against onnxruntime.  Assumes that onnxruntime runs it at all."""
    x = {"x": floats(BATCH, CHANNELS, *extents)}
    nodes = [node("MatMul", ["x", "anchor"], ["h"]), node(kind, ["h"], ["y"], **attributes)]
    model = graph(nodes, x, {"anchor": floats(extents[-1], extents[-1], seed=9)}, ["y"], opset)
    try:
        run_onnx(model, x)
    except CimcError:
        assume(False)
    found = fuse(model)
    found.check(x, 1e-4)
    return found


def hosted(found: Fused) -> list[str]:
    return [h.op for h in found.ctx.remarks.recognition.host]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
    opset = draw(st.sampled_from([9, 11, 17, 22]))

    def each(low: int, high: int, count: int = rank) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    case: dict[str, Any] = {"kind": kind, "extents": each(3, 7), "opset": opset, "kernel_shape": each(1, 3)}
    if draw(st.booleans()):
        case["strides"] = each(1, 3)
    dilated = opset >= {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[kind]
    padding = draw(st.sampled_from(["none", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if padding == "pads":
        case["pads"] = [
            min(p, k - 1) for p, k in zip(each(0, 2, 2 * rank), case["kernel_shape"] * 2, strict=True)
        ]
    elif padding != "none":
        case["auto_pad"] = padding
    if dilated and not padding.startswith("SAME") and draw(st.booleans()):
        case["dilations"] = each(1, 2)
    if opset >= {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[kind] and draw(st.booleans()):
        case["ceil_mode"] = 1
    if kind == "AveragePool" and draw(st.booleans()):
        case["count_include_pad"] = 1
    if kind == "LpPool":
        case["p"] = draw(st.integers(1, 3))
    return case


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_windows_agree_with_onnxruntime(case: dict[str, Any]) -> None:
    kernel = case["kernel_shape"]
    narrow = any(k < s for k, s in zip(kernel, case.get("strides", kernel), strict=True))
    # onnxruntime pads less than nothing there, up to some version: its windows then start inside
    assume(not (narrow and case.get("auto_pad", "").startswith("SAME")))
    spans = [d * (k - 1) + 1 for d, k in zip(case.get("dilations", [1] * len(kernel)), kernel, strict=True)]
    pads = [sum(case.get("pads", [0] * 2 * len(kernel))[axis :: len(kernel)]) for axis in range(len(kernel))]
    # a window wider than what there is, which onnxruntime rounds to one place or to none: left to the host
    assume(
        all(s <= e + p for s, e, p in zip(spans, case["extents"], pads, strict=True)) or "auto_pad" in case
    )
    assert hosted(pooled(**case)) == []


def test_windows_side_by_side_move_nothing() -> None:
    found = pooled("MaxPool", [6, 8], kernel_shape=[2, 4], strides=[2, 4])
    assert found.counts()["take"] == 0
    assert found.counts()["reduce"] == 2


@pytest.mark.parametrize(
    ("kind", "attributes", "reason"),
    [
        (
            "MaxPool",
            {"kernel_shape": [3], "strides": [2], "dilations": [2], "auto_pad": "SAME_UPPER"},
            "padded by auto_pad",
        ),
        ("AveragePool", {"kernel_shape": [300], "strides": [1]}, "the windows have"),
    ],
)
def test_windows_on_the_host_say_why(kind: str, attributes: dict[str, Any], reason: str) -> None:
    found = pooled(kind, [520], **attributes)
    assert hosted(found) == [kind]
    assert reason in found.reasons()[kind]


def test_positions_of_maxima_stay_on_the_host() -> None:
    x = {"x": floats(BATCH, CHANNELS, 6)}
    nodes = [
        node("MatMul", ["x", "anchor"], ["h"]),
        node("MaxPool", ["h"], ["m", "at"], kernel_shape=[2], strides=[2]),
        node("Cast", ["at"], ["where"], to=1),
        node("Add", ["m", "where"], ["y"]),
    ]
    found = fuse(graph(nodes, x, {"anchor": floats(6, 6)}, ["y"]))
    assert "MaxPool" in hosted(found)
    assert found.reasons()["MaxPool"] == "the positions of the maxima are used"
    found.check(x)


def test_a_pooling_alone_is_not_worth_a_trip() -> None:
    x = {"x": floats(BATCH, CHANNELS, 6)}
    found = fuse(graph([node("MaxPool", ["x"], ["y"], kernel_shape=[2])], x, {}, ["y"]))
    assert hosted(found) == ["MaxPool"]


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN", "MaxPool", "AveragePool"])
def test_shapes_behind_windows_and_recurrent_layers_are_known(kind: str) -> None:
    """Without stated shapes, a batch of ids alone is only found through them."""
    gates = {"GRU": 3, "LSTM": 4, "RNN": 1}
    ids = {"ids": np.arange(10).reshape(2, 5) % 7}
    rows = [node("Gather", ["table", "ids"], ["rows"])]
    weights: dict[str, Any] = {"table": floats(7, 4), "out": floats(3, 2)}
    if kind in gates:
        weights |= {
            "w": floats(1, gates[kind] * 3, 4),
            "r": floats(1, gates[kind] * 3, 3),
            "axis": np.array([0]),
        }
        nodes = [
            *rows,
            node("Transpose", ["rows"], ["t"], perm=[1, 0, 2]),
            node(kind, ["t", "w", "r"], ["", "h"], hidden_size=3),
            node("Squeeze", ["h", "axis"], ["s"]),
        ]
    else:
        nodes = [
            *rows,
            node(kind, ["rows"], ["p"], kernel_shape=[2], strides=[2]),
            node("Flatten", ["p"], ["s"]),
        ]
        weights["out"] = floats(10, 2)
    found = fuse(graph([*nodes, node("MatMul", ["s", "out"], ["y"])], ids, weights, ["y"]))
    assert hosted(found) == []
    found.check(ids)
