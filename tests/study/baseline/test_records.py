"""The file of a baseline: what goes in comes out, and anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cimc.errors import CimcError
from cimc.study.baseline.records import FUSED, ORT, Baseline
from tests.study.baseline.baselines import BASELINE, ROWS


def test_a_file_holds_all(tmp_path: Path) -> None:
    BASELINE.save(tmp_path / "b.json")
    assert Baseline.load(tmp_path / "b.json") == BASELINE
    assert (tmp_path / "b.json").read_text().endswith("}\n")


def refused(path: Path) -> str:
    with pytest.raises(CimcError) as error:
        Baseline.load(path)
    assert error.value.hint is not None or error.value.code == "io.cannot-read"
    return error.value.code


def edited(**changes: Any) -> str:
    return json.dumps({**BASELINE.to_json(), **changes})


def without(key: str) -> str:
    return json.dumps({k: v for k, v in BASELINE.to_json().items() if k != key})


def row(**changes: Any) -> str:
    first, *others = BASELINE.to_json()["rows"]
    return edited(rows=[{**first, **changes}, *others])


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "3", "{}", "[" * 100_000, '{"format": "cimc-baseline"', "\xff",
        edited(format="x"),
        edited(rows=3), edited(rows=[3]), edited(rows=None), edited(left_out=[{"engine": 1, "why": "x"}]),
        edited(watts_per_core="5"), edited(watts_per_core=0), edited(cores=1.5), edited(model=None),
        edited(versions=[]), without("rows"), without("model_digest"), row(watts=-1), row(batch=True),
        row(requests_per_s=0), row(requests_per_s=float("nan")), row(requests_per_s=float("inf")),
        row(engine=None), edited(inputs=3),
    ],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_bytes(text.encode("latin-1"))
    assert refused(tmp_path / "b.json") == "baseline.invalid"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(tmp_path: Path, version: Any) -> None:
    (tmp_path / "b.json").write_text(edited(version=version))
    assert refused(tmp_path / "b.json") == "baseline.version"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.json") == "io.cannot-read"
    assert refused(tmp_path) == "io.cannot-read"


def test_another_model_is_refused(tmp_path: Path) -> None:
    BASELINE.save(tmp_path / "b.json")
    assert Baseline.of_model(tmp_path / "b.json", "a" * 64) == BASELINE
    with pytest.raises(CimcError, match="another model") as error:
        Baseline.of_model(tmp_path / "b.json", "c" * 64)
    assert error.value.code == "baseline.other-model"


def test_the_best_row_is_of_recorded_requests() -> None:
    assert BASELINE.best("requests_per_s") == ROWS[3]
    assert BASELINE.best("requests_per_s", (ORT,)) == ROWS[1]
    assert BASELINE.best("requests_per_joule", (ORT,)) == ROWS[0]
    assert BASELINE.best("requests_per_s", (ORT,), 0.1) == ROWS[0]
    assert BASELINE.best("requests_per_s", (FUSED,), 1e-6) is None


def test_a_busy_machine_is_noted() -> None:
    assert not any("other work" in note for note in BASELINE.notes)
    assert any("other work" in note for note in replace(BASELINE, load_before=1.9).notes)
    assert not any("other work" in note for note in replace(BASELINE, load_before=None).notes)
