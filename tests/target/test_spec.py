"""Invariants, geometry, digest and derived targets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cimc.errors import TargetError
from cimc.target import Constant, Target, load_target
from cimc.target.constants_table import rows, summary
from cimc.target.overrides import at_operating_point, with_overrides

DEFAULT = load_target("tsinghua28")


def small(**changes):
    return with_overrides(DEFAULT, {"chip.mesh": (3, 2), "system.chips": 2, **changes})


def test_nothing_can_be_changed():
    with pytest.raises(ValidationError):
        DEFAULT.array.rows = 4
    with pytest.raises(ValidationError):
        DEFAULT.array.step_ns.value = 4.0


def test_a_constant_is_a_number():
    assert float(DEFAULT.array.step_ns) == 23.08


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "1"])
def test_a_constant_is_finite_and_not_negative(value):
    with pytest.raises(ValidationError):
        Constant(value=value, unit="ns", source="here", basis="assumed")


def test_tiles_are_numbered_by_chip_then_row():
    target = small()
    assert target.n_tiles == 12
    assert target.n_arrays == 96
    assert [target.coordinates(t) for t in (0, 2, 3, 5, 6, 11)] == [
        (0, 0, 0), (0, 2, 0), (0, 0, 1), (0, 2, 1), (1, 0, 0), (1, 2, 1),
    ]  # fmt: skip
    for tile in (-1, 12):
        with pytest.raises(IndexError):
            target.coordinates(tile)


def test_hops_within_and_between_chips():
    target = small(**{"chip.ports": (2, 0)})
    assert target.hops(0, 5) == 3
    assert target.hops(0, 6) == 2 + 2  # to the port of one chip, from the port of the other
    assert target.crosses_chips(0, 6)
    assert not target.crosses_chips(0, 5)


def test_hops_are_a_metric():
    target = small()
    tiles = range(target.n_tiles)
    for a, b in itertools.product(tiles, tiles):
        assert target.hops(a, b) == target.hops(b, a)
        assert target.hops(a, a) == 0
        for c in tiles:
            assert target.hops(a, c) <= target.hops(a, b) + target.hops(b, c)


def test_number_formats_come_from_the_array():
    assert (DEFAULT.slices(8), DEFAULT.max_weight(8)) == (2, 112)
    assert [DEFAULT.input_phases(8, signed) for signed in (False, True)] == [2, 4]
    isaac = load_target("isaac32")
    assert (isaac.slices(8), isaac.max_weight(8), isaac.input_phases(8, True)) == (4, 127, 8)


def test_codes_digits_and_sums():
    differential, offset = DEFAULT.array, load_target("isaac32").array
    assert (differential.digit_bounds, differential.adc_codes) == ((-7, 7), (-128, 127))
    assert (offset.digit_bounds, offset.adc_codes) == ((0, 3), (0, 255))
    assert differential.partial_sum_bound() == 512 * 7 * 15 == 53_760
    assert differential.partial_sum_bound(rows=80, phase_width=1) == 560
    assert differential.lossless_lsb(127) == 1
    assert differential.lossless_lsb(128) == 2


def test_idle_converters_take_energy_where_they_cannot_be_gated():
    columns = np.array([0, 1, 63, 64, 65, 512])
    gated, free = (
        with_overrides(DEFAULT, {"array.gate_unused_adc": gate}).array.conversions(columns)
        for gate in (True, False)
    )
    assert gated.tolist() == columns.tolist()
    assert free.tolist() == [0, 64, 64, 64, 128, 512]


@pytest.mark.parametrize(
    ("name", "gated"),
    [
        ("tsinghua28", True), ("asscc28", False), ("isaac32", False), ("neurram130", False),
        ("hermes14", False),
    ],
)  # fmt: skip
def test_presets_say_whether_converters_are_gated_and_that_it_is_assumed(name: str, gated: bool):
    target = load_target(name)
    assert target.array.gate_unused_adc is gated
    origin = target.origin("array.gate_unused_adc")
    assert origin is not None
    assert origin.basis == "assumed"


def test_capacity_counts_whole_weights():
    assert DEFAULT.weights_per_row(8) == 256
    assert DEFAULT.weight_capacity(4) == 512 * 262_144
    odd = with_overrides(load_target("isaac32"), {"array.cols": 126, "array.columns_per_step": 42})
    assert odd.weights_per_row(8) == 31


def test_the_digest_is_stable_and_sees_every_change():
    assert DEFAULT.digest == Target.model_validate(DEFAULT.model_dump(mode="json")).digest
    assert len(DEFAULT.digest) == 64
    seen = {DEFAULT.digest}
    for path, value in (
        ("array.adc_bits", 7),
        ("array.row_pj", 2.0),
        ("tile.arrays", 4),
        ("chip.ports", (1, 0)),
    ):
        seen.add(with_overrides(DEFAULT, {path: value}).digest)
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array.rows": 500, "array.physical_rows": 512}, "physical_rows 512 is not a multiple of rows 500"),
        ({"array.columns_per_step": 100}, "cols 512 is not a multiple"),
        ({"array.adc_min_lsb": 600}, "adc_min_lsb 600 exceeds adc_max_lsb 512"),
        ({"array.adc_bits": 1}, "signed ADC of at least 2 bits"),
        ({"chip.ports": (8, 0)}, "outside the mesh"),
        ({"array.dac_bits": 9}, "array.dac_bits: input should be less than or equal to 8, got 9"),
        ({"array.rows": 512.0}, "array.rows: input should be a valid integer"),
        ({"array.step_ns": 0.0}, "array.step_ns: must be greater than 0"),
        ({"array.gate_unused_adc": 1}, "array.gate_unused_adc"),
        ({"array.height": 4}, "has no field 'array.height'"),
    ],
)
def test_inconsistent_targets_are_refused(changes, message):
    with pytest.raises(TargetError) as error:
        with_overrides(DEFAULT, changes)
    assert error.value.code == "target.invalid"
    assert message in error.value.message


def test_an_override_says_so():
    changed = with_overrides(DEFAULT, {"array.adc_bits": 6, "array.row_pj": 3})
    table = {row.path: row for row in rows(changed)}
    for path, value in (("array.adc_bits", 6), ("array.row_pj", 3.0)):
        assert table[path].value == value
        assert table[path].basis == "assumed"
        assert "tsinghua28" in table[path].source
    assert table["array.rows"].basis == "derived"
    assert with_overrides(DEFAULT, {}) == DEFAULT


def test_an_operating_point_moves_the_array():
    chip = load_target("neurram130")
    moved = at_operating_point(chip, "in6-out8")
    assert (moved.array.dac_bits, moved.array.adc_bits) == (6, 8)
    assert float(moved.array.step_pj) == 7140
    assert [p.name for p in moved.operating_points if p.default] == ["in6-out8"]
    assert at_operating_point(moved, "in4-out6") == chip
    with pytest.raises(TargetError, match="no operating point 'in2'"):
        at_operating_point(chip, "in2")


def test_the_array_must_agree_with_its_default_point():
    data = load_target("neurram130").model_dump(mode="json")
    data["array"]["adc_bits"] = 7
    with pytest.raises(ValidationError, match=r"array\.adc_bits differs from the default operating point"):
        Target.model_validate(data)
    data["array"]["adc_bits"] = 6
    data["operating_points"][0]["default"] = True
    with pytest.raises(ValidationError, match="exactly one must be the default"):
        Target.model_validate(data)


def test_a_structural_figure_without_a_source_is_refused():
    data = DEFAULT.model_dump(mode="json")
    data["provenance"] = [p for p in data["provenance"] if "array.rows" not in p["paths"]]
    with pytest.raises(ValidationError, match=r"no source for .*array\.rows"):
        Target.model_validate(data)
    data["provenance"].append({"paths": ["array"], "source": "all of it", "basis": "assumed"})
    assert Target.model_validate(data).origin("array.rows").source == "all of it"
    data["provenance"].append({"paths": ["array.height"], "source": "none", "basis": "assumed"})
    with pytest.raises(ValidationError, match="no structural field"):
        Target.model_validate(data)


def test_rows_cover_every_field_of_the_model():
    shown = {row.path for row in rows(DEFAULT)}
    parts = ("array", "tile", "chip", "system")
    known = {f"{p}.{name}" for p in parts for name in type(getattr(DEFAULT, p)).model_fields}
    assert shown == known - {"array.row_dac_pj"}  # its DACs are in step_pj


def test_summary_counts_what_is_assumed():
    figures = summary(DEFAULT)
    assert figures["assumed"] == sum(row.basis == "assumed" for row in rows(DEFAULT))
    assert figures["digest"] == DEFAULT.digest


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_coordinates_enumerate_the_system(width, height, chips):
    target = with_overrides(DEFAULT, {"chip.mesh": (width, height), "system.chips": chips})
    seen = [target.coordinates(tile) for tile in range(target.n_tiles)]
    assert seen == sorted(set(seen), key=lambda c: (c[0], c[2], c[1]))
    assert len(seen) == width * height * chips


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("tile.table_sram_bytes", 0, "needs table_sram_bytes"),
        ("chip.dram_bytes", 0, "needs dram_bytes"),
        ("chip.dram_burst_bytes", 0, "needs dram_burst_bytes"),
    ],
)
def test_an_optional_memory_is_given_whole(path, value, why):
    with pytest.raises(TargetError, match=why):
        with_overrides(DEFAULT, {path: value})


def test_a_target_without_optional_memories():
    data = DEFAULT.model_dump(mode="json")
    for part, names in (
        ("tile", ("table_sram_bytes", "table_sram_ns", "table_sram_mm2", "table_sram_static_mw")),
        (
            "chip",
            ("dram_bytes", "dram_burst_bytes", "dram_pj_per_bit", "dram_gbps", "dram_ns", "dram_static_mw"),
        ),
    ):
        for name in names:
            del data[part][name]
    optional = ("tile.table_sram_bytes", "chip.dram_bytes", "chip.dram_burst_bytes")
    data["provenance"] = [p for p in data["provenance"] if not set(p["paths"]) & set(optional)]
    plain = Target.model_validate(data)
    assert plain.tile.table_sram_bytes == plain.chip.dram_bytes == 0
    assert plain.chip.dram_gbps is None
    assert not any("dram" in path or "sram" in path for path, _, _ in plain.fields())
    assert not any("dram" in row.path or "sram" in row.path for row in rows(plain))
    assert plain.area_mm2 == DEFAULT.area_mm2
