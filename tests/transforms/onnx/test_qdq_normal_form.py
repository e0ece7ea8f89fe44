"""Models that onnxruntime's tools quantised keep their integers and scales."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.ir import cim, rec
from cimc.ir.text import new_context
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.quantise.imported_scales import Drive, drive_of, fitted_table
from models.tiny import Requests, mlp, requests_for, tiny_dlrm
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fuse, fused

MODELS = {"mlp": lambda: mlp((20, 33, 17, 4), batch=8), "dlrm": lambda: tiny_dlrm(batch=8)}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def static(
    name: str, folder: Path, form: str, acts: str, weights: str, per_channel: bool
) -> tuple[onnx.ModelProto, Requests]:
    """A statically quantised model, calibrated on random requests."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter([requests_for(model, batch=8, seed=s) for s in range(6)])

        def get_next(self) -> Requests | None:
            return next(self.batches, None)

    model, inputs = MODELS[name]()
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx", folder / "quantised.onnx", Reader(), quant_format=QuantFormat[form],
        activation_type=QuantType[acts], weight_type=QuantType[weights], per_channel=per_channel,
        reduce_range=True,  # onnxruntime's products of 8 by 8 bits saturate on processors without VNNI
    )  # fmt: skip
    return onnx.load(folder / "quantised.onnx"), inputs


def close(found: Fused, inputs: Requests) -> None:
    """Floats agree up to the rounding of values between layers, which the chip does not have."""
    expected = run_onnx(found.proto, inputs)
    from cimc.interpreter.evaluate import evaluate

    actual = evaluate(found.module, found.ctx, inputs)
    for key, array in expected.items():
        assert np.abs(actual[key] - array).max() <= 0.02 * np.abs(array).max() + 1e-6


@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize(("acts", "weights"), [("QUInt8", "QInt8"), ("QInt8", "QInt8"), ("QUInt8", "QUInt8")])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", MODELS)
def test_static(name: str, form: str, acts: str, weights: str, per_channel: bool, tmp_path: Path) -> None:
    model, inputs = static(name, tmp_path, form, acts, weights, per_channel)
    found = fuse(model)
    assert found.reasons() == {}
    layers = [o for o in found.ops("rec.linear") if isinstance(o, rec.LinearOp)]
    assert len(layers) == (3 if name == "mlp" else 4)
    assert all(layer.grid is not None for layer in layers)
    assert found.counts()["embedding_bag"] == (0 if name == "mlp" else 3)
    assert found.counts()["dot_interaction"] == (0 if name == "mlp" else 1)
    close(found, inputs)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", ["isaac32", "tsinghua28"])
