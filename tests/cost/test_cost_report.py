"""Area and the whole estimate."""

from __future__ import annotations

import json

import pytest

from cimc.cost import NOT_MODELLED, area_of, estimate
from cimc.cost.estimate import COUNTED_FROM
from cimc.target import load_target, preset_names
from cimc.target.overrides import with_overrides
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store, table


def small(hosts: int = 0, target=TSINGHUA):
    matrix = layer("w", 64, 64)
    stream = [load(64), quant(64, 0, 256), mvm(256, 320), store(64, 320)]
    return program(
        {0: stream}, [(matrix, [(0, 64, 0, 64, 0, 0, 0)])],
        inputs=[dense(64)], outputs=[dense(64)], hosts=hosts, target=target,
    )  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_system_area_is_the_targets(name):
    target = load_target(name)
    assert area_of(program({}, target=target), target).system_mm2 == pytest.approx(target.area_mm2)


def test_used_area():
    """Two blocks side by side share an array; a tile that only computes counts, an empty stream does not."""
    matrices = [
        (layer("w", 256, 256), [(0, 256, 0, 256, 3, 0, 0)]),
        (table("t", 600, 32), [(0, 512, 0, 32, 3, 0, 256), (512, 88, 0, 32, 4, 1, 0)]),
    ]
    area = area_of(program({7: [relu(1, 0, 64)], 8: []}, matrices), TSINGHUA)
    lanes = 3 * 32 * 0.00628
    assert area.used == {
        "arrays": pytest.approx(2 * 0.56), "tiles": pytest.approx(3 * 0.215), "chips": pytest.approx(22.88),
        "vector lanes": pytest.approx(lanes),
    }  # fmt: skip
    assert area.used_mm2 == pytest.approx(2 * 0.56 + 3 * 0.215 + 22.88 + lanes)
    assert (area.counts["arrays_used"], area.counts["tiles_used"], area.counts["chips_used"]) == (2, 3, 1)
    cells = 256 * 256 + 600 * 32 * 2
    assert area.counts["cells_used"] == pytest.approx(cells / (2 * 512 * 512))


def test_a_program_without_matrices_uses_no_array():
    area = area_of(program({}), TSINGHUA)
    assert area.used_mm2 == 0
    assert area.counts["cells_used"] == 0


def test_estimate_agrees_with_its_parts():
    cost = estimate(small(), TSINGHUA)
    assert cost.energy_pj == pytest.approx(sum(item.pj for item in cost.energy.items))
    assert cost.array_energy_pj == pytest.approx(64 * 2.064 + 64 * 13.2 + 674)
    assert cost.bottleneck == next(iter(cost.busy))
    assert cost.throughput_rps == pytest.approx(1e9 / cost.busy[cost.bottleneck])
    assert cost.latency_ns == sum(cost.segment_ns)
    assert list(cost.busy.values()) == sorted(cost.busy.values(), reverse=True)
    assert sum(cost.busy.values()) < cost.latency_ns
    assert cost.area.system_mm2 == pytest.approx(TSINGHUA.area_mm2)


def test_the_bottleneck_is_named_with_what_it_holds():
    slow = with_overrides(TSINGHUA, {"array.step_ns": 1e6})
    assert estimate(small(target=slow), slow).bottleneck == "array 0 of tile 0 (layer w)"


def test_json_is_complete_and_plain():
    cost = estimate(small(), TSINGHUA)
    found = json.loads(json.dumps(cost.to_json(), allow_nan=False))
    assert found == cost.to_json()
    assert found["energy"]["ADC"]["basis"] == "derived"
    assert found["area_mm2"]["used"]["total"] == pytest.approx(cost.area.used_mm2)
    assert sum(found["energy_share_by_basis"].values()) == pytest.approx(1)
    assert found["not_modelled"] == dict(NOT_MODELLED)


def test_every_figure_says_what_it_includes():
    cost = estimate(small(), TSINGHUA)
    figures = {"latency_ns", "throughput_rps", "busy", "energy_pj", "array_energy_pj", "energy", "events"}
    assert figures <= set(cost.includes)
    assert {"area_system_mm2", "area_used_mm2", "energy_share_by_basis"} <= set(cost.includes)
    assert all(cost.includes.values())


def test_host_segments_are_mentioned_wherever_they_are_missing():
    with_hosts, without = estimate(small(hosts=2), TSINGHUA), estimate(small(), TSINGHUA)
    assert with_hosts.latency_ns == without.latency_ns
    assert with_hosts.host_segments == 2
    for figure in ("latency_ns", "throughput_rps", "energy_pj"):
        assert "2 host segments of the program not included" in with_hosts.includes[figure]
        assert "host segments of the program" not in without.includes[figure]


def test_bases():
    cost = estimate(small(), TSINGHUA)
    assert dict(cost.basis) == {
        "time": "assumed",
        "energy": "assumed",
        "area": "assumed",
        "counts": "assumed",
    }
    assert set(cost.structure) == set(COUNTED_FROM)
    assert cost.structure["array.columns_per_step"] == "derived"
    idle = estimate(program({0: []}), TSINGHUA)
    assert (idle.basis["time"], idle.basis["energy"]) == (None, None)  # no constant was used
    assert (idle.throughput_rps, idle.bottleneck) == (None, "")


def test_target_paths_exist():
    known = dict(TSINGHUA.structure())
    assert set(COUNTED_FROM) <= set(known)


def test_same_input_same_estimate():
    assert estimate(small(), TSINGHUA).to_json() == estimate(small(), TSINGHUA).to_json()
