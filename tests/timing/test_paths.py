"""Ways over the machine, unit by unit."""

from __future__ import annotations

import pytest

from cimc.cost.machine_units import Unit
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.positions import middle_tile
from cimc.timing.paths import between, from_host, mesh, to_host

ONE = load_target("tsinghua28")
TWO = with_overrides(ONE, {"system.chips": 2})


def kinds(path: list) -> list[str]:
    return [hop.unit.kind for hop in path]


def test_a_message_inside_of_a_chip() -> None:
    path = between(ONE, 0, 18)  # (0, 0) to (2, 2) of a mesh of 8 x 8
    assert (path[0].unit, path[-1].unit) == (Unit("router out", 0), Unit("router in", 18))
    assert len(mesh(ONE, 0, 18)) == len(path) - 2 == 4
    assert {hop.rate for hop in path} == {float(ONE.tile.link_gbps)}
    assert sum(hop.after for hop in path) == 4 * float(ONE.tile.hop_ns)
    assert mesh(ONE, 5, 5) == []


def test_a_message_between_chips_crosses_both_host_links() -> None:
    there = ONE.n_tiles + 9
    path = between(TWO, 9, there)
    links = [hop for hop in path if hop.unit.kind == "host link"]
    assert [hop.unit for hop in links] == [Unit("host link", 0), Unit("host link", 1)]
    assert [hop.after for hop in links] == [float(TWO.chip.host_link_ns), 0.0]
    assert {hop.rate for hop in links} == {float(TWO.chip.host_link_gbps)}


def test_ways_to_and_from_the_host_mirror_each_other() -> None:
    here, back = from_host(ONE, 0, 18), to_host(ONE, 0, 18)
    assert kinds(here) == ["host link", *["link"] * (len(here) - 2), "router in"]
    assert kinds(back) == ["router out", *["link"] * (len(back) - 2), "host link"]
    assert len(here) == len(back)
    assert sum(h.after for h in here) == pytest.approx(sum(h.after for h in back))


def test_the_middle_of_a_mesh() -> None:
    assert middle_tile(ONE) == 4 * 8 + 4
    assert middle_tile(with_overrides(ONE, {"chip.mesh": (3, 5)})) == 2 * 3 + 1
