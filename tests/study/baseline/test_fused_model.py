"""The fused reference is onnxruntime, number by number, or says by name what it has no form for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import RequestError
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import run_onnx
from cimc.study.baseline.fused_model import FusedModel, NotFused, recognised
from models.tiny import requests_for, tiny_dlrm
from tests.build import Builder
from tests.build import module as built
from tests.transforms.recognise.fusing import model as from_text
from tests.zoo.models_more import MORE
from tests.zoo.models_public import PUBLIC
from tests.zoo.models_zoo import ZOO

ROOT = Path(__file__).parents[3]
Arrays = dict[str, Any]


def fused_of(proto: onnx.ModelProto, folder: Path) -> FusedModel:
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return FusedModel(*recognised(load_model(path)))


def close(found: Arrays, wanted: Arrays, tolerance: float = 1e-4) -> None:
    assert set(found) == set(wanted)
    for name, reference in wanted.items():
        peak = max(float(np.abs(reference).max(initial=0.0)), 1e-30)
        assert found[name].shape == reference.shape
        np.testing.assert_allclose(found[name], reference, rtol=0, atol=tolerance * peak)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    tables=st.integers(1, 6),
    dim=st.integers(1, 33),
    bags=st.lists(st.sampled_from(["one", "sum", "mean"]), min_size=1, max_size=4),
    batch=st.integers(1, 9),
    longest=st.integers(1, 7),
)
def test_random_models(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int, tables: int, dim: int, bags: list[str], batch: int, longest: int,
) -> None:  # fmt: skip
    proto, _ = tiny_dlrm(seed, tables, dim=dim, bags=bags)
    requests = requests_for(proto, batch=batch, seed=seed + 1, max_bag=longest)
    close(fused_of(proto, tmp_path_factory.mktemp("m"))(requests), run_onnx(proto, requests))


MADE = {**{name: (make, 17) for name, make in ZOO.items()}, **MORE, **PUBLIC}
NOT_FUSED = {
    "two towers, temperature", "Wide & Deep, crossed", "HSTU", "last state by length",
    "text tower",
}  # fmt: skip
"""Published models with parts that stay with onnxruntime."""


@pytest.mark.parametrize("name", MADE)
def test_published_models(name: str, tmp_path: Path) -> None:
    make, opset = MADE[name]
    made = make()
    proto = made.proto(opset)
    if name in NOT_FUSED:
        with pytest.raises(NotFused, match="no fused form of"):
            fused_of(proto, tmp_path)
        return
    close(fused_of(proto, tmp_path)(made.requests), run_onnx(proto, made.requests))


@pytest.mark.parametrize("name", ["dlrm_small", "twotower_small"])
def test_trained_models(name: str) -> None:
    path = ROOT / "models" / f"{name}.onnx"
    with np.load(ROOT / "models" / f"{name}.requests.npz") as file:
        requests = {key: file[key] for key in file.files if key != "labels"}
    close(FusedModel(*recognised(load_model(path)))(requests), run_onnx(path, requests), 1e-5)


BAGS = [
    {"mode": "sum"},
    {"mode": "mean"},
    {"mode": "max"},
    {"mode": "sum", "layout": "offsets_end", "weighted": True},
    {"mode": "sum", "padding": 0},
    {"mode": "mean", "padding": 0},
    {"mode": "sum", "layout": "fixed", "weighted": True},
    {"mode": "none", "layout": "fixed"},
    {"mode": "mean", "layout": "fixed", "padding": 3},
]


@pytest.mark.parametrize("ways", [[way] for way in BAGS] + [BAGS], ids=str)
def test_every_kind_of_bag_is_the_interpreters(ways: list[dict[str, Any]]) -> None:
    from cimc.interpreter.evaluate import evaluate
    from cimc.ir import rec
    from cimc.ir.types import f32, i64, tensor

    rng = np.random.default_rng(3)
    inputs: dict[str, Any] = {}
    requests: Arrays = {}
    for n, way in enumerate(ways):
        if way.get("layout") == "fixed":
            inputs[f"i{n}"], requests[f"i{n}"] = tensor((-1, 4), i64), rng.integers(0, 20, (6, 4))
            weights: Any = rng.normal(0, 1, (6, 4))
            kind = tensor((-1, 4), f32)
        else:
            starts = np.array([0, 3, 3, 5, 9, 9])  # empty bags, also the last one
            inputs[f"i{n}"], requests[f"i{n}"] = tensor((-1,), i64), rng.integers(0, 20, 9)
            ends = way.get("layout") == "offsets_end"
            inputs[f"o{n}"], requests[f"o{n}"] = tensor((-1,), i64), np.append(starts, 9) if ends else starts
            weights, kind = rng.normal(0, 1, 9), tensor((-1,), f32)
        if way.get("weighted"):
            inputs[f"w{n}"], requests[f"w{n}"] = kind, weights.astype(np.float32)

    def body(b: Builder, args: list[Any]) -> list[Any]:
        named = dict(zip(inputs, args, strict=True))
        return [
            b.add(
                rec.EmbeddingBagOp(
                    b.table(f"t{n}", 20, 5), 20, 5, named[f"i{n}"], mode=way["mode"],
                    layout=way.get("layout", "offsets"), offsets=named.get(f"o{n}"),
                    weights=named.get(f"w{n}"), padding=way.get("padding"),
                )
            )
            for n, way in enumerate(ways)
        ]  # fmt: skip

    module, ctx = built(inputs, body)
    wanted = evaluate(module, ctx, requests)
    close(FusedModel(module, ctx)(requests), wanted, 1e-6)


def test_an_id_beyond_its_table_is_refused(tmp_path: Path) -> None:
    proto, requests = tiny_dlrm(0, 2)
    fused = fused_of(proto, tmp_path)
    ids = next(name for name in requests if name.startswith("ids"))
    for bad in (10_000, -1):
        with pytest.raises(RequestError, match="ids or offsets") as error:
            fused({**requests, ids: np.full_like(requests[ids], bad)})
        assert error.value.code == "request.id-out-of-range"


def test_host_segments_are_named(tmp_path: Path) -> None:
    text = """g (float[batch, 4] x) => (float[batch, 4] y) { y = Cosh(x) }"""
    with pytest.raises(NotFused, match=r"no fused form of .*left to onnxruntime"):
        fused_of(from_text(text), tmp_path)
