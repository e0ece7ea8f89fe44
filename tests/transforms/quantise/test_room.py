"""The least room of a model: below what is really used, and enough to refuse early what cannot fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, SSAValue

import cimc
from cimc.analysis.demand import demand_of
from cimc.cost.area import area_of
from cimc.errors import InfeasibleError
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.types import i64, tensor
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.quantise import quantize
from tests.build import Builder, dlrm, module
from tests.cli.tiny_files import call

TWO_BITS = "tsinghua28{array.cols=64 array.rows=32 array.physical_rows=32}"


def random_model(
    target: str, tables: list[tuple[int, int]], widths: list[int]
) -> tuple[ModuleOp, CompilerContext]:
    """Bags of random tables, and layers behind them."""

    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        bags = [
            b.add(rec.EmbeddingBagOp(b.table(f"t{k}", rows, dim), rows, dim, ids))
            for k, ((rows, dim), ids) in enumerate(zip(tables, args, strict=True))
        ]
        x = b.add(rec.ConcatOp(bags, 1)) if len(bags) > 1 else bags[0]
        for k, units in enumerate(widths):
            x = b.linear(x, units, f"w{k}")
        return [x]

    inputs: dict[str, Attribute] = {f"i{k}": tensor((-1, 2), i64) for k in range(len(tables))}
    made, ctx = module(inputs, body, target=target)
    rng = np.random.default_rng(0)
    ctx.calibration = {f"i{k}": rng.integers(0, rows, (8, 2)) for k, (rows, _) in enumerate(tables)}
    return made, ctx


@settings(max_examples=25)
@given(
    st.sampled_from(["tsinghua28", "isaac32", "neurram130", TWO_BITS]),
    st.lists(st.tuples(st.integers(1, 1500), st.integers(1, 70)), min_size=1, max_size=4),
    st.lists(st.integers(1, 300), min_size=1, max_size=3),
    st.sampled_from(
        [
            ("quantize", "shard", 8, 8),
            ("quantize{weights=4}", "group,shard{converter_parallelism=0.3}", 4, 4),
            ("quantize{tables=4}", "shard,replicate{budget=0.2}", 8, 4),
            ("quantize{weights=3 tables=8}", "shard,assign-memory{policy=rram}", 3, 8),
        ]
    ),
)
def test_the_bound_is_below_what_is_used(
    target: str, tables: list[tuple[int, int]], widths: list[int], options: tuple[str, str, int, int]
) -> None:
    made, ctx = random_model(target, tables, widths)
    assert ctx.target is not None
    first, middle, weights, bits = options
    need = demand_of(made, ctx.target, weights, bits)
    try:  # without the fact 'pipeline', so that nothing is refused early
        Pipeline.parse(f"{first},{middle},place,schedule,lower").run(made, ctx)
    except InfeasibleError:
        assume(False)
    used = area_of(ctx.program, ctx.target).counts["arrays_used"]
    assert need.arrays <= used
    assert need.chips <= ctx.target.system.chips


def test_the_bound_is_exact_for_what_fills_arrays() -> None:
    made, ctx = random_model("tsinghua28", [(5120, 256)], [256])
    assert ctx.target is not None
    need = demand_of(made, ctx.target)
    ctx.pipeline = line = "quantize,shard,choose-adc-steps,place,schedule,lower"
    Pipeline.parse(line).run(made, ctx)
    assert need.arrays == area_of(ctx.program, ctx.target).counts["arrays_used"]


def test_tables_that_come_as_integers_count_with_the_fewest_bits() -> None:
    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        b.ctx.store.put("t", np.zeros((1000, 64), np.int8))
        return [b.add(rec.EmbeddingBagOp("t", 1000, 64, args[0], scale=0.5))]

    made, ctx = module({"i": tensor((-1, 2), i64)}, body)
    assert ctx.target is not None
    need = demand_of(made, ctx.target)
    assert need.table_slices == ctx.target.slices(2)
    assert need.table_columns == 2 * 64 * ctx.target.slices(2)


# -- refusals -----------------------------------------------------------------------------------------------


def huge(folder: Path, rows: int, form: str) -> Path:
    """A model of ``rows`` item vectors of 64 numbers whose data file is not there."""
    vectors = TensorProto(
        name="items",
        data_type=TensorProto.FLOAT,
        dims=[rows, 64] if form == "Gather" else [64, rows],
        data_location=TensorProto.EXTERNAL,
    )
    vectors.external_data.add(key="location", value="items.bin")
    kind, x = (TensorProto.INT64, ["b"]) if form == "Gather" else (TensorProto.FLOAT, ["b", 64])
    operands = ["items", "x"] if form == "Gather" else ["x", "items"]
    graph = helper.make_graph(
        [helper.make_node(form, operands, ["y"])],
        "huge",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 64 if form == "Gather" else rows])],
        [vectors],
    )
    path = folder / f"{form}.onnx"
    path.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ).SerializeToString()
    )
    return path


@pytest.fixture
def no_weights_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration is the first thing that quantisation does; it must not come to that."""

    def reached(*args: Any) -> None:
        raise AssertionError("quantisation was reached")

    monkeypatch.setattr(quantize, "observe", reached)


