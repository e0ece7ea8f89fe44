"""The two models as a whole: gradients, ONNX against numpy, learning, and rebuilding to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import build
from models.click_log import TableSpec
from models.dlrm import Dlrm, DlrmSpec
from models.layers import cross_entropy, sigmoid
from models.optim import Adam, RowAdagrad
from models.retrieval_log import RetrievalSpec
from models.synthetic import Split
from models.twotower import TwoTower, TwoTowerSpec

DLRM = DlrmSpec(
    tables=(TableSpec(40), TableSpec(25, "sum", 1, 4, empty=0.3), TableSpec(30, "mean", 1, 3)),
    pairs=((0, 1), (1, 2)),
    dense=4,
    dim=5,
    bottom=(6,),
    top=(7,),
    batch=32,
    steps=4,
)
TOWERS = TwoTowerSpec(
    data=RetrievalSpec({"user_id": 40, "age": 3}, {"item_id": 64, "category": 5}, history=(1, 4)),
    dim=4,
    hidden=(6,),
    out_dim=5,
    batch=32,
    steps=4,
)
SPECS = pytest.mark.parametrize("spec", [DLRM, TOWERS], ids=["dlrm", "twotower"])


def recipe(spec: DlrmSpec | TwoTowerSpec, seed: int = 0) -> build.Recipe:
    if isinstance(spec, DlrmSpec):
        return build.dlrm_recipe(seed, spec)
    return build.twotower_recipe(seed, spec)


@SPECS
def test_gradients_of_the_whole_model(spec: Any) -> None:
    made = recipe(spec)
    model, batch = made.model, made.log.batch(Split.TRAIN, 0, 8)
    assert isinstance(model, Dlrm | TwoTower)
    if isinstance(model, Dlrm):
        model.bottom = [(w.astype(float), b.astype(float)) for w, b in model.bottom]
        model.top = [(w.astype(float), b.astype(float)) for w, b in model.top]
    else:
        model.user_mlp = [(w.astype(float), b.astype(float)) for w, b in model.user_mlp]
        model.item_mlp = [(w.astype(float), b.astype(float)) for w, b in model.item_mlp]
        model.scale = model.scale.astype(float)
    # Larger embeddings than the initial ones, or their effect drowns in rounding.
    model.embeddings = np.random.default_rng(5).standard_normal(model.embeddings.shape)

    def loss() -> float:
        return cross_entropy(model.logits(batch), batch.labels)[0]

    _, dense_grads, rows, row_grads = model.gradients(batch)
    table_grad = np.zeros_like(model.embeddings)
    np.add.at(table_grad, rows, row_grads)
    rng = np.random.default_rng(3)
    targets = [(model.embeddings, table_grad), *zip(model.dense_parameters(), dense_grads, strict=True)]
    largest = 0.0
    for parameter, grad in targets:
        assert grad.shape == parameter.shape
        for flat in {*rng.integers(0, parameter.size, 12).tolist(), int(np.abs(grad).argmax())}:
            index = np.unravel_index(flat, parameter.shape)
            kept = parameter[index]
            parameter[index] = kept + 1e-6
            up = loss()
            parameter[index] = kept - 1e-6
            numeric = (up - loss()) / 2e-6
            parameter[index] = kept
            largest = max(largest, abs(numeric))
            assert grad[index] == pytest.approx(numeric, rel=1e-4, abs=1e-7)
    assert largest > 1e-2


@SPECS
@pytest.mark.parametrize("size", [1, 19])
def test_onnx_agrees_with_numpy_at_any_batch_size(spec: Any, size: int) -> None:
    made = recipe(spec)
    batch = made.log.batch(Split.EVALUATE, 0, size)
    got = build.score(made.model.to_onnx().SerializeToString(), made.model.feeds(batch))
    assert got.shape == ((size, 1) if isinstance(spec, DlrmSpec) else (size,))
    np.testing.assert_allclose(got.ravel(), sigmoid(made.model.logits(batch)), rtol=1e-5, atol=1e-6)


@SPECS
def test_training_lowers_the_loss(spec: Any) -> None:
    made = recipe(spec)
    batch = made.log.batch(Split.TRAIN, 0, 256)
    losses = list(made.model.train(iter([batch] * 60), 60))
    assert losses[-1] < 0.8 * losses[0]


@SPECS
def test_rebuilding_gives_the_same_bytes(spec: Any, tmp_path: Path) -> None:
    said: list[str] = []
    first = build.build("m", recipe(spec), tmp_path / "a", traced=64, say=said.append)
    second = build.build("m", recipe(spec), tmp_path / "b", traced=64, say=said.append)
    other = build.build("m", recipe(spec, seed=1), tmp_path / "c", traced=64, say=said.append)
    assert [p.name for p in first] == [p.name for p in second]
    for a, b, c in zip(first, second, other, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
        assert a.read_bytes() != c.read_bytes(), a.name
    assert any("AUC" in line for line in said)


@SPECS
def test_trace_counts_every_access(spec: Any) -> None:
    made = recipe(spec)
    arrays = build.trace(made, 64)
    assert arrays["requests"] == 64
    batches = [made.log.batch(Split.TRAIN, i, made.batch) for i in range(2)]
    for table in made.model.accesses(batches[0]):
        ids = np.concatenate([made.model.accesses(batch)[table] for batch in batches])
        counted = dict(zip(arrays[f"{table}.rows"], arrays[f"{table}.counts"], strict=True))
        assert counted == {row: int((ids == row).sum()) for row in set(ids.tolist())}


def test_row_adagrad_sums_repeated_rows_and_leaves_others() -> None:
    table = np.ones((4, 2))
    RowAdagrad(table, start=0.0).step(np.array([2, 0, 2]), np.array([[1.0, 2], [3, 4], [5, 6]]), 0.5)
    # The first step of Adagrad moves by the rate, against the sign of the gradient.
    np.testing.assert_allclose(table, [[0.5, 0.5], [1, 1], [0.5, 0.5], [1, 1]])


def test_adam_first_step_moves_by_the_rate() -> None:
    parameter = np.array([1.0, -1.0])
    Adam([parameter]).step([np.array([3.0, -0.2])], 0.1)
    np.testing.assert_allclose(parameter, [0.9, -0.9], atol=1e-6)
