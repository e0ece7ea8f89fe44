"""The good models that mutants are made of: exported ones, trained ones, and one per special construct."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, numpy_helper

from models.tiny import mlp, tiny_dlrm
from tests.conftest import CORPUS, ROOT
from tests.fuzz.subject import Seed

RNG_SEED = 1


def _special() -> list[Seed]:
    rng = np.random.default_rng(RNG_SEED)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    x, ids = floats(4, 8), rng.integers(0, 9, (4, 3))
    texts = {
        "branch": (
            "(float[B,8] x) => (float[B,4] y) { h = MatMul(x,w) "
            "y = If(c)<then_branch = t () => (float[B,4] p) { p = Relu(h) }, "
            "else_branch = e () => (float[B,4] q) { q = Neg(h) }> }",
            {"w": floats(8, 4), "c": np.array(True)}, {"x": x},
        ),
        "loop": (
            "(float[B,8] x) => (float[B,8] y) { y = Loop(n,c,x)<body = b (int64 i, bool k, float[B,8] v) "
            "=> (bool k2, float[B,8] v2) { k2 = Identity(k) v2 = MatMul(v,w) }> }",
            {"w": floats(8, 8) / 8, "n": np.array(3), "c": np.array(True)}, {"x": x},
        ),
        "attention": (
            "(int64[B,3] i) => (float[B] y) { e = Gather(w,i) t = Transpose<perm=[0,2,1]>(e) s = MatMul(e,t) "
            "a = Softmax<axis=-1>(s) h = MatMul(a,e) r = ReduceSum<keepdims=0>(h,ax) y = ReduceMax<axes=[1],"
            "keepdims=0>(r) }",
            {"w": floats(9, 4), "ax": np.array([1])}, {"i": ids},
        ),
        "host_between": (
            "(float[B,8] x) => (float[B,2] y) "
            "{ h = MatMul(x,w) s = CumSum(h,a) r = Relu(s) y = MatMul(r,v) }",
            {"w": floats(8, 4), "v": floats(4, 2), "a": np.array(0)}, {"x": x},
        ),
        "offsets_of_tables": (
            "(int64[B,3] i) => (float[B,12] y) { j = Add(i,o) g = Gather(w,j) y = Flatten<axis=1>(g) }",
            {"w": floats(27, 4), "o": np.array([0, 9, 18])}, {"i": ids},
        ),
    }  # fmt: skip
    out = []
    for name, (graph, constants, inputs) in texts.items():
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
        for key, array in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(array, key))
        out.append(Seed(name, model.SerializeToString(), inputs))
    function = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> g (float[B,8] x) => (float[B,4] y) '
        "{ h = f.layer(x,w) y = f.act(h) } "
        '<domain: "f", opset_import: ["" : 17, "f" : 1]> layer (a, b) => (c) '
        "{ m = MatMul(a,b) c = f.act(m) } "
        '<domain: "f", opset_import: ["" : 17]> act (a) => (b) { b = Relu(a) }'
    )
    function.graph.initializer.append(numpy_helper.from_array(floats(8, 4), "w"))
    out.append(Seed("functions", function.SerializeToString(), {"x": x}))
    return out


def _external() -> Seed:
    model, inputs = tiny_dlrm(seed=2, tables=2)
    files: dict[str, bytes] = {}
    for number, tensor in enumerate(model.graph.initializer):
        data = numpy_helper.to_array(tensor)
        if data.dtype != np.float32:
            continue
        name = f"data{number % 2}.bin"
        start = len(files.get(name, b""))
        files[name] = files.get(name, b"") + data.tobytes()
        for part in ("raw_data", "float_data"):
            tensor.ClearField(part)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", start), ("length", data.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
    return Seed("external", model.SerializeToString(), inputs, files)


def own_seeds() -> list[Seed]:
    """Small models made here: no file is needed."""
    out = []
    for tables in (1, 3):
        model, inputs = tiny_dlrm(seed=tables, tables=tables)
        out.append(Seed(f"tiny_dlrm_{tables}", model.SerializeToString(), inputs))
    model, inputs = mlp((12, 8, 4), seed=3)
    out.append(Seed("mlp", model.SerializeToString(), inputs))
    return [*out, _external(), *_special()]


def _cut(arrays: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    return {name: array[:count] for name, array in arrays.items() if name != "labels"}


def all_seeds() -> list[Seed]:
    """Also the exported models of the corpus, where it is, and the trained models of the project."""
    out = own_seeds()
    for name in ("dlrm_small", "twotower_small"):
        with np.load(ROOT / "models" / f"{name}.calib.npz") as arrays:
            inputs = _cut(dict(arrays), 32)
        out.append(Seed(name, (ROOT / "models" / f"{name}.onnx").read_bytes(), inputs))
    for path in sorted(Path(CORPUS).glob("*.onnx")):
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            inputs = {k.removeprefix("in__"): arrays[k] for k in arrays if k.startswith("in__")}
        out.append(Seed(path.stem, path.read_bytes(), inputs))
    return out
