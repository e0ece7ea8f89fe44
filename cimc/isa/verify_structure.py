"""Is a program consistent in itself?  Types, values, matrices and arrays; instructions come after.

Whoever can write a program file can also sign it, so nothing in one is believed for its digest.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError, printable
from cimc.ir.cim import BLOCK_FIELDS, COL0, COLS, OFFSET, ROW0, ROWS
from cimc.ir.rec import LAYOUTS
from cimc.isa.directory import with_replicas
from cimc.isa.instructions import Instr
from cimc.isa.program import CORPUS, ChipSegment, HostSegment, Matrix, Port, Program
from cimc.isa.verify_copies import wrong_copies
from cimc.isa.verify_places import (
    wrong_lines,
    wrong_order,
    wrong_place,
    wrong_replicas,
    wrong_sharing,
    wrong_slots,
)
from cimc.target.cell_encoding import phase_plan, slices_for
from cimc.target.spec import Target
from cimc.workload.request_rules import OPAQUE

MAX_STEPS = 20_000_000
"""Executions of instructions in one segment for one request, loops unrolled."""
_DTYPES = frozenset(
    f"{kind}{bits}"
    for kind in ("int", "uint", "float")
    for bits in (8, 16, 32, 64)
    if (kind, bits) != ("float", 8)
) | {"bool", "bfloat16"}
_LINK = {"f32", "i32"}


def check_program(program: Program, target: Target) -> None:
    """Check everything of a program but its instructions' operands.

    Raises:
        ProgramError: ``isa.invalid``; ``isa.too-long`` for one that would run too long.
    """
    values = {name for name, _, _ in program.header.inputs}
    for name, dtype, shape in program.header.inputs:
        if dtype != OPAQUE and dtype not in _DTYPES:
            _fail(f"input '{printable(name)}' has the unknown dtype '{printable(dtype)}'")
        if any(extent < -1 for extent in shape):
            _fail(f"input '{printable(name)}' has a negative extent")
    if len(values) != len(program.header.inputs):
        _fail("two inputs have one name")
    if program.constants.dtype != np.uint8 or program.constants.ndim != 1:
        _fail("the constant memory is no vector of bytes")
    if len({m.name for m in program.matrices}) != len(program.matrices):
        _fail("two matrices have one name")
    for matrix in program.matrices:
        _matrix(matrix, program, target)
    why = wrong_sharing(program, target)
    if why:
        _fail(why)
    for number, segment in enumerate(program.segments):
        if isinstance(segment, HostSegment):
            _host(segment, number, program, values)
        else:
            _chip(segment, number, program, values, target)
    for name, value in program.header.outputs:
        if value not in values:
            _fail(f"output '{printable(name)}' is a value that nothing defines")


def _fail(why: str) -> NoReturn:
    raise ProgramError("isa.invalid", why)


def _host(segment: HostSegment, number: int, program: Program, values: set[str]) -> None:
    model = program.data.get(segment.model)
    if model is None or model.dtype != np.uint8 or model.ndim != 1:
        _fail(f"segment {number} has no model '{printable(segment.model)}'")
    _need([value for _, value in segment.inputs], number, values)
    values.update(value for _, value in segment.outputs)


def _need(names: list[str], number: int, values: set[str]) -> None:
    for name in names:
        if name not in values:
            _fail(f"segment {number} takes the value '{printable(name)}', which nothing defines before")


def _chip(segment: ChipSegment, number: int, program: Program, values: set[str], target: Target) -> None:
    for port in (*segment.inputs, *segment.outputs):
        _port(port, number, target)
    for port in segment.inputs:
        _need([n for n in (port.value, port.offsets, port.weights) if n], number, values)
    if any(port.kind != "dense" for port in segment.outputs):
        _fail(f"segment {number}: an output port carries bags")
    values.update(port.value for port in segment.outputs)
    why = wrong_copies(segment, program, target)
    if why:
        _fail(f"segment {number}: {why}")
    running = {place for place, _ in segment.running()}
    for place, host_port in segment.host_ports.items():
        if place not in running:
            _fail(f"segment {number}: a host port of tile {place}, which has no stream")
        if not 0 <= host_port < len(target.chip.ports):
            _fail(f"segment {number}, tile {place}: a chip has no host port {host_port}")
    for tile, stream in segment.streams.items():
        where = f"segment {number}, tile {tile}"
        count, steps = 1, 0
        for item in stream:
            if item.name == "loop":
                count = max(item.number("count"), 1)
            elif item.name == "end":
                count = 1
            steps += count
            if item.name in ("gather", "dots"):
                _positions(item, program, where, count)
        if steps > MAX_STEPS:
            raise ProgramError(
                "isa.too-long",
                f"{where}: more than {MAX_STEPS} instructions are executed for one request",
                hint="a model with shorter sequences, or with fewer rows to look up one by one",
            )


def _port(port: Port, number: int, target: Target) -> None:
    what = f"segment {number}: port '{printable(port.value)}'"
    if port.kind not in ("dense", "bag") or port.dtype not in _LINK:
        _fail(f"{what} is of no known kind or type")
    if port.source not in _DTYPES:
        _fail(f"{what} has the unknown dtype '{printable(port.source)}'")
    if any(extent < 0 for extent in port.shape):
        _fail(f"{what} has a negative extent")
    if 4 * math.prod(port.shape) > target.tile.scratchpad_bytes:
        _fail(f"{what} is larger than a scratchpad")
    if port.longest is not None and not (port.layout == "fixed" and 0 <= port.longest < 1 << 31):
        _fail(f"{what} says how many ids a bag has, which it cannot")
    if port.kind == "bag" and (
        port.layout not in LAYOUTS or (port.layout == "fixed") == bool(port.offsets) or port.dtype != "i32"
    ):
        _fail(f"{what} has the unknown layout '{printable(port.layout)}', or offsets that do not go with it")


def _positions(item: Instr, program: Program, where: str, count: int) -> None:
    """Positions that a ``gather`` or ``dots`` reads are constants, and inside of what they select from."""
    name, total = ("index", item.number("n")) if item.name == "gather" else ("pairs", 2 * item.number("n"))
    ref = item.ref(name)
    if not ref.constant:
        _fail(f"{where}: the positions of {item.name} are not in the constant memory")
    for i in {0, count - 1} if not ref.stride else range(count):
        start = ref.at(i)
        part = program.constants[start : start + 4 * total] if start >= 0 and start % 4 == 0 else ()
        if len(part) != 4 * total:
            return  # beyond the memory, or not aligned: the verifier of addresses says so
        found = np.frombuffer(bytes(part), "<i4")
        bound = item.number("features") if item.name == "dots" else None
        if found.size and (found.min() < 0 or (bound is not None and found.max() >= bound)):
            _fail(f"{where}: {item.name} selects a position that does not exist")


# -- matrices ---------------------------------------------------------------------------------------


def _matrix(matrix: Matrix, program: Program, target: Target) -> None:
    def fail(why: str) -> NoReturn:
        _fail(f"matrix {printable(matrix.name)} {why}")

    driven = matrix.kind in ("dense", CORPUS)
    if matrix.kind not in ("dense", "table", CORPUS):
        fail(f"is of the unknown kind '{printable(matrix.kind)}'")
    if min(matrix.rows, matrix.cols, matrix.block_rows, matrix.pool_rows) < 1 or not 2 <= matrix.bits <= 8:
        fail("has no rows, columns or bits")
    if matrix.slices != slices_for(target.array.encoding, target.array.cell_levels, matrix.bits):
        fail(f"has {matrix.slices} bit slices, which the target's cells do not give")
    parts = {part: program.data.get(f"{matrix.name}.{part}") for part in ("data", "blocks", "ranges")}
    for part, array in parts.items():
        if array is None:
            fail(f"has no {part}")
    data, blocks, ranges = (_array(parts[part]) for part in ("data", "blocks", "ranges"))
    if data.dtype != np.int8 or data.shape != (matrix.rows, matrix.cols):
        fail(f"holds {data.dtype} {list(data.shape)} instead of int8 {[matrix.rows, matrix.cols]}")
    if (
        blocks.dtype.kind != "i"
        or blocks.ndim != 2
        or blocks.shape[1] != len(BLOCK_FIELDS)
        or not len(blocks)
    ):
        fail("has no block table")
    why = _blocks(blocks.astype(np.int64), matrix, target, program.data.get(f"{matrix.name}.lines"))
    if why:
        fail(why)
    why = _residency(matrix, program, target, blocks)
    if why:
        fail(why)
    if driven:
        if not 2 <= matrix.input_bits <= 8:
            fail(f"takes inputs of {matrix.input_bits} bits")
        dac_bits, scheme = target.array.dac_bits, target.array.signed_inputs
        plan = phase_plan(matrix.input_bits, matrix.input_signed, dac_bits, scheme)
        shape: tuple[int, ...] = (len(blocks), matrix.slices, len(plan.phases))
    else:
        shape = (1,)
    why = _row_scales(matrix, program)
    if why:
        fail(why)
    if ranges.dtype.kind != "i" or ranges.shape != shape or int(ranges.min(initial=1)) < 1:
        fail(f"has ADC steps that are not {list(shape)} integers of at least 1")
    if not driven and matrix.pool_rows > 1:
        highest = matrix.pool_rows * target.array.digit_bounds[1]
        if int(ranges[0]) != 1 or highest > target.array.adc_codes[1]:  # sums are taken to read exactly
            fail(f"adds up {matrix.pool_rows} rows at a time, which its converters cannot read exactly")


def _row_scales(matrix: Matrix, program: Program) -> str:
    """What is wrong with scales and biases of a table's rows, or nothing."""
    scales, biases = (program.data.get(f"{matrix.name}.{p}") for p in ("row_scales", "row_biases"))
    if scales is None:
        return "" if biases is None else "has biases of its rows without scales"
    if matrix.kind not in ("table", CORPUS) or matrix.pool_rows != 1:
        return "has scales of its rows, but is no table whose rows are read one at a time, nor a corpus"
    for array in (scales, biases):
        if array is not None and (array.dtype != np.float32 or array.shape != (matrix.rows,)):
            return f"has scales or biases of rows that are not float32 {[matrix.rows]}"
        if array is not None and not np.isfinite(array).all():
            return "has a scale or bias of a row that is not finite"
    return "" if (scales > 0).all() else "has a scale of a row that is not positive"


