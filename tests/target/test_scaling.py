"""Variants follow the laws from the point they are pinned at, or are refused."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from cimc.errors import TargetError
from cimc.target import load_target
from cimc.target.components import adc, digital
from cimc.target.constants_table import full_step_pj
from cimc.target.overrides import with_overrides
from cimc.target.scaling import LAWS
from cimc.target.spec import Constant, Target


def recipe(rows: int, cols: int, converters: int, bits: int, dac: int) -> float:
    """Energy of a step of tsinghua28, pJ: rows, cells, converters, DACs, digital."""
    g = {4: 0.539, 6: 0.622, 8: 1.0, 10: 1.93}[bits]
    row = 1.084 + 0.98 * cols / 512
    return rows * row + 13.2 * converters * g + 446 * rows / 512 * 2 ** (dac - 4) + 3.5625 * converters


@pytest.mark.parametrize(
    ("variant", "sizes"),
    [
        ("", (512, 512, 64, 8, 4)),
        ("{array.adc_bits=4}", (512, 512, 64, 4, 4)),
        ("{array.adc_bits=6 array.rows=256}", (256, 512, 64, 6, 4)),
        ("{array.cols=256}", (512, 256, 64, 8, 4)),
        ("{array.dac_bits=2}", (512, 512, 64, 8, 2)),
        ("{array.cols=128 array.columns_per_step=32}", (512, 128, 32, 8, 4)),
        ("{array.adc_bits=10}", (512, 512, 64, 10, 4)),
    ],
)
def test_a_step_of_the_macro_by_its_recipe(variant: str, sizes: tuple[int, ...]) -> None:
    found = load_target(f"tsinghua28{variant}").array
    assert full_step_pj(found) == pytest.approx(recipe(*sizes), rel=0.003)
    assert found.physical_rows == found.rows


def test_time_and_area_by_hand() -> None:
    array = load_target("tsinghua28{array.adc_bits=4 array.rows=256}").array
    settle = 7 / 15 * 23.08 * (0.00653 * 256 + 0.64) / (0.00653 * 512 + 0.64)
    assert float(array.step_ns) == pytest.approx(settle + 8 / 15 * 23.08 * 4 / 8, rel=0.001)
    rest, converters = 0.56 - 0.133, 64 * adc.in_memory_um2(4) * 1e-6
    assert float(array.area_mm2) == pytest.approx(rest / 2 + converters, rel=0.01)


@pytest.mark.parametrize("preset", ["tsinghua28", "isaac32"])
def test_all_falls_with_bits_and_size(preset: str) -> None:
    """Energy falls with each bit of the converter as in the survey; time and area never grow."""
    bits = [load_target(f"{preset}{{array.adc_bits={n}}}").array for n in range(3, 9)]
    for small, large in pairwise(bits):
        assert full_step_pj(small) < full_step_pj(large)
        assert float(small.step_ns) <= float(large.step_ns)
        assert float(small.area_mm2) < float(large.area_mm2)
        slope = adc.relative_pj(large.adc_bits) / adc.relative_pj(small.adc_bits)
        assert float(large.conversion_pj) / float(small.conversion_pj) == pytest.approx(slope, rel=1e-4)
    rows = [load_target(f"{preset}{{array.rows={n}}}").array for n in (32, 64, 128)]
    for small, large in pairwise(rows):
        assert full_step_pj(small) < full_step_pj(large)
        assert float(small.step_ns) <= float(large.step_ns)
        assert float(small.area_mm2) < float(large.area_mm2)


def test_what_is_scaled_says_so() -> None:
    base, found = load_target("tsinghua28"), load_target("tsinghua28{array.adc_bits=6 array.rows=256}")
    pinned = {path: value for path, value, _ in base.fields()}
    moved = {
        path: value
        for path, value, _ in found.fields()
        if isinstance(value, Constant) and value != pinned[path]
    }
    assert {"array.conversion_pj", "array.step_pj", "array.step_ns", "array.area_mm2"} <= set(moved)
    assert "array.row_pj" not in moved  # a row is as long as before
    for path, value in moved.items():
        law = value.source.split(" ")[1]
        assert value.source.startswith("law "), path
        assert law in LAWS
        before = pinned[path]
        assert value.basis == ("assumed" if before.basis == "assumed" else "scaled")
        assert before.source in value.source


def test_what_the_user_gives_is_not_scaled() -> None:
    found = load_target("tsinghua28{array.adc_bits=6 array.conversion_pj=5}").array
    assert float(found.conversion_pj) == 5
    assert found.conversion_pj.basis == "assumed"
    assert found.step_ns.basis == "scaled"


def test_constants_may_be_left_alone_where_only_results_count() -> None:
    base = load_target("neurram130")
    found = with_overrides(base, {"array.rows": 64, "array.physical_rows": 128}, scale=False)
    assert found.array.step_pj == base.array.step_pj
    assert found.array.rows == 64


@pytest.mark.parametrize(
    ("variant", "path", "remedy"),
    [
        ("neurram130{array.adc_bits=8}", "array.conversion_pj", "point=in6-out8"),
        ("neurram130{array.rows=64}", "array.step_pj", "point="),
        ("hermes14{array.cols=128}", "array.row_pj", "array.row_pj"),
        ("tsinghua28{array.adc_bits=14}", "array.conversion_pj", "array.conversion_pj"),
        ("isaac32{array.adc_bits=9}", "array.step_ns", "array.step_ns"),
        ("tsinghua28{tile.scratchpad_bytes=4194304}", "tile.scratchpad_pj_per_bit", "scratchpad_pj_per_bit"),
    ],
)
def test_where_no_law_holds_the_variant_is_refused(variant: str, path: str, remedy: str) -> None:
    with pytest.raises(TargetError) as error:
        load_target(variant)
    assert error.value.code == "target.no-law"
    assert path in error.value.message
    assert remedy in (error.value.hint or "")


def made(base: Target, changes: dict[str, float]) -> Target | TargetError:
    try:
        return with_overrides(base, changes)
    except TargetError as error:
        return error


@pytest.mark.parametrize("preset", ["tsinghua28", "asscc28", "isaac32", "neurram130", "hermes14"])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("array.adc_bits", 2),
        ("array.adc_bits", 16),
        ("array.rows", 64),
        ("array.cols", 64),
        ("array.dac_bits", 2),
        ("tile.scratchpad_bytes", 1 << 22),
    ],
)
def test_the_remedy_of_each_refusal_is_one(preset: str, path: str, value: int) -> None:
    """Each refusal names a figure that was not given yet; with those given the variant is made."""
    base = load_target(preset)
    figures = {field: float(figure) for field, figure, _ in base.fields() if isinstance(figure, Constant)}
    changes: dict[str, float] = {path: value}
    while isinstance(found := made(base, changes), TargetError):
        remedy = re.match(r"give (\S+) beside it", found.hint or "")
        assert found.code == "target.no-law"
        assert remedy is not None
        assert f"how {remedy[1]} follows" in found.message
        assert remedy[1] not in changes, found.message
        changes[remedy[1]] = figures[remedy[1]]
    given = {field: figure for field, figure, _ in found.fields() if field in changes and field != path}
    assert {field: float(figure) for field, figure in given.items()} == {
        field: changes[field] for field in given
    }


def test_leakage_follows_the_size_where_no_law_says_energy_and_area() -> None:
    base = load_target("tsinghua28").tile
    own = "tile.scratchpad_pj_per_bit=0.3 tile.area_mm2=6 tile.scratchpad_mm2=5"
    found = load_target(f"tsinghua28{{tile.scratchpad_bytes=4194304 {own}}}").tile
    assert base.scratchpad_static_mw is not None
    assert found.scratchpad_static_mw is not None
    assert float(found.scratchpad_static_mw) == pytest.approx(64 * float(base.scratchpad_static_mw))


def test_tiles_follow_too() -> None:
    base, found = load_target("tsinghua28").tile, load_target("tsinghua28{tile.scratchpad_bytes=262144}").tile
    assert float(found.scratchpad_pj_per_bit) / float(base.scratchpad_pj_per_bit) == pytest.approx(
        0.186 / 0.0924, rel=1e-4
    )
    assert float(found.scratchpad_static_mw) == pytest.approx(4 * 0.46)
    assert float(found.area_mm2) - float(base.area_mm2) == pytest.approx(
        0.083 * (2026 * 256 / (1573 * 64) - 1), rel=1e-3
    )
    wide = load_target("tsinghua28{tile.arrays=32}").tile
    side = ((0.215 + 32 * 0.56) / (0.215 + 8 * 0.56)) ** 0.5
    assert float(wide.bus_pj_per_bit) == pytest.approx(0.0152 * side, rel=1e-3)
    lanes = load_target("tsinghua28{tile.vector_lanes=128}").tile
    assert float(lanes.clock_mw) - float(base.clock_mw) == pytest.approx(64 * 5.1 / 10, rel=0.01)


@pytest.mark.parametrize(
    ("preset", "node"), [("tsinghua28", 28), ("isaac32", 32), ("neurram130", 130), ("hermes14", 14)]
)
def test_lanes_of_the_presets_are_the_models(preset: str, node: int) -> None:
    tile = load_target(preset).tile
    assert float(tile.vector_op_pj) == pytest.approx(digital.lane_pj(node), rel=0.005)
    assert float(tile.vector_lane_mm2) == pytest.approx(digital.lane_mm2(node), rel=0.005)
    full = tile.vector_lanes * float(tile.vector_op_pj) + 20.7
    assert float(tile.clock_mw) == pytest.approx(full / 10, rel=0.005)
