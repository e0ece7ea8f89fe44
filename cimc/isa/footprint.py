"""Which bytes an instruction reads and writes: used by the verifier, the timing model and event counts."""

from __future__ import annotations

from dataclasses import dataclass

from cimc.ir.cim import COL0, COLS
from cimc.isa.instructions import Instr, Ref
from cimc.isa.link_widths import WORD_BITS
from cimc.isa.program import Program


@dataclass(frozen=True)
class Access:
    """Bytes ``low <= b < high`` relative to ``ref``; ``sparse`` if not all of them are touched.

    ``size`` is the number of bytes moved, which broadcasting and strides make differ from the range.
    """

    ref: Ref
    low: int
    high: int
    write: bool
    size: int
    align: int = 4
    sparse: bool = False


def _dense(ref: Ref, size: int, write: bool = False, align: int = 4) -> Access:
    return Access(ref, 0, size, write, size, align)


def _strided(ref: Ref, counts: tuple[int, ...], steps: tuple[int, ...], write: bool = False) -> Access:
    """A nest of loops over 4-byte elements."""
    total = 4
    low = high = 0
    for count, step in zip(counts, steps, strict=True):
        total *= count
        reach = (count - 1) * step * 4
        low, high = low + min(reach, 0), high + max(reach, 0)
    touched = 4
    for count, step in zip(counts, steps, strict=True):
        touched *= count if step else 1
    return Access(ref, low, high + 4, write, total, 4, sparse=touched < high + 4 - low)


def link_bits(item: Instr) -> int:
    """Bits that a ``load``, ``loadq``, ``store``, ``send`` or ``recv`` moves over links, headers apart."""
    if item.name in ("send", "recv"):
        return item.number("bytes") * item.number("bits")
    return item.number("n") * (item.number("bits") if item.name == "loadq" else WORD_BITS)


def mvm_extent(item: Instr, program: Program) -> tuple[int, int]:
    """Input bytes and output columns of an ``mvm``: its matrix's rows, and the columns of its blocks."""
    matrix = program.matrices[item.index("matrix").base]
    first = item.number("first")
    blocks = program.data[f"{matrix.name}.blocks"][first : first + item.number("count")]
    columns = int((blocks[:, COL0] + blocks[:, COLS]).max() - blocks[:, COL0].min())
    return matrix.rows, columns


def accesses(item: Instr, program: Program) -> tuple[Access, ...]:
    """Memory accesses of one execution of ``item``, reads first."""
    name = item.name
    if name in ("loop", "end"):
        return ()
    if name == "load":
        return (_dense(item.ref("dst"), 4 * item.number("n"), True),)
    if name == "loadq":
        return (_dense(item.ref("dst"), item.number("n"), True, align=1),)
    if name == "store":
        return (_dense(item.ref("src"), 4 * item.number("n")),)
    if name == "send":
        return (_dense(item.ref("src"), item.number("bytes"), align=1),)
    if name == "recv":
        return (_dense(item.ref("dst"), item.number("bytes"), True, align=1),)
    if name == "mvm":
        rows, columns = mvm_extent(item, program)
        return (_dense(item.ref("src"), rows, align=1), _dense(item.ref("dst"), 4 * columns, True))
    if name == "search":
        corpus = program.matrices[item.index("matrix").base]
        return (
            _dense(item.ref("src"), corpus.cols, align=1),
            _dense(item.ref("dst"), 8 * item.number("k"), True),
        )
    if name == "merge":
        size = 8 * item.number("k")
        return (_dense(item.ref("a"), size), _dense(item.ref("b"), size), _dense(item.ref("dst"), size, True))
    if name in ("bag", "lookup", "lookupw"):
        cols = program.matrices[item.index("matrix").base].cols
        if name == "bag":
            return (_dense(item.ref("dst"), 4 * cols, True),)
        n = item.number("n")
        rows = n if name == "lookup" and item.word("mode") == "none" else 1
        reads = [_dense(item.ref("ids"), 4 * n)]
        if name == "lookupw":
            reads.append(_dense(item.ref("weights"), 4 * n))
        return (*reads, _dense(item.ref("dst"), 4 * rows * cols, True))
    if name == "quant":
        n = item.number("n")
        return (_dense(item.ref("src"), 4 * n), _dense(item.ref("dst"), n, True, align=1))
    if name in ("dequant", "iadd"):
        size = 4 * item.number("n")
        sources = [k for k in ("src", "factors", "bias", "a", "b") if k in item.spec.positions]
        return (*(_dense(item.ref(k), size) for k in sources), _dense(item.ref("dst"), size, True))
    if name in ("unary", "cast"):
        size = 4 * item.number("n")
        return (_dense(item.ref("src"), size), _dense(item.ref("dst"), size, True))
    if name == "fill":
        return (_dense(item.ref("dst"), 4 * item.number("n"), True),)
    if name == "binary":
        counts = (item.number("rows"), item.number("cols"))
        return (
            _strided(item.ref("a"), counts, (item.number("arow"), item.number("acol"))),
            _strided(item.ref("b"), counts, (item.number("brow"), item.number("bcol"))),
            _dense(item.ref("dst"), 4 * counts[0] * counts[1], True),
        )
    if name == "reduce":
        outer, n, inner = item.number("outer"), item.number("n"), item.number("inner")
        return (
            _dense(item.ref("src"), 4 * outer * n * inner),
            _dense(item.ref("dst"), 4 * outer * inner, True),
        )
    if name == "dots":
        n, features, dim = item.number("n"), item.number("features"), item.number("dim")
        return (
            _dense(item.ref("src"), 4 * features * dim),
            _dense(item.ref("pairs"), 8 * n),
            _dense(item.ref("dst"), 4 * n, True),
        )
    if name == "matmul":
        m, k, n = item.number("m"), item.number("k"), item.number("n")
        return (
            _dense(item.ref("a"), 4 * m * k),
            _dense(item.ref("b"), 4 * k * n),
            _dense(item.ref("dst"), 4 * m * n, True),
        )
    if name == "copy":
        counts3 = (item.number("n0"), item.number("n1"), item.number("n2"))
        return (
            _strided(item.ref("src"), counts3, tuple(item.number(f"s{d}") for d in range(3))),
            _strided(item.ref("dst"), counts3, tuple(item.number(f"d{d}") for d in range(3)), True),
        )
    assert name == "gather", name
    n, inner = item.number("n"), item.number("inner")
    return (
        Access(item.ref("src"), 0, 4 * inner, False, 4 * n * inner, sparse=True),
        _dense(item.ref("index"), 4 * n),
        _dense(item.ref("dst"), 4 * n * inner, True),
    )
