"""Instructions for one vector operation each: how ``rec`` operations map onto strided vector code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cimc.isa.instructions import Instr, Ref, instr

Dims = Sequence[int]
Loop = tuple[int, int, int]
"""Extent, and element strides of destination (or first operand) and source (or second)."""


def shifted(ref: Ref, elements: int) -> Ref:
    """``ref`` moved by a number of 4-byte elements."""
    return ref._replace(base=ref.base + 4 * elements)


def dense_strides(dims: Dims) -> list[int]:
    """Row-major element strides."""
    strides = [1] * len(dims)
    for d in range(len(dims) - 2, -1, -1):
        strides[d] = strides[d + 1] * dims[d + 1]
    return strides


def broadcast_strides(dims: Dims, out: Dims) -> list[int]:
    """Element strides with which a dense tensor of shape ``dims`` is read as shape ``out``."""
    wide = [1] * (len(out) - len(dims)) + list(dims)
    return [0 if d == 1 else s for d, s in zip(wide, dense_strides(wide), strict=True)]


def collapse(loops: Sequence[Loop]) -> list[Loop]:
    """Drop loops of extent 1 and merge neighbours that walk memory as one."""
    out: list[Loop] = []
    for extent, a, b in loops:
        if extent == 1:
            continue
        if out:
            outer, outer_a, outer_b = out[-1]
            if outer_a == a * extent and outer_b == b * extent:
                out[-1] = (outer * extent, a, b)
                continue
        out.append((extent, a, b))
    return out


def _unrolled(loops: list[Loop], keep: int) -> Iterator[tuple[int, int, list[Loop]]]:
    """Offsets of the outer loops beyond the innermost ``keep``, with the loops kept."""
    if len(loops) <= keep:
        yield 0, 0, loops
        return
    extent, a, b = loops[0]
    for i in range(extent):
        for offset_a, offset_b, rest in _unrolled(loops[1:], keep):
            yield i * a + offset_a, i * b + offset_b, rest


def copy(dst: Ref, src: Ref, dims: Dims, dst_strides: Dims, src_strides: Dims) -> list[Instr]:
    """Copy a box of 4-byte elements between two strided layouts."""
    if 0 in dims:
        return []
    loops = collapse(list(zip(dims, dst_strides, src_strides, strict=True)))
    out = []
    for to, source, inner in _unrolled(loops, 3):
        full = [(1, 0, 0)] * (3 - len(inner)) + inner
        out.append(
            instr(
                "copy",
                dst=shifted(dst, to),
                src=shifted(src, source),
                **{f"n{d}": loop[0] for d, loop in enumerate(full)},
                **{f"d{d}": loop[1] for d, loop in enumerate(full)},
                **{f"s{d}": loop[2] for d, loop in enumerate(full)},
            )
        )
    return out


def binary(
    fn: str, kind: str, dst: Ref, a: Ref, b: Ref, out: Dims, a_dims: Dims, b_dims: Dims
) -> list[Instr]:
    """Elementwise operation with broadcasting into a dense result of shape ``out``."""
    if 0 in out:
        return []
    loops = collapse(
        list(zip(out, broadcast_strides(a_dims, out), broadcast_strides(b_dims, out), strict=True))
    )
    inner_size = 1
    for extent, _, _ in loops[-2:]:
        inner_size *= extent
    code = []
    for number, (at_a, at_b, inner) in enumerate(_unrolled(loops, 2)):
        (rows, arow, brow), (cols, acol, bcol) = [(1, 0, 0)] * (2 - len(inner)) + inner
        code.append(
            instr(
                "binary",
                dst=shifted(dst, number * inner_size),
                a=shifted(a, at_a),
                b=shifted(b, at_b),
                fn=fn,
                type=kind,
                rows=rows,
                cols=cols,
                arow=arow,
                acol=acol,
                brow=brow,
                bcol=bcol,
            )
        )
    return code


def looped(count: int, body: list[Instr]) -> list[Instr]:
    """``body`` repeated ``count`` times: as it is when once, else in a loop."""
    if count == 1:
        return body
    return [instr("loop", count=count), *body, instr("end")]