@pytest.mark.parametrize(
    "pipeline",
    [None, f"{FRONTEND},quantize{{weights=4}},shard,choose-adc-steps,place,schedule,lower"],
)
def test_ten_million_rows_are_refused_before_quantisation(
    pipeline: str | None, tmp_path: Path, no_weights_read: None
) -> None:
    options = {} if pipeline is None else {"pipeline": pipeline}
    with pytest.raises(InfeasibleError) as refused:
        cimc.compile(huge(tmp_path, 10_000_000, "Gather"), weights="generated:0", **options)
    error, target = refused.value, load_target("tsinghua28")
    bits = 8 if pipeline is None else 4
    columns = -(-10_000_000 // target.array.rows) * 64 * target.slices(bits)
    assert error.code == "mapping.infeasible"
    assert error.shortage.resource == "arrays"
    assert error.shortage.demand == -(-columns // target.array.cols)
    assert error.shortage.bound == target.n_arrays
    chips = -(-error.shortage.demand // target.n_arrays)
    assert f"--target 'tsinghua28{{system.chips={chips}}}'" in str(error.hint)
    assert "quantize{weights=4" in str(error.hint)
    assert "assign-memory{policy=auto}" in str(error.hint)


def test_a_product_with_all_items_is_refused_too(tmp_path: Path, no_weights_read: None) -> None:
    with pytest.raises(InfeasibleError) as refused:
        cimc.compile(huge(tmp_path, 100_000, "MatMul"), "tsinghua28{chip.mesh=4x4}", weights="generated:0")
    assert refused.value.shortage.demand >= 100_000 * load_target("tsinghua28").slices(8) // 512
    assert "system.chips=" in str(refused.value.hint)
    assert "DRAM" not in str(refused.value.hint)  # layers live in arrays alone


def test_inspect_says_how_many_chips(tmp_path: Path) -> None:
    path = huge(tmp_path, 10_000_000, "Gather")
    found = call("inspect", path, "--weights", "generated:0", "--json").json["target"]
    chips = -(-found["arrays_at_least"] // found["arrays"])
    assert (found["chips_at_least"], found["chips"], found["may_fit"]) == (chips, 1, False)
    text = call("inspect", path, "--weights", "generated:0", "--details").out
    arrays = f"{found['arrays_at_least']:,} arrays"
    assert f"needs at least {arrays} = {chips:,} chips of tsinghua28 (has 1): cannot fit" in text


SMALL: dict[str, Any] = {
    "chip.mesh": (2, 1), "chip.ports": (0, 0), "tile.arrays": 2, "array.rows": 64, "array.physical_rows": 64,
    "array.cols": 64,
}  # fmt: skip


def refused(middle: str, overrides: dict[str, Any]) -> InfeasibleError | None:
    """What ``quantize`` alone says, of a DLRM in a pipeline with ``middle``."""
    made, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, overrides)
    ctx.pipeline = f"quantize,shard,choose-adc-steps,{middle}schedule,lower"
    try:
        Pipeline.parse("quantize").run(made, ctx)
    except InfeasibleError as error:
        return error
    return None


def test_what_moves_tables_out_of_the_arrays_is_taken_into_account() -> None:
    room = SMALL | {"array.rows": 32, "array.physical_rows": 32, "tile.arrays": 5}
    found = refused("place,", room)
    assert found is not None
    assert found.shortage.unit == "arrays"
    assert refused("assign-memory{policy=rram},place,", room) is not None
    assert refused("assign-memory,place,", room) is None
    assert refused("assign-memory{policy=dram},place,", room) is None
    little = room | {"chip.dram_bytes": 100, "tile.table_sram_bytes": 16}
    for policy, bound in (("auto", 100 + 2 * 16), ("dram", 100)):
        found = refused(f"assign-memory{{policy={policy}}},place,", little)
        assert found is not None
        assert (found.shortage.unit, found.shortage.bound) == ("bytes", bound)
        assert found.shortage.demand > bound
    # layers have no other memory
    tight = SMALL | {"tile.arrays": 1}
    found = refused("assign-memory,place,", tight)
    assert found is not None
    assert found.shortage.unit == "arrays"


def test_a_pipeline_that_places_nothing_is_not_refused() -> None:
    assert refused("", SMALL) is None
