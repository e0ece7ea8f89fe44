"""Work of products in arrays, with numbers that a reader can check on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.cost.array_work import (
    blocks_of,
    count_array_events,
    covered,
    hold_arrays,
    mvm_work,
    steps_per_phase,
)
from cimc.cost.machine_units import Unit
from cimc.cost.work import CostError, Work
from cimc.isa.program import Matrix
from cimc.target import load_target
from cimc.target.spec import Target
from tests.cost.cost_programs import TSINGHUA, Blocks, layer, mvm, program, table

STEP, BUS = float(TSINGHUA.array.step_ns), float(TSINGHUA.tile.bus_gbps)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=6))
def test_rows_covered_are_counted_once(ranges: list[tuple[int, int]]) -> None:
    first = np.array([a for a, _ in ranges], np.int64)
    count = np.array([n for _, n in ranges], np.int64)
    assert covered(first, count) == len({r for a, n in ranges for r in range(a, a + n)})


def test_a_step_converts_so_many_columns() -> None:
    columns = np.array([0, 1, 64, 65, 512])
    assert steps_per_phase(columns, TSINGHUA).tolist() == [0, 1, 1, 2, 8]


@pytest.mark.parametrize(("gated", "conversions"), [(False, 3 * 2 * 64 + 64), (True, 3 * 70 + 5)])
def test_idle_converters_cost_unless_they_are_gated(gated: bool, conversions: int) -> None:
    target = load_target(f"tsinghua28{{array.gate_unused_adc={str(gated).lower()}}}")
    work = Work()
    count_array_events(work, "mvm", target, np.array([70, 5]), np.array([3, 1]), np.array([30, 7]))
    assert work.events == {
        "array.steps": 3 * 2 + 1, "array.steps.mvm": 7,
        "array.rows_driven": 30 * 2 + 7, "array.rows_driven.mvm": 67,
        "adc.conversions": conversions, "adc.conversions.mvm": conversions,
        "adc.conversions_used": 3 * 70 + 5, "shift_add.ops": 3 * 70 + 5,
    }  # fmt: skip


def test_operations_on_one_array_follow_one_another() -> None:
    blocks = np.array([(0, 8, 0, 64, 9, 2, 0), (8, 8, 0, 64, 9, 2, 64), (16, 8, 0, 64, 9, 3, 0)], np.int64)
    work = Work()
    busiest = hold_arrays(work, blocks, np.array([1, 1, 1]), np.ones(3, np.int64), TSINGHUA)
    assert busiest == pytest.approx(2 * STEP)
    assert work.holds == {Unit("array", 9, 2): 2 * STEP, Unit("array", 9, 3): STEP}


def worked(matrix: Matrix, blocks: Blocks, first: int, count: int, target: Target = TSINGHUA) -> Work:
    made = program({9: []}, [(matrix, blocks)], target=target)
    return mvm_work(mvm(0, 64, 0, first, count), matrix, 9, made, target)


def test_a_product_takes_its_input_all_blocks_at_once_and_its_output() -> None:
    matrix = layer("w", 600, 40)
    blocks = [(0, 512, 0, 40, 9, 0, 0), (512, 88, 0, 40, 9, 1, 0)]
    work = worked(matrix, blocks, 0, 2)
    bits = 600 * 4 + 40 * 32
    assert work.ns == pytest.approx(bits / BUS + STEP)
    assert work.holds[Unit("bus", 9)] == pytest.approx(bits / BUS)
    assert work.events["bus.in_bits"] == 600 * 4
    assert work.events["scratchpad.read_bits"] == 600 * 8
    assert work.events["accumulate.adds"] == 40  # of the second row block to the first
    assert work.events["mvm.blocks"] == 2


def test_a_part_of_the_blocks_reads_its_own_rows() -> None:
    matrix = layer("w", 600, 40)
    blocks = [(0, 512, 0, 40, 9, 0, 0), (512, 88, 0, 40, 9, 1, 0)]
    work = worked(matrix, blocks, 1, 1)
    assert work.events["bus.in_bits"] == 88 * 4
    assert work.events["accumulate.adds"] == 0


def test_offset_cells_are_corrected_digitally() -> None:
    target = load_target("isaac32")
    matrix = layer("w", 100, 8, slices=target.slices(4))
    work = worked(matrix, [(0, 100, 0, 8, 9, 0, 0)], 0, 1, target)
    assert work.events["accumulate.adds"] == 100 + 8


@pytest.mark.parametrize("place", [(-1, 0), (64, 0), (9, -1), (9, 99)])
def test_blocks_that_lie_nowhere_are_refused(place: tuple[int, int]) -> None:
    matrix = table("t", 8, 4)
    made = program({}, [(matrix, [(0, 4, 0, 4, 9, 0, 0), (4, 4, 0, 4, *place, 0)])])
    with pytest.raises(CostError, match="block 1 of matrix t lies on no array") as caught:
        blocks_of(matrix, made, TSINGHUA, 0)
    assert caught.value.code == "cost.not-placed"
