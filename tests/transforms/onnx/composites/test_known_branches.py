"""Ifs that shapes decide become their branch; others stay."""

from __future__ import annotations

import numpy as np
import pytest

import cimc.transforms.onnx.composites.known_branches  # noqa: F401  (its rule is what is tried)
from tests.transforms.recognise.fusing import floats, fused

INNER = """If<then_branch = t2 () => (float[] z3) { z3 = MatMul(h, w) },
                   else_branch = e2 () => (float[] z4) { z4 = Neg(h) }>(c2)"""


@pytest.mark.parametrize("extent", [1, 3])
@pytest.mark.parametrize("nested", [False, True])
def test_a_branch_that_shapes_choose(extent: int, nested: bool) -> None:
    then = "s = ReduceSum<keepdims = 0>(h, k1)\n z = MatMul(s, w)" if not nested else "z = " + INNER
    found = fused(
        f"""m (float[B, {extent}, 4] x) => (float[] y) {{
            h = Add(x, x)
            dims = Shape(h) n = Gather(dims, k1) c = Equal(n, k1) m = Gather(dims, k2) c2 = Equal(m, k4)
            z = If<then_branch = t () => (float[] z1) {{ {then.replace("z =", "z1 =", 1)} }},
                   else_branch = e () => (float[] z2) {{ z2 = MatMul(h, w) }}>(c)
            y = Neg(z)
        }}""",
        {"w": floats(4, 4), "k1": np.array([1]), "k2": np.array([2]), "k4": np.array([4])},
    )
    assert "If" not in found.reasons()
    assert found.counts()["host"] == 0
    found.check({"x": floats(5, extent, 4)})


def test_a_branch_that_depends_on_the_request_stays() -> None:
    found = fused(
        """m (float[B, L, 4] x) => (float[] y) {
            h = Add(x, x)
            dims = Shape(h) n = Gather(dims, k1) c = Equal(n, k1)
            y = If<then_branch = t () => (float[] z1) { z1 = Squeeze(h, k1) },
                   else_branch = e () => (float[] z2) { z2 = Identity(h) }>(c)
        }""",
        {"k1": np.array([1])},
    )
    assert "If" in found.reasons()
    for length in (1, 3):
        found.check({"x": floats(5, length, 4)})
