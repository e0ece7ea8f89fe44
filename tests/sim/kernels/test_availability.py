"""From ``quantize`` to a program: what each pass promises, and that the program does what the IR says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, SSAValue

from cimc.errors import InfeasibleError, PassError, ProgramError, RequestError
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, Requests
from cimc.ir.text import new_context, parse_ir, print_ir
from cimc.ir.types import i64, symbol, tensor
from cimc.isa.artifact import load_program, save_program, to_bytes
from cimc.sim.executor import Simulator
from cimc.sim.kernels.dense.mvm import DenseKernel, Inputs
from cimc.sim.oracle import oracle_mvm
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from tests.build import Builder, dlrm, dlrm_requests, mlp, module

BACKEND = "quantize,shard,choose-adc-steps,place,schedule,lower"
PRESETS = ("tsinghua28", "isaac32", "neurram130", "hermes14")


def lower(made: ModuleOp, ctx: CompilerContext, pipeline: str = BACKEND) -> Simulator:
    """Run a pipeline to the end and return a simulator of its program."""
    Pipeline.parse(pipeline).run(made, ctx)
    assert ctx.target is not None
    return Simulator(ctx.program, ctx.target)


def matrices(made: ModuleOp) -> dict[str, cim.MatrixOp]:
    return {o.sym_name.data: o for o in made.body.block.ops if isinstance(o, cim.MatrixOp)}


@pytest.mark.parametrize("target", PRESETS)
@pytest.mark.parametrize("strategy", ["round_robin", "first_fit", "greedy", "ortools"])
def test_exact_equals_the_integer_reference(target: str, strategy: str) -> None:
    made, ctx = dlrm(target=target)
    floats = evaluate(made, ctx, dlrm_requests(50, 9))["y0"]
    simulator = lower(
        made, ctx, f"quantize,shard,choose-adc-steps,place{{strategy={strategy}}},schedule,lower"
    )
    requests = dlrm_requests(50, 9)
    outputs, _ = simulator.run(requests, "exact")
    np.testing.assert_array_equal(outputs["y0"], evaluate(made, ctx, requests)["y0"])
    assert np.abs(outputs["y0"] - floats).max() < 0.05


def test_the_mapping_changes_no_result() -> None:
    results = []
    for strategy in ("round_robin", "first_fit", "greedy", "ortools"):
        made, ctx = dlrm()
        simulator = lower(
            made, ctx, f"quantize,shard,choose-adc-steps,place{{strategy={strategy}}},schedule,lower"
        )
        results.append(simulator.run(dlrm_requests(40, 3), "adc")[0]["y0"])
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@given(
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=4),
    target=st.sampled_from(PRESETS),
    weights=st.integers(2, 8),
    acts=st.integers(2, 8),
    batch=st.integers(1, 5),
    small=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_networks_of_odd_sizes(
    sizes: list[int], target: str, weights: int, acts: int, batch: int, small: bool
) -> None:
    made, ctx = mlp(sizes, target=target)
    if small and ctx.target is not None:  # many blocks and array groups, also from few rows
        cols = 16
        ctx.target = with_overrides(
            ctx.target,
            {"array.rows": 8, "array.physical_rows": 8, "array.cols": cols, "array.columns_per_step": cols,
             "tile.arrays": 4},
            scale=False,
        )  # fmt: skip
    simulator = lower(
        made, ctx, f"quantize{{weights={weights} acts={acts}}},shard,choose-adc-steps,place,schedule,lower"
    )
    x = np.random.default_rng(5).normal(0, 1, (batch, sizes[0])).astype(np.float32)
    expected = evaluate(made, ctx, {"x": x})["y0"]
    np.testing.assert_array_equal(simulator.run({"x": x}, "exact")[0]["y0"], expected)
    noisy = simulator.run({"x": x}, "adc")[0]["y0"]
    alone = [simulator.run({"x": row[None]}, "adc")[0]["y0"] for row in x]
    np.testing.assert_array_equal(noisy, np.concatenate(alone))


class OracleKernel(DenseKernel):
    """The kernel's interface, answered by the plain integer loops."""

    def adc(self, x: Inputs, first: int, count: int, *, out: Any = None, threads: int = 1) -> np.ndarray:
        chosen = slice(first, first + count)
        left, right = self.columns(first, count)
        found = oracle_mvm(
            x, self.weights, encoding=self.array.encoding, cell_levels=self.array.cell_levels,
            weight_bits=self.weight_bits, dac_bits=self.array.dac_bits, adc_bits=self.array.adc_bits,
            signed=self.plan.signed, scheme=self.array.signed_inputs, input_bits=self.plan.bits,
            blocks=self.blocks[chosen], ranges=self.ranges[chosen],
        )  # fmt: skip
        if out is None:
            out = np.empty((len(x), right - left), np.int32)
        out[...] = found[:, left:right]
        return out


