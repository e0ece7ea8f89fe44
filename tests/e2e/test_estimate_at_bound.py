"""The analytic bound on throughput is what a full machine does in the simulation, within 5 %."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cimc
from bench.estimate import ROOT, TOLERANCE, measure
from cimc.cost import estimate
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.timing import Arrivals, simulate
from models.tiny import tiny_dlrm
from tests.conftest import CORPUS

CASES = [
    ROOT / "models" / "dlrm_small.onnx",
    ROOT / "models" / "twotower_small.onnx",
    *(
        CORPUS / f"{name}.onnx"
        for name in (
            "bag_1d_sum_psw--dynamo--op18--dyn",
            "rechub_DSSM_mean_full--rechub--op14--dyn",
            "hugectr_dlrm_nnz1_sum--hugectr2onnx--op10--dyn",
            "tfrs_dlrm_dot--tf2onnx--op17--dyn",
        )
    ),
]


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_a_full_machine_does_what_the_bound_says(path: Path) -> None:
    if not path.exists():
        pytest.skip("the corpus of exported models is not here")
    row = measure(path, in_flight=256, requests=4000)
    assert row.ratio == pytest.approx(1.0, abs=TOLERANCE)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_bound_is_below_what_is_simulated(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of random small models on random small machines, at any load."""
    draw = data.draw
    model, requests = tiny_dlrm(
        draw(st.integers(0, 99)),
        draw(st.integers(1, 4)),
        dim=draw(st.sampled_from([3, 8, 16])),
        hidden=draw(st.sampled_from([8, 24])),
        batch=120,
        max_bag=draw(st.sampled_from([1, 6])),
    )
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(model, path)
    mesh = draw(st.sampled_from([(1, 1), (2, 2), (4, 1), (3, 3)]))
    target = with_overrides(
        load_target("tsinghua28"),
        {
            "chip.mesh": mesh,
            "chip.ports": draw(st.integers(1, min(2, mesh[0]))),
            "system.chips": draw(st.integers(1, 2)),
        },
    )
    made = cimc.compile(path, target, requests)
    arrivals = draw(
        st.sampled_from(
            [
                Arrivals("closed", 1),
                Arrivals("closed", 9),
                Arrivals("closed", 80),
                Arrivals("fixed", rate=1e9),
            ]
        )
    )
    found, activity = simulate(made.data, target, requests, arrivals)
    cost = estimate(made.data, target, activity)
    assert cost.throughput_rps is not None
    assert found.requests * 1e9 / found.makespan_ns <= cost.throughput_rps * (1 + 1e-9)
    assert cost.throughput_rps <= cost.machine[0].throughput_rps * (1 + 1e-9)
    throughput = found.steady.throughput
    assert throughput is not None
    assert throughput.low is None or throughput.low <= cost.throughput_rps * (1 + 1e-9)
    for load in found.loads:  # units are as busy as the estimate says
        assert load.busy_ns / found.requests == pytest.approx(cost.busy[load.name], rel=1e-6)
