"""Links are presets of their own, and a choice of the user."""

import pytest

from cimc.errors import TargetError
from cimc.target import load_target, preset_names
from cimc.target.host_links import FIELDS, LINKS


def test_the_links():
    assert set(LINKS) == {"cxl", "hypertransport2002", "pcie5", "ucie", "ucie-advanced"}
    for name in LINKS:
        link = LINKS[name]
        assert link.name == name
        for figure in (link.gbps, link.pj_per_bit, link.static_mw, link.latency_ns):
            assert len(figure.source) > 10


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_the_figures_of_its_link(name):
    chip = load_target(name).chip
    link = LINKS[chip.host_link]
    for field, own in FIELDS.items():
        assert getattr(chip, field) == getattr(link, own), field


@pytest.mark.parametrize("key", ["link", "system.link"])
def test_a_variant_has_another_link_and_keeps_the_rest(key):
    base, other = load_target("tsinghua28"), load_target(f"tsinghua28{{{key}=ucie tile.arrays=4}}")
    assert (base.chip.host_link, other.chip.host_link) == ("pcie5", "ucie")
    assert float(other.chip.host_link_gbps) == 16 * 16
    # half a pJ a bit at full rate, 85 % of it saved when idle
    full = float(other.chip.host_link_pj_per_bit) * 256 + float(other.chip.host_link_static_mw)
    assert full == pytest.approx(0.5 * 256)
    assert other.tile.arrays == 4
    assert other.digest != load_target("tsinghua28{tile.arrays=4}").digest
    assert "chosen by the user" in other.origin("chip.host_link").source


def test_serial_links_take_their_energy_at_any_load():
    for name, watts, gbps, pj in (("hypertransport2002", 10.4, 204.7, 50.8), ("pcie5", 3.83, 504.0, 7.6)):
        link = LINKS[name]
        assert float(link.pj_per_bit) == 0
        assert float(link.static_mw) == pytest.approx(watts * 1e3)
        assert watts * 1e3 / gbps == pytest.approx(pj, rel=0.001)


def test_an_unknown_link_is_refused_with_those_there_are():
    with pytest.raises(TargetError) as error:
        load_target("tsinghua28{link=nubus}")
    assert error.value.code == "target.unknown"
    assert "pcie5" in (error.value.hint or "")
