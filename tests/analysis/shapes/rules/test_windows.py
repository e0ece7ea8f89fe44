"""Where pooling windows stand, against onnxruntime's sums of their positions; shapes of recurrent nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.analysis.shapes.rules.windows import Windows, windows_of
from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from cimc.ir.onnx import dialect as onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed, said
from tests.transforms.recognise.fusing import model


def pooling(extent: int, kernel: int, attributes: str) -> tuple[Windows | None, np.ndarray[Any, Any]]:
    """The windows of a MaxPool along one axis, and the positions that onnxruntime finds greatest."""
    text = (
        f"m (float[1, 1, {extent}] x) => (float[] y) "
        f"{{ y = MaxPool<kernel_shape = [{kernel}]{attributes}>(x) }}"
    )
    proto = model(text, opset=22)
    _, (y,) = analysed(proto)
    assert isinstance(y.owner, onnx.NodeOp)
    found = windows_of(y.owner, [extent], [kernel])
    x = np.arange(extent, dtype=np.float32).reshape(1, 1, extent)
    return None if found is None else found[0], run_onnx(proto, {"x": x})["y"][0, 0]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_windows_are_those_of_onnxruntime(data: st.DataObject) -> None:
    extent, kernel = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    stride, ceil = data.draw(st.integers(1, 4)), data.draw(st.booleans())
    dilation, pads = 1, (0, 0)
    mode = data.draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    attributes = f', strides = [{stride}], auto_pad = "{mode}", ceil_mode = {int(ceil)}'
    if mode == "NOTSET":
        pads = (data.draw(st.integers(0, kernel - 1)), data.draw(st.integers(0, kernel - 1)))
        dilation = data.draw(st.integers(1, 2))
        attributes += f", pads = {[*pads]}, dilations = [{dilation}]"
    try:
        found, greatest = pooling(extent, kernel, attributes)
    except CimcError:
        assume(False)
    if found is None:
        assert (kernel - 1) * dilation >= extent + sum(pads)  # no window fits: what comes out is no matter
        return
    inside = [[p for p in window if 0 <= p < extent] for window in found.positions]
    assume(all(inside))  # of padding alone: MaxPool then has no greatest
    assert [max(window) for window in inside] == greatest.astype(int).tolist()


@pytest.mark.parametrize(
    "attributes",
    [
        "kernel_shape = [2], strides = [1, 1]",
        "kernel_shape = [2], strides = [0]",
        "kernel_shape = [2], pads = [1]",
        "kernel_shape = [2], pads = [-1, 0]",
        'kernel_shape = [2], dilations = [2], auto_pad = "SAME_UPPER"',
        "kernel_shape = [9]",
    ],
)
def test_attributes_that_do_not_fit(attributes: str) -> None:
    _, (y,) = analysed(model(f"m (float[B, 1, 4] x) => (float[] y) {{ y = MaxPool<{attributes}>(x) }}"))
    assert isinstance(y.owner, onnx.NodeOp)
    assert windows_of(y.owner, [4], [9 if "9" in attributes else 2]) is None


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_shapes_of_what_steps_through_a_sequence(kind: str) -> None:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    weights = {
        "w": np.zeros((2, gates * 5, 3), np.float32),
        "r": np.zeros((2, gates * 5, 5), np.float32),
    }
    text = (
        f"m (float[7, B, 3] x) => (float[] y, float[] h) "
        f'{{ y, h = {kind}<hidden_size = 5, direction = "bidirectional">(x, w, r) }}'
    )
    assert said(text, weights) == ["7, 2, B, 5", "2, B, 5"]
    analysis, outputs = analysed(model(text.replace("hidden_size", "layout = 1, hidden_size"), weights))
    shapes = [", ".join(map(str, analysis.shape(v) or ())) for v in outputs]
    assert shapes == ["7, B, 2, 5", "7, 2, 5"]  # the batch in front: here of seven


def test_pooling_of_open_extents_keeps_batch_and_channels() -> None:
    text = "m (float[B, 2, N] x) => (float[] y) { y = MaxPool<kernel_shape = [2]>(x) }"
    analysis, (y,) = analysed(model(text))
    shape = analysis.shape(y)
    assert shape is not None
    assert [str(e) for e in shape[:2]] == ["B", "2"]
