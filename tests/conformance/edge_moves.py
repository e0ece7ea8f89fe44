"""Edge values of operators that move elements."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.sweep import Case

Array = NDArray[Any]

M32, M64 = (1 << 31) - 1, (1 << 63) - 1
ROWS = 3


def floats(*dims: int) -> Array:
    """Numbers that differ from one another, some negative, one 0; the same for the same extents."""
    return ((np.arange(int(np.prod(dims))) * 7 % 31 - 9) / np.float32(4)).astype(np.float32).reshape(dims)


X24, X45 = floats(ROWS, 4), floats(ROWS, 4, 5)
WHOLE = np.arange(12).reshape(ROWS, 4)


def ints(*values: int, kind: type = np.int64) -> Array:
    return np.array(values, kind)


def slices() -> Iterator[Case]:
    """All of start, end and step, on a feature axis; fewer on the batch and on two axes at a time."""
    bounds = [-M64 - 1, -M64, -M32, -6, -5, -4, -3, -1, 0, 1, 3, 4, 5, M32 - 1, M32, M32 + 1, M64]
    steps = [-M64, -M32, -5, -2, -1, 1, 2, 5, M32, M64]
    for start, end, step in product(bounds, bounds, steps):
        yield Case("Slice", 13, (X24, ints(start), ints(end), ints(1), ints(step)))
    few = [-M64, -5, -4, -1, 0, 1, 4, M32, M64]
    for opset, x in ((10, X24), (11, WHOLE), (18, WHOLE)):
        for start, end, step in product(few, few, (-2, -1, 1, 3)):
            yield Case("Slice", opset, (x, ints(start), ints(end), ints(-1), ints(step)))
    for start, end in product(few, few):
        yield Case("Slice", 1, (X24,), {"starts": [start], "ends": [end], "axes": [1]})
        yield Case("Slice", 9, (X24,), {"starts": [0, start], "ends": [M64, end]})
        yield Case("Slice", 13, (X24, ints(start), ints(end)))
        for step in (-1, 1, 2):
            yield Case("Slice", 13, (X24, ints(start), ints(end), None, ints(step)))
            short = [ints(min(max(v, -M32 - 1), M32), kind=np.int32) for v in (start, end, -2, step)]
            yield Case("Slice", 13, (X45, *short))
            yield Case("Slice", 13, (X45, ints(1, start), ints(9, end), ints(-1, 1), ints(2, step)))
    yield Case("Slice", 13, (X24, ints(0), ints(4), ints(1), ints(0)))
    yield Case("Slice", 13, (X24, ints(0, 0), ints(4, 4), ints(1, -1), ints(1, 1)))
    yield Case("Slice", 13, (X24, ints(0), ints(4), ints(2), ints(1)))


def gathers() -> Iterator[Case]:
    """Indices from the end, out of range, of several ranks and none, on every axis."""
    table, wide = (np.arange(20) * 11 - 97).astype(np.float32).reshape(5, 4), floats(ROWS, 4, 5)
    assert np.abs(table).max() == 112  # the greatest weight of the target's cells: its rows are exact
    indices = [
        ints(0), ints(-1), ints(3), ints(-4), ints(4), ints(-5), ints(2, -1, 0, 0), ints(),
        ints(0, 1, 2, 3), ints(3, 2, 1, 0), ints(1, 2), np.array(1), np.array(-1), np.array(-4),
        np.array([[0, -1], [2, -4]]), np.array([[1]]), np.zeros((0, 2), np.int64),
    ]  # fmt: skip
    for index, opset in product(indices, (1, 11, 13)):
        if opset < 11 and index.size and index.min() < 0:
            continue
        for kind in (np.int64, np.int32):
            chosen = index.astype(kind)
            for axis in (0, 1, -1, -2, 2):
                yield Case("Gather", opset, (X24, chosen), {"axis": axis})
            for axis in (1, 2, -1):
                yield Case("Gather", opset, (wide, chosen), {"axis": axis})
            yield Case("Gather", opset, (WHOLE, chosen), {"axis": 1})
            yield Case("Gather", opset, (ints(4, 5, 6, 7), chosen))
            yield Case("Gather", opset, (table, chosen), whole=(1,))
    for column in ([0, 1, 2], [-1, -4, 3], [4, 0, 0], [0, -5, 0], [0, 100, 1]):
        index = ints(*column).reshape(ROWS, 1)
        yield Case("Gather", 13, (table, index), whole=(1,))
        yield Case("GatherElements", 13, (X24, index), {"axis": 1}, whole=(0, 1))
        yield Case("GatherElements", 13, (X24, index), {"axis": -1}, whole=(0, 1))
        yield Case("GatherElements", 13, (X24, index), {"axis": 0}, whole=(0, 1))
        yield Case("GatherND", 12, (X24, index), {"batch_dims": 1}, whole=(0, 1))
        yield Case("GatherND", 12, (wide, index), {"batch_dims": 1}, whole=(0, 1))
        yield Case("GatherND", 13, (X24, index), whole=(0,))
    for index in (ints(0, -1, 3, -4, 1, 2).reshape(ROWS, 2), ints(*[0] * 15).reshape(ROWS, 1, 5)):
        for axis in (0, 1, -1, 2):
            for x in (X24, wide, WHOLE):
                yield Case("GatherElements", 11, (x, index), {"axis": axis}, whole=(0, 1))
                yield Case("GatherElements", 13, (x, index), {"axis": axis}, whole=(0,))
        for dims in (0, 1, 2):
            yield Case("GatherND", 12, (wide, index), {"batch_dims": dims}, whole=(0, 1))
            yield Case("GatherND", 11, (wide, index), whole=(0,))
    yield Case("GatherElements", 13, (X24, np.zeros((ROWS, 0), np.int64)), {"axis": 1}, whole=(0, 1))
    yield Case("GatherND", 13, (WHOLE, np.array([[0, 1], [-1, -1], [2, -4]])))
    yield Case("GatherND", 13, (WHOLE, np.array([0, 1])))
    yield Case("GatherND", 13, (WHOLE, np.zeros((0, 2), np.int64)))


def pads() -> Iterator[Case]:
    """Widths that add, remove and remove all, in every mode; values of other kinds."""
    widths = [-4, -3, -1, 0, 1, 3, 4]
    for before, after in product(widths, widths):
        yield Case("Pad", 2, (X24,), {"pads": [0, before, 0, after], "value": 1.5})
        for mode in ("constant", "reflect", "edge", "wrap"):
            for opset in (13, 18, 19):
                if mode == "wrap" and opset < 19:
                    continue
                attrs = {"mode": mode}
                yield Case("Pad", opset, (X24, ints(0, before, 0, after)), attrs)
                if mode == "constant":
                    given = np.array(-2.5, np.float32)
                    yield Case("Pad", opset, (X24, ints(0, before, 0, after), given), attrs)
                    yield Case("Pad", opset, (WHOLE, ints(0, before, 0, after), np.array(7)), attrs)
        yield Case("Pad", 18, (X24, ints(before, after), None, ints(-1)))
        yield Case("Pad", 18, (X45, ints(before, 1, 0, after), None, ints(-1, 1)))
        yield Case("Pad", 18, (X24, ints(before, after), None, ints(0)))
        yield Case("Pad", 18, (X24, ints(before, after), np.array(np.inf, np.float32), ints(1)))
    for number in (np.nan, np.inf, -0.0, 1e-40, 3.4e38):
        yield Case("Pad", 13, (X24, ints(0, 1, 0, 1), np.array(number, np.float32)))
        yield Case("Pad", 2, (X24,), {"pads": [0, 1, 0, 1], "value": float(number)})
    yield Case("Pad", 18, (X24, ints(), None, ints()))
    yield Case("Pad", 18, (X24, ints(1, 1, 1, 1), None, ints(1, 1)))
    yield Case("Pad", 18, (X24, ints(0, 1, 0)))


def splits() -> Iterator[Case]:
    """Even, uneven and empty parts, on every axis; too many parts, sizes that do not add up."""
    for axis in (0, 1, -1, -2, 2):
        for sizes in ([4], [1, 3], [0, 4], [2, 0, 2], [1, 1, 1, 1], [1, 2], [2, 3], [-1, 5], [0, 0, 4, 0]):
            count = len(sizes)
            yield Case("Split", 2, (X24,), {"split": sizes, "axis": axis}, count)
            for opset in (13, 18):
                yield Case("Split", opset, (X24, ints(*sizes)), {"axis": axis}, count)
            yield Case("Split", 13, (WHOLE, ints(*sizes)), {"axis": axis}, count)
        for count in (1, 2, 3, 4, 5, 6):
            yield Case("Split", 11, (X24,), {"axis": axis}, count)
            yield Case("Split", 13, (X24,), {"axis": axis}, count)
            yield Case("Split", 18, (X24,), {"axis": axis, "num_outputs": count}, count)
            yield Case("Split", 18, (floats(ROWS, 7), None), {"axis": axis, "num_outputs": count}, count)
            yield Case("Split", 18, (floats(ROWS, 0), None), {"axis": axis, "num_outputs": count}, count)
            yield Case("Split", 18, (X45, None), {"axis": axis, "num_outputs": count}, count)
            yield Case("Split", 18, (WHOLE, None), {"axis": axis, "num_outputs": count}, count)
            yield Case("Split", 18, (X24,), {"axis": axis}, count)
            yield Case("Split", 18, (X24, None), {"axis": axis}, count)
            parts = ints(4, *[0] * (count - 1))
            yield Case("Split", 18, (X24, parts), {"axis": axis, "num_outputs": count}, count)
    yield Case("Split", 18, (X24,), {"axis": 1, "num_outputs": 2}, 3)


def repeats() -> Iterator[Case]:
    """Tile by nothing, Expand with ones, zeros and other ranks."""
    for x in (X24, WHOLE, X45[:, :1], floats(ROWS, 1), floats(ROWS, 0), floats(1, 4)):
        for times in product((0, 1, 2), repeat=x.ndim):
            yield Case("Tile", 13, (x, ints(*times)))
            yield Case("Tile", 6, (x, ints(*times)))
        yield Case("Tile", 13, (x, ints(1)))
        yield Case("Tile", 13, (x, ints(1, -1)))
        yield Case("Tile", 13, (x, ints(1, 1, 1, 2)))
        for dims in product((0, 1, 3, 4), repeat=2):
            yield Case("Expand", 13, (x, ints(*dims)))
            yield Case("Expand", 8, (x, ints(2, *dims)))
        for dims in ([], [1], [4], [3], [5], [1, 1], [ROWS, 2, 4], [1, 5, 1, 1], [-1, 4], [1, -1]):
            yield Case("Expand", 13, (x, ints(*dims)))


def views() -> Iterator[Case]:
    """Reshape with 0, -1 and allowzero; Squeeze, Unsqueeze, Flatten and Transpose with axes of every sign."""
    for x in (X24, X45, WHOLE, floats(ROWS, 1, 4), floats(ROWS, 0), floats(ROWS, 1), floats(ROWS)):
        for target in (
            [0, 0], [0, -1], [-1, 0], [-1], [0, 2, 2], [0, 2, -1], [0, 0, 0], [0, 0, 0, 0], [3, -1], [3, 4],
            [-1, 4], [-1, 2], [-1, 1], [1, 3, -1], [-1, -1], [0, 1, -1], [0, -1, 1], [], [0, 5],
            [0, 0, -1, 1], [0, 0, 1], [12], [2, 6], [3, 0], [0, 3],
        ):  # fmt: skip
            yield Case("Reshape", 13, (x, ints(*target)))
            yield Case("Reshape", 5, (x, ints(*target)))
            for zero in (0, 1):
                yield Case("Reshape", 14, (x, ints(*target)), {"allowzero": zero})
        for axis in range(-x.ndim - 1, x.ndim + 2):
            yield Case("Flatten", 13, (x,), {"axis": axis})
            if axis >= 0:
                yield Case("Flatten", 9, (x,), {"axis": axis})
            yield Case("Squeeze", 13, (x, ints(axis)))
            yield Case("Squeeze", 11, (x,), {"axes": [axis]})
            yield Case("Unsqueeze", 13, (x, ints(axis)))
            yield Case("Unsqueeze", 11, (x,), {"axes": [axis]})
            for other in range(-x.ndim - 2, x.ndim + 2):
                yield Case("Unsqueeze", 13, (x, ints(axis, other)))
        yield Case("Flatten", 13, (x,))
        yield Case("Unsqueeze", 13, (x, ints()))
        yield Case("Transpose", 13, (x,))
        for perm in permutations(range(x.ndim)):
            yield Case("Transpose", 13, (x,), {"perm": list(perm)})
        for perm in ([1, 1], [-1, 0], [0, 2], [0, -1]):
            yield Case("Transpose", 13, (x,), {"perm": perm})
        for start, end in product((None, -9, -2, -1, 0, 1, 2, 9), repeat=2):
            attrs = {k: v for k, v in (("start", start), ("end", end)) if v is not None}
            yield Case("Shape", 15, (x,), attrs)
        yield Case("Size", 13, (x,))
    yield Case("Squeeze", 13, (floats(ROWS, 1, 1), ints(-1, 1)))
    yield Case("Squeeze", 13, (floats(ROWS, 1, 1), ints(-1, 2)))


def defaults() -> Iterator[Case]:
    """Squeeze without axes: its rank depends on the batch.  Flatten before axes counted from the end."""
    ones = floats(ROWS, 1, 4), floats(ROWS, 1), floats(1, 4), floats(1, 1), floats(ROWS, 1, 1)
    for x in (X24, X45, WHOLE, *ones, floats(ROWS, 0), floats(ROWS)):
        yield Case("Squeeze", 11, (x,))
        for axes in ((), (None,), (ints(),)):
            yield Case("Squeeze", 13, (x, *axes))
        for opset, axis in product((1, 9), (-x.ndim, -1)):
            yield Case("Flatten", opset, (x,), {"axis": axis})


def joins() -> Iterator[Case]:
    """Parts of every width, also none, on every axis.

    Not of no rows: onnxruntime leaves their elements as it finds them in memory.
    """
    parts = (X24, floats(ROWS, 0), floats(ROWS, 1))
    for x, y in product(parts, parts):
        for axis in (0, 1, -1, -2, 2, -3):
            if axis % 2 == 0 and x.shape != y.shape:
                continue  # onnxruntime takes parts without elements even where other extents differ
            yield Case("Concat", 13, (x, y), {"axis": axis}, whole=(0, 1))
            yield Case("Concat", 4, (x, y, x), {"axis": axis}, whole=(0, 1, 2))
    for x, axis, opset in product((*parts, X45, WHOLE, floats(ROWS)), range(-4, 4), (4, 13)):
        yield Case("Concat", opset, (x,), {"axis": axis})
    for axis in (0, 1, -1):
        yield Case("Concat", 13, (WHOLE, WHOLE[:, :1]), {"axis": axis}, whole=(0, 1))
        yield Case("Concat", 13, (ints(1, 2), ints(), ints(3)), {"axis": axis})
