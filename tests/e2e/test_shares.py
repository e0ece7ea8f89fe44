"""How much of every model built here is done on chip: one that slips back to the host fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import onnx
import pytest

import cimc
from cimc.cost.on_chip import OnChip, on_chip_of_remarks
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.ir.context import Requests
from cimc.ir.text import new_context
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from models.tiny import requests_for, tiny_dlrm
from tests.conftest import ROOT
from tests.shares import CheckShare, read
from tests.zoo.models_more import MORE
from tests.zoo.models_public import PUBLIC
from tests.zoo.models_sequences import SEQUENCES
from tests.zoo.models_zoo import ZOO, Model

FAMILIES: dict[str, dict[str, tuple[Callable[[], Model], int]]] = {
    "zoo": {name: (build, 17) for name, build in ZOO.items()},
    "public": PUBLIC,
    "more": MORE,
    "sequences": {name: (build, 17) for name, build in SEQUENCES.items()},
}
COMMITTED = sorted((ROOT / "models").glob("*.onnx"))


def by_shapes(path: Path) -> OnChip:
    """The shares as ``cimc inspect`` states them."""
    ctx = new_context()
    ctx.target = load_target("tsinghua28")
    module = import_model(load_model(path), ctx)
    Pipeline.parse("canonicalize,fuse-recsys").run(module, ctx)
    return on_chip_of_remarks(ctx.remarks)


def shares_of(path: Path, requests: Requests) -> OnChip:
    """The shares by shapes, or where these do not tell, of a run."""
    found = by_shapes(path)
    if None not in (found.macs.share, found.lookups.share):
        return found
    return cimc.compile(path, calib=requests).run(requests, mode="exact").on_chip


@pytest.mark.parametrize(("family", "name"), [(f, n) for f, models in FAMILIES.items() for n in models])
def test_families(family: str, name: str, tmp_path: Path, golden_share: CheckShare) -> None:
    build, opset = FAMILIES[family][name]
    model = build()
    path = tmp_path / "m.onnx"
    proto = model.proto(opset)
    for output in proto.graph.output:  # their builders state no more than the batch
        output.type.tensor_type.ClearField("shape")
    onnx.save(proto, path)
    golden_share(family, name, shares_of(path, model.requests))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: p.stem)
def test_committed_models(path: Path, golden_share: CheckShare) -> None:
    golden_share("models", path.stem, by_shapes(path))


def test_built_models(tmp_path: Path, golden_share: CheckShare) -> None:
    model, _ = tiny_dlrm(seed=0, tables=2)
    onnx.save(model, tmp_path / "tiny.onnx")
    golden_share("models", "tiny", shares_of(tmp_path / "tiny.onnx", requests_for(model, batch=8)))


def test_golden_shares_are_of_these_models(golden_names: Callable[[str, Iterable[str]], None]) -> None:
    for family, models in FAMILIES.items():
        golden_names(family, models)
    golden_names("models", ["tiny", *(path.stem for path in COMMITTED)])


def test_what_keeps_a_model_off_the_chip_is_written_down() -> None:
    for family in (*FAMILIES, "models", "corpus"):
        for name, entry in read(family).items():
            whole = all((entry[k] or 0) >= 0.99 for k in ("macs", "lookups"))
            assert whole == (entry["first_on_host"] is None), name
