"""The files that lie beside the builders: size, validity, quality."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from cimc.metrics.scores import auc
from models.build import CALIBRATED, EVALUATED, RECIPES, TRACED, TUNED, score
from models.requests import id_inputs
from models.synthetic import Split

FOLDER = Path(__file__).resolve().parents[2] / "models"
NAMES = pytest.mark.parametrize("name", sorted(RECIPES))


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name, allow_pickle=False) as data:
        return dict(data)


@NAMES
def test_sizes(name: str) -> None:
    assert (FOLDER / f"{name}.onnx").stat().st_size < 8_000_000
    for kind in ("requests", "calib", "tuning", "trace"):
        assert (FOLDER / f"{name}.{kind}.npz").stat().st_size < 500_000


@NAMES
def test_held_out_auc_under_onnxruntime(name: str) -> None:
    requests = arrays(f"{name}.requests.npz")
    labels = requests.pop("labels")
    assert labels.shape == (EVALUATED,)
    reached = auc(labels, score((FOLDER / f"{name}.onnx").read_bytes(), requests))
    assert 0.78 < reached < 0.90  # noisy labels: more would mean that the answer leaks


@NAMES
@pytest.mark.parametrize(
    ("kind", "count"), [("requests", EVALUATED), ("calib", CALIBRATED), ("tuning", TUNED)]
)
def test_requests_are_valid(name: str, kind: str, count: int) -> None:
    model = onnx.load(FOLDER / f"{name}.onnx")
    requests = arrays(f"{name}.{kind}.npz")
    assert [*(value.name for value in model.graph.input), "labels"] == list(requests)
    assert set(requests["labels"].tolist()) == {0, 1}
    found = id_inputs(model)
    for ids, rows in found.rows.items():
        assert requests[ids].dtype == np.int64
        assert requests[ids].min() >= 0
        assert requests[ids].max() < rows
    for ids, offsets in found.offsets.items():
        starts = requests[offsets]
        assert starts.shape == (count,)
        lengths = np.diff([*starts, requests[ids].size])
        assert starts[0] == 0
        assert lengths.min() >= (1 if ids in found.with_mean else 0)
    for value in model.graph.input:
        if value.name not in found.offsets:
            assert len(requests[value.name]) == count
    if kind == "requests" and name == "dlrm_small":
        empties = [
            (np.diff([*requests[offsets], requests[ids].size]) == 0).any()
            for ids, offsets in found.offsets.items()
            if ids not in found.with_mean
        ]
        assert any(empties)


def whole_requests(name: str, kind: str, count: int) -> list[tuple[object, ...]]:
    """Each request as one tuple: dense values, ids, whole bags."""
    data = arrays(f"{name}.{kind}.npz")
    found = id_inputs(onnx.load(FOLDER / f"{name}.onnx"))
    columns: list[list[object]] = []
    for key, value in data.items():
        if key in found.offsets:
            starts = [*data[found.offsets[key]].tolist(), value.size]
            columns.append([value[a:b].tobytes() for a, b in pairwise(starts)])
        elif key != "labels" and key not in found.offsets.values():
            columns.append([row.tobytes() for row in value])
    assert all(len(column) == count for column in columns)
    return list(zip(*columns, strict=True))


@NAMES
def test_splits_share_no_request(name: str) -> None:
    evaluation = set(whole_requests(name, "requests", EVALUATED))
    assert len(evaluation) == EVALUATED
    calibration = whole_requests(name, "calib", CALIBRATED)
    tuning = set(whole_requests(name, "tuning", TUNED))
    assert evaluation.isdisjoint(calibration)
    assert evaluation.isdisjoint(tuning)
    assert tuning.isdisjoint(calibration)


@NAMES
@pytest.mark.parametrize(
    ("kind", "split", "count"),
    [
        ("requests", Split.EVALUATE, EVALUATED),
        ("calib", Split.CALIBRATE, CALIBRATED),
        ("tuning", Split.TUNE, TUNED),
    ],
)
def test_requests_are_those_of_their_split(name: str, kind: str, split: Split, count: int) -> None:
    """What is drawn depends on seed, split and number alone, not on training; floats may round elsewhere."""
    recipe = RECIPES[name](0)
    batch = recipe.log.batch(split, 0, count)
    kept = arrays(f"{name}.{kind}.npz")
    for key, made in {**recipe.model.feeds(batch), "labels": batch.labels}.items():
        assert made.shape == kept[key].shape
        assert np.isclose(made, kept[key], rtol=1e-5).mean() > 0.999, key


@NAMES
def test_trace_names_every_table_and_only_rows_it_has(name: str) -> None:
    model = onnx.load(FOLDER / f"{name}.onnx")
    trace = arrays(f"{name}.trace.npz")
    assert trace["requests"] == TRACED
    tables = {t.name: t.dims[0] for t in model.graph.initializer if f"{t.name}.rows" in trace}
    assert len(trace) == 1 + 2 * len(tables)
    # Every table that an id input selects from, by its largest size, is in the trace.
    assert set(id_inputs(model).rows.values()) <= set(tables.values())
    for table, size in tables.items():
        rows, counts = trace[f"{table}.rows"], trace[f"{table}.counts"]
        assert (rows.dtype, counts.dtype) == (np.int32, np.int32)
        assert rows.shape == counts.shape
        assert (np.diff(rows) > 0).all()
        assert rows[0] >= 0
        assert rows[-1] < size
        assert counts.min() > 0


def test_items_are_the_whole_catalogue() -> None:
    items = arrays("twotower_small.items.npz")
    inputs = [value.name for value in onnx.load(FOLDER / "twotower_small.onnx").graph.input]
    assert set(items) < set(inputs)
    assert np.array_equal(items["item_id"], np.arange(len(items["item_id"])))
    requests = arrays("twotower_small.requests.npz")
    for column, values in items.items():
        assert np.array_equal(values[requests["item_id"]], requests[column])
