"""Energy by hand arithmetic, conservation, and what is said about each figure."""

from __future__ import annotations

import pytest

from cimc.cost import COMPONENTS, EVENTS, NOT_MODELLED, count_events, energy_of
from cimc.cost.energy import STRENGTH, constant, weakest
from cimc.target import load_target, preset_names
from cimc.target.overrides import with_overrides
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store


def energy(made, target=TSINGHUA):
    return energy_of(count_events(made, target), target)


def by_name(found):
    return {item.name: item for item in found.items}


def test_one_step_of_the_macro_is_what_was_measured():
    """512 rows x 64 columns: 111.43 mW x 23.08 ns = 2,572 pJ; the fit gives 2,576."""
    matrix = layer("w", 512, 64)
    found = energy(program({0: [mvm(0, 1024)]}, [(matrix, [(0, 512, 0, 64, 0, 0, 0)])]))
    assert found.array_pj == pytest.approx(512 * 2.064 + 64 * 13.2 + 674)
    assert found.array_pj == pytest.approx(2576, abs=1)
    assert found.array_pj == pytest.approx(111.43 * 23.08, rel=0.003)


def test_a_step_of_isaac_is_its_table():
    """One array, one input bit: 301 pJ with its shift-adds."""
    target = load_target("isaac32")
    matrix = layer("w", 128, 32, bits=8, slices=4, input_bits=1)
    made = program({0: [mvm(0, 128)]}, [(matrix, [(0, 128, 0, 32, 0, 0, 0)])], target=target)
    found = energy(made, target)
    correction = (128 + 32) * 2 * 0.021  # of the weight offset
    assert found.array_pj + by_name(found)["shift-add"].pj - correction == pytest.approx(301, abs=1)


def test_a_macro_with_one_figure_per_step():
    target = load_target("neurram130")
    matrix = layer("w", 100, 10, input_bits=4)
    found = energy(program({0: [mvm(0, 128)]}, [(matrix, [(0, 100, 0, 10, 0, 0, 0)])], target=target), target)
    assert found.array_pj == pytest.approx(4090)
    rows = by_name(found)["array rows"]
    assert rows.pj == 0
    assert rows.count == 100
    assert rows.note  # says where its energy is


def test_system_components_by_hand():
    made = program(
        {9: [load(4), quant(4, 0, 64), relu(4, 0, 32), store(4, 32)]}, inputs=[dense(4)], outputs=[dense(4)]
    )
    ucie = load_target("tsinghua28{tile.vector_lanes=32 link=ucie}")
    assert by_name(energy(made, ucie))["host link"].pj == pytest.approx(2 * 160 * 0.425)
    found = by_name(energy(made))
    assert found["host link"].pj == 0  # all of a serial link's power is static
    assert found["router"].pj == pytest.approx(2 * 160 * 2 * 0.081)
    assert found["requantise"].pj == pytest.approx(4 * 0.25)
    assert found["vector unit"].pj == pytest.approx(4 * 5.1)
    writes, reads = 128 + 32 + 128, 128 + 128 + 128
    assert found["scratchpad"].pj == pytest.approx((writes + reads) * 0.08)
    assert found["ADC"].pj == 0


@pytest.mark.parametrize("name", preset_names())
def test_the_breakdown_sums_to_the_total(name):
    target = load_target(name)
    slices = target.slices(8)
    matrix = layer("w", 64, 16, bits=8, slices=slices, input_bits=8)
    stream = [load(64), quant(64, 0, 256, 8), mvm(256, 320), store(16, 320)]
    made = program(
        {3: stream},
        [(matrix, [(0, 64, 0, 16, 3, 0, 0)])],
        inputs=[dense(64)],
        outputs=[dense(16)],
        target=target,
    )
    found = energy(made, target)
    assert found.total_pj > found.array_pj > 0
    assert sum(item.pj for item in found.items) == pytest.approx(found.total_pj)
    assert sum(found.by_basis.values()) == pytest.approx(1)
    for item in found.items:
        assert item.pj == pytest.approx(item.count * item.value)


def test_shares_by_basis():
    matrix = layer("w", 512, 64)
    made = program({0: [mvm(0, 1024)]}, [(matrix, [(0, 512, 0, 64, 0, 0, 0)])])
    found = energy(made)
    assert found.basis == "assumed"
    assert found.by_basis["derived"] == pytest.approx(found.array_pj / found.total_pj)
    assert found.by_basis["assumed"] == pytest.approx(1 - found.array_pj / found.total_pj)


def test_a_constant_that_contributes_nothing_weakens_nothing():
    free = {c.constant: 0.0 for c in COMPONENTS if c.level == "system"}
    target = with_overrides(TSINGHUA, free)
    matrix = layer("w", 512, 64)
    made = program({0: [mvm(0, 1024)]}, [(matrix, [(0, 512, 0, 64, 0, 0, 0)])], target=target)
    assert energy(made, target).basis == "derived"


def test_a_borrowed_constant_is_assumed():
    """Constant memory is charged at the scratchpad's energy, whatever that rests on."""
    target = load_target("isaac32")
    item = by_name(energy(program({0: []}, target=target), target))["constant memory"]
    assert target.tile.scratchpad_pj_per_bit.basis != "assumed"
    assert item.basis == "assumed"


def test_nothing_is_zero_without_a_word():
    assert {"host segments", "DRAM row activation", "row directory"} <= set(NOT_MODELLED)
    used = {event for component in COMPONENTS for event, _ in component.terms}
    assert used <= set(EVENTS)
    for component in COMPONENTS:
        assert constant(TSINGHUA, component.constant).source
        assert component.includes


def test_empty_program():
    found = energy(program({0: []}))
    assert found.total_pj == 0
    assert set(found.by_basis) == set(STRENGTH)
    assert sum(found.by_basis.values()) == 0


def test_weakest():
    assert weakest(["measured", "derived", "simulated"]) == "derived"
    assert weakest([]) is None