@pytest.mark.parametrize("target", PRESETS)
def test_adc_mode_of_a_program_equals_the_oracle(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, ctx = dlrm(target=target)
    assert ctx.target is not None
    few = 3 if ctx.target.array.dac_bits == 1 else 5  # so that conversions round and clip
    ctx.target = with_overrides(ctx.target, {"array.adc_bits": few}, scale=False)
    simulator = lower(made, ctx)
    requests = dlrm_requests(4, 2)
    fast = simulator.run(requests, "adc")[0]["y0"]
    assert (fast != simulator.run(requests, "exact")[0]["y0"]).any()
    monkeypatch.setattr("cimc.sim.prepared.DenseKernel", OracleKernel)
    plain = Simulator(ctx.program, ctx.target).run(requests, "adc")[0]["y0"]
    np.testing.assert_array_equal(fast, plain)


def test_an_mlp_on_isaac32_takes_few_instructions() -> None:
    made, ctx = mlp((784, 512, 256, 128, 10), target="isaac32")
    lower(made, ctx)
    assert ctx.program.instruction_count <= 60


def test_a_large_layer_spans_tiles() -> None:
    made, ctx = mlp((784, 512), target="isaac32")
    simulator = lower(made, ctx)
    blocks = matrices(made)["w0"].block_table(ctx.store)
    assert len(np.unique(blocks[:, cim.TILE])) == 2
    x = np.random.default_rng(0).normal(0, 1, (3, 784)).astype(np.float32)
    np.testing.assert_array_equal(
        simulator.run({"x": x}, "exact")[0]["y0"], evaluate(made, ctx, {"x": x})["y0"]
    )


def vector_model() -> tuple[ModuleOp, CompilerContext]:
    """One of every vector operation, with shapes that need strides, loops and unrolling."""

    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        x, ids, weights = args  # [B, 4, 6], [B, 2, 3], [B, 2, 3]
        rows = b.add(rec.EmbeddingBagOp(b.table("t", 11, 6), 11, 6, ids, mode="none"))  # [B, 2, 3, 6]
        pooled = b.add(rec.EmbeddingBagOp("t", 11, 6, ids, mode="max"))  # [B, 2, 6]
        weighted = b.add(rec.EmbeddingBagOp("t", 11, 6, ids, weights=weights))  # [B, 2, 6]
        y = b.add(rec.TransposeOp(x, (0, 2, 1)))  # [B, 6, 4]
        y = b.add(rec.MatmulOp(x, y))  # [B, 4, 4]
        y = b.add(rec.SliceOp(y, 2, 1, 3))  # [B, 4, 2]
        y = b.add(rec.TakeOp(y, 2, (1, 0, 1)))  # [B, 4, 3]
        y = b.add(rec.PadOp(y, 2, 1, 2, -1.0))  # [B, 4, 6]
        b.ctx.store.put("c", np.linspace(-1, 1, 6, dtype=np.float32).reshape(1, 1, 6))
        c = b.add(rec.ConstantOp("c", tensor((1, 1, 6))))
        y = b.add(rec.BinaryOp("mul", y, c))
        column = b.add(rec.ReduceOp("mean", x, (2,), True))  # [B, 4, 1]
        y = b.add(rec.BinaryOp("sub", y, column))
        y = b.add(rec.ConcatOp([y, pooled, weighted, b.add(rec.ExpandOp(c, (-1, 2, 6)))], 1))  # [B, 10, 6]
        z = b.add(rec.BinaryOp("prelu", y, c))
        z = b.add(rec.ConcatOp([z, b.add(rec.UnaryOp("tanh", y))], 2))  # [B, 10, 12]
        deep = b.add(rec.ReduceOp("l2", rows, (2, 3), False))  # [B, 2]
        norm = b.add(rec.UnaryOp("clip", deep, 0.5, 2.0))
        per_position = b.linear(z, 5, "w")  # [B, 10, 5]
        wide = b.add(rec.BinaryOp("add", rows, b.add(rec.ReshapeOp(pooled, (-1, 2, 1, 6)))))
        whole = b.add(rec.CastOp(b.add(rec.CastOp(x, i64)), tensor(()).element_type))
        return [per_position, norm, wide, whole, b.add(rec.ReduceOp("max", z, (1, 2), False))]

    inputs: dict[str, Attribute] = {
        "x": tensor((-1, 4, 6)),
        "ids": tensor((-1, 2, 3), i64),
        "weights": tensor((-1, 2, 3)),
    }
    made, ctx = module(inputs, body)
    ctx.calibration = vector_requests(16, 2)
    return made, ctx


def vector_requests(batch: int, seed: int) -> Requests:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(0, 2, (batch, 4, 6)).astype(np.float32),
        "ids": rng.integers(0, 11, (batch, 2, 3)),
        "weights": rng.normal(0, 1, (batch, 2, 3)).astype(np.float32),
    }


