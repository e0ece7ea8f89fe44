"""A measurement of a tiny model: every row is there, and what is not is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import cimc
from cimc.errors import CimcError, RequestError
from cimc.study.baseline import cpu_at_hand, measure
from cimc.study.baseline.fused_model import FusedModel
from cimc.study.baseline.records import FUSED, INT8, ORT
from models.tiny import requests_for, tiny_dlrm
from tests.transforms.recognise.fusing import model as from_text


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    proto, _ = tiny_dlrm(0, 3)
    onnx.save(proto, tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx", requests_for(proto, batch=40, seed=1)


def test_every_engine_size_and_core_count(
    tiny: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_at_hand, "cores", lambda: 2)
    steps: list[tuple[int, int]] = []
    found = cimc.measure_baseline(
        *tiny,
        seconds=0.5,
        batches=(1, 16, 256),
        watts_per_core=4.0,
        progress=lambda d, n, _: steps.append((d, n)),
    )
    assert not found.left_out
    assert found.fused_error is not None
    assert found.fused_error < 1e-5
    assert found.int8_error is not None
    assert 1e-5 < found.int8_error < 0.1
    keys = {(r.engine, r.ids, r.batch, r.threads, r.streams) for r in found.rows}
    assert len(keys) == len(found.rows)
    ways = [(e, n, m) for e in (ORT, INT8) for n, m in ((1, 1), (2, 1), (1, 2))] + [
        (FUSED, 1, 1),
        (FUSED, 1, 2),
    ]
    assert keys == {(e, ids, b, n, m) for e, n, m in ways for ids in ("recorded", "hot") for b in (1, 16, 40)}
    assert steps == [(n, len(found.rows)) for n in range(len(found.rows))]
    for row in found.rows:
        assert row.watts == 4.0 * row.threads * row.streams
        assert 0 < row.low <= row.requests_per_s <= row.best
        assert row.latency_p50_s <= row.latency_p99_s
        assert row.calls >= measure.REPEATS * row.streams
        assert row.requests_per_joule == pytest.approx(row.requests_per_s / row.watts)
    assert found.watts_per_core == 4.0


def test_what_cannot_be_fused_is_left_out_by_name(tmp_path: Path) -> None:
    proto = from_text("g (float[batch, 4] x) => (float[batch, 4] y) { y = Cosh(x) }")
    onnx.save(proto, tmp_path / "m.onnx")
    found = cimc.measure_baseline(
        tmp_path / "m.onnx", {"x": np.ones((3, 4), np.float32)}, seconds=0.05, batches=(1,)
    )
    (left,) = [each for each in found.left_out if each.engine == FUSED]
    assert "left to onnxruntime" in left.why
    assert found.fused_error is None
    assert {row.engine for row in found.rows} <= {ORT, INT8}


def test_a_fused_reference_that_is_not_onnxruntimes_is_left_out(
    tiny: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = FusedModel.__call__

    def wrong(self: FusedModel, requests: Any) -> Any:
        return {name: value * np.float32(1.001) for name, value in right(self, requests).items()}

    monkeypatch.setattr(FusedModel, "__call__", wrong)
    found = cimc.measure_baseline(*tiny, seconds=0.05, batches=(16,))
    assert [each.engine for each in found.left_out] == [FUSED]
    assert "differs from onnxruntime's" in found.left_out[0].why
    assert FUSED not in {row.engine for row in found.rows}


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0},
        {"seconds": float("inf")},
        {"batches": ()},
        {"batches": (0,)},
        {"watts_per_core": -1.0},
        {"cores": 0},
        {"engines": ()},
        {"engines": ("torch",)},
    ],
)
def test_options_that_make_no_sense(tiny: tuple[Path, dict[str, Any]], wrong: dict[str, Any]) -> None:
    with pytest.raises(CimcError) as error:
        cimc.measure_baseline(*tiny, **wrong)
    assert error.value.code == "baseline.option"


def test_a_missing_input(tiny: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(RequestError) as error:
        cimc.measure_baseline(tiny[0], {})
    assert error.value.code == "request.missing-input"


def test_what_is_asked_for_alone(tiny: tuple[Path, dict[str, Any]]) -> None:
    found = cimc.measure_baseline(*tiny, seconds=0.05, batches=(16,), engines=[FUSED], cores=1)
    assert {(row.engine, row.threads, row.streams) for row in found.rows} == {(FUSED, 1, 1)}
    assert {each.engine: each.why for each in found.left_out} == dict.fromkeys((ORT, INT8), "not asked for")


def test_nothing_to_measure(tmp_path: Path) -> None:
    proto = from_text("g (float[batch, 4] x) => (float[batch, 4] y) { y = Cosh(x) }")
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(CimcError, match="left to onnxruntime") as error:
        cimc.measure_baseline(tmp_path / "m.onnx", {"x": np.ones((3, 4), np.float32)}, engines=[FUSED])
    assert error.value.code == "baseline.nothing"
