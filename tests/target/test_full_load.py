"""Presets at full load against what their publications state."""

from dataclasses import replace

import pytest

from bench.full_load import PUBLICATIONS, TOLERANCE, figures
from cimc.target import preset_names


def test_every_preset_is_measured():
    assert set(PUBLICATIONS) == set(preset_names())


@pytest.mark.parametrize("preset", PUBLICATIONS)
def test_full_load_is_within_a_fifth_of_the_paper_or_names_its_limit(preset):
    throughput, energy = figures(preset)
    assert energy.model == pytest.approx(energy.paper, rel=TOLERANCE)
    if PUBLICATIONS[preset].limit[0]:
        assert throughput.ratio < 1 - TOLERANCE  # else it has no need of a limit
        assert throughput.explained
        assert not replace(throughput, bottleneck="tile 0 bus").explained
    else:
        assert throughput.model == pytest.approx(throughput.paper, rel=TOLERANCE), throughput
