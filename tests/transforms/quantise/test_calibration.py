"""Ranges of layer inputs: what is rare in sparse inputs is kept, outliers of dense activations are not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.analysis.origins import is_given, parts_of, whole_of
from cimc.compare.check import Bound, check_outputs
from cimc.compare.remedies import remedies
from cimc.errors import PassError, RequestError
from cimc.ir import rec
from cimc.ir.types import tensor
from cimc.metrics.scores import sqnr_db
from cimc.transforms.passes import DEFAULT_PIPELINE, PASSES, loader
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.quantise.calibration import (
    CLIP_COST_DB,
    SAMPLES,
    Widths,
    clipping,
    picked,
    range_of,
    reach,
    sampled,
    usual_values,
)
from tests.build import dlrm, module

ROWS = 64
SPARSITIES = [(200, 1e-1), (200, 1e-2), (3000, 1e-3), (20_000, 1e-4), (20_000, 1e-5)]
"""Width of the input, share of it that a row sets (one element at least)."""


def sparse(width: int, density: float, kind: str, rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """``[rows, width]`` with ``density`` of the elements set, at least one a row."""
    rng = np.random.default_rng(seed)
    x = np.zeros((rows, width), np.float32)
    count = max(1, round(width * density))
    for row in x:
        on = rng.choice(width, 1 if kind == "one-hot" else count, replace=False)
        row[on] = rng.uniform(0.1, 5.0, len(on)) if kind == "weighted" else 1
    return x


def model_of(path: Path, nodes: list, inputs: list, weights: dict[str, np.ndarray]) -> Path:
    graph = helper.make_graph(
        nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def mlp_on(path: Path, width: int, before: list, first: str, extra: dict[str, np.ndarray]) -> Path:
    """``y`` of two layers behind ``before``, the nodes that make ``first [B, width]`` of ``x``."""
    rng = np.random.default_rng(1)
    weights = {
        "w1": rng.normal(0, 1, (width, 8)).astype(np.float32),
        "w2": rng.normal(0, 1, (8, 4)).astype(np.float32),
        **extra,
    }
    nodes = [
        *before,
        helper.make_node("MatMul", [first, "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", width])]
    return model_of(path, nodes, inputs, weights)


def quality(model: Path, x: np.ndarray, pipeline: str | None = None) -> tuple[float, cimc.Program]:
    """SQNR in exact mode of the program calibrated on ``x``."""
    options = {} if pipeline is None else {"pipeline": pipeline}
    program = cimc.compile(model, calib={"x": x}, **options)
    from cimc.compare.reference import reference_outputs

    want, _ = reference_outputs(model, {"x": x}, ["y"])
    return sqnr_db(want["y"], program.run({"x": x}, "exact").outputs["y"]), program


def with_percentile(value: str) -> str:
    return DEFAULT_PIPELINE.replace("acts=8", f"acts=8 percentile={value}")


@pytest.mark.parametrize("kind", ["one-hot", "multi-hot", "weighted"])
@pytest.mark.parametrize(
    ("width", "density"), [(200, 1e-1), (200, 1e-2), (3000, 1e-3), (20000, 1e-4), (20000, 1e-5)]
)
def test_sparse_inputs_keep_their_quality(tmp_path: Path, kind: str, width: int, density: float) -> None:
    model = mlp_on(tmp_path / "m.onnx", width, [], "x", {})
    found, _ = quality(model, sparse(width, density, kind))
    assert found > 30


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ([("Mul", ["x", "half"], "a"), ("Sub", ["a", "mean"], "b")], "b"),
        ([("Sigmoid", ["x"], "a")], "a"),
        ([("Exp", ["x"], "a"), ("Sub", ["a", "half"], "b")], "b"),
        ([("Greater", ["x", "zero"], "a")], "a"),
    ],
)
def test_what_is_made_of_sparse_inputs_keeps_its_quality(tmp_path: Path, nodes: list, first: str) -> None:
    width = 20000
    made = [helper.make_node(kind, inputs, [out]) for kind, inputs, out in nodes]
    if nodes[0][0] == "Greater":
        made.append(helper.make_node("Cast", ["a"], ["c"], to=TensorProto.FLOAT))
        first = "c"
    mean = np.random.default_rng(2).uniform(0, 0.01, width).astype(np.float32)
    extra = {"half": np.float32([0.5]), "mean": mean, "zero": np.float32([0])}
    used = {name for _, inputs, _ in nodes for name in inputs}
    model = mlp_on(tmp_path / "m.onnx", width, made, first, {k: v for k, v in extra.items() if k in used})
    x = sparse(width, 1e-4, "weighted")
    found, _ = quality(model, x)
    free, _ = quality(model, x, with_percentile("100"))
    assert found > free - 0.5


def test_percentile_100_is_accepted_and_same_as_its_float(tmp_path: Path) -> None:
    model = mlp_on(tmp_path / "m.onnx", 30, [], "x", {})
    x = np.random.default_rng(0).normal(0, 1, (32, 30)).astype(np.float32)
    one, first = quality(model, x, with_percentile("100"))
    two, second = quality(model, x, with_percentile("100.0"))
    assert one == two
    assert first.run({"x": x}).outputs["y"].tobytes() == second.run({"x": x}).outputs["y"].tobytes()


def test_every_option_that_is_a_number_with_a_fraction_takes_an_integer() -> None:
    import dataclasses
    import typing

    floats = 0
    for name in PASSES:
        each = loader(name)()
        for field in dataclasses.fields(each):
            if float in (kinds := typing.get_args(typing.get_type_hints(each)[field.name]) or (field.type,)):
                floats += 1
                made = Pipeline.parse(f"{name}{{{field.name}=1}}").passes[0]
                assert getattr(made, field.name) == 1, (name, field.name, kinds)
            assert typing.get_type_hints(each)[field.name] is not float, f"{name}.{field.name}"
    assert floats >= 7


# -- the statistic ----------------------------------------------------------------------------------


def test_outliers_of_dense_values_are_clipped() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (2000, 50)).astype(np.float32)
    x[7, 3] = 500
    assert 3 < reach(x, 99.99) < 6
    assert range_of(x, 100.0).reach == 500


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.9, 0.999])
def test_the_percentile_behind_a_relu_does_not_depend_on_the_zeros(zeros: float) -> None:
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(0, 1, (4000, 50))).astype(np.float32)
    x[rng.random(x.shape) < zeros] = 0
    assert 2.4 < reach(x, 99.0) < 2.75


@pytest.mark.parametrize("padding", [0.6, 0.99])
def test_padding_does_not_count_but_is_kept(padding: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (5000, 20)).astype(np.float32)
    pads = rng.random(len(x)) < padding
    x[pads] = np.linspace(-0.5, 0.5, 20, dtype=np.float32)
    assert 2.3 < reach(x, 99.0) < 2.9
    x[pads] = 9
    assert reach(x, 99.0) == 9


def test_a_usual_value_is_one_that_repeats_in_most_rows() -> None:
    x = np.float32([[1, 5, 0], [1, 6, 0], [2, 7, 0]])
    assert np.array_equal(usual_values(x), np.float32([1, np.nan, 0]), equal_nan=True)
    assert np.isnan(usual_values(x[:1])).all()
    assert usual_values(x[:0]).shape == (3,)
    assert reach(x[:0], 99.0) == 0


def test_samples_hold_what_is_rare_and_see_every_position() -> None:
    x = np.zeros((100_000, 4), np.float32)
    x[::997, 1] = 1
    assert (x[sampled(x, True)] != 0).any(axis=1).sum() >= 100
    length = 50  # a stride of the same period would see one position only
    assert len(np.unique(picked(2048 * length) % length)) > 40
    assert len(picked(2048 * length)) <= SAMPLES
    assert np.array_equal(picked(7), np.arange(7))


def test_the_cost_of_clipping_is_measured() -> None:
    x = np.zeros((100, 10), np.float32)
    x[0, 0], x[1:, 1] = 100, np.linspace(1, 2, 99)
    found = range_of(x, 99.0)
    cost = clipping(x, found, Widths(99.0, 8), True)
    assert cost.share == pytest.approx(0.01)
    assert cost.cost_db > CLIP_COST_DB
    gauss = np.random.default_rng(0).normal(0, 1, (4000, 40)).astype(np.float32)
    assert clipping(gauss, range_of(gauss, 99.99), Widths(99.99, 8), True).cost_db < CLIP_COST_DB


# -- where values come from --------------------------------------------------------------------------


def test_given_values_are_told_from_made_ones() -> None:
    kept: dict[str, object] = {}

    def body(b, args):
        x, h = args[0], b.linear(args[0], 6, "w0")
        kept["moved"] = b.add(
            rec.ReshapeOp(b.add(rec.ConcatOp([x, b.add(rec.SliceOp(x, 1, 0, 2))], 1)), (-1, 2, 3))
        )
        kept["bits"] = b.add(rec.CastOp(b.add(rec.BinaryOp("less", h, h)), x.type.element_type))
        kept["both"] = b.add(rec.ConcatOp([x, h], 1))
        kept["exp"] = b.add(rec.UnaryOp("exp", x))
        kept["cut"] = b.add(rec.SliceOp(h, 1, 0, 2))
        kept["x"], kept["h"] = x, h
        return [b.linear(kept["both"], 1, "w1")]

    module({"x": tensor((-1, 4))}, body)
    assert [k for k in kept if is_given(kept[k])] == ["moved", "bits", "x"]
    assert set(parts_of(kept["both"])) == {kept["x"], kept["h"]}
    assert whole_of(kept["cut"]) is kept["h"]


def test_a_part_that_calibration_leaves_at_zero_takes_the_range_of_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "from": np.int64([0]), "to": np.int64([20]), "axis": np.int64([1]),
        "w": rng.normal(0, 1, (20, 4)).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 40])]
    model = model_of(tmp_path / "m.onnx", nodes, inputs, weights)
    x = rng.uniform(0, 0.01, (16, 40)).astype(np.float32)
    calib = x.copy()
    calib[:, :20] = 0
    program = cimc.compile(model, calib={"x": calib})
    want = x[:, :20] @ weights["w"]
    assert sqnr_db(want, program.run({"x": x}, "exact").outputs["y"]) > 30
    assert any("always 0 in calibration" in note for note in program.notes)


def test_costly_clipping_is_noted_and_named_by_a_failed_check(tmp_path: Path) -> None:
    nodes = [helper.make_node("Exp", ["x"], ["e"])]
    model = mlp_on(tmp_path / "m.onnx", 20, nodes, "e", {})
    x = np.random.default_rng(0).normal(0, 0.1, (512, 20)).astype(np.float32)
    x[0, 0] = 7
    found, program = quality(model, x, with_percentile("90"))
    assert any("percentile=90 clips" in note for note in program.notes)
    assert all(each.cost_db > CLIP_COST_DB for each in program.data.remarks.quantisation.clipped_inputs)
    one, zero = ({"y": np.full(3, value, np.float32)} for value in (1, 0))
    hints = remedies(program.remarks, program.data.header.pipeline)
    error = check_outputs(one, zero, Bound()).error("it", "adc", hints)
    assert error.hint is not None
    assert error.hint.startswith("do not clip (quantize{percentile=100})")
    assert "more bits" not in error.hint
    better, free = quality(model, x, with_percentile("100"))
    assert better > found
    assert free.data.remarks.quantisation.clipped_inputs == ()


def test_requests_of_the_small_dlrm_meet_no_note() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize").run(made, ctx)
    assert ctx.remarks.quantisation.clipped_inputs == ()


# -- no requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [{"x": (0, 30)}, {"x": (0, 30), "unused": (4,)}])
def test_calibration_on_no_requests_is_refused(tmp_path: Path, empty: dict[str, tuple[int, ...]]) -> None:
    model = mlp_on(tmp_path / "m.onnx", 30, [], "x", {})
    with pytest.raises(PassError) as error:
        cimc.compile(model, calib={name: np.zeros(shape, np.float32) for name, shape in empty.items()})
    assert error.value.code == "quantize.empty-calibration"


@pytest.mark.parametrize("reduce", ["ReduceSum", "ReduceMax", "ReduceMean"])
@pytest.mark.parametrize("shape", [(0, 4), (5, 0)])
def test_calibration_on_empty_bags_alone_is_refused_and_a_run_on_them_is_not(
    tmp_path: Path, reduce: str, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    weights = {"t": rng.normal(0, 1, (50, 8)), "w": rng.normal(0, 1, (8, 3))}
    nodes = [
        helper.make_node("Gather", ["t", "ids"], ["g"]),
        helper.make_node(reduce, ["g", "axis"], ["r"], keepdims=0),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "L"])]
    model = model_of(tmp_path / "m.onnx", nodes, inputs, {**arrays, "axis": np.int64([1])})
    nothing = {"ids": np.zeros(shape, np.int64)}
    with pytest.raises(PassError) as error:
        cimc.compile(model, calib=nothing)
    assert error.value.code == "quantize.empty-calibration"
    program = cimc.compile(model, calib={"ids": rng.integers(0, 50, (16, 4))})
    assert np.array_equal(program.run(nothing).outputs["y"], np.zeros((shape[0], 3), np.float32))
    if shape[0]:
        assert len(program.simulate(nothing).latency) == shape[0]
        return
    with pytest.raises(RequestError) as none:
        program.simulate(nothing)
    assert none.value.code == "request.none"
