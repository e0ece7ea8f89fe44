"""The machine in networkx: its routes are those of the simulator, and its rates and figures the target's."""

from __future__ import annotations

import json
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.cost.machine_units import Unit, edges
from cimc.cost.work import flight_ns
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.ports import edge
from cimc.target.spec import Target
from cimc.timing.paths import Hop, between, from_host, to_host

TARGET = load_target("tsinghua28")


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """One to three chips of small meshes, with one to four ports anywhere at the edge."""
    width, height = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    ports = draw(st.lists(st.sampled_from(edge(width, height)), min_size=1, max_size=4, unique=True))
    chips = draw(st.integers(1, 3))
    changes = {"chip.mesh": (width, height), "chip.ports": tuple(ports), "system.chips": chips}
    return with_overrides(TARGET, changes)


def test_what_there_is() -> None:
    graph = TARGET.graph()
    kinds = [kind for _, kind in graph.nodes(data="kind")]
    assert {k: kinds.count(k) for k in kinds} == {
        "host": 1,
        "network": 1,
        "router": 64,
        "tile": 64,
        "chip": 2,
        "dram": 1,
    }
    links = [e for e in graph.edges(data=True) if e[2]["kind"] == "link"]
    assert len(links) == 224
    assert all(d["gbps"] == 38.4 and d["ns"] == float(TARGET.tile.hop_ns) for _, _, d in links)
    assert graph.nodes["tile 9"] == {"kind": "tile", "chip": 0, "x": 1, "y": 1, "tile": 9, "arrays": 8,
                                     "vector_lanes": 64, "bus_gbps": 460.8}  # fmt: skip
    assert repr(graph) == str(graph) == "<MachineGraph of tsinghua28: 133 nodes, 360 edges>"


def test_fewer_chips() -> None:
    many = with_overrides(TARGET, {"system.chips": 5})
    assert nx.utils.graphs_equal(many.graph(chips=5), many.graph())
    assert sum(kind == "chip" for _, kind in many.graph(chips=2).nodes(data="kind")) == 4


def test_it_is_the_same_every_time_and_goes_through_json() -> None:
    one, other = (json.dumps(nx.node_link_data(TARGET.graph(), edges="edges")) for _ in range(2))
    assert one == other
    back = nx.node_link_graph(json.loads(one), edges="edges")
    assert nx.utils.graphs_equal(back, TARGET.graph())
    assert repr(TARGET.graph().copy()) == repr(TARGET.graph())


def ns_of(graph: nx.DiGraph, route: list[str]) -> float:
    assert all(graph.has_edge(*e) for e in pairwise(route)), route
    return sum(graph.edges[e]["ns"] for e in pairwise(route))


def units_of(target: Target, route: list[str], hops: list[Hop]) -> None:
    """A route has the edges of the simulator's chain of units, in its order, each at its rate."""
    graph = target.graph()
    limited = [e for e in pairwise(route) if "gbps" in graph.edges[e]]
    assert len(limited) == len(hops)
    for edge_, hop in zip(limited, hops, strict=True):
        assert edge_ in edges(hop.unit, graph)
        assert graph.edges[edge_]["gbps"] == hop.rate
    assert ns_of(graph, route) == pytest.approx(sum(hop.after for hop in hops))


@settings(max_examples=60, deadline=None)
@given(targets(), st.data())
def test_routes_are_those_of_the_simulator(target: Target, data: st.DataObject) -> None:
    graph = target.graph()
    one, other = (data.draw(st.integers(0, target.n_tiles - 1)) for _ in range(2))
    if one != other:
        route = graph.route(f"tile {one}", f"tile {other}")
        units_of(target, route, between(target, one, other))
        assert ns_of(graph, route) == pytest.approx(flight_ns(target, one, other))
        # no way is shorter, but for tiles of different chips, whose nearest ports may both be aside
        assert ns_of(graph, route) == pytest.approx(nx.shortest_path_length(graph, route[0], route[-1], "ns"))
    port = data.draw(st.integers(0, len(target.chip.ports) - 1))
    gate = target.port_tile(target.coordinates(one)[0], port)
    units_of(target, graph.route("host", f"tile {one}", port), from_host(target, gate, one))
    units_of(target, graph.route(f"tile {one}", "host", port), to_host(target, gate, one))
    assert graph.route("host", f"tile {one}") == graph.route("host", f"tile {one}", target.nearest_port(one))


def test_energy_of_a_route() -> None:
    two = with_overrides(TARGET, {"system.chips": 2, "chip.host_link_pj_per_bit": 5.0})
    graph = two.graph()
    hop, link = float(two.tile.router_pj_per_bit_hop), 5.0
    for source, dest, hops in (("tile 3", "tile 73", 5), ("host", "tile 9", 2), ("tile 9", "host", 2)):
        route = graph.route(source, dest)
        assert sum(graph.edges[e]["pj_per_bit"] for e in pairwise(route)) == pytest.approx(link + hops * hop)


def test_memory_and_what_sends_nothing() -> None:
    graph = TARGET.graph()
    assert graph.route("dram 0", "tile 1") == ["dram 0", "tile 0", "router 0", "router 1", "tile 1"]
    assert graph.route("tile 0", "dram 0") == ["tile 0", "dram 0"]
    assert graph.route("tile 4", "tile 4") == ["tile 4"]
    assert edges(Unit("dram", 0), graph) == [("dram 0", "tile 0")]
    with pytest.raises(KeyError, match="router 3 sends and takes no messages"):
        graph.route("router 3", "host")
    with pytest.raises(KeyError, match="tile 64"):
        graph.route("tile 64", "host")
    for port in (-1, 99):
        with pytest.raises(KeyError, match=f"port {port}"):
            graph.route("host", "tile 4", port)


def test_networkx_finds_what_limits_a_flow() -> None:
    """Through a corner port go two links' worth of bits; the tile that takes them has one router input."""
    graph = TARGET.graph()
    assert nx.minimum_cut_value(graph, "host", "tile 9", capacity="gbps") == pytest.approx(38.4)
    graph.add_edges_from((f"tile {t}", "all") for t in range(1, 64))
    assert nx.minimum_cut_value(graph, "host", "all", capacity="gbps") == pytest.approx(2 * 38.4)
