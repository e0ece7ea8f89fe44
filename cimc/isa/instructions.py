"""The instruction table: every opcode with its operands, in one place.

Encoder, assembler, verifier, executor and the table in ``docs/isa.md`` all read :data:`INSTRUCTIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np

from cimc.ir.rec import BINARY, REDUCE, UNARY


class Ref(NamedTuple):
    """A place in memory: ``base + stride * i`` bytes, ``i`` = iteration of the enclosing loop (else 0).

    ``constant`` selects the read-only constant memory instead of the tile's scratchpad.
    """

    base: int
    stride: int = 0
    constant: bool = False

    def at(self, iteration: int) -> int:
        """Byte address in iteration ``iteration``."""
        return self.base + self.stride * iteration


class Index(NamedTuple):
    """A number of a port or matrix: ``base + stride * i``."""

    base: int
    stride: int = 0

    def at(self, iteration: int) -> int:
        """The number in iteration ``iteration``."""
        return self.base + self.stride * iteration


Operand = Ref | Index | int | float | str


class Kind(Enum):
    """Operand kinds; the value is the size in bytes of the binary form."""

    DEST = "dest"  # scratchpad address written
    SOURCE = "source"  # scratchpad or constant memory read
    PORT = "port"  # input or output port of the segment
    MATRIX = "matrix"  # entry of the matrix directory
    COUNT = "count"  # unsigned 32-bit integer
    STEP = "step"  # signed 32-bit element stride
    FLOAT = "float"  # float32 immediate
    CHOICE = "choice"  # one of a list of words


@dataclass(frozen=True)
class Field:
    """One operand of an instruction."""

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """One instruction: opcode, operands, the unit that executes it, and what it does."""

    name: str
    opcode: int
    unit: str
    fields: tuple[Field, ...]
    meaning: str
    positions: dict[str, int] = field(init=False, repr=False, hash=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", {f.name: i for i, f in enumerate(self.fields)})


def _fields(text: str) -> tuple[Field, ...]:
    """``name:kind`` words; ``name:a|b|c`` is a choice."""
    out = []
    for word in text.split():
        name, kind = word.split(":")
        if kind in Kind._value2member_map_:
            out.append(Field(name, Kind(kind)))
        else:
            out.append(Field(name, Kind.CHOICE, tuple(kind.split("|"))))
    return tuple(out)


POOLING = ("sum", "mean", "max", "none")
_POOL = "|".join(POOLING)

_TABLE: tuple[tuple[str, int, str, str, str], ...] = (
    ("loop", 0x01, "control", "count:count", "repeat up to the matching end `count` times; i = 0, 1, ..."),
    ("end", 0x02, "control", "", "end of the loop body"),
    (
        "load",
        0x10,
        "host link",
        "dst:dest port:port n:count",
        "dst[0..n) = the request's row of input port, 4 bytes an element",
    ),
    (
        "loadq",
        0x14,
        "host link",
        "dst:dest port:port n:count scale:float bits:count sign:unsigned|signed",
        "8-bit dst[0..n) = the request's row of an f32 port, quantised by the host; bits an element cross",
    ),
    (
        "store",
        0x11,
        "host link",
        "port:port src:source n:count",
        "the request's row of output port = src[0..n)",
    ),
    (
        "send",
        0x12,
        "router",
        "tile:count tag:count src:source bytes:count bits:count",
        "send the lowest `bits` of each of the bytes to tile; pairs with its recv of the same tag",
    ),
    (
        "recv",
        0x13,
        "router",
        "tile:count tag:count dst:dest bytes:count bits:count sign:unsigned|signed",
        "wait for the message with this tag from tile, store it at dst, each element extended to a byte",
    ),
    (
        "mvm",
        0x20,
        "arrays",
        "dst:dest src:source matrix:matrix first:count count:count",
        "i32 dst = partial product of the blocks first..first+count-1 with the 8-bit src",
    ),
    (
        "bag",
        0x21,
        "arrays",
        f"dst:dest port:port matrix:matrix mode:{_POOL} scale:float idbits:count",
        "f32 dst = rows of a table, pooled; ids of `idbits` (and weights) stream in from a bag port",
    ),
    (
        "lookup",
        0x22,
        "arrays",
        f"dst:dest ids:source matrix:matrix mode:{_POOL} scale:float n:count drop:none|equal pad:step "
        "idbits:count",
        "f32 dst = rows of a table, pooled; n i32 ids at ids, with `drop=equal` less those equal to `pad`",
    ),
    (
        "lookupw",
        0x23,
        "arrays",
        "dst:dest ids:source weights:source matrix:matrix scale:float n:count drop:none|equal pad:step "
        "idbits:count",
        "f32 dst = weighted sum of n rows, dropped like those of lookup; f32 weights",
    ),
    (
        "search",
        0x24,
        "arrays",
        "dst:dest src:source matrix:matrix first:count count:count k:count width:count shift:count",
        "dst = list of the k best items in blocks first..first+count-1 of a corpus for the 8-bit query src",
    ),
    (
        "quant",
        0x30,
        "vector",
        "dst:dest src:source n:count scale:float bits:count sign:unsigned|signed",
        "8-bit dst = clip(rint(f32 src / scale)) to bits",
    ),
    (
        "dequant",
        0x31,
        "vector",
        "dst:dest src:source factors:source bias:source n:count",
        "f32 dst = float(i32 src) * factors + bias",
    ),
    ("iadd", 0x32, "vector", "dst:dest a:source b:source n:count", "i32 dst = a + b"),
    (
        "unary",
        0x33,
        "vector",
        f"dst:dest src:source n:count fn:{'|'.join(UNARY)} alpha:float beta:float",
        "f32 dst = fn(src)",
    ),
    (
        "binary",
        0x34,
        "vector",
        f"dst:dest a:source b:source fn:{'|'.join(BINARY)} type:f32|i32 rows:count cols:count "
        "arow:step acol:step brow:step bcol:step",
        "dst[r, c] = fn(a[r*arow + c*acol], b[r*brow + c*bcol]), dst dense; comparisons give f32 1 or 0",
    ),
    (
        "reduce",
        0x35,
        "vector",
        f"dst:dest src:source fn:{'|'.join(REDUCE)} outer:count n:count inner:count",
        "f32 dst[o, i] = fn over src[o, 0..n, i], in order",
    ),
    (
        "dots",
        0x36,
        "vector",
        "dst:dest src:source pairs:source n:count features:count dim:count",
        "f32 dst[p] = sum over d of src[pairs[p], d] * src[pairs[n + p], d], d ascending",
    ),
    (
        "matmul",
        0x37,
        "vector",
        "dst:dest a:source b:source m:count k:count n:count",
        "f32 dst[m, n] = a[m, k] times b[k, n], k ascending",
    ),
    (
        "copy",
        0x38,
        "vector",
        "dst:dest src:source n0:count n1:count n2:count d0:step d1:step d2:step s0:step s1:step s2:step",
        "dst[x*d0 + y*d1 + z*d2] = src[x*s0 + y*s1 + z*s2] for x < n0, y < n1, z < n2; 4-byte elements",
    ),
    (
        "gather",
        0x39,
        "vector",
        "dst:dest src:source index:source n:count inner:count",
        "dst[j, 0..inner) = src[index[j], 0..inner); 4-byte elements, i32 index",
    ),
    ("fill", 0x3A, "vector", "dst:dest value:float n:count", "f32 dst[0..n) = value"),
    (
        "cast",
        0x3B,
        "vector",
        "dst:dest src:source n:count to:i32|f32",
        "dst = src converted: f32 to i32 towards zero, or i32 to f32",
    ),
    (
        "merge",
        0x3C,
        "vector",
        "dst:dest a:source b:source k:count",
        "dst = list of the k best hits of the lists a and b of k hits each",
    ),
)

INSTRUCTIONS: dict[str, Spec] = {
    name: Spec(name, opcode, unit, _fields(fields), meaning) for name, opcode, unit, fields, meaning in _TABLE
}
BY_OPCODE: dict[int, Spec] = {spec.opcode: spec for spec in INSTRUCTIONS.values()}


@dataclass(frozen=True)
class Instr:
    """One instruction: its name and its operands in the order of the table."""

    name: str
    operands: tuple[Operand, ...]

    def __post_init__(self) -> None:
        if len(self.operands) != len(self.spec.fields):
            raise ValueError(f"{self.name} takes {len(self.spec.fields)} operands, got {len(self.operands)}")

    @property
    def spec(self) -> Spec:
        """The row of the instruction table."""
        return INSTRUCTIONS[self.name]

    def operand(self, name: str) -> Operand:
        """The operand called ``name``."""
        return self.operands[self.spec.positions[name]]

    def ref(self, name: str) -> Ref:
        """A memory operand."""
        value = self.operand(name)
        assert isinstance(value, Ref)
        return value

    def index(self, name: str) -> Index:
        """A port or matrix operand."""
        value = self.operand(name)
        assert isinstance(value, Index)
        return value

    def number(self, name: str) -> int:
        """A count or step operand."""
        value = self.operand(name)
        assert isinstance(value, int)
        return value

    def real(self, name: str) -> float:
        """A float32 immediate."""
        value = self.operand(name)
        assert isinstance(value, float)
        return value

    def word(self, name: str) -> str:
        """A choice operand."""
        value = self.operand(name)
        assert isinstance(value, str)
        return value


def float32(value: float) -> float:
    """``value`` rounded to float32."""
    return float(np.float32(value))


def instr(name: str, **operands: Operand) -> Instr:
    """Build an instruction from named operands; counts, steps and immediates take plain numbers."""
    spec = INSTRUCTIONS[name]
    if set(operands) != set(spec.positions):
        raise ValueError(f"{name} takes {list(spec.positions)}, got {sorted(operands)}")
    values: list[Operand] = []
    for entry in spec.fields:
        value = operands[entry.name]
        if entry.kind in (Kind.PORT, Kind.MATRIX) and isinstance(value, int) and not isinstance(value, Index):
            value = Index(value)
        elif entry.kind is Kind.FLOAT:
            assert isinstance(value, int | float)
            value = float32(value)
        values.append(value)
    return Instr(name, tuple(values))
