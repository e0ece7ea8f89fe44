"""Copy groups: what the verifier lets through, and how programs with them are stored and listed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.isa.artifact import load_program, save_program, to_bytes
from cimc.isa.directory import blocks_at
from cimc.isa.instructions import Ref, instr
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.isa.program import ChipSegment, CopyGroup, Program
from cimc.isa.verify import verify_program
from tests.copied import copied
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store

SEND = instr("send", tile=12, tag=0, src=Ref(8192), bytes=256, bits=8)
RECV = instr("recv", tile=9, tag=0, dst=Ref(0), bytes=256, bits=8, sign="unsigned")


def two_tiles() -> Program:
    first = [load(512), quant(512, 0, 2048), mvm(2048, 4096), relu(64, 4096, 8192), SEND]
    second = [RECV, store(64, 0)]
    blocks = [(0, 256, 0, 64, 9, 0, 0), (256, 256, 0, 64, 9, 3, 64)]
    made = program(
        {9: first, 12: second},
        [(layer("w", 512, 64), blocks)],
        inputs=[dense(512)],
        outputs=[dense(64, "y")],
    )
    arrays = {"w.data": np.ones((512, 64), np.int8), "w.ranges": np.ones((2, 1, 1), np.int32)}
    header = replace(made.header, inputs=(("x", "float32", (-1, 512)),))
    return replace(made, header=header, data={**made.data, **arrays})


def segment(made: Program) -> ChipSegment:
    (found,) = made.chip_segments
    return found


def with_groups(made: Program, *groups: tuple[tuple[int, ...], ...]) -> Program:
    copies = tuple(CopyGroup(group) for group in groups)
    return replace(made, segments=(replace(segment(made), copies=copies),))


def test_instances_by_turn() -> None:
    made = copied(two_tiles(), TSINGHUA, {9: 2, 12: 3})
    verify_program(made, TSINGHUA)
    found = segment(made)
    assert (found.period, made.period) == (6, 6)
    assert found.places(9)[0] == 9
    assert [found.at(12, turn) for turn in range(6)] == [*found.places(12)] * 2
    assert found.at(7, 5) == 7
    assert sorted(t for t, _ in found.running()) == sorted({*found.places(9), *found.places(12)})
    for turn in range(4):
        blocks = blocks_at(made, made.matrices[0], turn)
        assert set(blocks[:, 4].tolist()) == {found.at(9, turn)}
    (one,) = two_tiles().chip_segments
    assert one.period == 1


def test_copies_survive_the_artifact_and_the_listing(tmp_path: pytest.TempPathFactory) -> None:
    made = copied(two_tiles(), TSINGHUA, {9: 2, 12: 3})
    save_program(made, tmp_path / "p.cimc")  # type: ignore[operator]
    loaded = load_program(tmp_path / "p.cimc")  # type: ignore[operator]
    assert segment(loaded).copies == segment(made).copies
    assert to_bytes(loaded) == to_bytes(made)
    text = format_program(made)
    assert len(re.findall(r"^\.copies \[\[", text, re.M)) == 2
    assert to_bytes(parse_program(text, arrays_of(made))) == to_bytes(made)
    for wrong in ("[[9,12],[1,2.5]]", "7", "[[9],7]", "nothing"):
        with pytest.raises(ProgramError) as caught:
            parse_program(re.sub(r"^\.copies .*$", f".copies {wrong}", text, flags=re.M), arrays_of(made))
        assert caught.value.code == "isa.syntax"
    with pytest.raises(ProgramError, match="segment chip"):
        parse_program(".program\n.copies [[1],[2]]\n", {})


REPLICAS = np.array([(0, 20, 0, 0), (1, 20, 1, 64)], np.int32)


@pytest.mark.parametrize(
    ("groups", "replicas", "why"),
    [
        ([((12,), (13,)), ((12,), (14,))], None, "in two groups"),
        ([((12,), (9,))], None, "on one tile"),
        ([((9, 12), (20, 20))], REPLICAS, "on one tile"),
        ([((12,), (12,))], None, "on one tile"),
        ([((13,), (14,))], None, "has no stream"),
        ([((12,),)], None, "at least one tile and two instances"),
        ([((), ())], None, "at least one tile and two instances"),
        ([((9, 12), (20,))], REPLICAS, "same number of tiles"),
        ([((12,), (64,))], None, "target of 64 tiles"),
        ([((12,), (-1,))], None, "target of 64 tiles"),
        ([((9,), (20,))], None, "tile 9 runs in 2 instances, a block of w on it does not"),
        ([((9,), (20,), (21,))], REPLICAS, "tile 9 runs in 3 instances"),
        ([((9,), (21,))], REPLICAS, "instance 1 of tile 9 has a block of w elsewhere"),
        ([], REPLICAS, "tile 9 runs in 1 instances"),
    ],
)
def test_wrong_groups_are_refused(groups: list[object], replicas: object, why: str) -> None:
    made = with_groups(two_tiles(), *groups)  # type: ignore[arg-type]
    if replicas is not None:
        made = replace(made, data={**made.data, "w.replicas": replicas})
    with pytest.raises(ProgramError, match=why) as caught:
        verify_program(made, TSINGHUA)
    assert caught.value.code == "isa.invalid"


def test_instances_come_round_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimc.isa.verify_copies.MAX_PERIOD", 5)
    verify_program(copied(two_tiles(), TSINGHUA, {9: 1, 12: 5}), TSINGHUA)
    with pytest.raises(ProgramError, match="after more than 5 requests"):
        verify_program(copied(two_tiles(), TSINGHUA, {9: 2, 12: 3}), TSINGHUA)


def test_instances_of_all_segments_come_round_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each segment by itself within the bound: 2 and 3, but 6 together."""
    monkeypatch.setattr("cimc.isa.verify_copies.MAX_PERIOD", 5)
    streams = {tile: (load(1), relu(1, 0, 4), store(1, 4)) for tile in (9, 12)}
    one = program({9: list(streams[9])}, inputs=[dense(1)], outputs=[dense(1, "y")])
    first = replace(segment(one), copies=(CopyGroup(((9,), (20,))),))
    second = ChipSegment(
        (dense(1, "y"),), (dense(1, "z"),), {12: streams[12]}, (CopyGroup(((12,), (21,), (22,))),)
    )
    header = replace(one.header, inputs=(("x", "float32", (-1, 1)),))
    made = replace(one, header=header, segments=(first, replace(second, copies=())))
    verify_program(made, TSINGHUA)
    with pytest.raises(ProgramError, match="after more than 5 requests"):
        verify_program(replace(made, segments=(first, second)), TSINGHUA)


@pytest.mark.parametrize(
    "broken",
    [
        lambda r: r.astype(np.float32),
        lambda r: r[:, :3],
        lambda r: r[::-1].copy(),
        lambda r: np.array([(0, 20, 0, 0), (7, 20, 1, 64)], np.int32),
        lambda r: np.array([(0, 20, 0, 0), (1, 20, 0, 0)], np.int32),
        lambda r: np.array([(0, 20, 9, 0), (1, 20, 1, 64)], np.int32),
    ],
)
def test_broken_copies_of_layers_are_refused(broken: Callable[[np.ndarray], np.ndarray]) -> None:
    made = with_groups(two_tiles(), ((9,), (20,)))
    verify_program(replace(made, data={**made.data, "w.replicas": REPLICAS}), TSINGHUA)
    with pytest.raises(ProgramError):
        verify_program(replace(made, data={**made.data, "w.replicas": broken(REPLICAS)}), TSINGHUA)
