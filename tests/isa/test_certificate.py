"""The clip-free certificate of a program: checked, never believed."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.isa.certificate import certify
from cimc.isa.instructions import instr
from cimc.isa.verify import verify_program
from cimc.report import certificate as report
from tests.isa.test_verify import LOAD, MVM, QUANT, TARGET, program


def certified(data=None):
    """Six rows of weights 1 add up to at most 6 * 15 = 90 of 127; one column to more."""
    found = program({3: [LOAD, QUANT, instr("loop", count=3), MVM, instr("end")]})
    found.data["w.data"] = np.ones((6, 4), np.int8) if data is None else data
    found.data["w.data"][:, 3] = 7  # 6 * 15 * 7 = 630 clips
    found.data["w.certificate"] = certify(
        found.data["w.data"], found.data["w.blocks"], found.data["w.ranges"], TARGET.array, 8, 8, False
    )
    return found


def test_the_right_certificate_is_accepted():
    found = certified()
    assert np.unpackbits(found.data["w.certificate"]).tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    verify_program(found, TARGET)
    del found.data["w.certificate"]
    verify_program(found, TARGET)  # one that is absent claims nothing


@pytest.mark.parametrize(
    "wrong",
    [
        np.array([0xFF], np.uint8),  # claims too much
        np.array([0], np.uint8),  # and too little
        np.array([0xEF, 0], np.uint8),
        np.array([0xEF], np.int16),
    ],
)
def test_another_certificate_is_refused(wrong):
    found = certified()
    found.data["w.certificate"] = wrong
    with pytest.raises(ProgramError, match="certificate of w") as caught:
        verify_program(found, TARGET)
    assert caught.value.code == "isa.certificate"


def test_a_certificate_belongs_to_its_cells_and_steps():
    for name in ("w.data", "w.ranges"):
        found = certified()
        found.data[name] = found.data[name] + (6 if name == "w.data" else 1)
        with pytest.raises(ProgramError, match="certificate"):
            verify_program(found, TARGET)


def test_a_table_has_none():
    found = certified()
    found.data["t.certificate"] = np.zeros(1, np.uint8)
    with pytest.raises(ProgramError, match="certificate of t"):
        verify_program(found, TARGET)


def test_values_that_cells_cannot_hold_are_not_certified():
    weights = np.array([[113, 112]], np.int8)  # two 8-level pairs reach 112
    blocks, ranges = np.array([[0, 1, 0, 2]]), np.ones((1, 2, 2), np.int32)
    bits = np.unpackbits(certify(weights, blocks, ranges, TARGET.array, 8, 8, False))
    assert bits[:4].tolist() == [0, 1, 0, 1]


def test_the_summary_counts_units_and_conversions():
    found = certified()
    assert report.to_json(found) == {
        "units": 8,
        "units_certified": 7,
        "conversions": 3 * 2 * 8,  # fired three times, two phases
        "conversions_certified": 3 * 2 * 7,
        "layers": {
            "w": {"units": 8, "units_certified": 7, "conversions": 48, "conversions_certified": 42},
        },
    }
    assert len(report.blocks(found)) == 1
    del found.data["w.certificate"]
    assert report.to_json(found)["conversions_certified"] == 0
