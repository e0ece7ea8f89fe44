"""Cells that are written before the first request."""

from __future__ import annotations

import pytest

from cimc.cost.machine.programming import PULSE_PJ, PULSES, programming_of
from tests.copied import copied
from tests.cost.cost_programs import TSINGHUA
from tests.isa.test_verify_copies import two_tiles


def test_copies_are_written_too() -> None:
    made = two_tiles()
    one = programming_of(made, TSINGHUA)
    assert one.devices == 512 * 64 * 2  # one slice, two devices a cell
    assert one.copied == 0
    three = programming_of(copied(made, TSINGHUA, 3), TSINGHUA)
    assert three.devices == 3 * one.devices
    assert three.copied == 2 * one.devices
    assert three.energy_pj == pytest.approx(three.devices * PULSES * PULSE_PJ)
    assert three.to_json()["seconds_one_by_one"] == pytest.approx(three.devices * 56e-6)
