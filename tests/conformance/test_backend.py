"""The interface of ``onnx.backend.base.Backend``."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from cimc.backend import CimBackend
from cimc.errors import RequestError

X = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((8, 4)).astype(np.float32)


@pytest.fixture
def model() -> onnx.ModelProto:
    proto = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]>'
        "g (float[N, 8] x) => (float[N, 4] y, float[N, 8] z) { y = MatMul(x, w) z = Relu(x) }"
    )
    proto.graph.initializer.append(numpy_helper.from_array(W, "w"))
    return proto


def test_run_model(model: onnx.ModelProto) -> None:
    y, z = CimBackend.run_model(model, [X])
    assert np.abs(y - X @ W).max() < 0.05 * np.abs(X @ W).max()
    np.testing.assert_array_equal(z, np.maximum(X, 0))


def test_program_is_compiled_once_and_takes_other_batches(model: onnx.ModelProto) -> None:
    rep = CimBackend.prepare(model)
    assert rep.program is None
    first = rep.run({"x": X})
    program = rep.program
    assert program is not None
    np.testing.assert_array_equal(rep.run([X[2:3]])[0], first[0][2:3])
    assert rep.program is program


def test_calibration_requests_compile_at_once(model: onnx.ModelProto) -> None:
    rep = CimBackend.prepare(model, calib={"x": X}, mode="adc", target="isaac32")
    assert rep.program is not None
    assert rep.program.target.name == "isaac32"
    assert rep.run([X])[0].shape == (6, 4)


def test_run_node() -> None:
    node = helper.make_node("Gemm", ["a", "b", ""], ["y"], transB=1)
    (y,) = CimBackend.run_node(node, [X, W.T.copy()], opset_version=13)
    np.testing.assert_allclose(y, X @ W, rtol=1e-5, atol=1e-5)
    (y,) = CimBackend.run_node(node, {"a": X, "b": W.T.copy()}, outputs_info=[(np.dtype("float32"), (6, 4))])
    np.testing.assert_allclose(y, X @ W, rtol=1e-5, atol=1e-5)


def test_what_it_does_not_know_is_refused(model: onnx.ModelProto) -> None:
    assert CimBackend.supports_device("CPU:0")
    assert not CimBackend.supports_device("CUDA")
    with pytest.raises(RequestError, match=r"request\.unknown-device"):
        CimBackend.prepare(model, "CUDA")
    with pytest.raises(RequestError, match=r"request\.unknown-option"):
        CimBackend.prepare(model, bits=4)
    with pytest.raises(RequestError, match=r"request\.unknown-option"):
        CimBackend.prepare(model).run([X], mode="adc")
    with pytest.raises(RequestError, match=r"request\.too-many-inputs"):
        CimBackend.run_model(model, [X, W])
    with pytest.raises(RequestError, match=r"request\.missing-input"):
        CimBackend.prepare(model, calib={"x": X}).run([])
