"""Dot interactions in the exporters' spellings, and selections that would mix requests."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

F, D = 4, 3
LI, LJ = np.tril_indices(F, -1)
BASE: Arrays = {
    "w": floats(F * D, F * D),
    "three": np.array([-1, F, D]),
    "flat": np.array([-1, F * F]),
    "cells": LI * F + LJ,
    "pairs": np.stack([LI, LJ], axis=1),
}


def interaction(selection: str, extra: Arrays | None = None, *, out: str = f"B, {len(LI)}") -> Fused:
    return fused(
        f"""m (float[B, {F * D}] x) => (float[{out}] y) {{
            h = MatMul(x, w)
            t = Reshape(h, three)
            u = Transpose<perm = [0, 2, 1]>(t)
            z = MatMul(t, u)
            {selection}
        }}""",
        BASE | (extra or {}),
    )


def test_gather_on_flattened_products() -> None:
    found = interaction("f = Reshape(z, flat)\n y = Gather<axis = 1>(f, cells)")
    assert found.counts() == {"linear": 1, "reshape": 1, "dot_interaction": 1}
    found.check({"x": floats(5, F * D)})


def test_gather_nd_behind_transposes() -> None:
    found = interaction(
        "v = Transpose<perm = [1, 2, 0]>(z)\n g = GatherND(v, pairs)\n y = Transpose<perm = [1, 0]>(g)"
    )
    assert found.counts() == {"linear": 1, "reshape": 1, "dot_interaction": 1}
    found.check({"x": floats(5, F * D)})


def test_mask_and_non_zero() -> None:
    mask = np.tril(np.ones((F, F), np.float32), -1)
    found = interaction(
        """s = Shape(z)
           m = Expand(mask, s)
           m1 = Reshape(m, all)
           nz = NonZero(m1)
           where = Squeeze(nz, k0)
           z1 = Reshape(z, all)
           g = Gather(z1, where)
           b = Shape<end = 1>(x)
           p = Concat<axis = 0>(b, count)
           y = Reshape(g, p)""",
        {"mask": mask, "all": np.array([-1]), "k0": np.array([0]), "count": np.array([len(LI)])},
    )
    assert found.counts() == {"linear": 1, "reshape": 1, "dot_interaction": 1}
    found.check({"x": floats(5, F * D)})


def test_order_of_the_pairs_is_kept() -> None:
    cells = np.array([7, 1, 1, 15])
    found = interaction("f = Reshape(z, flat)\n y = Gather<axis = 1>(f, c)", {"c": cells}, out="B, 4")
    assert found.counts()["dot_interaction"] == 1
    found.check({"x": floats(5, F * D)})


def test_without_a_selection_it_is_a_product() -> None:
    found = interaction("y = Reshape(z, flat)", out=f"B, {F * F}")
    assert found.counts() == {"linear": 1, "reshape": 2, "transpose": 1, "matmul": 1}
    found.check({"x": floats(5, F * D)})


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        # rows of the selection come from other requests, reversed
        (
            "f = Reshape(z, flat)\n r = Slice(f, m1, big, k0, m1)\n y = Gather<axis = 1>(r, cells)",
            "mixes requests",
        ),
        # the selection depends on the data
        (
            "f = Reshape(z, flat)\n i = Cast<to = 7>(pick)\n y = Gather<axis = 1>(f, i)",
            "depends on input pick",
        ),
    ],
)
def test_selections_that_are_not_request_wise(selection: str, reason: str) -> None:
    found = fused(
        f"""m (float[B, {F * D}] x, float[{len(LI)}] pick) => (float[B, {len(LI)}] y) {{
            h = MatMul(x, w)
            t = Reshape(h, three)
            u = Transpose<perm = [0, 2, 1]>(t)
            z = MatMul(t, u)
            {selection}
        }}""",
        BASE | {"m1": np.array([-1]), "big": np.array([-(1 << 60)]), "k0": np.array([0])},
    )
    assert found.counts()["dot_interaction"] == 0
    assert any(reason in failure for failure in found.misses()), found.misses()
    found.check({"x": floats(5, F * D), "pick": np.zeros(len(LI), np.float32)})


def test_product_over_features_is_no_interaction() -> None:
    found = fused(
        f"""m (float[B, {F * D}] x) => (float[B, 2] y) {{
            t = Reshape(x, three)
            u = Transpose<perm = [0, 2, 1]>(t)
            z = MatMul(u, t)
            f = Reshape(z, nine)
            y = Gather<axis = 1>(f, c)
        }}""",
        BASE | {"nine": np.array([-1, D * D]), "c": np.array([1, 2])},
    )
    assert found.counts()["dot_interaction"] == 0
    assert found.counts()["matmul"] == 1
    found.check({"x": floats(5, F * D)})


def test_products_of_two_activations() -> None:
    found = fused(
        f"""m (float[B, {F * D}] x, float[B, {D}, 2] v) => (float[B, {F}, 2] y) {{
            t = Reshape(x, three)
            y = MatMul(t, v)
        }}""",
        BASE,
    )
    assert found.counts() == {"reshape": 1, "matmul": 1}
    found.check({"x": floats(5, F * D), "v": floats(5, D, 2)})