def test_dynamic(name: str, target: str, tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    model, inputs = MODELS[name]()
    onnx.save(model, tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "quantised.onnx")
    model = onnx.load(tmp_path / "quantised.onnx")
    found = fuse(model)
    assert found.reasons() == {}
    layers = [o for o in found.ops("rec.linear") if isinstance(o, rec.LinearOp)]
    assert layers
    assert all(layer.weight_scale is not None and layer.grid is None for layer in layers)
    close(found, inputs)
    program = cimc.compile(tmp_path / "quantised.onnx", target=target, calib=inputs)
    assert check_outputs(run_onnx(model, inputs), program.run(inputs, mode="exact").outputs, Bound()).passed
    assert any("range of each batch" in note for note in program.notes)
    assert any("quantised again" in note for note in program.notes) == (
        target == "tsinghua28" or name == "dlrm"
    )


def quantised(
    found: Fused, inputs: Arrays, options: str = "", target: str = "isaac32"
) -> dict[str, cim.MatrixOp]:
    """Matrices after the pass ``quantize``."""
    found.ctx.target, found.ctx.calibration = load_target(target), dict(inputs)
    Pipeline.parse(f"quantize{options}").run(found.module, found.ctx)
    return {o.sym_name.data: o for o in found.module.body.block.ops if isinstance(o, cim.MatrixOp)}


WEIGHTS = np.random.default_rng(3).integers(-63, 64, (6, 5)).astype(np.int8)
"""7 bits: onnxruntime's products of 8 by 8 bits saturate on processors without VNNI."""
LAYER: Arrays = {
    "w": WEIGHTS,
    "ws": np.linspace(0.01, 0.05, 5).astype(np.float32),
    "wz": np.zeros(5, np.int8),
    "s": np.array(0.05, np.float32),
}
GRAPH = """m (float[B, 6] x) => (float[B, 5] y) {
    q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
    f = DequantizeLinear<axis = 1>(w, ws, wz) y = MatMul(d, f)
}"""


@pytest.mark.parametrize(
    ("zero", "signed"),
    [
        (np.int8(0), True),
        (np.uint8(128), True),
        (np.uint8(0), False),
        (np.uint8(100), False),
        (np.int8(-20), False),
    ],
)
def test_integers_and_scales_reach_the_arrays(zero: np.generic, signed: bool) -> None:
    found = fused(GRAPH, LAYER | {"z": np.asarray(zero)})
    assert found.counts() == {"linear": 1}
    x = floats(40, 6, seed=1) * 4  # beyond the grid on both sides
    found.check({"x": x}, 1e-4)
    expected = run_onnx(found.proto, {"x": x})["y"]
    (matrix,) = quantised(found, {"x": x}).values()
    store = found.ctx.store
    np.testing.assert_array_equal(store[matrix.data.root_reference.data], WEIGHTS)
    np.testing.assert_array_equal(store[matrix.scales.root_reference.data], LAYER["ws"])
    assert bool(matrix.input_signed and matrix.input_signed.value.data) is signed
    from cimc.interpreter.evaluate import evaluate

    actual = evaluate(found.module, found.ctx, {"x": x})["y"]
    # at most one step at the lowest number of 256, which is -127 here
    steps = np.abs(actual - expected) / (0.05 * np.abs(WEIGHTS * LAYER["ws"]).sum(0))
    assert steps.max() <= (1.0 if signed else 1e-3)
    assert found.ctx.notes == []


@pytest.mark.parametrize(("options", "target"), [("{weights=4}", "isaac32"), ("", "tsinghua28")])
def test_what_the_cells_do_not_hold_is_quantised_again(options: str, target: str) -> None:
    wide = np.random.default_rng(3).integers(-127, 128, (6, 5)).astype(np.int8)
    found = fused(GRAPH, LAYER | {"w": wide, "z": np.array(0, np.int8)})
    (matrix,) = quantised(found, {"x": floats(9, 6)}, options, target).values()
    assert any("quantised again" in note for note in found.ctx.notes)
    held = found.ctx.store[matrix.data.root_reference.data]
    assert not np.array_equal(held, wide)


def test_inputs_of_fewer_bits_come_from_calibration() -> None:
    found = fused(GRAPH, LAYER | {"z": np.array(0, np.int8)})
    quantised(found, {"x": floats(9, 6)}, "{acts=4}")
    assert any("4 bits do not hold" in note for note in found.ctx.notes)


@pytest.mark.parametrize("form", ["rows", "table"])
@pytest.mark.parametrize("zero", [np.int8(0), np.uint8(128), np.uint8(90)])
def test_quantised_tables(form: str, zero: np.generic) -> None:
    kind = np.int8 if zero.dtype == np.int8 else np.uint8
    table = np.random.default_rng(0).integers(1, 120, (12, 4)).astype(kind)
    body = {
        "rows": "g = Gather(t, ids) rows = DequantizeLinear(g, s, z)",
        "table": "f = DequantizeLinear(t, s, z) rows = Gather(f, ids)",
    }[form]
    found = fused(
        f"m (int64[B, L] ids) => (float[B, 4] y) {{ {body} y = ReduceSum<keepdims = 0>(rows, one) }}",
        {"t": table, "s": np.array(0.02, np.float32), "z": np.asarray(zero), "one": np.array([1])},
    )
    assert found.counts() == {"embedding_bag": 1}
    inputs = {"ids": np.random.default_rng(1).integers(0, 12, (5, 3))}
    found.check(inputs)
    (matrix,) = quantised(found, inputs).values()
    held = found.ctx.store[matrix.data.root_reference.data].astype(int)
    if int(zero) in (0, 128):
        np.testing.assert_array_equal(held, table.astype(int) - int(zero))


def test_drives() -> None:
    grid = rec.Grid
    assert drive_of(grid(0.5, 0, 255), 8) == Drive(0.5, signed=False)
    assert drive_of(grid(0.5, -128, 127), 8) == Drive(0.5, signed=True)
    assert drive_of(grid(0.5, -100, 155), 8) == Drive(0.5, signed=False, shift=50.0)
    assert drive_of(grid(0.5, 0, 255), 7) is None


def test_fitted_tables() -> None:
    table = np.array([[-128, 127, 0, 64]], np.int8)
    same, scale = fitted_table(table[:, 1:], 0.5, 127)
    np.testing.assert_array_equal(same, table[:, 1:])
    less, scale = fitted_table(table, 0.5, 112)
    np.testing.assert_allclose(less * scale, table * 0.5, atol=scale[0] / 2)
    assert np.abs(less.astype(int)).max() == 112


def test_text_keeps_grids() -> None:
    found = fused(GRAPH, LAYER | {"z": np.array(7, np.uint8)})
    from cimc.ir.text import parse_ir, print_ir

    again = parse_ir(print_ir(found.module), new_context())
    (layer,) = [o for o in again.walk() if isinstance(o, rec.LinearOp)]
    assert layer.grid == rec.Grid(float(np.float32(0.05)), -7, 248)