def test_every_vector_operation_does_what_the_ir_says() -> None:
    made, ctx = vector_model()
    simulator = lower(made, ctx)
    requests = vector_requests(7, 5)
    outputs, _ = simulator.run(requests, "exact")
    for name, expected in evaluate(made, ctx, requests).items():
        np.testing.assert_array_equal(outputs[name], expected, err_msg=name)


def test_a_request_beyond_the_memory_budget_is_refused() -> None:
    made, ctx = dlrm()
    simulator = lower(made, ctx)
    with pytest.raises(ProgramError, match="budget is 100") as refused:
        simulator.run(dlrm_requests(3, 4), "adc", memory=100)
    assert refused.value.code == "sim.memory-budget"


def test_batches_in_blocks_give_the_same() -> None:
    made, ctx = dlrm()
    simulator = lower(made, ctx)
    requests = dlrm_requests(33, 4)
    whole, counted = simulator.run(requests, "adc")
    parts, counted_parts = simulator.run(requests, "adc", memory=5000)
    np.testing.assert_array_equal(whole["y0"], parts["y0"])
    for site, activity in counted.lookups.items():
        other = counted_parts.lookups[site]
        np.testing.assert_array_equal(activity.block_rows, other.block_rows)
        np.testing.assert_array_equal(activity.block_activations, other.block_activations)
        assert (activity.tile_visits, activity.ids) == (other.tile_visits, other.ids)


def test_no_requests_at_all() -> None:
    made, ctx = dlrm()
    empty = {k: v[:0] for k, v in dlrm_requests(3, 4).items()}
    outputs, activity = lower(made, ctx).run(empty, "adc")
    assert outputs["y0"].shape == (0, 1)
    assert activity.requests == 0


def test_blocks_cover_every_matrix_once_and_stay_in_their_arrays() -> None:
    for target in PRESETS:
        made, ctx = dlrm(target=target)
        lower(made, ctx)
        assert ctx.target is not None
        array, used = ctx.target.array, {}
        for name, matrix in matrices(made).items():
            slices = matrix.shards().slices.value.data
            covered = np.zeros((matrix.rows.value.data, matrix.cols.value.data), np.int32)
            for row0, rows, col0, cols, tile, number, offset in matrix.block_table(ctx.store):
                covered[row0 : row0 + rows, col0 : col0 + cols] += 1
                assert rows <= array.rows
                assert 0 <= tile < ctx.target.n_tiles
                assert 0 <= number < ctx.target.tile.arrays
                columns = used.setdefault((int(tile), int(number)), np.zeros(array.cols, np.int32))
                columns[offset : offset + cols * slices] += 1
            assert (covered == 1).all(), name
        assert max(int(c.max()) for c in used.values()) == 1


