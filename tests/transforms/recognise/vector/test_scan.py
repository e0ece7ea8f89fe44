"""Running sums, and products over an axis."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import floats, fused

W = {"w": floats(4, 4)}


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("extent", [1, 5, 8])
def test_running_sums(axis: int, exclusive: int, reverse: int, extent: int) -> None:
    found = fused(
        f"""m (float[B, {extent}, 4] x) => (float[B, {extent}, 4] y) {{
            h = MatMul(x, w) y = CumSum<exclusive = {exclusive}, reverse = {reverse}>(h, axis)
        }}""",
        W | {"axis": np.array(axis)},
    )
    assert "host" not in found.counts()
    found.check({"x": floats(3, extent, 4)}, 1e-4)


@pytest.mark.parametrize(
    ("axes", "keep"), [([1], 0), ([-1], 1), ([1, 3], 0), ([1, 3], 1)], ids=["one", "last", "apart", "kept"]
)
def test_products(axes: list[int], keep: int) -> None:
    found = fused(
        f"""m (float[B, 5, 2, 4] x) => (float[M, N] y) {{
            h = MatMul(x, w) p = ReduceProd<keepdims = {keep}>(h, axes) y = Flatten(p)
        }}""",
        W | {"axes": np.array(axes)},
    )
    assert "host" not in found.counts()
    found.check({"x": floats(3, 5, 2, 4)}, 1e-4)


def test_over_requests_they_stay_on_the_host() -> None:
    for node, reason in (
        ("CumSum(h, axis)", "adds up requests"),
        ("ReduceProd(h, axes)", "multiplies requests"),
    ):
        found = fused(
            f"m (float[B, 4] x) => (float[M, 4] y) {{ h = MatMul(x, w) y = {node} }}",
            W | {"axis": np.array(0), "axes": np.array([0])},
        )
        assert list(found.reasons().values()) == [reason]