def _array(array: NDArray[Any] | None) -> NDArray[Any]:
    assert array is not None
    return array


def _blocks(blocks: NDArray[np.int64], matrix: Matrix, target: Target, lines: NDArray[Any] | None) -> str:
    """What is wrong with a block table, or nothing; ``lines``: first word lines, of a corpus."""
    ends = {ROW0: blocks[:, ROW0] + blocks[:, ROWS], COL0: blocks[:, COL0] + blocks[:, COLS]}
    if (blocks[:, (ROW0, COL0, OFFSET)] < 0).any() or (blocks[:, (ROWS, COLS)] < 1).any():
        return "has an empty block"
    if (ends[ROW0] > matrix.rows).any() or (ends[COL0] > matrix.cols).any():
        return "has a block outside of it"
    why = wrong_place(blocks, matrix, target)
    if why:
        return why
    if matrix.kind == CORPUS:
        return wrong_order(matrix, blocks) or wrong_lines(matrix, blocks, lines, target)
    if int((blocks[:, ROWS] * blocks[:, COLS]).sum()) != matrix.rows * matrix.cols:
        return "is not covered by its blocks, each row and column once"
    return _directory(blocks, matrix) if matrix.kind == "table" else _disjoint(blocks)


def _residency(matrix: Matrix, program: Program, target: Target, blocks: NDArray[Any]) -> str:
    """What is wrong with the slots and copies of a matrix, or nothing."""
    slots = program.data.get(f"{matrix.name}.slots")
    replicas = program.data.get(f"{matrix.name}.replicas")
    why = wrong_slots(slots, matrix) if slots is not None else ""
    if why or replicas is None:
        return why
    why = wrong_replicas(replicas, blocks, matrix)
    return why or wrong_place(with_replicas(blocks, replicas)[len(blocks) :], matrix, target)


