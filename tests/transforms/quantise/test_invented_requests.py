"""Invented calibration requests fit the model and are the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cimc.errors import CimcError
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.ir.text import new_context, print_ir
from cimc.transforms.quantise.invented_requests import synthetic_requests
from models.tiny import tiny_dlrm
from tests.conftest import CORPUS


def synthesize(path: Path, seed: int = 0, count: int = 64) -> dict[str, np.ndarray]:
    """Requests for the model in a file; neither module nor context may change."""
    ctx, loaded = new_context(), load_model(path)
    module = import_model(loaded, ctx)
    before = print_ir(module), sorted(ctx.store), list(ctx.notes), ctx.remarks
    found = synthetic_requests(loaded, module, ctx, seed, count)
    assert (print_ir(module), sorted(ctx.store), list(ctx.notes), ctx.remarks) == before
    return found


def save(
    path: Path, nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[int | str]]], rows: int = 20
) -> Path:
    """A model with a table ``w [rows, 4]`` and output ``y``."""
    table = np.random.default_rng(0).standard_normal((rows, 4)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("w", TensorProto.FLOAT, table.shape, table.ravel()),
            helper.make_tensor("four", TensorProto.INT64, [], [4]),
            *(helper.make_tensor(f"n{i}", TensorProto.INT64, [1], [i]) for i in range(4)),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_dlrm_with_every_kind_of_bag(tmp_path: Path) -> None:
    onnx.save(tiny_dlrm(seed=0, tables=4)[0], tmp_path / "m.onnx")
    found = synthesize(tmp_path / "m.onnx", count=30)
    assert found["dense"].shape == (30, 5)
    assert found["dense"].std() > 0.5
    for name, rows in (("ids_0", 37), ("ids_1", 11), ("ids_2", 64), ("ids_3", 5)):
        assert 0 <= found[name].min() <= found[name].max() < rows
        assert found[name].max() > rows // 2
    assert found["ids_0"].shape == (30,)
    for k in (1, 2, 3):
        offsets = found[f"offsets_{k}"]
        lengths = np.diff([*offsets, len(found[f"ids_{k}"])])
        assert offsets[0] == 0
        assert lengths.min() >= 1
        assert len(set(lengths.tolist())) > 1


def test_same_seed_same_requests(tmp_path: Path) -> None:
    onnx.save(tiny_dlrm(seed=0, tables=3)[0], tmp_path / "m.onnx")
    one, two, other = (synthesize(tmp_path / "m.onnx", seed) for seed in (1, 1, 2))
    assert list(one) == list(two)
    assert all(np.array_equal(one[n], two[n]) for n in one)
    assert not np.array_equal(one["dense"], other["dense"])


def test_columns_of_floats_that_are_ids(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Slice", ["x", "n2", "n3", "n1"], ["s"]),
        helper.make_node("Cast", ["s"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["w", "i"], ["y"]),
    ]
    found = synthesize(save(tmp_path / "m.onnx", nodes, {"x": (TensorProto.FLOAT, ["batch", 5])}))["x"]
    ids, rest = found[:, 2], np.delete(found, 2, axis=1)
    assert np.array_equal(ids, np.rint(ids))
    assert 0 <= ids.min() <= ids.max() < 20
    assert ids.max() > 4
    assert rest.min() < 0


@pytest.mark.parametrize(
    ("operator", "limit"), [("Mod", None), ("Div", 80), ("Mul", 5), ("Add", 16)], ids=lambda v: str(v)
)
def test_arithmetic_on_the_way_moves_the_limit(tmp_path: Path, operator: str, limit: int | None) -> None:
    nodes = [
        helper.make_node(operator, ["x", "four"], ["i"]),
        helper.make_node("Gather", ["w", "i"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": (TensorProto.INT64, ["batch"])})
    if limit is None:  # any number is an id modulo four, so nothing says how large they get
        with pytest.raises(CimcError):
            synthesize(path)
        return
    ids = synthesize(path, count=2000)["x"]
    assert (ids.min(), ids.max()) == (0, limit - 1)


def test_quotient_and_remainder_of_one_id(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mod", ["x", "four"], ["r"]),
        helper.make_node("Div", ["x", "four"], ["q"]),
        helper.make_node("Gather", ["w", "r"], ["a"]),
        helper.make_node("Gather", ["w", "q"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    ids = synthesize(save(tmp_path / "m.onnx", nodes, {"x": (TensorProto.INT64, ["batch"])}), count=2000)["x"]
    assert (ids.min(), ids.max()) == (0, 79)


def test_the_smallest_table_decides(tmp_path: Path) -> None:
    small = helper.make_tensor("v", TensorProto.FLOAT, [3, 4], np.arange(12, dtype=np.float32))
    nodes = [
        helper.make_node("Constant", [], ["v"], value=small),
        helper.make_node("Gather", ["w", "x"], ["a"]),
        helper.make_node("Gather", ["v", "x"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": (TensorProto.INT64, ["batch"])})
    assert synthesize(path)["x"].max() == 2


def test_an_integer_without_a_meaning_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": (TensorProto.INT64, ["batch", 20])})
    with pytest.raises(CimcError) as caught:
        synthesize(path)
    assert caught.value.code == "calib.cannot-synthesize"
    assert caught.value.location is not None
    assert caught.value.location.tensor == "x"
    assert "--calib" in str(caught.value.hint)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.onnx")), ids=lambda p: p.stem)
def test_models_as_exporters_wrote_them(path: Path) -> None:
    found = synthesize(path)  # onnxruntime has accepted them
    with np.load(path.with_suffix(".npz")) as recorded:
        for name, array in found.items():
            assert array.dtype == recorded[f"in__{name}"].dtype
            assert array.ndim == recorded[f"in__{name}"].ndim
