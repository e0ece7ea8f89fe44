"""The stages of a program in networkx: what they take and hand on is what the cost model counts."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import cimc
from cimc.cost import time_program
from cimc.cost.flow.dataflow import Dataflow, dataflow
from cimc.cost.work import CostError
from cimc.isa.footprint import link_bits
from cimc.isa.instructions import Ref, instr
from cimc.isa.link_widths import HEADER_BITS
from cimc.transforms.passes import FRONTEND
from models.tiny import tiny_dlrm
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store
from tests.searching import corpus_of, searching

ONE_OF_EACH = (
    f"{FRONTEND},quantize,group,shard,choose-adc-steps,place,schedule{{reduction_tiles=spread}},lower"
)


def totals(graph: Dataflow) -> dict[str, float]:
    """ns by kind of unit over all stages."""
    found: dict[str, float] = {}
    for _, ns in graph.nodes(data="ns", default={}):
        for kind, each in ns.items():
            found[kind] = found.get(kind, 0.0) + each
    return found


def bits(graph: Dataflow, kind: str) -> float:
    return sum(d["bits"] for _, _, d in graph.edges(data=True) if d["kind"] == kind)


def test_a_layer_between_two_tiles() -> None:
    """As on paper: quantised on tile 9, multiplied there, sent to tile 0, clipped and given to the host."""
    send = instr("send", tile=0, tag=0, src=Ref(4096), bytes=256, bits=8)
    recv = instr("recv", tile=9, tag=0, dst=Ref(0), bytes=256, bits=8, sign="unsigned")
    made = program(
        {9: [load(512), quant(512, 0, 2048), mvm(2048, 4096), send],
         0: [recv, relu(64, 0, 512), store(64, 512)]},
        [(layer("w", 512, 64), [(0, 512, 0, 64, 9, 0, 0)])], inputs=[dense(512)], outputs=[dense(64)],
    )  # fmt: skip
    graph = dataflow(made, TSINGHUA)
    first, second, last = "vector work on tile 9", "layer w on tile 9", "vector work on tile 0"
    assert list(graph) == ["host 0", "host 1", last, first, second]
    assert {(a, b): (d["kind"], d["bits"]) for a, b, d in graph.edges(data=True)} == {
        ("host 0", first): ("host", 512 * 32 + 32),
        (first, second): ("scratchpad", 512 * 8),
        (second, last): ("message", 256 * 8 + 32),
        (last, "host 1"): ("host", 64 * 32 + 32),
    }
    assert nx.dag_longest_path(graph, "bits") == ["host 0", first, second, last, "host 1"]
    assert graph.nodes[second]["ns"]["array"] == pytest.approx(23.08)
    assert graph.edges[second, last]["ns"] == pytest.approx(graph.nodes[second]["latency_ns"] + 2 * 2.8)
    assert graph.edges[second, last]["messages"] == 1
    assert graph.nodes[first]["tiles"] == [9]
    assert totals(graph)["router in"] == pytest.approx((512 * 32 + 32 + 256 * 8 + 32) / 38.4)


def test_what_is_overwritten_comes_from_the_last_writer() -> None:
    made = program({0: [
        load(64), relu(64, 0, 256), load(32), relu(64, 0, 512), store(64, 256), store(64, 512),
    ]}, inputs=[dense(64), dense(32)], outputs=[dense(64), dense(64)])  # fmt: skip
    graph = dataflow(made, TSINGHUA)
    one, other = "vector work on tile 0", "vector work on tile 0 (2)"
    # the second half of what is clipped again is what the first stage loaded, and so is what is stored first
    assert graph.edges[one, other]["bits"] == 32 * 32 + 64 * 32
    assert graph.edges[other, "host 1"]["bits"] == 2 * 64 * 32 + 32


@pytest.fixture(scope="module", params=["default", "one of each"])
def tiny(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[cimc.Program, cimc.Result]:
    import onnx

    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    model, requests = tiny_dlrm(batch=24)
    onnx.save(model, path)
    more = {"pipeline": ONE_OF_EACH} if request.param == "one of each" else {}
    program = cimc.compile(path, "tsinghua28", requests, **more)
    return program, program.run(requests, "exact")


def test_all_work_is_in_some_stage(tiny: tuple[cimc.Program, cimc.Result]) -> None:
    made, result = tiny
    graph = made.dataflow(result.activity)
    busy: dict[str, float] = {}
    for unit, ns in time_program(made.data, made.target, result.activity).busy.items():
        busy[unit.kind] = busy.get(unit.kind, 0.0) + ns
    assert totals(graph) == pytest.approx(busy)
    assert bits(graph, "host") == pytest.approx(result.events["host_link.bits"])
    sends = [
        i
        for s in made.data.chip_segments
        for stream in s.streams.values()
        for i in stream
        if i.name == "send"
    ]
    assert bits(graph, "message") == sum(link_bits(i) + HEADER_BITS for i in sends)
    assert sum(n for _, _, n in graph.edges(data="messages", default=0)) == len(sends)
    assert 0 < bits(graph, "scratchpad") <= result.events["scratchpad.read_bits"]


def test_it_is_a_plain_graph(tiny: tuple[cimc.Program, cimc.Result]) -> None:
    made, result = tiny
    graph = made.dataflow(result.activity)
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.in_degree("host 0") == graph.out_degree("host 1") == 0
    tables = {m.name for m in made.data.matrices if m.kind == "table"}
    layers = {m.name for m in made.data.matrices if m.kind != "table"}
    for kind, names in (("lookup", tables), ("layer", layers)):
        assert {d["operand"] for _, d in graph.nodes(data=True) if d["kind"] == kind} == names
    group = [g for s in made.data.chip_segments for g in s.copies]
    counts = {d["instances"] for _, d in graph.nodes(data=True) if d["kind"] != "host"}
    assert counts == ({g.count for g in group} or {1})
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    assert text == json.dumps(nx.node_link_data(made.dataflow(result.activity), edges="edges"))
    assert nx.utils.graphs_equal(nx.node_link_graph(json.loads(text), edges="edges"), graph)
    assert repr(graph) == f"<Dataflow of 'tiny.onnx': {len(graph)} stages, {graph.size()} edges>"
    np.testing.assert_array_less(
        0.0, [d["latency_ns"] for _, d in graph.nodes(data=True) if d["kind"] != "host"]
    )


def test_a_search_is_a_stage() -> None:
    queries = np.random.default_rng(2).normal(0, 1, (8, 16)).astype(np.float32)
    made, target = searching(corpus_of(300, 16, 1), queries, 6)
    graph = dataflow(made, target)
    found = {(d["kind"], d["operand"]) for _, d in graph.nodes(data=True) if d["kind"] == "search"}
    assert found == {("search", m.name) for m in made.matrices}
    busy: dict[str, float] = {}
    for unit, ns in time_program(made, target).busy.items():
        busy[unit.kind] = busy.get(unit.kind, 0.0) + ns
    assert totals(graph) == pytest.approx(busy)


def test_lookups_need_activity(tiny: tuple[cimc.Program, cimc.Result]) -> None:
    with pytest.raises(CostError) as error:
        tiny[0].dataflow()
    assert error.value.code == "cost.no-activity"


def test_host_segments_lie_before_the_chip() -> None:
    corpus = Path(__file__).parents[4] / "shared" / "corpus"
    path = corpus / "torchrec_twotower_L3_offsets--dynamo--op18--static.onnx"
    if not path.exists():
        pytest.skip("the corpus of exported models is not here")
    with np.load(path.with_suffix(".npz")) as file:
        requests = {k.removeprefix("in__"): file[k] for k in file if k.startswith("in__")}
    made = cimc.compile(path, calib=requests)
    graph = made.dataflow(made.run(requests, "exact").activity)
    assert graph.nodes["host 0"]["nodes"] > 0 == graph.nodes["host 1"]["nodes"]
