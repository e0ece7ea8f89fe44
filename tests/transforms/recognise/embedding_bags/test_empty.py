"""Tables, lists and batches of nothing: compiled and run wherever onnxruntime runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import cimc
from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from tests.transforms.recognise.fusing import Arrays, floats, model

POOLED = "r = Gather(t, ids) y = ReduceSum<keepdims = 0>(r, a1)"
Case = tuple[str, str, Arrays, Arrays]


def ids(shape: int | tuple[int, ...]) -> NDArray[np.int64]:
    return np.zeros(shape, np.int64)


CASES: dict[str, Case] = {
    "a table without rows": (
        "int64[B] ids) => (float[B, 4] y", "y = Gather(t, ids)", {"t": floats(0, 4)}, {"ids": ids(0)},
    ),
    "a table without rows, pooled": (
        "int64[B, 3] ids) => (float[B, 4] y", POOLED, {"t": floats(0, 4)}, {"ids": ids((0, 3))},
    ),
    "a quantised table without rows": (
        "int64[B] ids) => (float[B, 4] y", "d = DequantizeLinear<axis = 0>(t, s) y = Gather(d, ids)",
        {"t": np.zeros((0, 4), np.int8), "s": floats(0)}, {"ids": ids(0)},
    ),
    "a table without columns": (
        "int64[B] ids, float[B, 3] x) => (float[B, 3] y", "r = Gather(t, ids) y = Concat<axis = 1>(r, x)",
        {"t": floats(5, 0)}, {"ids": ids(3), "x": floats(3, 3)},
    ),
    "a layer without units": (
        "float[B, 3] x) => (float[B, 0] y", "y = MatMul(x, t)", {"t": floats(3, 0)}, {"x": floats(2, 3)},
    ),
    "lists without ids": (
        "int64[B, 0] ids) => (float[B, 4] y", POOLED, {"t": floats(5, 4)}, {"ids": ids((3, 0))},
    ),
    "lists that happen to be empty": (
        "int64[B, L] ids) => (float[B, 4] y", POOLED, {"t": floats(5, 4)}, {"ids": ids((3, 0))},
    ),
    "no requests": (
        "int64[B, 3] ids) => (float[B, 4] y", POOLED, {"t": floats(5, 4)}, {"ids": ids((0, 3))},
    ),
    "no requests for a layer": (
        "int64[B] ids) => (float[B, 2] y", "r = Gather(t, ids) y = MatMul(r, w)",
        {"t": floats(5, 4), "w": floats(4, 2)}, {"ids": ids(0)},
    ),
    "a batch of nothing": (
        "int64[0, 3] ids) => (float[0, 4] y", POOLED, {"t": floats(5, 4)}, {"ids": ids((0, 3))},
    ),
    "stated extents that are wrong": (
        "int64[B, 3] ids) => (float[B, 7] y", POOLED, {"t": floats(5, 4)}, {"ids": ids((2, 3))},
    ),
    "a stated batch that is wrong": (
        "int64[2, 3] ids) => (float[3, 4] y", POOLED, {"t": floats(5, 4)}, {"ids": ids((2, 3))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_runs_as_in_onnxruntime(case: str, tmp_path: Path) -> None:
    signature, body, weights, inputs = CASES[case]
    proto = model(f"m ({signature}) {{ {body} }}", weights | {"a1": np.array([1])}, opset=17)
    onnx.save(proto, tmp_path / "m.onnx")
    expected = run_onnx(proto, inputs)["y"]
    # calibration needs requests, but where there are bags alone no ids
    asks = all(array.shape[0] for array in inputs.values())
    program = cimc.compile(tmp_path / "m.onnx", calib=inputs if asks else None)
    for mode in ("exact", "adc"):
        actual = program.run(inputs, mode=mode).outputs["y"]
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(actual, expected, atol=0.05)


@pytest.mark.parametrize(
    ("signature", "body", "weights"),
    [
        (
            "int64[B, 3] ids) => (float[B, 2] y",
            f"{POOLED.replace('y =', 'q =')} y = MatMul(q, w)",
            {"w": floats(5, 2)},
        ),
        (
            "int64[B, 3] ids, float[B, 2] w) => (float[B, 4] y",
            "r = Gather(t, ids) u = Unsqueeze(w, a2) v = Mul(r, u) y = ReduceSum<keepdims = 0>(v, a1)",
            {"a2": np.array([2])},
        ),
    ],
    ids=["layer", "weights"],
)
def test_extents_that_no_request_satisfies_are_refused_early(
    signature: str, body: str, weights: Arrays, tmp_path: Path
) -> None:
    proto = model(
        f"m ({signature}) {{ {body} }}", {"t": floats(5, 4), "a1": np.array([1])} | weights, opset=17
    )
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(CimcError) as error:
        cimc.compile(tmp_path / "m.onnx")
    assert error.value.code == "frontend.runtime-refuses"


def test_scales_of_another_number_than_rows_are_no_table(tmp_path: Path) -> None:
    """onnxruntime finds out when it runs such a model; nothing of it is taken to the chip before."""
    proto = model(
        "m (int64[B] ids) => (float[B, 4] y) { d = DequantizeLinear<axis = 0>(t, s) y = Gather(d, ids) }",
        {"t": np.zeros((5, 4), np.int8), "s": floats(4)},
        opset=17,
    )
    onnx.save(proto, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx")
    assert program.data.matrices == ()
    with pytest.raises(CimcError) as error:
        program.run({"ids": np.array([1])})
    assert error.value.code == "host.onnxruntime"
