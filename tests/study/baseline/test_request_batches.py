"""Requests cut into batches give the outputs that they have among all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cimc.errors import RequestError
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import run_onnx
from cimc.ir.text import new_context, parse_ir
from cimc.study.baseline.fused_model import recognised
from cimc.study.baseline.request_batches import RequestBatches, batches_of, digest_of
from models.tiny import mlp, requests_for, tiny_dlrm
from tests.transforms.recognise.fusing import model as from_text

WEIGHTED_BAG = """
func.func @main(%ids: tensor<?xi64>, %offsets: tensor<?xi64>, %w: tensor<?xf32>) -> tensor<?x8xf32>
    attributes {onnx.inputs = ["ids", "offsets", "w"], onnx.outputs = ["y"]} {
  %y = rec.embedding_bag @t "sum" "offsets" %ids offsets %offsets : tensor<?xi64> weights %w : tensor<?xf32>
    rows 9 dim 8 : tensor<?xi64> -> tensor<?x8xf32>
  func.return %y : tensor<?x8xf32>
}
"""

Cut = tuple[onnx.ModelProto, RequestBatches, np.ndarray]


def cut_of(proto: onnx.ModelProto, arrays: dict[str, Any], folder: Path) -> RequestBatches:
    onnx.save(proto, folder / "m.onnx")
    return batches_of(recognised(load_model(folder / "m.onnx"))[0], arrays)


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    proto, _ = tiny_dlrm(1, 4)
    arrays = requests_for(proto, batch=23, seed=2)
    (scores,) = run_onnx(proto, arrays).values()
    return proto, cut_of(proto, arrays, tmp_path), scores


def test_batches_as_recorded_hold_the_requests_in_order(cut: Cut) -> None:
    proto, batches, scores = cut
    assert batches.requests == 23
    parts = batches.recorded(5)
    assert len(parts) == 4  # the last three requests do not fill a batch
    got = np.concatenate([next(iter(run_onnx(proto, part).values())) for part in parts])
    np.testing.assert_allclose(got, scores[:20], rtol=1e-6)


def test_any_requests_in_any_order(cut: Cut) -> None:
    proto, batches, scores = cut
    chosen = np.array([22, 0, 7, 7])
    (got,) = run_onnx(proto, batches.take(chosen)).values()
    np.testing.assert_allclose(got, scores[chosen], rtol=1e-6)


def test_a_hot_batch_is_one_request_with_the_median_number_of_ids(cut: Cut) -> None:
    proto, batches, scores = cut
    (got,) = run_onnx(proto, batches.hot(6)).values()
    assert np.unique(got).size == 1
    assert np.isclose(scores, got[0]).any()
    totals = sum(
        np.diff(np.append(batches.arrays[b.offsets], len(batches.arrays[b.ids]))) for b in batches.bags
    )
    hot = sum(len(batches.hot(1)[b.ids]) for b in batches.bags)
    assert hot == np.sort(totals)[11]


def test_sizes_are_capped_by_the_requests(cut: Cut) -> None:
    assert cut[1].sizes((1, 16, 256, 2048)) == [1, 16, 23]


def test_many_batches_are_thinned_evenly(tmp_path: Path) -> None:
    proto, _ = mlp((3, 2))
    arrays = requests_for(proto, batch=1000, seed=2)
    parts = cut_of(proto, arrays, tmp_path).recorded(1)
    assert len(parts) == 256
    np.testing.assert_array_equal(parts[-1]["x"], arrays["x"][-1:])


def test_a_fixed_batch_stays(tmp_path: Path) -> None:
    proto = from_text("g (float[4, 3] x) => (float[4, 3] y) { y = Relu(x) }")
    cut = cut_of(proto, {"x": np.ones((4, 3), np.float32)}, tmp_path)
    assert cut.sizes((1, 16)) == [4]


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    proto = from_text(
        "g (float[a, 3] x, float[b, 3] y) => (float[a, 3] u, float[b, 3] v) { u = Relu(x) v = Relu(y) }"
    )
    with pytest.raises(RequestError, match="different numbers of rows") as error:
        cut_of(proto, {"x": np.ones((4, 3), np.float32), "y": np.ones((5, 3), np.float32)}, tmp_path)
    assert error.value.code == "request.cannot-limit"
    with pytest.raises(RequestError) as none:
        cut_of(proto, {name: np.ones((0, 3), np.float32) for name in "xy"}, tmp_path)
    assert none.value.code == "request.none"


@pytest.mark.parametrize(
    "offsets",
    [[0, 5, 3, 6], [0, 2, 4, 99], [-1, 2, 4, 6], [6, 4, 2, 0]],
    ids=["fall", "beyond the ids", "before them", "reversed"],
)
def test_offsets_that_do_not_fit_are_refused(offsets: list[int], tmp_path: Path) -> None:
    proto, _ = tiny_dlrm(1, 4)
    arrays = requests_for(proto, batch=4, seed=2)
    name = next(bag.offsets for bag in cut_of(proto, arrays, tmp_path).bags)
    arrays[name] = np.array(offsets, arrays[name].dtype)
    with pytest.raises(RequestError, match="offsets must grow from 0") as error:
        cut_of(proto, arrays, tmp_path)
    assert error.value.code == "request.bad-offsets"


def test_weights_that_do_not_fit_their_ids_are_refused() -> None:
    module = parse_ir(WEIGHTED_BAG, new_context())
    arrays = {"ids": np.arange(6), "offsets": np.array([0, 2, 3]), "w": np.ones(6, np.float32)}
    assert batches_of(module, arrays).bags[0].weights == "w"
    with pytest.raises(RequestError) as error:
        batches_of(module, {**arrays, "w": np.ones(4, np.float32)})
    assert error.value.code == "request.bad-weights"


def test_a_digest_is_of_names_types_shapes_and_values() -> None:
    arrays = {"a": np.arange(6), "b": np.ones(2, np.float32)}
    same = digest_of({"b": arrays["b"], "a": arrays["a"]})
    assert same == digest_of(arrays)
    others = [
        {**arrays, "a": arrays["a"].reshape(2, 3)},
        {**arrays, "a": arrays["a"].astype(np.int32)},
        {**arrays, "a": arrays["a"] + 1},
        {"c": arrays["a"], "b": arrays["b"]},
    ]
    assert len({same, *map(digest_of, others)}) == 5
