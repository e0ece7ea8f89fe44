"""A real model in the queueing simulation: no load gives more than the bound, but for noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.cost import estimate
from cimc.timing import Arrivals, simulate
from cimc.transforms.passes import FRONTEND

MODELS = Path(__file__).parents[2] / "models"


def arrays(part: str) -> dict[str, np.ndarray]:
    with np.load(MODELS / f"dlrm_small.{part}.npz") as file:
        return dict(file)


ONE_OF_EACH = (
    f"{FRONTEND},quantize,group,shard{{converter_parallelism=0.2}},choose-adc-steps,place{{chips=near}},"
    "schedule{reduction_tiles=spread},lower"
)


@pytest.fixture(scope="module")
def program() -> cimc.Program:
    """One instance of everything, which these loads fill."""
    return cimc.compile(MODELS / "dlrm_small.onnx", "tsinghua28", arrays("calib"), ONE_OF_EACH)


@pytest.mark.parametrize(
    "arrivals", [Arrivals("closed", 64), Arrivals("closed", 512), Arrivals("fixed", rate=1e8)]
)
def test_nor_do_many_instances_exceed_it(arrivals: Arrivals) -> None:
    made = cimc.compile(MODELS / "dlrm_small.onnx", "tsinghua28", arrays("calib"))
    assert made.data.period > 8
    found, activity = simulate(made.data, made.target, arrays("requests"), arrivals)
    bound = estimate(made.data, made.target, activity).throughput_rps
    throughput = found.steady.throughput
    assert bound is not None
    assert throughput is not None
    # a run that is too short has requests under way at both ends
    least = throughput.value if throughput.low is None else throughput.low
    assert least <= bound * (1.0 if throughput.low is not None else 1.25)


@pytest.mark.parametrize(
    ("arrivals", "settles"),
    [
        (Arrivals("closed", 16), True),
        (Arrivals("closed", 64), True),
        (Arrivals("closed", 160), True),
        (Arrivals("closed", 512), False),
        (Arrivals("fixed", rate=4e6), False),
        (Arrivals("poisson", rate=2.6e6), False),
    ],
)
def test_throughput_exceeds_the_bound_only_within_its_interval(
    program: cimc.Program, arrivals: Arrivals, settles: bool
) -> None:
    found, activity = simulate(program.data, program.target, arrays("requests"), arrivals)
    bound = estimate(program.data, program.target, activity).throughput_rps
    throughput = found.steady.throughput
    assert throughput is not None
    assert bound is not None
    assert (throughput.low is not None) == settles == (not found.steady.missing)
    least = throughput.value if throughput.low is None else throughput.low
    assert least <= bound * (1 + 1e-9)
    if throughput.high is not None:
        assert throughput.high - throughput.value < 0.06 * throughput.value
