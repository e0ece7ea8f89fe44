"""Streams without their loops, and the memory that they touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cimc.isa.instructions import Index, Instr, Ref, instr
from cimc.isa.jagged import jagged_in_program
from cimc.isa.program import ChipSegment, Port, Program
from cimc.sim.instruction_streams import Streams, memory_size, unrolled
from cimc.sim.prepared import Prepared
from tests.cost.cost_programs import TSINGHUA, dense, load, program, relu, store, table


def bag(port: int | Index, matrix: int | Index) -> Instr:
    return instr("bag", dst=Ref(0), port=port, matrix=matrix, mode="sum", scale=1.0, idbits=32)


def test_a_loop_runs_its_body_with_each_iteration() -> None:
    stream = (load(3), instr("loop", count=2), relu(3, 0, 0), store(3), instr("end"), load(1))
    found = unrolled(stream)
    assert [(at, i) for at, _, i in found] == [(0, 0), (2, 0), (3, 0), (2, 1), (3, 1), (5, 0)]
    assert all(item is stream[at] for at, item, _ in found)


def test_memory_reaches_to_the_last_iteration_in_whole_words() -> None:
    inside = instr("load", dst=Ref(0, 20), port=0, n=3)
    stream = (instr("loop", count=3), inside, instr("end"))
    assert memory_size(unrolled(stream), program({})) == 56  # 2 * 20 + 12 bytes
    constant = instr("unary", dst=Ref(0), src=Ref(999, 0, True), n=1, fn="neg", alpha=0.0, beta=0.0)
    assert memory_size(unrolled((constant,)), program({})) == 8


def bags() -> Program:
    """Two lookups with the ids of one port, in tables of 9 and 5 rows; one in a loop over both ports."""
    port = Port("ids", "bag", "i32", "int64", (), "fixed")
    jagged = Port("more", "bag", "i32", "int64", (), "offsets", offsets="starts", weights="w")
    stream = [bag(0, 0), instr("loop", count=2), bag(Index(0, 1), 1), instr("end")]
    places = [(0, 9, 0, 4, 2, 0, 0)]
    tables = [(table("t", 9, 4), places), (table("u", 5, 4), [(0, 5, 0, 4, 2, 1, 0)])]
    return program({2: stream}, tables, inputs=[port, jagged, dense(3)])


def test_ids_of_a_port_must_fit_the_smallest_of_its_tables() -> None:
    made = bags()
    segment = made.segments[0]
    assert isinstance(segment, ChipSegment)
    found = Streams(segment, made)
    assert {port: matrix.name for port, matrix in found.tables.items()} == {0: "u", 1: "u"}
    assert found.sizes == {2: 16}


def test_what_runs_share_is_made_once() -> None:
    prepared = Prepared(bags(), TSINGHUA)
    assert prepared.streams(0) is prepared.streams(0)
    (first, second) = prepared.program.matrices
    assert prepared.directory(first) is prepared.directory(first)
    assert prepared.directory(first) is not prepared.directory(second)
    assert prepared.constants.shape == (1, 64)
    assert prepared.constants.dtype == np.uint8


def test_jagged_inputs_are_those_read_straight_from_the_model() -> None:
    made = bags()
    assert jagged_in_program(made) == []  # neither is an input of the model
    inputs = (("more", "int64", (-1,)), ("starts", "int64", (-1,)))
    given = replace(made, header=replace(made.header, inputs=inputs))
    (found,) = jagged_in_program(given)
    assert (found.ids, found.offsets, found.weights, found.layout) == ("more", "starts", "w", "offsets")
    half = replace(made, header=replace(made.header, inputs=inputs[:1]))
    assert jagged_in_program(half) == []
