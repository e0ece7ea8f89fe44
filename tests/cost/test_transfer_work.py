"""Work of messages between tiles, host and chips."""

from __future__ import annotations

import pytest

from cimc.cost.machine_units import Unit
from cimc.cost.transfer_work import transfer_work
from cimc.cost.work import Work
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.link_widths import HEADER_BITS, Headers
from cimc.target import load_target
from cimc.target.spec import Target
from tests.cost.cost_programs import TSINGHUA, load, store

LINK, HOST = float(TSINGHUA.tile.link_gbps), float(TSINGHUA.chip.host_link_gbps)
HOP, HOST_NS = float(TSINGHUA.tile.hop_ns), float(TSINGHUA.chip.host_link_ns)
BEGINS = Headers(HEADER_BITS, HEADER_BITS)
TWO = load_target("tsinghua28{system.chips=2}")


def send(tile: int) -> Instr:
    return instr("send", tile=tile, tag=0, src=Ref(0), bytes=16, bits=8)


def recv(tile: int) -> Instr:
    return instr("recv", tile=tile, tag=0, dst=Ref(0), bytes=16, bits=8, sign="unsigned")


def work_of(item: Instr, tile: int, target: Target = TSINGHUA, headers: Headers = BEGINS) -> Work:
    other = item.number("tile") if item.name in ("send", "recv") else -1
    return transfer_work(item, tile, other, target.gate(tile), headers, target)


def test_a_load_comes_over_the_host_link_and_the_mesh() -> None:
    tile, bits = 9, 100 * 32 + HEADER_BITS
    work = work_of(load(100), tile)
    assert work.ns == pytest.approx(HOST_NS + TSINGHUA.port_hops(tile) * HOP + bits / min(LINK, HOST))
    assert work.events["host_link.bits"] == bits
    assert work.events["router.hop_bits"] == bits * TSINGHUA.port_hops(tile)
    assert work.holds[Unit("host link", 0)] == pytest.approx(bits / HOST)
    assert work.holds[Unit("router in", tile)] == pytest.approx(bits / LINK)
    assert Unit("router out", tile) not in work.holds


def test_a_store_goes_the_other_way() -> None:
    work, back = work_of(store(100), 9), work_of(load(100), 9)
    assert work.ns == back.ns
    assert work.events == back.events
    assert Unit("router in", 9) not in work.holds
    assert work.holds[Unit("router out", 9)] == back.holds[Unit("router in", 9)]


def test_quantised_loads_move_the_bits_of_their_format() -> None:
    item = instr("loadq", dst=Ref(0), port=0, n=100, scale=1.0, bits=4, sign="unsigned")
    assert work_of(item, 9).events["host_link.bits"] == 100 * 4 + HEADER_BITS


def test_a_message_is_counted_by_its_sender() -> None:
    out, inward = work_of(send(12), 9), work_of(recv(9), 12)
    bits = 16 * 8 + HEADER_BITS
    assert out.events == {"messages": 1, "router.hop_bits": bits * TSINGHUA.hops(9, 12)}
    assert inward.events == {}
    assert inward.holds == {Unit("router in", 12): bits / LINK}
    assert out.head_ns == pytest.approx(TSINGHUA.hops(9, 12) * HOP)
    assert out.ns == inward.ns == pytest.approx(bits / LINK)
    assert sum(out.passes.values()) == pytest.approx(TSINGHUA.hops(9, 12) * bits / LINK)


def test_between_chips_a_message_crosses_the_host_link() -> None:
    other = TWO.tiles_per_chip + 3
    work = work_of(send(other), 9, TWO)
    bits = 16 * 8 + HEADER_BITS
    assert work.events["host_link.bits"] == bits
    assert {Unit("host link", 0), Unit("host link", 1)} <= set(work.holds)
    assert work.head_ns == pytest.approx(TWO.hops(9, other) * HOP + HOST_NS)
    assert work.ns == pytest.approx(bits / min(LINK, HOST))


def test_latency_from_the_host_grows_with_distance_and_bits() -> None:
    port = min(range(TSINGHUA.n_tiles), key=TSINGHUA.port_hops)
    far = max(range(TSINGHUA.n_tiles), key=TSINGHUA.port_hops)
    nothing = {tile: work_of(load(0), tile, headers=Headers()).ns for tile in (port, far)}
    assert nothing[port] == pytest.approx(HOST_NS + TSINGHUA.port_hops(port) * HOP)
    assert nothing[far] > nothing[port]
    assert work_of(load(10), port, headers=Headers()).ns - nothing[port] == pytest.approx(
        320 / min(LINK, HOST)
    )


def test_only_what_begins_a_message_has_headers() -> None:
    tile, bits = 9, 100 * 32
    inside = work_of(
        load(100), tile, headers=Headers(0, HEADER_BITS)
    )  # another tile began the link's message
    assert inside.events["host_link.bits"] == bits
    assert inside.events["router.hop_bits"] == (bits + HEADER_BITS) * TSINGHUA.port_hops(tile)
    assert inside.events["messages"] == 1
    later = work_of(load(100), tile, headers=Headers())
    assert later.events["host_link.bits"] == bits
    assert later.events["messages"] == 0