def test_artifacts_are_byte_identical_and_load_back(tmp_path: Path) -> None:
    artifacts = []
    for _ in range(2):
        made, ctx = dlrm()
        lower(made, ctx)
        artifacts.append(to_bytes(ctx.program))
    assert artifacts[0] == artifacts[1]
    path = tmp_path / "p.cimc"
    save_program(ctx.program, path)
    again = load_program(path)
    assert to_bytes(again) == artifacts[0]
    assert ctx.target is not None
    outputs, _ = Simulator(again, ctx.target).run(dlrm_requests(5, 1), "adc")
    np.testing.assert_array_equal(
        outputs["y0"], Simulator(ctx.program, ctx.target).run(dlrm_requests(5, 1), "adc")[0]["y0"]
    )


def test_damaged_artifacts_are_refused(tmp_path: Path) -> None:
    made, ctx = dlrm()
    lower(made, ctx)
    good = to_bytes(ctx.program)
    path = tmp_path / "p.cimc"
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(good), 60):
        bad = bytearray(good)
        bad[position] ^= 0x10
        path.write_bytes(bytes(bad))
        with pytest.raises(ProgramError):
            load_program(path)
    for cut in (0, 7, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(ProgramError):
            load_program(path)
    with pytest.raises(ProgramError, match="no such file"):
        load_program(tmp_path / "missing.cimc")


@pytest.mark.parametrize("stop", range(6))
def test_text_round_trips_at_every_level(stop: int) -> None:
    made, ctx = dlrm()
    for each in Pipeline.parse(BACKEND).passes[:stop]:
        each.apply(ctx, made)
    for locations in (False, True):
        text = print_ir(made, locations=locations)
        again = parse_ir(text, new_context())
        assert print_ir(again, locations=locations) == text


def test_pipelines_print_what_they_parse() -> None:
    text = "quantize{weights=4 acts=6},shard,place{strategy=ortools seed=3},schedule"
    parsed = Pipeline.parse(text)
    assert Pipeline.parse(str(parsed)) == parsed
    assert "weights=4" in str(parsed)


@pytest.mark.parametrize(
    ("pipeline", "code"),
    [
        ("quantise", "pass.unknown"),
        ("quantize{bits=8}", "pass.bad-option"),
        ("quantize{weights=many}", "pass.bad-option"),
        ("quantize{", "pass.syntax"),
        (",", "pass.syntax"),
        ("quantize{weights=9}", "quantize.width"),
        ("quantize{percentile=10.0}", "quantize.percentile"),
        ("quantize,place", "pass.needs-shard"),
        ("quantize,shard,schedule", "pass.needs-place"),
        ("quantize,shard,shard", "pass.decided-already"),
        ("quantize,shard,choose-adc-steps,place,lower", "pass.needs-schedule"),
        ("quantize,shard,place{strategy=magic}", "mapping.unknown-strategy"),
        ("quantize,shard,place{array_slack=0.5}", "place.array-slack"),
    ],
)
def test_wrong_pipelines_say_what_is_wrong(pipeline: str, code: str) -> None:
    made, ctx = dlrm()
    with pytest.raises(PassError) as error:
        Pipeline.parse(pipeline).run(made, ctx)
    assert error.value.code == code


def test_missing_calibration_and_target_are_named() -> None:
    made, ctx = dlrm()
    ctx.calibration = None
    with pytest.raises(PassError, match="--calib"):
        Pipeline.parse("quantize").run(made, ctx)
    ctx.target = None
    with pytest.raises(PassError, match="--target"):
        Pipeline.parse("quantize").run(made, ctx)


def test_weights_that_are_not_finite_are_refused() -> None:
    made, ctx = mlp((4, 3))
    ctx.store["w0"][1, 1] = np.nan
    with pytest.raises(PassError) as error:
        Pipeline.parse("quantize").run(made, ctx)
    assert error.value.code == "quantize.not-finite"


def test_a_model_too_large_is_refused_with_its_shortage() -> None:
    made, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, {"chip.mesh": [1, 1], "chip.ports": [0, 0], "tile.arrays": 2})
    with pytest.raises(InfeasibleError) as error:
        Pipeline.parse(BACKEND).run(made, ctx)
    shortage = error.value.shortage
    assert (shortage.resource, shortage.bound) == ("arrays", 2)
    assert f"needs {shortage.demand} arrays, the target has 2" in str(error.value)
    assert shortage.demand > 2
    assert any("quantize{weights=4" in lever for lever in shortage.levers)