def _directory(blocks: NDArray[np.int64], matrix: Matrix) -> str:
    """The row directory of a table: ordered by rows, then columns, cut everywhere alike."""
    high = -(-matrix.rows // matrix.block_rows)
    wide = len(blocks) // high
    if wide * high != len(blocks):
        return "has another number of blocks than its rows need"
    rows0 = np.repeat(np.arange(high) * matrix.block_rows, wide)
    rows = np.minimum(matrix.block_rows, matrix.rows - rows0)
    cols = np.tile(blocks[:wide, COLS], high)
    cols0 = np.tile(np.cumsum(blocks[:wide, COLS]) - blocks[:wide, COLS], high)
    wanted = np.stack([rows0, rows, cols0, cols], axis=1)
    return "" if (blocks[:, (ROW0, ROWS, COL0, COLS)] == wanted).all() else "has a directory out of order"


def _disjoint(blocks: NDArray[np.int64]) -> str:
    """Blocks of a layer cover each row and column once: equal areas in all, and no two of them overlap."""
    order = blocks[np.lexsort((blocks[:, COL0], blocks[:, ROW0]))]
    for row0 in np.unique(order[:, ROW0]).tolist():
        at = order[order[:, ROW0] == row0]
        if (at[1:, COL0] < at[:-1, COL0] + at[:-1, COLS]).any():
            return "has two blocks that hold the same rows and columns"
    return ""
