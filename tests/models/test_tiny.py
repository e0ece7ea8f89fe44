"""The tiny builders under onnxruntime, against references written out here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.build import score
from models.requests import id_inputs
from models.tiny import Requests, mlp, requests_for, tiny_dlrm

Array = npt.NDArray[Any]


def run(model: onnx.ModelProto, feeds: Requests) -> Array:
    return score(model.SerializeToString(), feeds)


def weights_of(model: onnx.ModelProto) -> dict[str, Array]:
    return {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}


def dense(weights: dict[str, Array], prefix: str, x: Array, *, relu_last: bool) -> Array:
    names = sorted(
        n.removesuffix(".weight") for n in weights if n.startswith(prefix) and n.endswith("weight")
    )
    for i, name in enumerate(names):
        x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        if relu_last or i < len(names) - 1:
            x = np.maximum(x, 0)
    return x


def dlrm_reference(weights: dict[str, Array], feeds: Requests, bags: list[str]) -> Array:
    bottom = dense(weights, "bot_l", feeds["dense"].astype(np.float64), relu_last=True)
    batch = len(bottom)
    results = []
    for b in range(batch):
        vectors = [bottom[b]]
        for k, bag in enumerate(bags):
            table, ids = weights[f"emb_l.{k}.weight"], feeds[f"ids_{k}"]
            if bag == "one":
                vectors.append(table[ids[b]])
                continue
            offsets = [*feeds[f"offsets_{k}"].tolist(), ids.size]
            rows = table[ids[offsets[b] : offsets[b + 1]]]
            vectors.append(rows.sum(axis=0) / (max(len(rows), 1) if bag == "mean" else 1))
        pairs = [vectors[i] @ vectors[j] for i in range(len(vectors)) for j in range(i)]
        out = dense(weights, "top_l", np.array([*bottom[b], *pairs]), relu_last=False)
        results.append(1 / (1 + np.exp(-out)))
    return np.array(results)


@pytest.mark.parametrize("tables", [1, 3, 6])
@pytest.mark.parametrize("dim", [1, 7, 16])
def test_tiny_dlrm_matches_its_definition(tables: int, dim: int) -> None:
    model, feeds = tiny_dlrm(seed=3, tables=tables, dim=dim)
    bags = [("one", "sum", "sum", "mean")[k % 4] for k in range(tables)]
    got = run(model, feeds)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, dlrm_reference(weights_of(model), feeds, bags), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_requests_of_any_batch_size_fit(batch: int) -> None:
    model, _ = tiny_dlrm(tables=4)
    feeds = requests_for(model, batch=batch, seed=9)
    assert list(feeds) == [value.name for value in model.graph.input]
    got = run(model, feeds)
    bags = ["one", "sum", "sum", "mean"]
    np.testing.assert_allclose(got, dlrm_reference(weights_of(model), feeds, bags), rtol=1e-4, atol=1e-6)


def test_empty_bags_occur_under_a_sum_and_never_under_a_mean() -> None:
    model, _ = tiny_dlrm(tables=4)
    feeds = requests_for(model, batch=200, seed=1)
    lengths = {k: np.diff([*feeds[f"offsets_{k}"], feeds[f"ids_{k}"].size]) for k in (1, 2, 3)}
    assert lengths[1].min() == 0
    assert lengths[2].min() == 0
    assert lengths[3].min() == 1


@pytest.mark.parametrize("last", [None, "Relu", "Sigmoid"])
def test_mlp_matches_its_definition(last: str | None) -> None:
    model, feeds = mlp((9, 6, 5, 3), seed=2, batch=7, last=last)
    expected = dense(weights_of(model), "mlp", feeds["x"].astype(np.float64), relu_last=last == "Relu")
    if last == "Sigmoid":
        expected = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(run(model, feeds), expected, rtol=1e-4, atol=1e-6)


def test_mlp_layers_are_gemms_with_transposed_weights() -> None:
    model, _ = mlp((784, 512, 256, 128, 10))
    assert [n.op_type for n in model.graph.node] == ["Gemm", "Relu"] * 3 + ["Gemm"]
    assert [tuple(t.dims) for t in model.graph.initializer][::2] == [
        (512, 784),
        (256, 512),
        (128, 256),
        (10, 128),
    ]


def test_same_seed_same_bytes() -> None:
    a, b, c = (tiny_dlrm(seed=s)[0].SerializeToString(deterministic=True) for s in (4, 4, 5))
    assert a == b
    assert a != c


def test_ids_stay_within_the_table_and_reach_all_of_it() -> None:
    model, _ = tiny_dlrm(tables=2, rows=(5, 3))
    assert id_inputs(model).rows == {"ids_0": 5, "ids_1": 3}
    feeds = requests_for(model, batch=200)
    assert set(feeds["ids_0"].tolist()) == set(range(5))
    assert set(feeds["ids_1"].tolist()) == set(range(3))


def test_an_integer_input_of_unknown_meaning_is_refused() -> None:
    value = helper.make_tensor_value_info("n", TensorProto.INT64, ["batch"])
    out = helper.make_tensor_value_info("y", TensorProto.INT64, ["batch"])
    graph = helper.make_graph([helper.make_node("Neg", ["n"], ["y"])], "g", [value], [out])
    with pytest.raises(ValueError, match="input n"):
        requests_for(helper.make_model(graph))
