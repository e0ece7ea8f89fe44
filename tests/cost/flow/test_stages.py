"""Streams as stages."""

from __future__ import annotations

from cimc.cost.flow.stages import stages
from cimc.isa.instructions import Ref, instr
from tests.cost.cost_programs import dense, layer, load, mvm, program, quant, relu, store


def test_a_stage_takes_in_works_and_gives_on() -> None:
    send = instr("send", tile=1, tag=0, src=Ref(8192), bytes=256, bits=8)
    stream = [load(512), quant(512, 0, 2048), mvm(2048, 4096), relu(64, 4096, 8192), send,
              relu(64, 4096, 12288), load(64, 16384), store(64, 16384)]  # fmt: skip
    recv = instr("recv", tile=0, tag=0, dst=Ref(0), bytes=256, bits=8, sign="unsigned")
    made = program(
        {0: stream, 1: [recv, store(64, 0)]}, [(layer("w", 512, 64), [(0, 512, 0, 64, 0, 0, 0)])],
        inputs=[dense(512)], outputs=[dense(64)],
    )  # fmt: skip
    found = list(stages(made.chip_segments[0], made))
    kinds = [(s.tile, s.kind, s.operand, [step.item.name for step, _ in s.steps]) for s in found]
    assert kinds == [
        (0, "vector", "", ["load", "quant"]),
        (0, "layer", "w", ["mvm"]),
        (0, "vector", "", ["unary", "send", "unary"]),
        (0, "transfer", "", ["load", "store"]),
        (1, "transfer", "", ["recv", "store"]),
    ]


def test_iterations_of_a_loop_are_stages_of_their_own() -> None:
    loop, end = instr("loop", count=2), instr("end")
    made = program(
        {0: [loop, mvm(0, 4096), relu(64, 4096, 8192), end]},
        [(layer("w", 512, 64), [(0, 512, 0, 64, 0, 0, 0)])],
    )
    found = list(stages(made.chip_segments[0], made))
    assert [(s.kind, [i for _, i in s.steps]) for s in found] == [
        ("layer", [0]), ("vector", [0]), ("layer", [1]), ("vector", [1]),
    ]  # fmt: skip
