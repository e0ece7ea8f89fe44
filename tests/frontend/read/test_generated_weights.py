"""Weights generated in place of missing data files: where, what, and the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.errors import CimcError, ModelError
from cimc.frontend.read import generated_weights
from cimc.frontend.read.load_model import LoadedModel, load_model
from cimc.ir.tensor_store import TensorStore, digest_of
from cimc.isa.artifact import to_bytes
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.support.io.generated import GeneratedArray, GeneratedIntegers, Spread, restored
from cimc.support.io.lazy import LazyArray
from cimc.support.random.splitmix import fold, key_of
from cimc.transforms.quantise.imported_scales import fitted_table, largest_of
from models.tiny import requests_for, tiny_dlrm
from tests.cli.tiny_files import call


def array(
    *shape: int, name: str = "w", seed: int = 0, dtype: Any = np.float32, std: float = 0.1
) -> GeneratedArray:
    return GeneratedArray(name, seed, shape, np.dtype(dtype), Spread(0.0, std))


# -- the arrays -----------------------------------------------------------------------------------------


@given(st.data())
def test_parts_are_parts_of_the_whole(data: st.DataObject) -> None:
    cols = data.draw(st.sampled_from([1, 3, 100, 4096, 70_000]))
    rows = data.draw(st.integers(1, 300_000 // cols))
    lazy = array(rows, cols)
    whole = np.asarray(lazy)
    assert whole.shape == lazy.shape == (rows, cols)
    assert (lazy.size, lazy.nbytes, len(lazy), lazy.ndim) == (whole.size, whole.nbytes, rows, 2)
    bounds = st.integers(-rows - 2, rows + 2)
    start, stop = data.draw(bounds), data.draw(bounds)
    assert np.array_equal(lazy[start:stop], whole[start:stop])
    ids = np.array(data.draw(st.lists(st.integers(-rows, rows - 1), max_size=12)), np.int64)
    assert np.array_equal(lazy[ids], whole[ids])
    assert np.array_equal(lazy[ids.reshape(1, -1, 1)], whole[ids.reshape(1, -1, 1)])
    assert np.array_equal(lazy[rows - 1], whole[rows - 1])
    assert np.array_equal(lazy[:, ::2], whole[:, ::2])
    with pytest.raises(IndexError):
        lazy[np.array([rows])]


def test_whole_arrays_behave_as_arrays() -> None:
    lazy = array(5, 4)
    whole = np.asarray(lazy)
    assert np.array_equal(lazy.T, whole.T)
    assert np.array_equal(lazy.reshape(4, 5), whole.reshape(4, 5))
    assert np.array_equal(lazy.astype(np.float64), whole.astype(np.float64))
    assert np.array_equal(np.asarray(lazy, np.float16), whole.astype(np.float16))
    assert lazy.tobytes() == whole.tobytes()
    with pytest.raises(ValueError, match="share"):
        np.array(lazy, copy=False)


def test_the_numbers_are_the_same_on_every_machine() -> None:
    # small integers times one float32 factor: nothing in here may round differently elsewhere
    one = array(70_000, 1)
    at = [0, 1, 2, 65_535, 65_536]
    steps = np.rint(np.asarray(one)[at, 0] / one._step)
    words = [fold(key_of(one.seed, "weights", one.name), place // 2) >> 32 * (place % 2) for place in at]
    assert steps.tolist() == [sum((w & 0xFFFFFFFF).to_bytes(4, "little")) - 510 for w in words]
    assert steps.tolist() == [21, -111, 148, -7, 155]


def test_names_and_seeds_tell_arrays_apart() -> None:
    first = np.asarray(array(50, 8))
    assert np.array_equal(first, np.asarray(array(50, 8)))
    for other in (array(50, 8, name="v"), array(50, 8, seed=1)):
        assert abs(np.corrcoef(first.ravel(), np.asarray(other).ravel())[0, 1]) < 0.3
    assert digest_of(array(50, 8)) == digest_of(array(50, 8))
    assert len({digest_of(a) for a in (array(50, 8), array(8, 50), array(50, 8, seed=1))}) == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_values_are_bell_shaped(dtype: Any) -> None:
    lazy = array(40_000, 8, dtype=dtype, std=0.25)
    values = np.asarray(lazy).astype(np.float64)
    assert lazy.dtype == np.dtype(dtype) == lazy[:3].dtype
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 0.25) < 0.01
    assert 0.75 < np.abs(values).max() < 0.25 * 3.5
    assert 0.6 < (np.abs(values) < 0.25).mean() < 0.75  # 0.67 within one deviation; 0.58 if uniform
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 0.01


@pytest.mark.parametrize(("dtype", "mean"), [(np.int8, 0), (np.uint8, 128)])
def test_bytes_use_most_of_their_range(dtype: Any, mean: int) -> None:
    values = np.asarray(array(40_000, 8, dtype=dtype)).astype(int)
    assert abs(values.mean() - mean) < 1
    assert 95 < values.max() - mean < 115
    assert 95 < mean - values.min() < 115


def test_a_store_writes_them_as_they_are(tmp_path: Path) -> None:
    store = TensorStore()
    store.put("w", array(30_000, 40))  # type: ignore[arg-type]
    store.save(tmp_path / "s")
    assert np.array_equal(TensorStore.load(tmp_path / "s")["w"], np.asarray(array(30_000, 40)))


def test_integer_tables_are_quantised_already() -> None:
    lazy = array(3000, 16, dtype=np.int8)
    whole = np.asarray(lazy)
    peak = int(np.abs(whole.astype(int)).max())
    assert largest_of(lazy) == largest_of(whole) == peak  # type: ignore[arg-type]
    for largest in (127, 50):
        for have, want in zip(
            fitted_table(lazy, 0.5, largest),
            fitted_table(whole, 0.5, largest),
            strict=True,  # type: ignore[arg-type]
        ):
            assert isinstance(have, np.ndarray)
            assert np.array_equal(have, want)


# -- in place of files ----------------------------------------------------------------------------------


def outside(proto: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """The model with the data of initialisers moved to files, of which none is written."""
    moved = onnx.ModelProto()
    moved.CopyFrom(proto)
    ends: dict[str, int] = {}
    for tensor in moved.graph.initializer:
        file = names.get(tensor.name)
        if file is None:
            continue
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=file)
        tensor.external_data.add(key="offset", value=str(ends.get(file, 0)))
        size = int(np.prod(tensor.dims)) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        tensor.external_data.add(key="length", value=str(size))
        ends[file] = ends.get(file, 0) + size
    return moved


def graph_only(folder: Path) -> Path:
    """A DLRM of three tables without any weights of more than one dimension."""
    proto, _ = tiny_dlrm(seed=0, tables=3)
    names = {t.name: f"w{len(t.dims)}.bin" for t in proto.graph.initializer if len(t.dims) > 1}
    onnx.save(outside(proto, names), folder / "m.onnx")
    return folder / "m.onnx"


def test_missing_files_are_an_error_unless_asked_for(tmp_path: Path) -> None:
    path = graph_only(tmp_path)
    with pytest.raises(ModelError) as error:
        load_model(path)
    assert error.value.code == "frontend.external-data-missing"
    loaded = load_model(path, weights="generated:3")
    assert loaded.generated is not None
    matrices = {t.name for t in loaded.proto.graph.initializer if len(t.dims) > 1}
    assert set(loaded.generated.tensors) == matrices
    for tensor in loaded.proto.graph.initializer:
        assert loaded.tensor(tensor.name).shape == tuple(tensor.dims)


def test_files_that_are_there_are_used(tmp_path: Path) -> None:
    proto, _ = tiny_dlrm(seed=0, tables=3)
    first, second = [t for t in proto.graph.initializer if len(t.dims) > 1][:2]
    onnx.save(outside(proto, {first.name: "a.bin", second.name: "b.bin"}), tmp_path / "m.onnx")
    (tmp_path / "a.bin").write_bytes(numpy_helper.to_array(first).tobytes())
    loaded = load_model(tmp_path / "m.onnx", weights="generated:0")
    assert loaded.generated is not None
    assert list(loaded.generated.tensors) == [second.name]
    assert np.array_equal(loaded.tensor(first.name), numpy_helper.to_array(first))
    assert not np.array_equal(loaded.tensor(second.name), numpy_helper.to_array(second))


def test_digests_follow_the_seed(tmp_path: Path) -> None:
    path = graph_only(tmp_path)
    digests = [load_model(path, weights=f"generated:{seed}").digest for seed in (0, 1, 0)]
    assert digests[0] == digests[2] != digests[1]


def test_nothing_missing_changes_nothing(tmp_path: Path) -> None:
    onnx.save(tiny_dlrm(seed=0, tables=3)[0], tmp_path / "m.onnx")
    plain, asked = load_model(tmp_path / "m.onnx"), load_model(tmp_path / "m.onnx", weights="generated:0")
    assert plain.digest == asked.digest
    assert asked.generated is not None
    assert "generated nothing" in asked.generated.note


@pytest.mark.parametrize("text", ["", "generated", "generated:", "generated:-1", "generated:x", "random:0"])
def test_the_option_is_checked(tmp_path: Path, text: str) -> None:
    with pytest.raises(CimcError) as error:
        load_model(graph_only(tmp_path), weights=text)
    assert error.value.code == "frontend.weights-option"


def refused(folder: Path, kind: int, dims: list[int], location: str = "gone.bin", **entries: object) -> str:
    """Code of the error for a model with one missing tensor."""
    tensor = TensorProto(name="w", data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "i"], ["y"])],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", kind, None)],
        [tensor],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m"
    )
    with pytest.raises(ModelError) as error:
        load_model(folder / "m", weights="generated:0")
    return error.value.code


def test_what_cannot_be_generated_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, TensorProto.INT64, [100, 4]) == "frontend.cannot-generate"
    assert refused(tmp_path, TensorProto.BOOL, [100, 4]) == "frontend.cannot-generate"
    assert refused(tmp_path, TensorProto.FLOAT, [1 << 40, 1 << 20]) == "frontend.too-large"


def test_missing_is_not_an_excuse(tmp_path: Path) -> None:
    escape = "frontend.external-data-escape"
    assert refused(tmp_path, TensorProto.FLOAT, [9, 4], "../gone.bin") == escape
    assert refused(tmp_path, TensorProto.FLOAT, [9, 4], "/gone.bin") == escape
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert refused(tmp_path, TensorProto.FLOAT, [9, 4], "link") == escape
    assert refused(tmp_path, TensorProto.FLOAT, [9, 4], length=8) == "frontend.external-data-range"
    (tmp_path / "short").write_bytes(bytes(8))
    assert refused(tmp_path, TensorProto.FLOAT, [9, 4], "short") == "frontend.external-data-range"


# -- scaled to what they are for ------------------------------------------------------------------------


def roles(nodes: list[onnx.NodeProto], folder: Path, **dims: list[int]) -> LoadedModel:
    tensors = []
    for name, extents in dims.items():
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=extents)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="gone.bin")
        tensors.append(tensor)
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64]),
            helper.make_tensor_value_info("i", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        tensors,
    )
    path = folder / "roles.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return load_model(path, weights="generated:0")


def test_tables_and_layers_have_the_scale_of_trained_ones(tmp_path: Path) -> None:
    node = helper.make_node
    loaded = roles(
        [
            node("Gather", ["table", "i"], ["rows"]),
            node("MatMul", ["x", "product"], ["a"]),
            node("Gemm", ["a", "gemm", "bias"], ["b"], transB=1),
            node("Transpose", ["turned"], ["t"], perm=[1, 0]),
            node("MatMul", ["b", "t"], ["c"]),
            node("Identity", ["alias"], ["same"]),
            node("MatMul", ["c", "same"], ["d"]),
            node("BatchNormalization", ["d", "scale", "shift", "mean", "variance"], ["e"]),
            node("Add", ["e", "rows"], ["y"]),
        ],
        tmp_path,
        table=[900, 32], product=[64, 400], gemm=[256, 400], bias=[256], turned=[100, 256],
        alias=[100, 32], scale=[32], shift=[32], mean=[32], variance=[32],
    )  # fmt: skip
    std = {name: float(np.asarray(loaded.tensor(name)).std()) for name in loaded.arrays}
    assert std["table"] == pytest.approx(0.1, rel=0.05)
    for name, fan_in in (("product", 64), ("gemm", 400), ("turned", 256), ("alias", 100)):
        assert std[name] == pytest.approx(fan_in**-0.5, rel=0.05), name
    assert np.abs(loaded.tensor("bias")).max() < 0.2
    assert (np.asarray(loaded.tensor("variance")) > 0.6).all()
    assert np.asarray(loaded.tensor("scale")).mean() == pytest.approx(1, abs=0.1)


# -- end to end -----------------------------------------------------------------------------------------


def test_the_graph_alone_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = graph_only(tmp_path)
    programs = [cimc.compile(path, weights=w) for w in ("generated:0", "generated:0", "generated:1")]
    raw = [to_bytes(p.data) for p in programs]
    assert raw[0] == raw[1] != raw[2]
    assert any("generated from seed 0" in note and "w2.bin" in note for note in programs[0].notes)
    requests = requests_for(tiny_dlrm(seed=0, tables=3)[0], batch=20, seed=1)
    assert np.ptp(programs[0].run(requests).outputs["prob"]) > 0

    # a large table stays one that is made when it is read: the program holds its recipe
    monkeypatch.setattr(generated_weights, "_HELD_BYTES", 0)
    loaded = load_model(path, weights="generated:0")
    assert isinstance(loaded.tensor(next(iter(loaded.generated.tensors))), LazyArray)  # type: ignore[union-attr]
    large = cimc.compile(path, weights="generated:0")
    tables = [m for m in large.data.matrices if m.kind == "table"]
    assert all(isinstance(large.data.data[f"{m.name}.data"], LazyArray) for m in tables)
    assert len(to_bytes(large.data)) < len(raw[0])
    large.save(tmp_path / "large.cimc")
    loaded_again = cimc.Program.load(tmp_path / "large.cimc")
    assert to_bytes(loaded_again.data) == to_bytes(large.data)
    for mode in ("exact", "adc"):
        want, have = large.run(requests, mode), loaded_again.run(requests, mode)
        np.testing.assert_array_equal(want.outputs["prob"], have.outputs["prob"])
    for m in tables:  # gathered or whole, the same elements
        array = large.data.data[f"{m.name}.data"]
        assert np.asarray(array).dtype == np.int8
        some = np.array([m.rows - 1, 0, m.rows // 2])
        np.testing.assert_array_equal(array[some], np.asarray(array)[some])
    text, arrays = format_program(large.data), arrays_of(large.data)
    assert to_bytes(parse_program(text, arrays)) == to_bytes(large.data)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.0},
        {"shape": []},
        {"dtype": "int8"},
        {"largest": 300},
        {"seed": -1},
        {"more": 1},
        {"name": 1},
        {"generator": "philox"},
    ],
)
def test_recipes_are_checked(change: dict[str, object]) -> None:
    source = GeneratedArray("t", 0, (5, 3), np.dtype(np.float32), Spread(0.0, 0.1))
    recipe = GeneratedIntegers(source, 0.01, 112).to_json()
    assert restored(json.loads(json.dumps(recipe))).recipe == GeneratedIntegers(source, 0.01, 112).recipe
    with pytest.raises(ValueError, match="no recipe"):
        restored({**recipe, **change})


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_the_bound_holds(dtype: type) -> None:
    array = GeneratedArray("t", 3, (40_000, 7), np.dtype(dtype), Spread(0.02, 0.1))
    peak = float(np.abs(np.asarray(array)).max())
    assert 0.8 * array.bound < peak <= array.bound


def test_the_command_line(tmp_path: Path) -> None:
    path, program = graph_only(tmp_path), tmp_path / "m.cimc"
    assert "frontend.external-data-missing" in call("compile", path, "-o", program, "--json").out
    done = call("compile", path, "-o", program, "--weights", "generated:0", "--dump-ir", tmp_path / "ir")
    assert done.code == 0, done.err
    assert "generated from seed 0" in done.err
    seen = call("inspect", path, "--weights", "generated:0", "--json")
    assert seen.code == 0
    assert "generated from seed 0" in seen.err
    assert len(seen.json["tables"]) == 3
    np.savez(tmp_path / "r.npz", **requests_for(tiny_dlrm(seed=0, tables=3)[0], batch=5, seed=1))
    assert call("run", program, "--inputs", tmp_path / "r.npz").code == 0
    refused = call("run", program, "--inputs", tmp_path / "r.npz", "--check", path, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "request.no-reference")
    assert call("compile", path, "-o", program, "--weights", "generated:0", "--check-each").code == 2
