"""``cimc accuracy``: sweeps, ways to simulate, retrieval, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from cimc.errors import CimcError
from cimc.metrics.scores import auc
from cimc.study.accuracy_sweep import runs
from cimc.study.sweep_axes import parse_axes, variants
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from models import onnx_forms as forms
from tests.cli.tiny_files import Tiny, call


def by_settings(report: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(p["settings"].values()): p["metrics"] for p in report["points"]}


def test_a_sweep_compiles_runs_and_compares(tiny: Tiny, tmp_path: Path) -> None:
    done = call(
        "accuracy", tiny.model, "--calib", tiny.calib, "--inputs", tiny.requests, "--sweep", "adc_bits=3,8",
        "--sweep", "weights=4,8", "--mode", "exact", "--mode", "adc", "--csv", tmp_path / "a.csv", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    report = done.json
    points = by_settings(report)
    assert list(points) == [(b, w, m) for b in (3, 8) for w in (4, 8) for m in ("exact", "adc")]
    assert report["axes"] == {"adc_bits": [3, 8], "weights": [4, 8], "mode": ["exact", "adc"]}
    assert report["reference"]["auc"]["value"] == 1.0  # the labels are the model's own
    assert points[8, 8, "exact"] == points[3, 8, "exact"]  # no converter in integers
    assert points[8, 8, "exact"]["sqnr_db"]["value"] > points[8, 4, "exact"]["sqnr_db"]["value"] + 5
    assert points[8, 8, "adc"]["sqnr_db"]["value"] > points[3, 8, "adc"]["sqnr_db"]["value"] + 10
    assert points[8, 8, "adc"]["auc"]["value"] > points[3, 8, "adc"]["auc"]["value"]
    drop = points[3, 8, "adc"]["auc_drop"]
    assert drop["value"] == pytest.approx(1.0 - points[3, 8, "adc"]["auc"]["value"])
    assert drop["low"] <= drop["value"] <= drop["high"]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 10


def test_a_program_gives_what_run_gives(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    report = call("accuracy", program, "--inputs", tiny.requests, "--json").json
    call("run", program, "--inputs", tiny.requests, "--outputs", tmp_path / "o.npz")
    labels = np.load(tiny.requests)["labels"]
    (scores,) = np.load(tmp_path / "o.npz").values()
    (point,) = report["points"]
    assert point["metrics"]["auc"]["value"] == auc(labels, scores)
    assert report["reference"] == {}
    assert "sqnr_db" not in point["metrics"]
    compared = call("accuracy", program, "--inputs", tiny.requests, "--reference", tiny.model, "--json").json
    assert compared["points"][0]["metrics"]["auc"] == point["metrics"]["auc"]
    assert compared["points"][0]["metrics"]["sqnr_db"]["value"] > 15


def test_noise_over_ages_and_seeds(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    options: tuple[object, ...] = (
        "accuracy", program, "--inputs", tiny.requests, "--mode", "adc", "--mode", "noisy", "--device",
        "wan2022", "--device", "ideal", "--age", "1,86400", "--seed", "4", "--limit", "60", "--json",
    )  # fmt: skip
    done = call(*options, "--seeds", "3")
    assert done.code == 0, done.err
    three = done.json
    assert [tuple(p["settings"].values()) for p in three["points"]] == [
        ("adc", None, None),
        *(("noisy", device, age) for device in ("wan2022", "ideal") for age in (1.0, 86400.0)),
    ]
    adc, young, *_, ideal = three["points"]
    assert (adc["seeds"], young["seeds"]) == ([], [4, 5, 6])
    assert adc["metrics"]["log_loss"]["method"] == "normal over requests"
    assert young["metrics"]["auc"]["method"] == "two-way over chips and requests"
    assert young["metrics"]["auc"]["value"] == pytest.approx(np.mean(young["per_seed"]["auc"]))
    assert young["metrics"]["auc"]["chips_sd"] == pytest.approx(np.std(young["per_seed"]["auc"], ddof=1))
    assert young["metrics"]["auc"]["requests_se"] > 0
    assert adc["metrics"]["auc"]["chips_sd"] is None
    assert three["notes"][-1].startswith("5 variants are compared")
    assert len(set(young["per_seed"]["log_loss"])) == 3
    assert ideal["metrics"]["auc"]["value"] == adc["metrics"]["auc"]["value"]
    one = call(*options, "--seeds", "1").json
    assert one["points"][1]["metrics"]["auc"]["value"] == young["per_seed"]["auc"][0]


def test_the_figure(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    args = ("accuracy", tiny.model, "--calib", tiny.calib, "--inputs", tiny.requests)
    done = call(*args, "--sweep", "adc_bits=4,8", "--plot", tmp_path / "a.svg", "--metric", "sqnr_db")
    assert done.code == 0, done.err
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert call(*args, "--plot", tmp_path / "a.pdf", "--json").json["error"]["code"] == "report.bad-figure"
    wrong = call(*args, "--plot", tmp_path / "b.svg", "--metric", "recall@10", "--json")
    assert wrong.json["error"]["code"] == "accuracy.no-metric"
    assert not (tmp_path / "b.svg").exists()


# --------------------------------------------------------------------------------------------------
# Retrieval


def two_towers(folder: Path) -> tuple[Path, Path, Path]:
    """A file with a user and an item tower, labelled requests, and a catalogue of 30 items."""
    rng = np.random.default_rng(0)
    g = forms.GraphWriter()
    weight = rng.standard_normal((4, 6)).astype(np.float32)  # one for both: like finds like
    for name in ("user", "item"):
        x = g.input(name, TensorProto.FLOAT, ["batch", 6])
        g.output(f"{name}_vec", TensorProto.FLOAT, ["batch", 4])
        forms.mlp(g, x, [(weight, np.zeros(4, np.float32))], scope=f"/{name}", last=None, out=f"{name}_vec")
    onnx.save(g.model("towers", opset=17, ir_version=8), folder / "towers.onnx")
    features = rng.standard_normal((30, 6)).astype(np.float32)
    chosen = rng.integers(0, 30, 80)
    ids = np.arange(30) * 10 + 5
    users = (features[chosen] + 0.1 * rng.standard_normal((80, 6))).astype(np.float32)
    labels = (np.arange(80) % 2).astype(np.int8)
    np.savez(folder / "requests.npz", user=users, item=features[chosen], item_id=ids[chosen], labels=labels)
    np.savez(folder / "items.npz", item=features, item_id=ids)
    return folder / "towers.onnx", folder / "requests.npz", folder / "items.npz"


RECALL = (
    "--recall-at", "1", "--recall-at", "5", "--query", "user_vec", "--item", "item_vec",
    "--relevant", "item_id",
)  # fmt: skip


def test_recall_against_a_catalogue_equals_brute_force(tmp_path: Path) -> None:
    model, requests, items = two_towers(tmp_path)
    with np.load(requests) as found:
        arrays = {name: found[name] for name in ("user", "item", "item_id")}
    np.savez(requests, **arrays)
    args = ("accuracy", model, "--calib", requests, "--inputs", requests, *RECALL, "--mode", "exact")
    report = call(*args, "--items", items, "--json").json
    assert (report["queries"], report["items"]) == (80, 30)
    from cimc.host.runtime import run_onnx

    catalogue = dict(np.load(items))
    filler = np.zeros((30, 6), np.float32)
    vectors = run_onnx(model, {"user": filler, "item": catalogue["item"]})["item_vec"]
    queries = run_onnx(model, {k: arrays[k] for k in ("user", "item")})["user_vec"]
    best = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :5]
    hits = [arrays["item_id"][q] in catalogue["item_id"][best[q]] for q in range(80)]
    assert report["reference"]["recall@5"]["value"] == pytest.approx(np.mean(hits))
    (point,) = report["points"]
    assert set(point["metrics"]) == {"recall@1", "recall@5", "overlap@1", "overlap@5", "sqnr_db"}
    assert point["metrics"]["overlap@5"]["value"] > 0.8
    within = call(*args, "--json").json  # without a catalogue: the items of the requests
    assert within["items"] == len(np.unique(arrays["item_id"]))


def test_only_positive_requests_are_queries_and_programs_do_too(tmp_path: Path) -> None:
    model, requests, items = two_towers(tmp_path)
    for name, tower in (("user.cimc", "user_vec"), ("item.cimc", "item_vec")):
        call("compile", model, "-o", tmp_path / name, "--calib", requests, "--select", tower)
    both = ("--items", items, "--item-program", tmp_path / "item.cimc")
    args = ("accuracy", tmp_path / "user.cimc", "--inputs", requests, *RECALL, *both, "--json")
    done = call(*args)
    assert done.code == 0, done.err
    assert (done.json["queries"], done.json["items"], done.json["positives"]) == (40, 30, None)
    assert done.json["points"][0]["metrics"]["recall@5"]["value"] > 0.5
    wrong = call(*args, "--output", "user_vec")
    assert wrong.json["error"]["code"] == "accuracy.which-output"  # a vector is no score


# --------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--sweep", "adc_bits"], "accuracy.bad-sweep"),
        (["--sweep", "colour=1"], "accuracy.bad-sweep"),
        (["--sweep", "adc_bits=4,4"], "accuracy.bad-sweep"),
        (["--sweep", "adc_bits=4", "--sweep", "array.adc_bits=5"], "accuracy.bad-sweep"),
        (["--sweep", "quantize.colour=1"], "accuracy.bad-sweep"),
        (["--sweep", "weights=four"], "pass.bad-option"),
        (["--sweep", "array.colour=1"], "target.invalid"),
        (["--sweep", "ranges=loose"], "choose-adc-steps.option"),
        (["--labels", "nosuch"], "accuracy.bad-labels"),
        (["--labels", "dense"], "accuracy.bad-labels"),
        (["--output", "nosuch"], "accuracy.which-output"),
        (["--recall-at", "5"], "accuracy.bad-retrieval"),
        (["--relevant", "labels"], "accuracy.bad-retrieval"),
        (["--mode", "noisy"], "cli.usage"),
        (["--device", "ideal"], "cli.usage"),
        (["--mode", "noisy", "--device", "nosuch"], "device.unknown"),
        (["--mode", "noisy", "--device", "ideal", "--age", "old"], "cli.usage"),
        (["--reference", "x.onnx"], "cli.usage"),
        (["--age", "5"], "cli.usage"),
        (["--metric", "auc"], "cli.usage"),
        (["--plot", "x.svg", "--x", "nosuch"], "accuracy.no-axis"),
        (["--plot", "x.svg", "--metric", "recall@10"], "accuracy.no-metric"),
    ],
)
def test_refusals(tiny: Tiny, options: list[str], code: str) -> None:
    done = call("accuracy", tiny.model, "--calib", tiny.calib, "--inputs", tiny.requests, *options, "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == code, done.err


@pytest.mark.parametrize("options", [["--sweep", "adc_bits=4,8"], ["--calib", "x.npz"], ["--items", "x.npz"]])
def test_what_a_program_cannot_do(tiny: Tiny, program: Path, options: list[str]) -> None:
    more = [*RECALL, *options] if "--items" in options else options
    done = call("accuracy", program, "--inputs", tiny.requests, *more, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "cli.usage")


def test_nothing_to_measure(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", **tiny.arrays)
    done = call("accuracy", program, "--inputs", tmp_path / "r.npz", "--json")
    assert done.json["error"]["code"] == "accuracy.nothing-to-measure"
    done = call("accuracy", program, "--inputs", tmp_path / "r.npz", "--reference", tiny.model, "--json")
    assert set(done.json["points"][0]["metrics"]) == {"sqnr_db"}
    np.savez(tmp_path / "r.npz", **{name: array[:0] for name, array in tiny.arrays.items()})
    done = call("accuracy", program, "--inputs", tmp_path / "r.npz", "--reference", tiny.model, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "accuracy.nothing-to-measure")


def test_a_combination_that_cannot_be_is_a_result(tiny: Tiny) -> None:
    args = ("accuracy", tiny.model, "--calib", tiny.calib, "--inputs", tiny.requests, "--json")
    report = call(*args, "--sweep", "ranges=calibrated,clip-free", "--sweep", "array.adc_max_lsb=1").json
    good, bad = report["points"]
    assert good["error"] is None
    assert bad["error"]["code"] == "shard.adc-range"
    assert bad["metrics"] == {}
    alone = call(*args, "--sweep", "ranges=clip-free", "--sweep", "array.adc_max_lsb=1")
    assert alone.json["error"]["code"] == "shard.adc-range"


# --------------------------------------------------------------------------------------------------
# Parts


def test_variants_change_target_and_pipeline() -> None:
    axes = parse_axes(["target=isaac32,asscc28", "adc_bits=5,6", "place.seed=1"])
    found = list(variants(axes, load_target("tsinghua28"), Pipeline.parse()))
    assert [v.target.name for v in found] == ["isaac32", "isaac32", "asscc28", "asscc28"]
    assert [v.target.array.adc_bits for v in found] == [5, 6, 5, 6]
    assert all("seed=1" in str(v.pipeline) for v in found)
    assert found[0].settings == {"target": "isaac32", "adc_bits": 5, "place.seed": 1}
    assert [v.settings for v in variants((), load_target("isaac32"), Pipeline.parse())] == [{}]


def test_ways_to_simulate() -> None:
    found = runs(["adc", "noisy"], ["ideal", "wan2022"], "0,60", 3, 2)
    assert [(w.mode, w.device, w.age, w.seeds) for w in found] == [
        ("adc", None, None, ()),
        *(("noisy", d, t, (3, 4)) for d in ("ideal", "wan2022") for t in (0.0, 60.0)),
    ]


def test_equal_sweeps_give_equal_reports(tiny: Tiny, program: Path) -> None:
    args = (
        "accuracy",
        program,
        "--inputs",
        tiny.requests,
        "--mode",
        "noisy",
        "--device",
        "wan2022",
        "--json",
    )
    assert json.dumps(call(*args).json) == json.dumps(call(*args).json)


def test_unknown_option_of_a_sweep_lists_the_keys() -> None:
    with pytest.raises(CimcError, match="neither a field") as caught:
        parse_axes(["colour=1"])
    assert caught.value.hint is not None
    assert "adc_bits" in caught.value.hint


def test_devices_and_seeds_are_checked_before_anything_runs() -> None:
    with pytest.raises(CimcError) as unknown:
        runs(["adc", "noisy"], ["nowhere"], "0", 0, 1)
    assert unknown.value.code == "device.unknown"
    with pytest.raises(CimcError) as large:
        runs(["noisy"], ["ideal"], "0", (1 << 64) - 1, 2)
    assert large.value.code == "device.seed"
