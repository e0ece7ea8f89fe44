"""Convolutions as layers over windows, with onnxruntime's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from tests.transforms.recognise.anchored import why
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fuse, fused, model


def convolved(
    attributes: str, dims: tuple[int, ...], kernel: tuple[int, ...], behind: str = "", **weights: object
) -> Fused:
    shape = ", ".join(map(str, dims))
    arrays: Arrays = {"w": floats(*kernel, seed=1), "b": floats(kernel[0], seed=2), **weights}  # type: ignore[dict-item]
    out = "c" if behind else "y"
    return fused(
        f"m (float[B, {shape}] x) => (float[] y) {{ {out} = Conv{attributes}(x, w, b)\n {behind} }}", arrays
    )


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_windows_of_any_shape(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 2))

    def each(low: int, high: int, count: int = rank) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    groups = data.draw(st.integers(1, 2))
    extents, kernel = each(1, 6), each(1, 3)
    parts = [f"strides = {each(1, 3)}", f"dilations = {each(1, 2)}", f"group = {groups}"]
    mode = data.draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    parts += [f'auto_pad = "{mode}"'] if mode != "NOTSET" else [f"pads = {each(0, 2, 2 * rank)}"]
    weights = {"w": floats(4, 3, *kernel, seed=1), "b": floats(4, seed=2)}
    shape = ", ".join(map(str, (3 * groups, *extents)))
    proto = model(
        f"m (float[B, {shape}] x) => (float[] y) {{ y = Conv<{', '.join(parts)}>(x, w, b) }}", weights
    )
    x = {"x": floats(2, 3 * groups, *extents)}
    try:
        assume(run_onnx(proto, x)["y"].size)
    except CimcError:
        assume(False)
    found = fuse(proto)
    found.check(x, 1e-4)
    if not found.reasons():
        assert found.counts()["linear"] == groups


def test_a_kernel_of_one_reads_the_positions_themselves() -> None:
    found = convolved("", (3, 5), (4, 3, 1))
    found.check({"x": floats(2, 3, 5)}, 1e-4)
    assert dict(found.counts()) == {"transpose": 2, "linear": 1}


def test_a_normalisation_behind_goes_into_the_weights() -> None:
    norm = {"s": floats(4, seed=3), "m": floats(4, seed=4), "v": np.abs(floats(4, seed=5)) + 0.1}
    found = convolved("", (3, 5), (4, 3, 2), "y = BatchNormalization(c, s, b, m, v)", **norm)
    found.check({"x": floats(2, 3, 5)}, 1e-4)
    assert found.counts()["linear"] == 1
    assert not found.counts()["binary"]
    assert found.reasons() == {}


@pytest.mark.parametrize(
    ("attributes", "dims", "kernel", "reason"),
    [
        ("<group = 65>", (65, 2), (65, 1, 1), "convolved in 65 groups"),
        ("", (1, 40000), (2, 1, 2), "the windows have 79998 positions"),
    ],
)
def test_what_stays_with_the_host(
    attributes: str, dims: tuple[int, ...], kernel: tuple[int, ...], reason: str
) -> None:
    assert reason in why(convolved(attributes, dims, kernel), "Conv")


def test_weights_that_requests_give_are_the_hosts() -> None:
    found = fused("m (float[B, 2, 3] x, float[4, 2, 1] w) => (float[] y) { y = Conv(x, w) }")
    found.check({"x": floats(2, 2, 3), "w": floats(4, 2, 1)})
    assert found.reasons()["Conv"] == "the weights are not constant"
