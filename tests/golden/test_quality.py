"""What golden metrics hold: losses fail, gains too, and every model has all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import onnx
import pytest

import cimc
from models.tiny import requests_for, tiny_dlrm
from tests import quality
from tests.conftest import ROOT
from tests.quality import BETTER, CheckQuality, Metrics
from tests.zoo.models_more import MORE
from tests.zoo.models_public import PUBLIC
from tests.zoo.models_sequences import SEQUENCES
from tests.zoo.models_zoo import ZOO

COMMITTED = sorted(path.stem for path in (ROOT / "models").glob("*.onnx"))
GROUPS: dict[str, Iterable[str]] = {"zoo": ZOO, "public": PUBLIC, "more": MORE, "sequences": SEQUENCES}
"""Groups whose models are built by tests alone, with the tests in which they are compiled."""
ENTRY: Metrics = {"macs": 1.0, "first_on_host": None, "arrays": 3, "energy_pj": 1000.0}


def test_built_models(tmp_path: Path, golden_quality: CheckQuality) -> None:
    model, _ = tiny_dlrm(seed=0, tables=2)
    onnx.save(model, tmp_path / "tiny.onnx")
    requests = requests_for(model, batch=8)
    program = cimc.compile(tmp_path / "tiny.onnx", calib=requests)
    golden_quality("models", "tiny", quality.of_program(program, program.run(requests, mode="exact").cost))


def test_groups_hold_these_models(golden_names: Callable[[str, Iterable[str]], None]) -> None:
    for group, models in GROUPS.items():
        golden_names(group, models)
        assert set(quality.read(group)) == set(models)
    found = set(quality.read("models"))
    assert found >= {"tiny", *COMMITTED}
    golden_names("models", [name for name in found if name.partition(", ")[0] in ("tiny", *COMMITTED)])


@pytest.mark.parametrize("group", sorted(path.stem for path in quality.FOLDER.glob("*.json")))
def test_every_model_has_all_metrics(group: str) -> None:
    for name, entry in quality.read(group).items():
        assert list(entry) == list(BETTER), name
        whole = all((entry[k] or 0) >= 0.99 for k in ("macs", "lookups"))  # type: ignore[operator]
        assert whole == (entry["first_on_host"] is None), name


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"energy_pj": 1000.01}, "LOSS energy_pj: 1000.0 -> 1000.01"),
        ({"energy_pj": 999.0}, "GAIN energy_pj: 1000.0 -> 999.0"),
        ({"macs": 0.5}, "LOSS macs: 1.0 -> 0.5"),
        ({"arrays": 2}, "GAIN arrays: 3 -> 2"),
        ({"first_on_host": "n (Gather)"}, "CHANGE first_on_host: None -> n (Gather)"),
        ({"energy_pj": None}, "CHANGE energy_pj: 1000.0 -> None"),
    ],
)
def test_losses_fail_and_gains_are_to_be_written_down(
    changed: Metrics, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "FOLDER", tmp_path)
    quality.compare("g", "m", ENTRY, update=True)
    quality.compare("g", "m", ENTRY | {"energy_pj": 1000.0000001}, update=False)
    with pytest.raises(AssertionError, match="gains too") as failed:
        quality.compare("g", "m", ENTRY | changed, update=False)
    assert said in str(failed.value)
    quality.compare("g", "m", ENTRY | changed, update=True)
    assert quality.read("g") == {"m": ENTRY | changed}


def test_a_model_without_golden_metrics_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "FOLDER", tmp_path)
    with pytest.raises(AssertionError, match="m has no golden metrics"):
        quality.compare("g", "m", ENTRY, update=False)
    quality.compare("g", "m", ENTRY, update=True)
    with pytest.raises(AssertionError, match="gone: \\['m'\\]"):
        quality.compare_names("g", ["other"], update=False)
    quality.compare_names("g", ["other"], update=True)
    assert quality.read("g") == {}
