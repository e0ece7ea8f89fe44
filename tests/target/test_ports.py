"""Host ports: how many, where, and which one a tile uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.errors import TargetError
from cimc.target import load_target
from cimc.target.constants_table import rows
from cimc.target.load_target import preset_names
from cimc.target.overrides import with_overrides
from cimc.target.ports import edge, spread
from cimc.target.spec import Target

DEFAULT = load_target("tsinghua28")
SIDES = st.integers(1, 9)


@given(SIDES, SIDES)
def test_the_edge_is_every_tile_at_the_border_once(width: int, height: int) -> None:
    border = {
        (x, y) for x in range(width) for y in range(height) if x in (0, width - 1) or y in (0, height - 1)
    }
    found = edge(width, height)
    assert len(found) == len(border)
    assert set(found) == border
    assert found[0] == (0, 0)


@given(SIDES, SIDES, st.data())
def test_a_number_of_ports_is_spread_over_the_edge(width: int, height: int, data: st.DataObject) -> None:
    tiles = edge(width, height)
    count = data.draw(st.integers(1, len(tiles)))
    found = [tiles.index(at) for at in spread(count, width, height)]
    gaps = [b - a for a, b in zip(found, [*found[1:], len(tiles)], strict=True)]
    assert found[0] == 0
    assert max(gaps) - min(gaps) <= 1


def test_four_ports_are_the_corners_of_a_square_mesh() -> None:
    found = load_target("tsinghua28{chip.ports=4}")
    assert found.chip.ports == ((0, 0), (7, 0), (7, 7), (0, 7))
    assert [found.port_tile(0, port) for port in range(4)] == [0, 7, 63, 56]
    assert found.digest != DEFAULT.digest
    assert {row.path: row.value for row in rows(found)}["chip.ports"] == "(0, 0), (7, 0), (7, 7), (0, 7)"


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("chip.ports=3x2", ((3, 2),)),
        ("chip.ports=3x0+4x7", ((3, 0), (4, 7))),
        ("chip.ports=2 chip.mesh=3x1", ((0, 0), (1, 0))),
        ("chip.mesh=2x2", ((0, 0),)),
    ],
)
def test_ports_by_position_and_by_number(text: str, ports: object) -> None:
    assert load_target(f"tsinghua28{{{text}}}").chip.ports == ports


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "0 ports, where a mesh of 8 x 8 has room for 1 to 28 at its edge"),
        (29, "29 ports"),
        (-1, "-1 ports"),
        (65, "65 ports"),
        (True, "chip.ports"),
        (1.0, "chip.ports"),
        ("all", "chip.ports"),
        ((), "at least one port"),
        ((8, 0), "port [8, 0] lies outside the mesh [8, 8]"),
        (((0, 0), (0, 8)), "port [0, 8] lies outside the mesh [8, 8]"),
        (((0, 0), (1, 1), (0, 0)), "two ports lie at [0, 0]"),
        (((0, -1),), "chip.ports[0][1]"),
        (((0, 0, 0),), "chip.ports[0]"),
    ],
)
def test_ports_that_cannot_be_are_refused(value: object, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        with_overrides(DEFAULT, {"chip.ports": value})
    assert caught.value.code == "target.invalid"
    assert message in caught.value.message


def test_a_mesh_that_loses_its_port_is_refused() -> None:
    with pytest.raises(TargetError, match="outside the mesh"):
        with_overrides(load_target("tsinghua28{chip.ports=4}"), {"chip.mesh": (4, 4)})


@given(st.integers(1, 28), st.integers(1, 2), st.data())
def test_a_tile_uses_the_nearest_port_the_first_of_equals(
    count: int, chips: int, data: st.DataObject
) -> None:
    target = with_overrides(DEFAULT, {"chip.ports": count, "system.chips": chips})
    tile = data.draw(st.integers(0, target.n_tiles - 1))
    chip = target.coordinates(tile)[0]
    hops = [target.hops(tile, target.port_tile(chip, port)) for port in range(count)]
    assert target.nearest_port(tile) == hops.index(min(hops))
    assert target.gate(tile) == target.port_tile(chip, target.nearest_port(tile))
    assert target.port_hops(tile) == min(hops)


def test_traffic_between_chips_takes_the_ports_of_both() -> None:
    target = load_target("tsinghua28{chip.ports=4 system.chips=2}")
    assert target.hops(62, 64 + 8) == 1 + 1
    assert target.hops(63, 64) == 0


@pytest.mark.parametrize("name", preset_names())
def test_presets_have_one_port_and_say_why(name: str) -> None:
    target: Target = load_target(name)
    assert target.chip.ports == ((0, 0),)
    origin = target.origin("chip.ports")
    assert origin is not None
    assert origin.basis == "assumed"