def test_a_scratchpad_too_small_is_refused() -> None:
    made, ctx = mlp((300, 40))
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, {"tile.scratchpad_bytes": 256})
    with pytest.raises(InfeasibleError) as error:
        Pipeline.parse(BACKEND).run(made, ctx)
    assert error.value.shortage.resource == "scratchpad"


def test_shared_weights_are_placed_once() -> None:
    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        first = b.linear(args[0], 4, "w")
        second = b.add(rec.LinearOp(first, "w", 4))
        one = b.add(rec.EmbeddingBagOp(b.table("t", 9, 4), 9, 4, args[1]))
        return [second, one, b.add(rec.EmbeddingBagOp("t", 9, 4, args[1], mode="none"))]

    made, ctx = module({"x": tensor((-1, 4)), "ids": tensor((-1,), i64)}, body)
    ctx.calibration = {"x": np.ones((3, 4), np.float32), "ids": np.arange(3)}
    Pipeline.parse("quantize").run(made, ctx)
    assert sorted(matrices(made)) == ["t", "w"]


def test_scratchpad_buffers_of_live_values_never_overlap() -> None:
    """Also covered by equality with the reference; here directly, on the scheduled IR."""
    made, ctx = vector_model()
    Pipeline.parse("quantize,shard,place,schedule").run(made, ctx)
    for op in main_function(made).body.block.ops:
        if isinstance(op, cim.MvmOp):
            assert symbol(op.matrix) in matrices(made)
        if cim.ADDRESS_ATTR in op.attributes:
            assert cim.TILE_ATTR in op.attributes


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"one": np.array([0, 37])}, "request.id-out-of-range"),
        ({"one": np.array([-1, 0])}, "request.id-out-of-range"),
        ({"offsets": np.array([0, 9])}, "request.bad-offsets"),
        ({"offsets": np.array([2, 1])}, "request.bad-offsets"),
        ({"offsets": np.array([2, np.iinfo(np.int64).min])}, "request.bad-offsets"),
        ({"dense": np.zeros((2, 5))}, "request.bad-dtype"),
        ({"dense": np.zeros((2, 6), np.float32)}, "request.bad-shape"),
        ({"dense": np.full((2, 5), np.nan, np.float32)}, "request.not-finite"),
        ({"dense": np.zeros((3, 5), np.float32)}, "request.batch-mismatch"),
        ({"dense": None}, "request.missing-input"),
    ],
)
def test_requests_that_do_not_fit_are_refused(change: dict[str, np.ndarray | None], code: str) -> None:
    made, ctx = dlrm()
    simulator = lower(made, ctx)
    requests: dict[str, np.ndarray | None] = {
        "dense": np.zeros((2, 5), np.float32),
        "one": np.zeros(2, np.int64),
        "many": np.zeros(4, np.int64),
        "offsets": np.array([0, 2]),
        "fixed": np.zeros((2, 3), np.int64),
    } | change
    with pytest.raises(RequestError) as error:
        simulator.run({k: v for k, v in requests.items() if v is not None}, "adc")
    assert error.value.code == code
    if code == "request.id-out-of-range":
        assert "t0" in error.value.message
        assert "request" in error.value.message


def test_unknown_targets_of_programs() -> None:
    made, ctx = dlrm()
    Pipeline.parse(BACKEND).run(made, ctx)
    with pytest.raises(ProgramError) as error:
        Simulator(ctx.program, load_target("isaac32"))
    assert error.value.code == "program.target"
