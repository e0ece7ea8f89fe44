"""Bags with a padding index, which torch.export spells as a loop in a loop."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.ir import rec
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

CONSTANTS: Arrays = {
    "table": floats(20, 4),
    "n0": np.array(0),
    "n1": np.array(1),
    "all": np.array([-1]),
    "a0": np.array([0]),
    "a1": np.array([1]),
    "blank": np.zeros((1, 4), np.float32),
    "pad": np.array(3),
}


def bag(
    kind: str, *, weights: str = "", bounds: str = "", ids: str = "ids", given: str = "int64[N] ids"
) -> str:
    """The exporter's form; ``weights`` makes ``rows`` from ``plain``, ``bounds`` makes ``v``."""
    weights = weights or "rows = Identity(plain)"
    bounds = bounds or "size = Shape(ids) v = Concat<axis = 0>(offsets, size) bags = Size(offsets)"
    return f"""m ({given}) => (float[B, 4] y) {{
        plain = Gather(table, {ids})
        {weights}
        {bounds}
        none = SequenceEmpty()
        go = Less(n0, bags)
        i_end, seq = Loop("", go, n0, none) <body = b (int64 it, bool c, int64 i, seq(float[P, 4]) s)
            => (bool c2, int64 i2, seq(float[P, 4]) s2) {{
            start = Gather(v, i)
            after = Add(i, n1)
            stop = Gather(v, after)
            empty = Shape<start = 0, end = 0>({ids})
            go2 = Less(start, stop)
            kept, j_end = Loop("", go2, empty, start) <body = inner (int64 jt, bool d, int64[K] k, int64 j)
                => (bool d2, int64[K2] k2, int64 j2) {{
                id = Gather({ids}, j)
                same = Equal(id, pad)
                other = Not(same)
                k2 = If(other) <
                    then_branch = t () => (int64[Q] more) {{
                        at = Reshape(j, all)
                        more = Concat<axis = 0>(k, at)
                    }},
                    else_branch = e () => (int64[Q] less) {{ less = Identity(k) }}
                >
                j2 = Add(j, n1)
                d2 = Less(j2, stop)
            }}>
            count = Size(kept)
            nothing = Equal(count, n0)
            row = If(nothing) <
                then_branch = t2 () => (float[P, 4] zs) {{ zs = Identity(blank) }},
                else_branch = e2 () => (float[P, 4] ws) {{
                    part = Gather(rows, kept)
                    ws = Reduce{kind}<keepdims = 1>(part, a0)
                }}
            >
            s2 = SequenceInsert(s, row)
            i2 = Add(i, n1)
            c2 = Less(i2, bags)
        }}>
        y = ConcatFromSequence<axis = 0>(seq)
    }}"""


def only_bag(found: Fused) -> rec.EmbeddingBagOp:
    (op,) = found.ops("rec.embedding_bag")
    assert isinstance(op, rec.EmbeddingBagOp)
    return op


OFFSETS = "int64[N] ids, int64[B] offsets"
IDS, STARTS = np.array([3, 1, 3, 4, 9, 3, 3, 2]), np.array([0, 2, 2, 5])  # the last bag has ids 3, 3, 2


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max"])
def test_offsets(kind: str) -> None:
    found = fused(bag(kind, given=OFFSETS), CONSTANTS)
    assert found.counts() == {"embedding_bag": 1}
    op = only_bag(found)
    assert op.padding is not None
    assert (op.mode.data, op.layout.data, op.padding.value.data) == (kind.lower(), "offsets", 3)
    found.check({"ids": IDS, "offsets": STARTS})
    found.check({"ids": np.array([3, 3, 1]), "offsets": np.array([0, 2])})


def test_per_sample_weights() -> None:
    weights = "column = Unsqueeze(w, a1) rows = Mul(plain, column)"
    found = fused(bag("Sum", weights=weights, given=f"{OFFSETS}, float[N] w"), CONSTANTS)
    assert found.counts() == {"embedding_bag": 1}
    assert only_bag(found).weights is not None
    found.check({"ids": IDS, "offsets": STARTS, "w": floats(8)})


def test_include_last_offset() -> None:
    bounds = """size = Shape(ids) v = ScatterElements(offsets, all, size)
        ends = Size(offsets) bags = Sub(ends, n1)"""
    found = fused(bag("Mean", bounds=bounds, given="int64[N] ids, int64[E] offsets"), CONSTANTS)
    assert only_bag(found).layout.data == "offsets_end"
    assert found.reasons() == {"Shape": "index preparation", "ScatterElements": "index preparation"}
    found.check({"ids": IDS, "offsets": np.array([0, 2, 2, 5, 8])})


def test_positions_of_other_ids_are_no_bag() -> None:
    text = bag("Sum", given=f"{OFFSETS}, int64[N] twin").replace(
        "id = Gather(ids, j)", "id = Gather(twin, j)"
    )
    found = fused(text, CONSTANTS)
    assert "embedding_bag" not in found.counts()
    assert "bag-loop: padding is found among other ids" in found.misses()
    found.check({"ids": IDS, "offsets": STARTS, "twin": IDS[::-1].copy()})
