"""Presets at full load against what their publications state."""

import pytest

from bench.full_load import PUBLICATIONS, TOLERANCE, figures
from cimc.target import preset_names


def test_every_preset_is_measured():
    assert set(PUBLICATIONS) == set(preset_names())


@pytest.mark.parametrize("preset", PUBLICATIONS)
def test_full_load_is_within_a_fifth_of_the_paper(preset):
    for figure in figures(preset):
        assert figure.model == pytest.approx(figure.paper, rel=TOLERANCE), figure
