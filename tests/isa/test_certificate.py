"""The clip-free certificate of a program: checked, never believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cimc.api import Program
from cimc.errors import ProgramError
from cimc.isa.artifact import save_program
from cimc.isa.certificate import certify, unpack
from cimc.isa.instructions import instr
from cimc.isa.verify import verify_program
from cimc.report import clip_free as report
from cimc.sim.executor import Simulator
from cimc.sim.kernels.dense import mvm
from cimc.transforms.pipeline import Pipeline
from tests.build import mlp
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


# --------------------------------------------------------------------------------------------------
# From the compiler to a file and back


@pytest.fixture(scope="module")
def compiled():
    made, ctx = mlp((40, 30, 8), target="isaac32")
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    return ctx.program, ctx.target


def test_every_layer_has_one_and_the_simulator_takes_it(compiled, monkeypatch):
    found, target = compiled
    layers = [m for m in found.matrices if m.kind == "dense"]
    assert len(layers) == 2
    simulator = Simulator(found, target)
    monkeypatch.setattr(mvm, "certify", lambda *arguments: pytest.fail("computed anew"))
    for layer in layers:
        stored = unpack(
            found.data[f"{layer.name}.certificate"], found.data[f"{layer.name}.blocks"], layer.slices
        )
        taken = simulator.prepared.kernel(layer).certified
        assert all(a.tolist() == b.tolist() for a, b in zip(stored, taken, strict=True))
        assert any(units.any() for units in taken)


def test_a_bit_of_a_file_is_enough_to_be_refused(compiled, tmp_path):
    """Damage is found by the digest; a file that was written so, by computing the certificate anew."""
    found, _ = compiled
    layer = next(m for m in found.matrices if m.kind == "dense")
    name = f"{layer.name}.certificate"
    path = tmp_path / "p.cimc"
    save_program(found, path)
    requests = {"x": np.ones((2, 40), np.float32)}
    Program.load(path).run(requests)

    raw = bytearray(path.read_bytes())
    at = raw.rfind(found.data[name].tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ProgramError) as caught:
        Program.load(path)
    assert caught.value.code == "program.corrupt"

    wrong = found.data[name].copy()
    wrong[0] ^= 1
    save_program(replace(found, data={**found.data, name: wrong}), path)
    with pytest.raises(ProgramError, match=layer.name) as caught:
        Program.load(path).run(requests)
    assert caught.value.code == "isa.certificate"
