"""Layers spread over free arrays: fewer steps for each, the same work and the same results."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.cost import estimate
from cimc.errors import PassError
from cimc.sim.executor import Simulator
from cimc.target.load_target import load_target
from cimc.transforms.partition.converter_parallelism import Layer, widths
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests

TARGET = load_target("tsinghua28")
LAYERS = st.lists(
    st.builds(
        Layer,
        name=st.uuids().map(str),
        rows=st.integers(1, 2000),
        cols=st.integers(1, 2000),
        slices=st.integers(1, 4),
        phases=st.integers(1, 4),
        uses=st.integers(1, 3),
    ),
    min_size=1,
    max_size=6,
)


def arrays(layers: list[Layer], chosen: dict[str, int]) -> int:
    return sum(layer.arrays(chosen[layer.name], TARGET) for layer in layers)


@given(layers=LAYERS, free=st.integers(0, 200), enough=st.floats(0, 60))
def test_no_more_arrays_than_allowed_and_no_wider_than_needed(
    layers: list[Layer], free: int, enough: float
) -> None:
    full = {layer.name: TARGET.array.cols // layer.slices for layer in layers}
    chosen = widths(layers, free, enough, TARGET)
    assert arrays(layers, chosen) <= arrays(layers, full) + free
    busiest = max(layer.steps(chosen[layer.name], TARGET) for layer in layers)
    assert busiest <= max(layer.steps(full[layer.name], TARGET) for layer in layers)
    for layer in layers:  # the next wider choice would make it the busiest
        wider = [w for w in layer.widths(TARGET) if w > chosen[layer.name]]
        if wider:
            assert layer.steps(wider[0], TARGET) > busiest
    if busiest > enough:  # then arrays are what is missing: one step fewer does not fit
        tighter = {}
        for layer in layers:
            fitting = [w for w in layer.widths(TARGET) if layer.steps(w, TARGET) < busiest]
            if not fitting:
                return
            tighter[layer.name] = fitting[-1]
        assert arrays(layers, tighter) > arrays(layers, full) + free


def compiled(pipeline: str) -> Simulator:
    made, ctx = dlrm()
    Pipeline.parse(f"quantize,{pipeline},place,schedule,lower").run(made, ctx)
    assert ctx.target is not None
    return Simulator(ctx.program, ctx.target)


def test_results_and_conversions_stay_and_arrays_are_less_busy() -> None:
    requests = dlrm_requests(40, 3)
    plain, spread = compiled("shard"), compiled("shard{converter_parallelism=1}")
    (want, before), (have, after) = (s.run(requests, "exact") for s in (plain, spread))
    np.testing.assert_array_equal(want["y0"], have["y0"])
    costs = [estimate(s.program, s.target, a) for s, a in ((plain, before), (spread, after))]
    assert costs[0].events["adc.conversions.mvm"] == costs[1].events["adc.conversions.mvm"]
    assert costs[0].events["array.rows_driven.mvm"] == costs[1].events["array.rows_driven.mvm"]


def test_the_option_is_checked() -> None:
    with pytest.raises(PassError, match="converter_parallelism=2: a share"):
        compiled("shard{converter_parallelism=2}")


def test_a_wide_layer_takes_more_arrays() -> None:
    layer = Layer("l", 13, 512, 2, 4, 1)
    assert layer.steps(256, TARGET) == 32
    assert widths([layer], 0, 0.0, TARGET) == {"l": 256}
    assert widths([layer], 2, 0.0, TARGET) == {"l": 128}
    assert widths([layer], 100, 0.0, TARGET) == {"l": 32}
    assert widths([layer], 100, 16.0, TARGET) == {"l": 128}
