"""Simulated, what each objective decides is at least as good in its own figure as what the others decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.mapping.allocation.goal import OBJECTIVES, Goal
from cimc.remarks import SimulatedFigures
from cimc.search.judge_program import simulated

MODELS = Path(__file__).parents[2] / "models"
WITHIN = 1.02
"""Figures of finite runs differ by chance."""


@pytest.mark.parametrize("model", ["twotower_small", "dlrm_small"])
def test_every_objective_wins_in_its_own_figure(model: str) -> None:
    calib = dict(np.load(MODELS / f"{model}.calib.npz"))
    requests = dict(np.load(MODELS / f"{model}.requests.npz"))
    rate = 1e6
    found: dict[str, SimulatedFigures] = {}
    for name in OBJECTIVES:
        program = cimc.compile(MODELS / f"{model}.onnx", calib=calib, objective=name, rate=rate)
        goal = Goal(name, rate=rate / 1e9)
        found[name] = simulated(program.data, program.target, requests, goal, 0)
    figures = {
        "latency": {name: each.latency_ns for name, each in found.items()},
        "energy": {name: each.energy_pj for name, each in found.items()},
        "edp": {name: each.energy_pj * each.latency_ns for name, each in found.items()},
        "throughput": {name: 1e9 / each.throughput_rps for name, each in found.items()},
    }
    for name, values in figures.items():
        assert values[name] <= WITHIN * min(values.values()), (name, values)
    assert figures["energy"]["energy"] < 0.95 * figures["energy"]["throughput"]
