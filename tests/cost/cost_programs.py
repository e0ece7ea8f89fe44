"""Small programs built by hand, with the numbers that a reader can check on paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.program import ChipSegment, Header, HostSegment, Matrix, Port, Program
from cimc.sim.activity import Activity, LookupActivity
from cimc.target import load_target
from cimc.target.spec import Target

Blocks = Sequence[tuple[int, int, int, int, int, int, int]]
"""Rows of a block table: row0, rows, col0, cols, tile, array, offset."""

TSINGHUA = load_target("tsinghua28{tile.vector_lanes=32}")
"""With lanes for which operation times are easy to see."""


def program(
    streams: dict[int, list[Instr]],
    matrices: Sequence[tuple[Matrix, Blocks]] = (),
    *,
    inputs: Sequence[Port] = (),
    outputs: Sequence[Port] = (),
    target: Target = TSINGHUA,
    hosts: int = 0,
) -> Program:
    """A program of one chip segment, after ``hosts`` host segments."""
    segment = ChipSegment(tuple(inputs), tuple(outputs), {t: tuple(s) for t, s in streams.items()})
    header = Header("m", "0", target.name, target.digest, target.model_dump_json(), "", 0)
    data = {f"{m.name}.blocks": np.array(b, np.int32).reshape(-1, 7) for m, b in matrices}
    before = tuple(HostSegment(f"h{i}", (), ()) for i in range(hosts))
    return Program(header, (*before, segment), tuple(m for m, _ in matrices), np.zeros(64, np.uint8), data)


def dense(elements: int, value: str = "x") -> Port:
    """A port of ``elements`` f32."""
    return Port(value, "dense", "f32", "float32", (elements,))


def layer(name: str, rows: int, cols: int, *, bits: int = 4, slices: int = 1, input_bits: int = 4) -> Matrix:
    """A dense matrix with unsigned inputs."""
    return Matrix(name, "dense", rows, cols, bits, slices, rows, 1, input_bits, False)


def table(
    name: str, rows: int, cols: int, *, slices: int = 2, pool_rows: int = 8, block_rows: int = 512
) -> Matrix:
    """An 8-bit table."""
    return Matrix(name, "table", rows, cols, 8, slices, block_rows, pool_rows)


def load(n: int, at: int = 0, port: int = 0) -> Instr:
    """Load ``n`` elements."""
    return instr("load", dst=Ref(at), port=port, n=n)


def store(n: int, at: int = 0, port: int = 0) -> Instr:
    """Store ``n`` elements."""
    return instr("store", src=Ref(at), port=port, n=n)


def quant(n: int, src: int, dst: int, bits: int = 4) -> Instr:
    """Quantise ``n`` elements, unsigned."""
    return instr("quant", dst=Ref(dst), src=Ref(src), n=n, scale=1.0, bits=bits, sign="unsigned")


def mvm(src: int, dst: int, matrix: int = 0, first: int = 0, count: int = 1) -> Instr:
    """Multiply by blocks of a matrix."""
    return instr("mvm", dst=Ref(dst), src=Ref(src), matrix=matrix, first=first, count=count)


def relu(n: int, src: int, dst: int) -> Instr:
    """One lane operation per element."""
    return instr("unary", dst=Ref(dst), src=Ref(src), n=n, fn="relu", alpha=0.0, beta=0.0)


def lookup_activity(
    site: tuple[int, int, int],
    rows: Sequence[int],
    activations: Sequence[int],
    visits: dict[int, int],
    ids: int,
    requests: int,
) -> Activity:
    """Activity of one lookup instruction."""
    seen = LookupActivity(np.array(rows, np.int64), np.array(activations, np.int64), visits, ids)
    return Activity(requests, {site: seen})
