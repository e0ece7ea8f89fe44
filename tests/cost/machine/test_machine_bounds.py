"""What no mapping of the same work exceeds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.cost.machine.machine_bounds import machine_bounds
from cimc.cost.machine_units import Unit
from cimc.target import load_target
from cimc.target.overrides import with_overrides

TARGET = load_target("tsinghua28")
TWO = with_overrides(TARGET, {"chip.mesh": (3, 2), "system.chips": 2, "chip.ports": 2})


def bounds(busy: dict[Unit, float]) -> dict[str, float]:
    return {b.name: b.ns for b in machine_bounds(busy, TARGET)}


def test_units_of_a_kind_share_their_work() -> None:
    found = bounds({Unit("vector", 3): 100.0, Unit("vector", 9): 28.0, Unit("array", 3, 1): 512.0})
    assert found == {"all 64 vector units": 2.0, "all 512 arrays": 1.0}
    assert bounds({Unit("host link", 0): 5.0}) == {"the host link": 5.0}
    assert machine_bounds({}, TARGET) == ()


def test_cuts_of_the_mesh() -> None:
    found = bounds({Unit("link", 0, 1): 80.0, Unit("link", 8, 16): 16.0})
    assert found["links from the ports of chip 0"] == 40.0  # a corner has two
    assert found["links from column 0 to 1 of chip 0"] == 10.0
    assert found["links from row 1 to 2 of chip 0"] == 2.0
    assert found["all 224 mesh links"] == pytest.approx(96 / 224)
    assert bounds({Unit("link", 1, 0): 80.0})["links to the ports of chip 0"] == 40.0


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [Unit("vector", t) for t in range(12)]
            + [Unit("link", a, b) for a in range(6) for b in range(6) if TWO.hops(a, b) == 1]
            + [Unit("host link", c) for c in range(2)]
            + [Unit("dram", 1), Unit("table sram", 4), Unit("bus", 2), Unit("router in", 7)]
        ),
        st.floats(0.0, 1e4),
        max_size=12,
    )
)
def test_none_is_above_the_busiest_unit(busy: dict[Unit, float]) -> None:
    found = machine_bounds(busy, TWO)
    assert all(b.ns <= max(busy.values()) * (1 + 1e-12) for b in found)
    assert [b.ns for b in found] == sorted((b.ns for b in found), reverse=True)
    assert all(b.throughput_rps == pytest.approx(1e9 / b.ns) for b in found)
