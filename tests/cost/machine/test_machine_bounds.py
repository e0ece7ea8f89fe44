"""What no mapping of the same work exceeds."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.cost.machine.machine_bounds import machine_bounds
from cimc.cost.machine_units import Unit
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.ports import edge

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


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 2), st.data())
def test_cuts_are_minimum_cuts_of_the_machine(
    width: int, height: int, chips: int, data: st.DataObject
) -> None:
    """What crosses a side is bounded by a maximum flow between its sides, whichever way it takes."""
    ports = data.draw(st.lists(st.sampled_from(edge(width, height)), min_size=1, max_size=3, unique=True))
    target = with_overrides(
        TARGET, {"chip.mesh": (width, height), "chip.ports": tuple(ports), "system.chips": chips}
    )
    mesh = nx.DiGraph((a, b, d) for a, b, d in target.graph().edges(data=True) if d["kind"] == "link")
    chip = chips - 1
    at = {
        f"router {chip * width * height + y * width + x}": (x, y) for y in range(height) for x in range(width)
    }
    sides = {
        f"links from column {i} to {i + 1}": {n for n, (x, _) in at.items() if x <= i}
        for i in range(width - 1)
    }
    sides |= {
        f"links from column {i + 1} to {i}": {n for n, (x, _) in at.items() if x > i}
        for i in range(width - 1)
    }
    sides |= {
        f"links from row {i} to {i + 1}": {n for n, (_, y) in at.items() if y <= i} for i in range(height - 1)
    }
    sides |= {
        f"links from row {i + 1} to {i}": {n for n, (_, y) in at.items() if y > i} for i in range(height - 1)
    }
    gates = {n for n, where in at.items() if where in ports}
    if gates != set(at):
        sides |= {"links from the ports": gates, "links to the ports": set(at) - gates}
    for name, side in sides.items():
        flow = mesh.copy()
        flow.add_edges_from(("from", n) for n in side)
        flow.add_edges_from((n, "to") for n in set(at) - side)
        rate = nx.maximum_flow_value(flow, "from", "to", capacity="gbps")
        a, b = next((a, b) for a, b in sorted(nx.edge_boundary(mesh, side)))
        busy = Unit("link", int(a.split()[1]), int(b.split()[1]))
        bits = 1000.0
        bounds = {m.name: m.ns for m in machine_bounds({busy: bits / float(target.tile.link_gbps)}, target)}
        assert bounds[f"{name} of chip {chip}"] == pytest.approx(bits / rate)
