"""Work of messages between tiles, host and chips."""

from __future__ import annotations

import pytest

from cimc.cost.machine_units import Unit
from cimc.cost.transfer_work import host_ns, transfer_work
from cimc.cost.work import HEADER_BITS
from cimc.isa.instructions import Instr, Ref, instr
from cimc.target import load_target
from tests.cost.cost_programs import TSINGHUA, load, store

LINK, HOST = float(TSINGHUA.tile.link_gbps), float(TSINGHUA.chip.host_link_gbps)
HOP, HOST_NS = float(TSINGHUA.tile.hop_ns), float(TSINGHUA.chip.host_link_ns)
TWO = load_target("tsinghua28{system.chips=2}")


def send(tile: int) -> Instr:
    return instr("send", tile=tile, tag=0, src=Ref(0), bytes=16, bits=8)


def recv(tile: int) -> Instr:
    return instr("recv", tile=tile, tag=0, dst=Ref(0), bytes=16, bits=8, sign="unsigned")


def test_a_load_comes_over_the_host_link_and_the_mesh() -> None:
    tile, bits = 9, 100 * 32 + HEADER_BITS
    work = transfer_work(load(100), tile, TSINGHUA)
    assert work.ns == pytest.approx(HOST_NS + TSINGHUA.port_hops(tile) * HOP + bits / min(LINK, HOST))
    assert work.events["host_link.bits"] == bits
    assert work.events["router.hop_bits"] == bits * TSINGHUA.port_hops(tile)
    assert work.holds[Unit("host link", 0)] == pytest.approx(bits / HOST)
    assert work.holds[Unit("router in", tile)] == pytest.approx(bits / LINK)
    assert Unit("router out", tile) not in work.holds


def test_a_store_goes_the_other_way() -> None:
    work, back = transfer_work(store(100), 9, TSINGHUA), transfer_work(load(100), 9, TSINGHUA)
    assert work.ns == back.ns
    assert work.events == back.events
    assert Unit("router in", 9) not in work.holds
    assert work.holds[Unit("router out", 9)] == back.holds[Unit("router in", 9)]


def test_quantised_loads_move_the_bits_of_their_format() -> None:
    item = instr("loadq", dst=Ref(0), port=0, n=100, scale=1.0, bits=4, sign="unsigned")
    assert transfer_work(item, 9, TSINGHUA).events["host_link.bits"] == 100 * 4 + HEADER_BITS


def test_a_message_is_counted_by_its_sender() -> None:
    out, inward = transfer_work(send(12), 9, TSINGHUA), transfer_work(recv(9), 12, TSINGHUA)
    bits = 16 * 8 + HEADER_BITS
    assert out.events == {"messages": 1, "router.hop_bits": bits * TSINGHUA.hops(9, 12)}
    assert inward.events == {}
    assert inward.holds == {Unit("router in", 12): bits / LINK}
    assert out.head_ns == pytest.approx(TSINGHUA.hops(9, 12) * HOP)
    assert out.ns == inward.ns == pytest.approx(bits / LINK)
    assert sum(out.passes.values()) == pytest.approx(TSINGHUA.hops(9, 12) * bits / LINK)


def test_between_chips_a_message_crosses_the_host_link() -> None:
    other = TWO.tiles_per_chip + 3
    work = transfer_work(send(other), 9, TWO)
    bits = 16 * 8 + HEADER_BITS
    assert work.events["host_link.bits"] == bits
    assert {Unit("host link", 0), Unit("host link", 1)} <= set(work.holds)
    assert work.head_ns == pytest.approx(TWO.hops(9, other) * HOP + HOST_NS)
    assert work.ns == pytest.approx(bits / min(LINK, HOST))


def test_latency_from_the_host_grows_with_distance_and_bits() -> None:
    port = min(range(TSINGHUA.n_tiles), key=TSINGHUA.port_hops)
    far = max(range(TSINGHUA.n_tiles), key=TSINGHUA.port_hops)
    assert host_ns(TSINGHUA, port, 0) == pytest.approx(HOST_NS + TSINGHUA.port_hops(port) * HOP)
    assert host_ns(TSINGHUA, far, 0) > host_ns(TSINGHUA, port, 0)
    assert host_ns(TSINGHUA, port, 320) - host_ns(TSINGHUA, port, 0) == pytest.approx(320 / min(LINK, HOST))
