"""Models of all families, and exported bags, in the newest operator set: nowhere a step back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import version_converter

from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir.context import Requests
from tests.conftest import CORPUS
from tests.zoo.models_more import MORE
from tests.zoo.models_public import PUBLIC
from tests.zoo.models_zoo import ZOO, Model
from tests.zoo.test_zoo import fuse

NEWEST = onnx.defs.onnx_opset_version()
FAMILIES: dict[str, tuple[Callable[[], Model], int]] = {
    **{name: (build, 17) for name, build in ZOO.items()},
    **MORE,
    **PUBLIC,
}
EXPORTED = sorted(p.stem for p in CORPUS.glob("*.onnx")) if CORPUS.is_dir() else []


def newest(proto: onnx.ModelProto) -> onnx.ModelProto:
    """``proto`` converted, without the shapes of outputs: they are the old operators'."""
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    converted = version_converter.convert_version(proto, NEWEST)
    converted.ir_version = max(10, proto.ir_version)
    return converted


def compare(proto: onnx.ModelProto, requests: Requests) -> None:
    later = newest(proto)
    before, after = fuse(proto), fuse(later)
    old, new = before.ctx.remarks.recognition, after.ctx.remarks.recognition
    assert len(new.host) <= len(old.host)
    assert len(new.tables) == len(old.tables)
    assert len(new.linear) == len(old.linear)
    outputs = evaluate(after.module, after.ctx, requests)
    for name, expected in run_onnx(later, requests).items():
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    build, opset = FAMILIES[name]
    model = build()
    compare(model.proto(opset), model.requests)


@pytest.mark.skipif(not EXPORTED, reason="the exported models are not here")
@pytest.mark.parametrize("name", [n for n in EXPORTED if "bag" in n or "ragged" in n])
def test_exported_bags(name: str) -> None:
    path = Path(CORPUS / f"{name}.onnx")
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        requests = {k.removeprefix("in__"): arrays[k] for k in arrays.files if k.startswith("in__")}
    compare(onnx.load(path), requests)
